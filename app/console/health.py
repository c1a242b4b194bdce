"""How the service goes, in a sentence and in figures of the data: for the first page, and for `octant status`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from redis.asyncio import Redis

from app.audit.just_now import ENDED, JUST_NOW, JustNow
from app.audit.overview import Bucket, Overview
from app.budget.standing import Everything, UsedCap, everything
from app.budget.under_way import UnderWay, under_way
from app.console import formats, just_now
from app.console.just_now import FAILING, MANY, SOME, About, Said
from app.console.provider_strips import AGAIN, FEW, LEAST, REFUSING, SICK, STOPPED, UNTRIED, Resting, Strip, resting_of, strips_of
from app.console.ranges import Range
from app.console.waiting import Waiting
from app.domain.errors import Stopped
from app.domain.money import MicroUSD
from app.domain.records import MISTAKES, REFUSALS
from app.gateway.recovery import shared_circuits
from app.gateway.recovery.shared_circuits import Shared
from app.oncall.held import words_of
from app.oncall.reach import EVERYTHING, is_stopped, unanswered
from app.oncall.scopes import Subject
from app.releases.manifest import Release

SERVER_ERROR = 500
KINDS = ("none", "good", "warn", "bad")
MORE = 0.1  # the share of failed calls, above that of a longer range, that is news
LONG_WAIT, TIMES_USUAL = timedelta(seconds=10), 3  # a call waits long from then on, and from so many times the 95th percentile
ALL_AWAY = "no provider is well"
LATEST = "Just now: "  # before a sentence on the last minutes
UNREAD = f"The facts of {just_now.SPAN} could not be read: refusals and what has just begun are missing here."
VALKEY_AWAY = "Valkey does not answer: without its counters calls get 503 dependency_unavailable."
WELL = "All is well: "
MOST_FREQUENT = "The most frequent error is"


@dataclass(frozen=True, slots=True)
class Now:
    """State that Valkey holds: open circuits, today's money of all tenants, and the calls under way, the longest first."""

    circuits: Sequence[Shared]
    money: Everything
    under_way: tuple[int, Sequence[UnderWay]]

    def resting(self, stopped: Collection[Subject] = ()) -> Mapping[str, Resting]:
        """Providers with an open circuit, and of which models. One that the next call tries is no news where none comes.

        Nor is that of a model that an operator has ``stopped``.
        """
        found: dict[str, list[Shared]] = {}
        for circuit in self.circuits:
            if circuit.rest > 0 and not is_stopped(circuit.target, stopped):
                found.setdefault(circuit.target.provider, []).append(circuit)
        return {name: resting_of(circuits) for name, circuits in found.items()}


async def now_of(valkey: Redis, cap: MicroUSD) -> Now:
    """Read it. ``cap``: the global one of a day. Raises the errors of Valkey's client."""
    wanted = shared_circuits.read(valkey), everything(valkey, cap, datetime.now(UTC)), under_way(valkey)
    return Now(*await asyncio.gather(*wanted))


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


def of_stops(stopped: Sequence[str], lost: Sequence[str] = ()) -> str:
    """The sentence on operators' stops; empty where there is none. ``lost``: routes that no model answers meanwhile."""
    if not stopped:
        return ""
    but = f": no model answers {formats.listed(lost)} now" if lost and words_of(*EVERYTHING) not in stopped else ""
    return f"An operator has stopped {formats.listed(stopped)}{but}."


def answer(seen: Overview, strips: Sequence[Strip], range_: Range, latest: Overview | None = None) -> tuple[str, str]:
    """How it goes, in one sentence of the data. ``latest``: the last minutes, of which more may have fallen back."""
    total = seen.total
    if not total.calls + total.refused:
        return "none", f"No calls {range_.words}. Send one, or choose a longer time."
    if not total.calls:
        return "warn", f"No call {range_.words} was let through: {refusals(seen)}."
    failed = total.failed / total.calls
    ill = ill_of(strips)
    answered = f"{formats.share(1 - failed)} of {formats.number(total.calls, 'call')} {range_.words} were answered"
    rest = answered + (f" (not counted: {refusals(seen)})" if total.refused else "")
    if total.fallen_back:
        share = formats.share(total.fallen_back / total.calls) + just_now.fell_back(seen, latest)
        rest += f", {formats.count(total.fallen_back)} by another model ({share})"
    if ill:
        return "bad" if failed >= FAILING else "warn", f"{' and '.join(strip.clause for strip in ill)}; {rest}."
    if failed >= FAILING:
        errors = [outcome for outcome, _ in seen.outcomes if outcome not in REFUSALS]
        most = f" {MOST_FREQUENT} {errors[0]}." if errors else ""
        mistakes = sum(calls for outcome, calls in seen.outcomes if outcome in MISTAKES)
        by_callers = f", {formats.count(mistakes)} of them for a mistake of the caller's own" if mistakes else ""
        sick = total.failed - mistakes >= SICK * total.calls
        return "bad" if sick else "warn", f"{rest}; {formats.count(total.failed)} failed{by_callers}.{most}"
    return _well(seen, answered, rest)


def ill_of(strips: Sequence[Strip]) -> list[Strip]:
    """The providers that something is wrong with now: the failing ones, or where none fails the others."""
    ill = [strip for strip in strips if strip.trouble]
    return [strip for strip in ill if strip.kind == "bad"] or ill


def last_minutes(range_: Range) -> Range | None:
    """The end of a range that goes on; None for one that is not longer."""
    longer = range_.until - range_.since > JUST_NOW
    return Range(range_.until - JUST_NOW, range_.until, "", said=f"in the last {formats.span(JUST_NOW)}") if longer else None


class Summary(NamedTuple):
    """A kind, the sentences on a range, its providers, and for a sentence the words that lead to its page of the runbook.

    ``about``: the provider, the tenant, the user and the key that a sentence names.
    """

    kind: str
    said: Sequence[str]
    strips: Sequence[Strip]
    symptoms: Mapping[str, str]
    about: Mapping[str, Mapping[str, str]] = {}

    def search(self, words: str) -> dict[str, str]:
        """The query of the runbook's search for a sentence, with the names in it; empty where it has no page."""
        return {"q": self.symptoms[words], **self.about.get(words, {})} if words in self.symptoms else {}

    @property
    def now(self) -> str:
        """The first sentence, for a place that says by itself that it is of now; empty where no call came in."""
        return self.said[0].removeprefix(LATEST) if self.kind != "none" else ""

    @property
    def symptom(self) -> str:
        """The words of the first sentence that has some: where a person who was woken begins."""
        return next((self.symptoms[words] for words in self.said if words in self.symptoms), "")


@dataclass(frozen=True, slots=True)
class Stops:
    """What operators have stopped, with its sentence (`of_stops`)."""

    subjects: Collection[Subject] = ()
    words: str = ""


def stops_of(names: Sequence[str], subjects: Collection[Subject], live: Release | None) -> Stops:
    """The stops with the routes that no model of the live release answers meanwhile. ``names``: their words, as they are said."""
    return Stops(subjects, of_stops(names, unanswered(live.all_routes, subjects) if live else ()))


def summary(
    seen: Overview,
    range_: Range,
    latest: Overview | None,
    now: Now | None,
    stops: Stops,
    caps: Sequence[UsedCap] = (),
    recent: JustNow | None = None,
) -> Summary:
    """How it goes, in sentences.

    First stops, calls that wait, and faults that no share of answered calls shows: refusals of a tenant, caps, cost, a caller's
    mistakes. Then the last minutes where they are of another kind, or far worse: good calls of before hide a fault that has just
    begun, and bad ones that it is over, which few calls do not prove. ``latest``: what was seen in `last_minutes`, without
    states; ``recent``: the facts of the last two, however short the range; both in a range that goes on.
    """
    latest = _still(latest, range_.until) if latest else None
    resting = now.resting(stops.subjects) if now else {}
    strips = strips_of(seen, range_, resting, stops.subjects)
    first = [Said("bad", stops.words, "stopped_by_operator")] if stops.words else []
    ill = _page(strips)
    if (latest or recent) and (waits := waiting(now, seen, range_.until)):
        first.append(Said("bad", waits, *(ill or ("calls hang",))))
    answers = _answers(seen, strips, range_, latest, resting, recent, stops.subjects, over=len(first) == bool(stops.words))
    first += just_now.said_of(recent or JustNow(), seen, latest, range_.until, caps)
    bad, warn, facts = ([one for one in first if one.kind == kind] for kind in ("bad", "warn", "none"))
    said = [*bad, *answers, *warn, *facts] if answers[0].kind == "bad" else [*bad, *warn, *answers, *facts]
    if again := [strip.clause for strip in strips if strip.word == AGAIN and strip.kind == "warn"]:
        said.append(Said("warn", f"{formats.listed(again)}."))  # news of a fault that is over: behind all that is not
    said = [one._replace(words=one.words.replace(WELL, "", int(place > 0 or bool(again)))) for place, one in enumerate(said)]
    kind = max((one.kind for one in said), key=KINDS.index)
    symptoms = {one.words: one.symptom for one in said if one.symptom}
    return Summary(kind, [one.words for one in said], strips, symptoms, {one.words: dict(one.about) for one in said})


def without_valkey(found: Summary) -> Summary:
    """The same while Valkey is away: that comes first, is more than its calls' answers show, and is not over."""
    rest = [words.replace(WELL, "", 1) for words in found.said if not words.startswith(just_now.OVER)]
    symptoms = {VALKEY_AWAY: "Valkey is away", **found.symptoms}
    return found._replace(kind="bad", said=[VALKEY_AWAY, *rest], symptoms=symptoms)


def unread(found: Summary) -> Summary:
    """The same where the facts of the last two minutes cannot be read: a tenant that is locked out stands in them alone."""
    said = [*(words.replace(WELL, "", 1) for words in found.said), UNREAD]
    return found._replace(kind=max(found.kind, "warn", key=KINDS.index), said=said)


def beside(waiting: Waiting, found: Summary) -> Summary:
    """The summary where a page, an incident or a refused release comes before it."""
    if not waiting:
        return found
    kind = max(found.kind, waiting.kind, key=KINDS.index)
    symptoms = {words.replace(WELL, "", 1): symptom for words, symptom in found.symptoms.items()}
    return found._replace(kind=kind, said=[words.replace(WELL, "", 1) for words in found.said], symptoms=symptoms)


def _answers(
    seen: Overview,
    strips: Sequence[Strip],
    range_: Range,
    latest: Overview | None,
    resting: Mapping[str, Resting],
    recent: JustNow | None,
    stopped: Collection[Subject],
    *,
    over: bool,
) -> list[Said]:
    """The sentences on calls that were let through; the first has the kind of all. ``over``: whether a fault may be over."""
    kind, words = answer(seen, strips, range_, latest)
    ill, end, broken = _page(strips), last_minutes(range_), _broken(latest or seen)
    said = [Said(kind, words, *ill)]
    alone = answer(seen, (), range_, latest)[1]  # without the providers' clause: said once, in the sentence before
    counted = alone.partition(f" {MOST_FREQUENT}")[0]
    everywhere = none_well(strips)
    if recent and (out := just_now.outage(recent, range_.until, everywhere=everywhere)):
        page = ill or (just_now.symptom_of(recent),)
        return [Said("bad", out, *page), *(Said("bad", one) for one in (just_now.failed_kinds(recent), counted) if one)]
    if recent and over and not ill and not broken and (past := just_now.over(recent)):
        return [Said("warn", past), *(one._replace(kind="none") for one in said)]
    if latest and end:
        lately = strips_of(replace(latest, states=seen.states), end, resting, stopped)
        newest, words = answer(latest, lately, end)
        worse = KINDS.index(newest) > KINDS.index(kind) or (newest == "bad" and _failed(latest) >= _failed(seen) + MORE)
        if worse or (newest not in ("none", kind) and latest.total.calls >= FEW):
            kind, ill = newest if worse else "warn", _page(lately)
            said = [Said(kind, f"{LATEST}{words}", *ill), Said("none", alone)]
    if recent and (fail := just_now.failures(recent)):
        failed = Said("warn", fail, "" if ill else just_now.symptom_of(recent))
        said = [failed, *said] if kind == "good" else [said[0], failed._replace(kind="none"), *said[1:]]
    if broken and not any(broken in one.words for one in said):
        said.append(Said("none", f"{broken} {end.said}." if latest and end else f"{broken}."))
    return said


def _page(strips: Sequence[Strip]) -> tuple[str, About] | tuple[()]:
    """The words that lead to the page of what is wrong with providers, and the provider; empty where nothing is."""
    ill = ill_of(strips)
    if none_well(strips) and any(strip.trouble is not REFUSING for strip in ill):
        return ALL_AWAY, ()
    return (ill[0].symptom, just_now.about_of(provider=ill[0].name)) if ill else ()


def _still(latest: Overview, until: datetime) -> Overview:
    """The last minutes without the failed answers that have ended: of a kind that no answer of a minute was."""
    failed = [one for one in latest.failed_answers if until - one.minute < ENDED]
    return replace(latest, failed_answers=failed)


def _broken(seen: Overview) -> str:
    """Requests that got a 5xx, also those that no call knows; empty where they are few. A stop is no fault."""
    broken = [one for one in seen.failed_answers if one.status >= SERVER_ERROR and one.code != Stopped.code]
    number = sum(failed.answers for failed in broken)
    if not number or number < FAILING * seen.total.requests:
        return ""
    most = f"{broken[0].status} {broken[0].code} on {broken[0].path}: {formats.count(broken[0].answers)}"
    return f"{formats.number(number, 'request')} got an answer of 5xx ({most})"


def none_well(strips: Sequence[Strip]) -> bool:
    """Whether every provider that is called fails, or is stopped: each answer that still comes is one more.

    One that no call tries now may be well.
    """
    tried = [strip for strip in strips if strip.kind != "none" or strip.word == UNTRIED]
    return any(strip.kind == "bad" for strip in tried) and all(strip.kind == "bad" or strip.word == STOPPED for strip in tried)


def _failed(seen: Overview) -> float:
    return seen.total.failed / seen.total.calls if seen.total.calls else 0.0


def _well(seen: Overview, answered: str, rest: str) -> tuple[str, str]:
    """The sentence where all that was let through is well. ``answered``: the share of it; ``rest``: with the refusals besides."""
    total = seen.total
    if broken := _broken(seen):
        return "warn", f"{broken}, though of the calls {rest}."
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
