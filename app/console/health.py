"""How the service goes, in a sentence and in figures of the data: for the first page, and for `octant status`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.just_now import JUST_NOW, JustNow
from app.audit.overview import Bucket, Overview
from app.audit.provider_state import ProviderState
from app.budget.standing import Everything, UsedCap, everything, spending_began, spent_since
from app.budget.under_way import UnderWay, under_way
from app.console import formats, just_now
from app.console.just_now import CHANCE, ENOUGH, FAILING, MANY, SOME
from app.console.ranges import Range
from app.console.waiting import Waiting
from app.domain.money import MicroUSD
from app.domain.records import REFUSALS
from app.gateway.recovery import shared_circuits
from app.gateway.recovery.shared_circuits import Shared

SICK, ILL = 0.05, 0.5  # shares of a provider's attempts that failed
LEAST, FEW = 3, 10  # failed attempts that make a provider failing; attempts of which no share is given
SERVER_ERROR = 500
KINDS = ("none", "good", "warn", "bad")
MORE = 0.1  # the share of failed calls, above that of a longer range, that is news
LONG_WAIT, TIMES_USUAL = timedelta(seconds=10), 3  # a call waits long from then on, and from so many times the 95th percentile
TICKS = 60
ERRORS, SLOW = "errors", "slow"
AGAIN = "answering again"
FAILS = "failing"
EVERYTHING = "everything"
LATE = "provider_timeout"  # the cause of a circuit that opened because nothing came in time
WELL = "All is well: "
MOST_FREQUENT = "The most frequent error is"


@dataclass(frozen=True, slots=True)
class Now:
    """State that Valkey holds: open circuits, today's money of all tenants, and the calls under way, the longest first."""

    circuits: Sequence[Shared]
    money: Everything
    under_way: tuple[int, Sequence[UnderWay]]

    @property
    def resting(self) -> Mapping[str, "Resting"]:
        """Providers with an open circuit, and of which models. One that the next call tries is no news where none comes."""
        found: dict[str, list[Shared]] = {}
        for circuit in self.circuits:
            if circuit.rest > 0:
                found.setdefault(circuit.target.provider, []).append(circuit)
        return {name: _open(circuits) for name, circuits in found.items()}


@dataclass(frozen=True, slots=True)
class Resting:
    """A provider with an open circuit: in a word, and why."""

    word: str
    why: str


def _open(circuits: Sequence[Shared]) -> Resting:
    """Of one provider. A provider that answers too late is slow: how its attempts ended is the gateway's patience."""
    why = f"the circuit of {' and '.join(circuit.target.model for circuit in circuits)} is open"
    late = all(circuit.cause == LATE for circuit in circuits)
    return Resting(SLOW, f"no answer in time: {why}") if late else Resting(FAILS, why)


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


def state_of(circuit: Shared, stopped: Collection[str]) -> str:
    """A circuit that is not closed, in words. ``stopped``: what operators have stopped, as `kind name`."""
    provider, model = circuit.target
    if {EVERYTHING, f"provider {provider}", f"model {provider}/{model}"} & set(stopped):
        return f"{model} is stopped by an operator; its circuit opened before, after {circuit.cause}"
    if circuit.rest > 0:
        return f"{model}: circuit open after {circuit.cause}, no call until it is tried again in {formats.seconds(circuit.rest)}"
    return (
        f"{model}: circuit open after {circuit.cause}, tried by the next call that reaches it as its first target or a fallback"
    )


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


def of_stops(stopped: Sequence[str], unanswered: Sequence[str] = ()) -> str:
    """The sentence on operators' stops; empty where there is none. ``unanswered``: routes that no model answers meanwhile."""
    if not stopped:
        return ""
    lost = f": no model answers {formats.listed(unanswered)} now" if unanswered and EVERYTHING not in stopped else ""
    return f"An operator has stopped {formats.listed(stopped)}{lost}."


def answer(seen: Overview, strips: Sequence[Strip], range_: Range, latest: Overview | None = None) -> tuple[str, str]:
    """How it goes, in one sentence of the data. ``latest``: the last minutes, of which more may have fallen back."""
    total = seen.total
    if not total.calls + total.refused:
        return "none", f"No calls {range_.words}. Send one, or choose a longer time."
    if not total.calls:
        return "warn", f"No call {range_.words} was let through: {refusals(seen)}."
    failed = total.failed / total.calls
    ill = [strip for strip in strips if strip.kind == "bad"] or [strip for strip in strips if strip.kind == "warn"]
    answered = f"{formats.share(1 - failed)} of {formats.number(total.calls, 'call')} {range_.words} were answered"
    rest = answered + (f" (not counted: {refusals(seen)})" if total.refused else "")
    if total.fallen_back:
        share = formats.share(total.fallen_back / total.calls) + just_now.fell_back(seen, latest)
        rest += f", {formats.count(total.fallen_back)} by another model ({share})"
    if ill:
        named = " and ".join(
            f"{strip.name} {'has' if strip.word == ERRORS else 'is'} {strip.word}" + (f" ({strip.why})" if strip.why else "")
            for strip in ill
        )
        return (
            "bad" if failed >= FAILING else "warn",
            f"{named}; {rest}.",
        )
    if failed >= FAILING:
        errors = [outcome for outcome, _ in seen.outcomes if outcome not in REFUSALS]
        most = f" {MOST_FREQUENT} {errors[0]}." if errors else ""
        return "bad" if failed >= SICK else "warn", f"{rest}; {formats.count(total.failed)} failed.{most}"
    return _well(seen, answered, rest)


def last_minutes(range_: Range) -> Range | None:
    """The end of a range that goes on; None for one that is not longer."""
    longer = range_.until - range_.since > JUST_NOW
    return Range(range_.until - JUST_NOW, range_.until, "", said=f"in the last {formats.span(JUST_NOW)}") if longer else None


def summary(
    seen: Overview,
    range_: Range,
    latest: Overview | None,
    now: Now | None,
    stops: str,
    caps: Sequence[UsedCap] = (),
    recent: JustNow | None = None,
) -> tuple[str, Sequence[str], list[Strip]]:
    """A kind, the sentences on a range, and its providers.

    First stops, calls that wait, and faults that no share of answered calls shows: refusals of a tenant, caps, cost, a caller's
    mistakes. Then the last minutes where they are of another kind, or far worse: good calls of before hide a fault that has just
    begun, and bad ones that it is over, which few calls do not prove. ``latest``: what was seen in `last_minutes`, without
    states; ``recent``: the facts of the last two, however short the range; both in a range that goes on. ``stops``: `of_stops`.
    """
    resting = now.resting if now else {}
    strips = strips_of(seen, range_, resting)
    kind, said = _answers(seen, strips, range_, latest, resting, recent)
    first: list[just_now.Said] = [("bad", stops)] if stops else []
    if (latest or recent) and (waits := waiting(now, seen, range_.until)):
        first.append(("bad", waits))
    troubles = just_now.said_of(recent, seen, latest, range_.until) if recent else []
    if cap := just_now.used(caps):
        troubles.append(cap)
    first += troubles
    bad, warn = ([words for worse, words in first if (worse == "bad") == wanted] for wanted in (True, False))
    said = [*bad, *said, *warn] if kind == "bad" else [*bad, *warn, *said]
    kind = max([kind, *(worse for worse, _ in first)], key=KINDS.index)
    return kind, [said[0], *(words.replace(WELL, "", 1) for words in said[1:])], strips


def beside(waiting: Waiting, kind: str, said: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The kind and the sentences of `summary` where a page, an incident or a refused release comes before them."""
    if not waiting:
        return kind, said
    return max(kind, waiting.kind, key=KINDS.index), [words.replace(WELL, "", 1) for words in said]


def _answers(
    seen: Overview,
    strips: Sequence[Strip],
    range_: Range,
    latest: Overview | None,
    resting: Mapping[str, Resting],
    recent: JustNow | None,
) -> tuple[str, list[str]]:
    """The sentences on calls that were let through."""
    kind, words = answer(seen, strips, range_, latest)
    said, end = [words], last_minutes(range_)
    alone = answer(seen, (), range_, latest)[1]  # without the providers' clause: said once, in the sentence before
    counted = alone.partition(f" {MOST_FREQUENT}")[0]
    tried = [strip for strip in strips if strip.kind != "none"]
    everywhere = bool(tried) and all(strip.kind == "bad" for strip in tried)
    if recent and (out := just_now.outage(recent, everywhere=everywhere)):
        return "bad", [*filter(None, (out, just_now.failed_kinds(recent), counted))]
    if recent and (over := just_now.over(recent)):
        return "warn", [over, *said]
    if latest and end:
        newest, words = answer(latest, strips_of(replace(latest, states=seen.states), end, resting), end)
        worse = KINDS.index(newest) > KINDS.index(kind) or (newest == "bad" and _failed(latest) >= _failed(seen) + MORE)
        if worse or (newest not in ("none", kind) and latest.total.calls >= FEW):
            kind, said = newest if worse else "warn", [f"Just now: {words}", alone]
    if recent and (fail := just_now.failures(recent)):
        kind, said = ("warn", [fail, *said]) if kind == "good" else (kind, [said[0], fail, *said[1:]])
    return kind, said


def _failed(seen: Overview) -> float:
    return seen.total.failed / seen.total.calls if seen.total.calls else 0.0


def _well(seen: Overview, answered: str, rest: str) -> tuple[str, str]:
    """The sentence where all that was let through is well. ``answered``: the share of it; ``rest``: with the refusals besides."""
    total = seen.total
    broken = [failed for failed in seen.failed_answers if failed.status >= SERVER_ERROR]
    number = sum(failed.answers for failed in broken)
    if number and number >= FAILING * total.requests:
        most = f"{broken[0].status} {broken[0].code} on {broken[0].path}: {formats.count(broken[0].answers)}"
        return "warn", f"{formats.number(number, 'request')} got an answer of 5xx ({most}), though of the calls {rest}."
    turned_away = total.refused / (total.calls + total.refused)
    if turned_away >= MANY and total.refused >= SOME:
        return "warn", f"{formats.share(turned_away)} of all calls were refused: {refusals(seen)}. Of the others {answered}."
    p95 = formats.ms(total.request_latency[1]) if total.request_latency else formats.NONE
    each = formats.usd(total.cost / total.requests) if total.requests else formats.NONE
    well = WELL if total.fallen_back < SICK * total.calls else ""  # a first model was away for these
    return "good", f"{well}{rest}. 95 % of requests took at most {p95}; one costs {each} on average."


def refusals(seen: Overview) -> str:
    """Calls that were refused on purpose: ``2 refused by a cap, 1 refused by a rate limit``."""
    return ", ".join(f"{formats.count(calls)} refused {REFUSALS[name]}" for name, calls in seen.outcomes if name in REFUSALS)


def strips_of(seen: Overview, range_: Range, resting: Mapping[str, Resting]) -> list[Strip]:
    """The providers over the range, in sixty steps or fewer, and their state at its end.

    ``resting``: those with an open circuit, and why. One of them has a strip even if no call tried it in the range: it gets none.
    """
    whole = range_.until - range_.since
    found = []
    for name in sorted({*resting, *seen.providers}):
        by_time = seen.providers.get(name, {})
        steps: list[tuple[int, int]] = [(0, 0)] * TICKS
        for at, (attempts, failed) in by_time.items():
            step = min(TICKS - 1, max(0, int((at - range_.since) / whole * TICKS)))
            steps[step] = steps[step][0] + attempts, steps[step][1] + failed
        open_ = resting.get(name)
        kind, word, why = ("bad", open_.word, open_.why) if open_ else _state(seen.states.get(name))
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
    of = f", all of {' and '.join(sorted(now.models))}" if now.models else ""
    if now.failing >= LEAST and kind != "bad" and (now.failed / now.attempts) ** now.failing < CHANCE:
        return "bad", FAILS, f"none of its newest {now.failing} attempts was answered{of}"
    failed = f"{_part(now.failed, now.attempts)} of the last minutes failed{of}" if now.failed else ""
    if kind in ("bad", "warn") and now.failed and (1 - now.failed / now.attempts) ** now.since < CHANCE:
        return "good" if now.since >= ENOUGH else "warn", AGAIN, f"{failed}, and none of the newest {now.since}"
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
    return ("bad", FAILS) if share >= ILL else ("warn", ERRORS) if share >= SICK else ("good", "answering")


PACE, NEWEST = timedelta(hours=1), timedelta(minutes=5)
FASTER = 2  # times the last hour's pace


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast money goes, in micro-dollars. ``by``: what the day has cost at its end, at the pace ``an_hour``.

    That pace is of the last hour, or of the time since the first call (`paces`).
    ``newest``: the pace of the last five minutes, where it is far above that. ``reached``: when the global cap is, at the faster
    of the two, if it is today.
    """

    an_hour: float
    by: float
    reached: datetime | None
    newest: float | None = None


def burn(money: Everything, spent: Sequence[int], now: datetime) -> Burn | None:
    """What the pace makes of today; None where nothing was spent. One method on every page, and for every range.

    Five minutes are no forecast of a day, but they are a warning: a cap comes sooner where they go on. ``spent``: micro-dollars
    of the last hour and of the last five minutes.
    """
    last_hour, in_newest = spent
    if last_hour <= 0:
        return None
    newest = in_newest * (PACE / NEWEST)
    faster = newest if newest > FASTER * last_hour else None
    left = (money.resets_at - now) / PACE
    pace = faster or float(last_hour)
    reached = now + PACE * ((money.cap - money.spent) / pace) if money.spent < money.cap < money.spent + pace * left else None
    return Burn(float(last_hour), money.spent + last_hour * left, reached, faster)


def pace_words(pace: Burn) -> str:
    """The forecast in a part of a sentence, for the first page and `octant status`."""
    newest = f"; the last 5 min's pace is {formats.usd(pace.newest)} an hour" if pace.newest else ""
    return (
        f"at the pace of the last hour or since the first call, {formats.usd(pace.an_hour)} an hour:"
        f" {formats.usd(pace.by)} by the end of the day in UTC{newest}"
    )


async def paces(engine: AsyncEngine, now: datetime) -> list[int]:
    """Micro-dollars of an hour and of the last five minutes, for `burn`. Raises SQLAlchemyError.

    A service that has spent for less than an hour has the hour's at its pace until now: nothing is known of the time before.
    """
    spent, newest = await spent_since(engine, now - PACE, now - NEWEST)
    began = await spending_began(engine, now - PACE)
    return [round(spent * (PACE / max(now - began, NEWEST))) if began else spent, newest]


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
