"""How the service goes, in a sentence and in figures of the data: for the first page, and for `octant status`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from app.audit.overview import Bucket, Overview
from app.audit.provider_state import ProviderState
from app.budget.standing import Everything, everything
from app.budget.under_way import UnderWay, under_way
from app.console import formats
from app.console.ranges import Range
from app.domain.money import MicroUSD
from app.domain.records import REFUSALS
from app.gateway.recovery import shared_circuits
from app.gateway.recovery.shared_circuits import Shared

SICK, ILL = 0.05, 0.5  # shares of a provider's attempts that failed
LEAST, FEW = 3, 10  # failed attempts that make a provider failing; attempts of which no share is given
CHANCE = 0.01  # of as many answers in a row, at the share of failures of the last minutes: less, and the provider answers again
MANY, SOME = 0.2, 5  # refused calls that are worth a warning: their share of all, and their number
SERVER_ERROR = 500
KINDS = ("none", "good", "warn", "bad")
MORE = 0.1  # the share of failed calls, above that of a longer range, that is news
JUST_NOW = timedelta(minutes=2)  # what began then is diluted by the calls of a longer range
LONG_WAIT, TIMES_USUAL = timedelta(seconds=10), 3  # a call waits long from then on, and from so many times the 95th percentile
FAILING = 0.01  # share of calls that were not answered normally
TICKS = 60
ERRORS, SLOW = "errors", "slow"
AGAIN = "answering again"
PASSED_OVER, CIRCUIT_OPEN = "passed over", "its circuit is open"


@dataclass(frozen=True, slots=True)
class Now:
    """State that Valkey holds: open circuits, today's money of all tenants, and the calls under way, the longest first."""

    circuits: Sequence[Shared]
    money: Everything
    under_way: tuple[int, Sequence[UnderWay]]

    @property
    def resting(self) -> frozenset[str]:
        """The providers with a circuit that is open. One that the next call tries is no news where none comes."""
        return frozenset(circuit.target.provider for circuit in self.circuits if circuit.rest > 0)


async def now_of(valkey: Redis, cap: MicroUSD) -> Now:
    """Read it. ``cap``: the global one of a day. Raises the errors of Valkey's client."""
    wanted = shared_circuits.read(valkey), everything(valkey, cap, datetime.now(UTC)), under_way(valkey)
    return Now(*await asyncio.gather(*wanted))


@dataclass(frozen=True, slots=True)
class Strip:
    """One provider: its state now in a word and a kind, with the figures for it, and sixty steps of the range.

    Each step has its attempts and failed ones; ``attempts`` and ``failed`` are of the whole range. ``symptom``: the words for the
    runbook's search; empty where all is well.
    """

    name: str
    kind: str
    word: str
    ticks: Sequence[tuple[str, int, int]]
    attempts: int
    failed: int
    why: str = ""

    @property
    def symptom(self) -> str:
        """See the class."""
        if self.kind not in ("bad", "warn") or self.word == AGAIN:
            return ""
        return f"{self.name} is {'slow' if self.word == SLOW else 'failing'}"


def tenants_at_their_cap(alerts: Sequence[Mapping[str, Any]], last: int) -> dict[str, int]:
    """The tenants that have used nearly all of a cap of theirs, or more, and that share in per cent.

    ``alerts``: the open ones; ``last``: the share of a cap at which the last alert fires.
    """
    return {one["tenant"]: one["share"] for one in alerts if one["scope"].startswith("tenant") and one["share"] >= last}


def waiting(now: Now | None, seen: Overview, at: datetime) -> str:
    """The calls that have waited far longer than calls take; empty where they are few. No figure of ended calls shows them."""
    if now is None:
        return ""
    p95 = seen.total.latency[1] if seen.total.latency else None
    usual = timedelta(milliseconds=p95 or 0)
    ages = [age for call in now.under_way[1] if (age := at - call.began_at) > max(LONG_WAIT, TIMES_USUAL * usual)]
    if len(ages) < LEAST:
        return ""
    beside = f", where 95 % took at most {formats.ms(p95)}" if p95 else ""
    return (
        f"{formats.number(len(ages), 'call')} under way for up to {formats.seconds(ages[0].total_seconds())}{beside}: "
        "without an answer yet, they are in no figure here."
    )


def of_stops(stopped: Sequence[str]) -> str:
    """The sentence on operators' stops."""
    return f"An operator has stopped {' and '.join(stopped)}."


def answer(
    seen: Overview, strips: Sequence[Strip], range_: Range, stopped: Sequence[str], full: Mapping[str, int] = {}
) -> tuple[str, str]:
    """How it goes, in one sentence of the data. ``full``: the tenants at their cap, each with its share in per cent."""
    total = seen.total
    if stopped:
        return "bad", of_stops(stopped)
    if not total.calls + total.refused:
        return "none", f"No calls {range_.words}. Send one, or choose a longer time."
    if not total.calls:
        return "warn", f"No call {range_.words} was let through: {refusals(seen)}."
    failed = total.failed / total.calls
    ill = [strip for strip in strips if strip.kind == "bad"] or [strip for strip in strips if strip.kind == "warn"]
    answered = f"{formats.share(1 - failed)} of {formats.number(total.calls, 'call')} {range_.words} were answered"
    rest = answered + (f" ({refusals(seen)} besides)" if total.refused else "")
    if ill:
        named = " and ".join(
            f"{strip.name} {'has' if strip.word == ERRORS else 'is'} {strip.word}" + (f" ({strip.why})" if strip.why else "")
            for strip in ill
        )
        return (
            "bad" if failed >= FAILING else "warn",
            f"{named}; {rest}, {formats.count(total.fallen_back)} by another model.",
        )
    if failed >= FAILING:
        errors = [outcome for outcome, _ in seen.outcomes if outcome not in REFUSALS]
        most = f" The most frequent error is {errors[0]}." if errors else ""
        return "bad" if failed >= SICK else "warn", f"{rest}; {formats.count(total.failed)} failed.{most}"
    return _well(seen, answered, rest, full)


def last_minutes(range_: Range) -> Range | None:
    """The end of a range that goes on; None for one that is hardly longer."""
    longer = range_.until - range_.since > 2 * JUST_NOW
    return Range(range_.until - JUST_NOW, range_.until, "", said=f"in the last {formats.span(JUST_NOW)}") if longer else None


def summary(
    seen: Overview, range_: Range, latest: Overview | None, now: Now | None, stopped: Sequence[str], full: Mapping[str, int]
) -> tuple[str, Sequence[str], list[Strip]]:
    """A kind, the sentences on a range, and its providers.

    The last minutes come first where they are of another kind, or far worse: good calls of before hide what has just begun, and
    bad ones that it is over, which few calls do not prove. Before them come calls that wait, and stops. ``latest``: what was seen
    in `last_minutes`, in a range that goes on.
    """
    resting = now.resting if now else frozenset()
    strips = strips_of(seen, range_, resting)
    kind, words = answer(seen, strips, range_, (), full)
    said = [words]
    end = last_minutes(range_)
    if latest and end:
        newest, words = answer(latest, strips_of(latest, end, resting), end, (), full)
        worse = KINDS.index(newest) > KINDS.index(kind) or (newest == "bad" and _failed(latest) >= _failed(seen) + MORE)
        if worse or (newest not in ("none", kind) and latest.total.calls >= FEW):
            kind, said = newest if worse else "warn", [f"Just now: {words}", *said]
    if latest and (waits := waiting(now, seen, range_.until)):
        kind, said = "bad", [waits, *said]
    if stopped:
        kind, said = "bad", [of_stops(stopped), *said]
    return kind, said, strips


def _failed(seen: Overview) -> float:
    return seen.total.failed / seen.total.calls if seen.total.calls else 0.0


def _well(seen: Overview, answered: str, rest: str, full: Mapping[str, int]) -> tuple[str, str]:
    """The sentence where all that was let through is well. ``answered``: the share of it; ``rest``: with the refusals besides."""
    total = seen.total
    broken = [failed for failed in seen.failed_answers if failed.status >= SERVER_ERROR]
    number = sum(failed.answers for failed in broken)
    if number and number >= FAILING * total.requests:
        most = f"{formats.count(broken[0].answers)} of {broken[0].status} {broken[0].code} on {broken[0].path}"
        return "warn", f"{formats.number(number, 'request')} got an answer of 5xx ({most}), though of the calls {rest}."
    if full:
        first = min(full)
        named = f"{first} has" if len(full) == 1 else f"{first} and {len(full) - 1} more have"
        return "warn", f"{named} used {min(full.values())} % of a cap or more, so calls may be refused (Budgets); {rest}."
    turned_away = total.refused / (total.calls + total.refused)
    if turned_away >= MANY and total.refused >= SOME:
        return "warn", f"{formats.share(turned_away)} of all calls were refused: {refusals(seen)}. Of the others {answered}."
    p95 = formats.ms(total.request_latency[1]) if total.request_latency else formats.NONE
    each = formats.usd(total.cost / total.requests) if total.requests else formats.NONE
    return "good", f"All is well: {rest}. 95 % of requests took at most {p95}; one costs {each} on average."


def refusals(seen: Overview) -> str:
    """Calls that were refused on purpose: ``2 refused by a cap, 1 refused by a rate limit``."""
    return ", ".join(f"{formats.count(calls)} refused {REFUSALS[name]}" for name, calls in seen.outcomes if name in REFUSALS)


def strips_of(seen: Overview, range_: Range, resting: Collection[str]) -> list[Strip]:
    """The providers over the range, in sixty steps or fewer, and their state at its end.

    ``resting``: those with an open circuit. One of them has a strip even if no call tried it in the range: it gets none.
    """
    whole = range_.until - range_.since
    found = []
    for name in sorted({*resting, *seen.providers}):
        by_time = seen.providers.get(name, {})
        steps: list[tuple[int, int]] = [(0, 0)] * TICKS
        for at, (attempts, failed) in by_time.items():
            step = min(TICKS - 1, max(0, int((at - range_.since) / whole * TICKS)))
            steps[step] = steps[step][0] + attempts, steps[step][1] + failed
        kind, word, why = ("bad", PASSED_OVER, CIRCUIT_OPEN) if name in resting else _state(seen.states.get(name))
        ticks = [(_health(*counts)[0], *counts) for counts in steps]
        attempts, failed = (sum(counts[one] for counts in by_time.values()) for one in (0, 1))
        found.append(Strip(name, kind, word, ticks, attempts, failed, why))
    return found


def _state(now: ProviderState | None) -> tuple[str, str, str]:
    """A kind, a word, and the figures for it. A provider that fails is failing, however slow."""
    if now is None:
        return "none", "no calls lately", ""
    kind, word = _health(now.attempts, now.failed)
    if kind == "bad" and now.failed < LEAST:
        kind, word = "warn", ERRORS  # one attempt or two may fail by themselves
    if now.slow and kind != "bad" and now.failing < LEAST:
        takes, usual = now.slow
        return "warn", SLOW, f"{formats.ms(takes)} where {formats.ms(usual)} is usual"
    if now.failing >= LEAST and kind != "bad" and (now.failed / now.attempts) ** now.failing < CHANCE:
        return "bad", "failing", f"none of its newest {now.failing} attempts was answered"
    failed = f"{_part(now.failed, now.attempts)} of the last minutes failed" if now.failed else ""
    if kind in ("bad", "warn") and now.failed and (1 - now.failed / now.attempts) ** now.since < CHANCE:
        return "warn", AGAIN, f"{failed}, and none of the newest {now.since}"
    return kind, word, failed


def _part(failed: int, attempts: int) -> str:
    """A share says nothing of few."""
    if attempts == 1:
        return "its only attempt"
    return f"{formats.share(failed / attempts)} of its attempts" if attempts >= FEW else f"{failed} of its {attempts} attempts"


def _health(attempts: int, failed: int) -> tuple[str, str]:
    if not attempts:
        return "none", "not called"
    share = failed / attempts
    return ("bad", "failing") if share >= ILL else ("warn", ERRORS) if share >= SICK else ("good", "answering")


PACE = timedelta(hours=1)  # one method on every page and for every range: the last hour goes on


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast money goes, in micro-dollars. ``by``: what the day has cost at its end, at this pace.

    ``reached``: when the global cap is, if it is today.
    """

    an_hour: int
    by: float
    reached: datetime | None


def burn(money: Everything, last_hour: int, now: datetime) -> Burn | None:
    """What the pace of the last hour makes of today. ``last_hour``: micro-dollars spent in it; None where nothing was."""
    if last_hour <= 0:
        return None
    by = money.spent + last_hour * ((money.resets_at - now) / PACE)
    reached = now + PACE * ((money.cap - money.spent) / last_hour) if money.spent < money.cap < by else None
    return Burn(last_hour, by, reached)


@dataclass(frozen=True, slots=True)
class KindLine:
    """Requests or calls in figures: ``latency`` p50, p95, p99 in milliseconds, ``cost_bands`` p50, p95 in micro-dollars."""

    name: str
    number: int
    latency: Sequence[float | None]
    mean: float | None
    cost_bands: Sequence[int | None]


def kinds_of(total: Bucket) -> list[KindLine]:
    """Figures of callers' requests beside those of calls of models; both add up to the same money."""
    of_each = (
        ("A request, all its calls and tools", total.requests, total.request_latency, total.request_cost_bands),
        ("A call of a model", total.calls, total.latency, total.cost_bands),
    )
    return [
        KindLine(name, n, latency or [None] * 3, total.cost / n if n else None, bands or [None] * 2)
        for name, n, latency, bands in of_each
    ]
