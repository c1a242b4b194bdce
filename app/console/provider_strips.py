"""How each provider does now, in words: for its line on the first page, for a sentence, and for the page that helps.

What goes wrong chooses all three: a provider that limits us, refuses our key or answers past a schema is not away, and another
page of the runbook contains it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from app.audit.overview import Overview
from app.audit.provider_state import NOW, ProviderState
from app.console import formats
from app.console.just_now import CHANCE, ENOUGH
from app.console.ranges import Range
from app.domain.provider_errors import (
    ProviderDenied,
    ProviderOutputInvalid,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
)
from app.domain.routes import Target
from app.gateway.recovery.shared_circuits import Shared
from app.oncall.incidents.outage import IN_A_ROW
from app.oncall.reach import EVERYTHING, is_stopped
from app.oncall.scopes import Subject

SICK, ILL = 0.05, 0.5  # shares of a provider's attempts that failed
LEAST, FEW = 3, 10  # failed attempts that make a provider failing; attempts of which no share is given
TICKS = 60
SPAN = formats.span(NOW)
ERRORS, SLOW, FAILS = "errors", "slow", "failing"
AGAIN, STOPPED, UNTRIED = "answering again", "stopped by an operator", "not tried"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong at a provider. Behind its name stands ``clause`` in a sentence; ``symptom`` is for the runbook's search."""

    word: str
    clause: str
    symptom: str


LATE = Trouble(SLOW, "is slow", "is slow")
FAILURE = Trouble(FAILS, "is failing", "is failing")
SOME_ERRORS = Trouble(ERRORS, "has errors", "is failing")
MISSHAPEN = Trouble("malformed answers", "gives answers that do not fit their schema", ProviderOutputInvalid.code)
REFUSING = Trouble("refuses requests", "refuses every request as invalid", ProviderRejected.code)
TROUBLES: Mapping[str, Trouble] = {
    ProviderTimeout.code: LATE,
    ProviderRateLimited.code: Trouble("limits us", "limits us", ProviderRateLimited.code),
    ProviderDenied.code: Trouble("refuses us", "refuses our key, our quota or a model", ProviderDenied.code),
    ProviderOutputInvalid.code: MISSHAPEN,
}


@dataclass(frozen=True, slots=True)
class Resting:
    """A provider with an open circuit: what goes wrong, why it rests, and the models."""

    trouble: Trouble
    why: str
    models: frozenset[str] = frozenset()


def resting_of(circuits: Sequence[Shared]) -> Resting:
    """Of one provider's open circuits. What they do not have in common is a failure like any other."""
    why = f"the circuit of {' and '.join(circuit.target.model for circuit in circuits)} is open"
    found = {TROUBLES.get(circuit.cause, FAILURE) for circuit in circuits}
    trouble = found.pop() if len(found) == 1 else FAILURE
    models = frozenset(circuit.target.model for circuit in circuits)
    return Resting(trouble, f"no answer in time: {why}" if trouble is LATE else why, models)


@dataclass(frozen=True, slots=True)
class Strip:
    """One provider: its state now in a word and a kind, with the figures for it, and sixty steps of the range.

    Each step has its attempts and failed ones; ``attempts`` and ``failed`` are of the whole range. ``trouble``: what goes wrong
    now; None where nothing does, or an operator has stopped it. ``away``: its newest attempts, of all its models, were not
    answered: only then does a stop of the whole provider cost no answer.
    """

    name: str
    kind: str
    word: str
    ticks: Sequence[tuple[str, int, int]]
    attempts: int
    failed: int
    why: str = ""
    trouble: Trouble | None = None
    away: bool = False

    @property
    def symptom(self) -> str:
        """The words for the runbook's search; empty where all is well. Not its name, which may be a word of the runbook's."""
        return f"a provider {self.trouble.symptom}" if self.trouble else ""

    @property
    def clause(self) -> str:
        """How it does, in a part of a sentence."""
        words = self.trouble.clause if self.trouble else f"is {self.word}"
        return f"{self.name} {words}" + (f" ({self.why})" if self.why else "")


def state_of(circuit: Shared, stopped: Collection[Subject]) -> str:
    """A circuit that is not closed, in words. ``stopped``: by operators."""
    model = circuit.target.model
    if is_stopped(circuit.target, stopped):
        return f"{model} is stopped by an operator; its circuit opened before, after {circuit.cause}"
    if circuit.rest > 0:
        return f"{model}: circuit open after {circuit.cause}, no call until it is tried again in {formats.seconds(circuit.rest)}"
    return f"{model}: {tried_next(circuit)}; its circuit opened after {circuit.cause}"


def tried_next(circuit: Shared) -> str:
    """What is known of a circuit whose rest is over: a call tries it, or none has come yet, for how long."""
    if circuit.claimed > 0:
        return "a call tries it now"
    since = f"ended {formats.seconds(-circuit.rest)} ago"
    if circuit.claimed > circuit.rest:
        return f"its rest {since}, and the call that tried it did not end; the next one that reaches it tries it again"
    return f"its rest {since}, and no call has tried it since; the next one that reaches it does"


def strips_of(seen: Overview, range_: Range, resting: Mapping[str, Resting], stopped: Collection[Subject] = ()) -> list[Strip]:
    """The providers over the range, in sixty steps or fewer, and their state at its end.

    ``resting``: those with an open circuit, and why. One of them has a strip even if no call tried it in the range: it gets none.
    ``stopped``: by operators.
    """
    whole = range_.until - range_.since
    found = []
    for name in sorted({*resting, *seen.providers}):
        by_time = seen.providers.get(name, {})
        steps: list[tuple[int, int]] = [(0, 0)] * TICKS
        for at, (attempts, failed) in by_time.items():
            step = min(TICKS - 1, max(0, int((at - range_.since) / whole * TICKS)))
            steps[step] = steps[step][0] + attempts, steps[step][1] + failed
        state = seen.states.get(name)
        kind, word, why, trouble = _now(name, resting.get(name), state, stopped)
        ticks = [(_health(*counts)[0], *counts) for counts in steps]
        attempts, failed = (sum(counts[one] for counts in by_time.values()) for one in (0, 1))
        away = trouble is not None and _is_away(state, resting=name in resting)
        found.append(Strip(name, kind, word, ticks, attempts, failed, why, trouble, away))
    return found


def _is_away(state: ProviderState | None, *, resting: bool) -> bool:
    """Whether a provider answers nothing: each model that was tried failed last, and more than a retried call or two."""
    if state is None or not state.dead:
        return state is None and resting
    return resting or state.failing >= IN_A_ROW or (state.failed == state.attempts >= LEAST)


State = tuple[str, str, str, Trouble | None]
"""A kind, a word, the figures for it, and what goes wrong."""


def _now(name: str, open_: Resting | None, state: ProviderState | None, stopped: Collection[Subject]) -> State:
    """A stop says more than what its provider did before it."""
    tried = state.tried if state else ()
    whole = {EVERYTHING, ("provider", name)} & set(stopped)
    if whole or (tried and all(is_stopped(Target(name, model), stopped) for model in tried)):
        return "warn", STOPPED, "", None
    if open_ is None:
        return _of_now(_state(state), state)
    if state and state.since and not state.failing and state.tried - open_.models:
        return "warn", open_.trouble.word, f"{open_.why}; its other models answer", open_.trouble
    return "bad", open_.trouble.word, open_.why, open_.trouble


def _of_now(found: State, now: ProviderState | None) -> State:
    """The same, but for a provider that was well and that no call tries now: nothing shows that it still is."""
    if now is None or now.untried is None or found[0] not in ("good", "none"):
        return found
    return "none", UNTRIED, f"since {now.untried.astimezone(UTC):%H:%M} UTC", None


def _state(now: ProviderState | None) -> State:
    """Of attempts. A provider that fails is failing, however slow; one whose attempts all come too late is slow."""
    if now is None:
        return "none", "no calls lately", "", None
    kind, word = _health(now.attempts, now.failed)
    if kind == "bad" and now.failed < LEAST:
        kind, word = "warn", ERRORS  # one attempt or two may fail by themselves
    if now.slow and kind != "bad" and now.failing < LEAST:
        takes, usual = now.slow
        return "warn", SLOW, f"{formats.ms(takes)} where {formats.ms(usual)} is usual", LATE
    of = f", all of {' and '.join(sorted(now.models))}" if now.models else ""
    failed = f"{_part(now.failed, now.attempts)} in {SPAN} failed{of}" if now.failed else ""
    found = _failing(now, kind, word, failed)
    if now.refused and found[0] != "bad":
        of_each = " and ".join(f"all {formats.count(attempts)} of {model}" for model, attempts in now.refused)
        worst = "bad" if len(now.refused) == len(now.tried) else "warn"
        return worst, REFUSING.word, f"{of_each} in {formats.span(NOW)}", REFUSING
    if now.misshapen >= LEAST and found[0] != "bad":
        missed = f"{_part(now.misshapen, now.attempts)} in {SPAN} missed it{of}"
        return "bad" if now.misshapen >= ILL * now.attempts else "warn", MISSHAPEN.word, missed, MISSHAPEN
    return found


def _failing(now: ProviderState, kind: str, word: str, failed: str) -> State:
    """By its share of failures, unless the newest attempts say otherwise. ``failed``: the figures."""
    trouble = TROUBLES.get(now.cause, FAILURE if word != ERRORS else SOME_ERRORS)
    if now.failing >= LEAST and kind != "bad" and (now.failed / now.attempts) ** now.failing < CHANCE:
        trouble = FAILURE if trouble is SOME_ERRORS and now.dead else trouble
        at = f" at {' and '.join(sorted(now.models))}" if now.models else ""
        return "bad" if now.dead else "warn", trouble.word, f"none of the newest {now.failing} attempts{at} was answered", trouble
    if kind not in ("bad", "warn"):
        return kind, word, failed, None
    failed = failed.replace(" failed", " got no answer in time") if trouble is LATE else failed
    if now.failed and (1 - now.failed / now.attempts) ** now.since < CHANCE:
        return "good" if now.since >= ENOUGH else "warn", AGAIN, f"{failed}; its newest {now.since} were answered", None
    return kind, trouble.word, failed, trouble


def _part(failed: int, attempts: int) -> str:
    """A share says nothing of few."""
    if attempts == 1:
        return "its only attempt"
    return f"{formats.share(failed / attempts)} of attempts" if attempts >= FEW else f"{failed} of {attempts} attempts"


def _health(attempts: int, failed: int) -> tuple[str, str]:
    if not attempts:
        return "none", "not called"
    share = failed / attempts
    return ("bad", FAILS) if share >= ILL else ("warn", ERRORS) if share >= SICK else ("good", "answering")
