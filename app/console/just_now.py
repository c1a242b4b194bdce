"""Sentences on the last two minutes: refusals, failures, cost, and whether a fault is over. Facts in, words out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.audit.failed_answers import COUNTED_BY
from app.audit.just_now import BUSIER, IDLE, JUST_NOW, FailedKind, JustNow, RefusedTenant
from app.audit.overview import Bucket, Overview
from app.budget.standing import UsedCap
from app.console import formats
from app.domain.errors import BudgetExceeded
from app.domain.records import CANCELLED

FAILING = 0.01  # share of calls that were not answered normally
CHANCE = 0.01  # of as many answers in a row, at the share of failures of before: less, and a provider answers again
SURE = 0.001  # and likewise that a fault is over: a page asks every few seconds
ENOUGH = 20  # answers, requests or mistakes of a caller: of fewer nothing is said
A_MOMENT = timedelta(seconds=5)  # one call may fail with all its retries, and others beside it are under way
FEW = 3  # failed calls in a row that are no chance where every provider fails
MANY, MOST, SOME = 0.2, 0.5, 5  # refused calls that are a warning, and a fault: their share of all; and their number
SPAN = f"the last {formats.span(JUST_NOW)}"
COUNTED = f"the last {formats.span(JUST_NOW + COUNTED_BY)}"  # of whole minutes: the first of them began so long ago
DEARER = 3  # times the cost of a call before
SLOWER = 4  # times its latency before
FEWER = 8  # requests whose median says something: callers that wait for an answer send fewer when answers are slow
OTHER = 0.1  # between the shares of calls that fell back, in the last minutes and in all
LATER = (  # by band of latency: the fewest requests, the steps that are usual, milliseconds that callers notice, the words
    (FEWER, 0.5, 200.0, f"A request of {SPAN} takes {{}} at the median"),
    (ENOUGH, 0.9, 1000.0, f"The slowest 5 % of the requests of {SPAN} take {{}} or more"),
)
NAMED = 3  # tenants or kinds in a sentence
OVER = "Over:"
ONE_USER = "one user is refused"  # by a cap: its page begins with who that is
PAGES = {"last_resort": "providers_unavailable"}  # an outcome that has the page of another one
FLOOD = 200  # fewest calls of a tenant that are news by their number

About = tuple[tuple[str, str], ...]


class Said(NamedTuple):
    """A sentence, how bad it is, and the words that lead to its page of the runbook, if it has one.

    ``about``: the provider, the tenant, the user and the key that it names, for the commands of that page.
    """

    kind: str
    words: str
    symptom: str = ""
    about: About = ()


def said_of(
    recent: JustNow, seen: Overview, latest: Overview | None, until: datetime, caps: Sequence[UsedCap] = ()
) -> list[Said]:
    """The sentences that come before those on answers and failures. Callers notice the time before the money."""
    turned_away, slow = refused(recent.refused), slower(seen, latest, until)
    found = (
        turned_away,
        slow,
        busier(recent, hurts=bool(turned_away or slow or caps or failures(recent))),
        dearer(recent),
        mistakes(recent),
        drifted(recent),
        used(caps),
    )
    return [one for one in found if one]


def refused(tenants: Sequence[RefusedTenant]) -> Said | None:
    """The tenants of which many calls are refused: a tenant that is locked out is lost among the calls of the others."""
    found = [one for one in tenants if _is_refused(one)]
    if not found:
        return None
    words = [
        f"{one.tenant}: {one.refused:,} of {one.calls:,} calls of {SPAN} were refused ({one.code}){_of_user(one)}"
        for one in found[:NAMED]
    ]
    more = f"; and so were calls of {formats.number(len(found) - NAMED, 'more tenant')}" if len(found) > NAMED else ""
    locked_out = any(one.refused >= MOST * one.calls or one.newest[0] > MOST * one.newest[1] for one in found)
    user = found[0].user if _of_user(found[0]) else ""
    symptom = ONE_USER if user and found[0].code == BudgetExceeded.code else found[0].code
    kind = "bad" if locked_out else "warn"
    return Said(kind, f"{'; '.join(words)}{more}.", symptom, about_of(tenant=found[0].tenant, user=user))


def about_of(**names: str) -> About:
    """The names that are known, as `Said` has them."""
    return tuple((field, name) for field, name in names.items() if name)


def _is_refused(one: RefusedTenant) -> bool:
    """Whether many of its calls are refused, or most of its newest: those before hide what began ten seconds ago."""
    now = one.newest[0] >= max(SOME, MOST * one.newest[1])
    many = one.refused >= max(SOME, MANY * one.calls)
    return (many or now) and not (one.let_in >= SOME and _ended(one.refused, one.calls, one.let_in))


def _of_user(one: RefusedTenant) -> str:
    """The user whose calls most of the refused ones were, where it is one user's fault more than not."""
    if not one.user or one.of_user < MOST * one.refused:
        return ""
    return f", {'all' if one.of_user == one.refused else f'{one.of_user:,}'} of them of {one.user}"


def used(caps: Sequence[UsedCap]) -> Said | None:
    """The caps that are nearly used or passed, the fullest first."""
    if not caps:
        return None
    words = "; ".join(map(_cap, caps[:NAMED]))
    more = f"; and so are {formats.number(len(caps) - NAMED, 'more cap')}" if len(caps) > NAMED else ""
    return Said("warn", f"{words}{more} (Budgets).", "a budget is used up", about_of(tenant=caps[0].tenant))


def _cap(cap: UsedCap) -> str:
    times = cap.spent / cap.limit if cap.limit else 0.0
    how_much = (
        "more than 10 times" if times > formats.MOST_TIMES else f"{times:.1f} times" if times >= 2 else f"{int(times * 100)} % of"
    )
    whose = (
        f"{cap.tenant} has used {how_much} its {cap.window} cap" if cap.limit else f"{cap.tenant} has a {cap.window} cap of $0"
    )
    if cap.spent < cap.limit:
        return f"{whose}, so calls may be refused"
    return f"{whose}, so its calls are refused until {formats.moment(cap.ends_at)}"


def slower(seen: Overview, latest: Overview | None, until: datetime) -> Said | None:
    """A request takes many times as long as in the steps before the last minutes, at the median or at the 95th percentile."""
    if latest is None or not latest.total.request_latency:
        return None
    earlier = _before(seen.series, until - JUST_NOW)
    if sum(one.requests for one in earlier) < ENOUGH:
        return None
    for band, (fewest, of_steps, least, words) in enumerate(LATER):
        now, usual = latest.total.request_latency[band], _usual(earlier, band, of_steps)
        if latest.total.requests >= fewest and now >= max(SLOWER * usual, usual + least):
            times = formats.as_much(now / usual).replace("much", "long") if usual else "far longer"
            return Said("warn", f"{words.format(formats.ms(now))}, {times} as before ({formats.ms(usual)}).", "answers are slow")
    return None


def _before(series: Sequence[Bucket], until: datetime) -> list[Bucket]:
    """The steps with requests that ended by then."""
    begins = [one.at for one in series if one.at]
    width = begins[1] - begins[0] if len(begins) > 1 else timedelta()
    return [one for one in series if one.at and one.at + width <= until and one.requests and one.request_latency]


def _usual(steps: Sequence[Bucket], band: int, of_steps: float) -> float:
    """A band of latency of the steps: the least that ``of_steps`` of all requests were in steps of."""
    found = sorted((one.request_latency[band], one.requests) for one in steps if one.request_latency)
    wanted, seen = of_steps * sum(requests for _, requests in found), 0
    for value, requests in found:
        seen += requests
        if seen >= wanted:
            return value
    return 0.0


def fell_back(seen: Overview, latest: Overview | None) -> str:
    """How many calls of the last minutes another model answered, as a clause, where that is another share than of the range."""
    if latest is None or latest.total.calls < ENOUGH or not seen.total.calls:
        return ""
    now, all_ = latest.total.fallen_back / latest.total.calls, seen.total.fallen_back / seen.total.calls
    return f"; {formats.share(now)} in {SPAN}" if abs(now - all_) >= OTHER else ""


def dearer(recent: JustNow) -> Said | None:
    """Calls cost several times as much as calls of the same kinds before, and which model makes it so."""
    now = recent.cost
    if min(now.calls, now.calls_before) < ENOUGH or not now.usual or now.cost < DEARER * now.usual:
        return None
    mean, times = formats.usd(now.cost / now.calls), formats.as_much(now.cost / now.usual)
    words = f"A call of {SPAN} costs {mean} on average, {times} as calls of the same kinds before"
    most = recent.dearest
    if most and most.of_all:
        words += f"; {formats.share(most.cost / most.of_all)} of it is for {most.provider} {most.model}"
        if most.estimated:
            share = formats.share(most.estimated / most.attempts)
            words += f", and {share} of its attempts were charged as estimates (usage_estimated)"
    return Said("warn", f"{words}.", "money is spent faster than usual")


def busier(recent: JustNow, *, hurts: bool) -> Said | None:
    """A tenant sends many times as much as before: a loop, a batch, or a key in other hands. Names the busiest key and user.

    ``hurts``: calls are refused, slow or fail beside it, or a cap is near. A batch that hurts none is a fact, and no trouble.
    """
    most = recent.busiest
    if most is None:
        return None
    if most.calls < max(FLOOD, BUSIER * max(most.usual, IDLE)):
        return None
    usual = f"where {formats.number(round(most.usual), 'call')} were usual"
    before = usual if most.before else f"after none in the {formats.span(most.known)} before"
    who = f", {_of_all(most.of_key, most.calls)} of them with key {most.key_id}" if most.key_id else ""
    one = most.user if most.of_user > MOST * most.calls else ""
    who += f", {_of_all(most.of_user, most.calls)} of user {one}" if one else ""
    words = f"{most.tenant} has sent {formats.number(most.calls, 'call')} in {SPAN}, {before}{who}, for {formats.usd(most.cost)}."
    if not hurts:
        return Said("none", words)
    return Said("warn", words, "a key sends far more calls than before", about_of(tenant=most.tenant, key=most.key_id, user=one))


def _of_all(some: int, all_: int) -> str:
    return "all" if some == all_ else f"{some:,}"


def drifted(recent: JustNow) -> Said | None:
    """More answers of a feature fail their rules than before: no call fails by it."""
    if not recent.drifted:
        return None
    first = min(at for _, at in recent.drifted)
    features = formats.listed([feature for feature, _ in recent.drifted])
    words = f"Answers of {features} have drifted, found at {formats.moment(first)}: more of them fail than before (Evals)."
    return Said("warn", words, "answers drift")


def mistakes(recent: JustNow) -> Said | None:
    """A flood of answers of 4xx to one caller. They become no calls, so no figure of calls has them."""
    most = recent.mistakes
    if most is None or most.answers < ENOUGH or most.answers < MANY * (most.answers + most.calls):
        return None
    whose = f"of {most.tenant}" if most.tenant else "without a valid key"
    key = f"key {most.key_id}, " if most.key_id else ""
    words = (
        f"{formats.number(most.answers, 'request')} {whose} of {COUNTED} got {most.status} {most.code}, "
        f"beside {formats.number(most.calls, 'call')} in all (the last one: {key}{most.request_id})."
    )
    return Said("warn", words, most.code, about_of(tenant=most.tenant, key=most.key_id))


def failures(recent: JustNow) -> str:
    """The kinds of failures, each with a request to begin with; empty where few calls failed."""
    if not recent.failures or recent.failed < FAILING * recent.calls:
        return ""
    return f"Failed in {SPAN}: {'; '.join(map(_kind, recent.failures[:NAMED]))}."


def symptom_of(recent: JustNow) -> str:
    """The words that lead to the page of most failures; a caller that hung up needs none."""
    codes = [kind.code for kind in recent.failures if kind.code != CANCELLED]
    return PAGES.get(codes[0], codes[0]) if codes else ""


def failed_kinds(recent: JustNow) -> str:
    """The same in short, beside a sentence that says since when."""
    if not recent.failures:
        return ""
    last = max(recent.failures, key=lambda kind: kind.at)
    named = ", ".join(f"{kind.calls:,} {kind.code}" for kind in recent.failures[:NAMED])
    return f"Failed in {SPAN}: {named}; the last one is {last.request_id}."


def _kind(kind: FailedKind) -> str:
    streams = "" if kind.streams < kind.calls else ", all of them streams" if kind.calls > 1 else ", a stream"
    asked = f" of {kind.target}" if kind.target else ""
    return f"{kind.calls:,} {kind.code}{asked}{streams} (the last at {formats.utc(kind.at.astimezone(UTC))}, {kind.request_id})"


def _turned_away(recent: JustNow) -> bool:
    refused = any(one.newest[0] >= SOME or _is_refused(one) for one in recent.refused)
    return refused or (recent.mistakes is not None and recent.mistakes.answers >= SOME)


def _ended(bad: int, calls: int, later: int) -> bool:
    """Whether ``later`` good calls in a row are no chance, after so many bad ones of those before."""
    return (1 - bad / (calls - later)) ** later < SURE


def outage(recent: JustNow, until: datetime, *, everywhere: bool) -> str:
    """That no call is answered any more, and since when; empty where so many failed calls in a row may be chance, or a moment.

    ``everywhere``: every provider that is called is failing.
    """
    if recent.failing_since is None or recent.failing < (FEW if everywhere else SOME):
        return ""
    if not everywhere and until - recent.failing_since < A_MOMENT:
        return ""
    what = "No provider answers" if everywhere else "No call is answered"
    number = f"{recent.failing:,}"
    since = formats.utc(recent.failing_since.astimezone(UTC))
    return f"{what} since {since}: {number} of the last {number} calls failed."


def over(recent: JustNow) -> str:
    """Since when none has failed, where as many answers in a row are no chance; empty otherwise.

    While callers are refused or make mistakes something else is wrong: who reads "over" closes the incident.
    """
    if _turned_away(recent) or recent.failed_at is None or recent.later < ENOUGH or recent.failed < FAILING * recent.calls:
        return ""
    if not _ended(recent.failed, recent.calls, recent.later):
        return ""
    return f"{OVER} none failed since {formats.utc(recent.failed_at.astimezone(UTC))} ({formats.number(recent.later, 'call')})."
