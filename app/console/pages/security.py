"""Security: threats with the state of their proofs, guard flags, keys and their ages, the operators' log, sessions, packages."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.action_search import ActionFilter, FoundActions, find_actions
from app.audit.flags import Flagged, FlaggedRequests, flagged_requests, flags
from app.audit.provider_use import Use, first_uses, last_uses
from app.console import charts, formats, security_threats
from app.console.console import ROUTES, SAID, VIEWING, Console, link
from app.console.navigation import SECURITY
from app.console.pages.readiness import sources_of
from app.console.ranges import Range
from app.console.readiness.answers import KINDS, SHORT
from app.console.readiness.security import LEAK, Attacks, attacks, leak_figure
from app.console.security_keys import CHOICES, OLD, Key, ProviderKey, chosen, key_of, provider_key
from app.console.security_keys import answer as keys_answer
from app.console.security_threats import counts_of, proven
from app.console.sessions import Listed
from app.domain.errors import Misconfigured
from app.domain.whole_numbers import whole_number
from app.releases.rehearsals import JUDGED
from app.security import installed, threats
from app.security.keys.administration import KeyInfo
from app.security.threats import Threat

PAGE = 50
LONGEST = 200
TAINTED = "There a tool that changes anything waits for the customer's word."
SERIES = 4  # flags with a line of their own; the rest is one
TABS = {
    "threats": "Threats", "flags": "Guard", "keys": "Keys", "log": "Operators' log", "sessions": "Sessions",
    "packages": "Packages",
}  # fmt: skip
NO_REQUESTS = FlaggedRequests(0, 0, 0)
FIELDS = ("actor", "action", "subject", "reason")


@dataclass(frozen=True, slots=True)
class Stored:
    """All that the page shows from Postgres. ``more``: the operators' log has a next page; ``sign_ins``: left out of it."""

    keys: Sequence[KeyInfo]
    uses: Mapping[tuple[str, str], Use]
    sessions: Sequence[Listed]
    flagged: Sequence[Flagged]
    found: FoundActions
    refused: int = 0
    flagged_requests: FlaggedRequests = NO_REQUESTS
    more: bool = False
    sign_ins: int = 0


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)
    first: dict[tuple[str, str], datetime] = {}  # the first use of a key on record: never later than what was read once

    @made.get("/security")
    async def page(request: Request) -> Response:
        """The page."""
        query = dict(request.query_params)
        range_ = await console.range(query, "7d")
        known = await console.known.read(("security", *sorted(query.items())), _stored(console, range_, query))
        chain = await console.known.read("chain", console.parts.actions.verify()) if query.get("check") else None
        tab, wanted, choice = query.get("tab", ""), security_threats.filter_of(query), query.get("keys", "")
        tab = tab if tab in TABS else "threats"
        now, stored = datetime.now(UTC), known.value
        rows = threats.read()
        matching = [row for row in rows if wanted.has(row)]
        used = await _first(console, stored, first) if tab == "keys" else first  # it may read every record that is kept
        ours, problem = _provider_keys(console, stored, now, used)
        keys = [key_of(info, now) for info in stored.keys] if stored else []
        packages = installed.packages()
        held = await console.known.read("attacks", attacks(sources_of(console, {})))
        sessions = _sessions(console, stored)
        leaks = [day for day in await asyncio.to_thread(sources_of(console, {}).gamedays, LEAK) if day.verdict in JUDGED]
        said = {
            "threats": lambda: answer(rows, stored, chosen(keys, ""), ours, range_, held.value),
            "flags": lambda: flags_answer(stored, range_), "keys": lambda: keys_answer(keys if stored else None, ours),
            "log": lambda: log_answer(stored, range_, now), "sessions": lambda: sessions_answer(stored, sessions, now),
            "packages": lambda: packages_answer(packages),
        }  # fmt: skip
        kind, words = said[tab]()
        shown = {name: value for name, value in query.items() if value and name not in ("before", "check", *SAID)}
        return console.page(
            request, "security.html", SECURITY, range=range_, known=known, stored=stored, kind=kind, words=words,
            keys=chosen(keys, choice), live=chosen(keys, ""), choice=choice if choice in CHOICES else "",
            key_choices=[(name, len(chosen(keys, name)), text) for name, text in CHOICES.items()],
            provider_keys=ours, provider_problem=problem, packages=packages, threat_counts=counts_of(rows),
            differing=[package for package in packages if package.differs], chain=chain, shown=shown,
            more=_more(stored), sessions=sessions, flags=flags_of(stored, range_),
            fields=[(name, query.get(name, "")) for name in FIELDS], failed=query.get("failed", ""), tabs=TABS, tab=tab,
            wanted=wanted, threat_choices=security_threats.choices(rows), threat_state=security_threats.state_of, rows=matching,
            matched=security_threats.matched(matching, len(rows)), unprotected=security_threats.unprotected(rows),
            leaked=leak_figure(leaks[-1] if leaks else None),
            held=held.value, held_away=held, states=SHORT, kinds=KINDS,
        )  # fmt: skip

    return made


async def _stored(console: Console, range_: Range, query: Mapping[str, str]) -> Stored:
    engine = console.parts.engine
    wanted = filter_of(query, range_)
    found = await find_actions(engine, replace(wanted, limit=PAGE + 1))
    refused = await find_actions(engine, replace(wanted, failed=True, before=None, limit=1))
    left_out = wanted.sign_ins is False
    signed_in = (await find_actions(engine, replace(wanted, sign_ins=True, before=None, limit=1))).total if left_out else 0
    return Stored(
        keys=await console.parts.keys.list_keys(), uses=await last_uses(engine), sessions=await console.sessions.list(),
        flagged=await flags(engine, range_.since, range_.until, range_.width),
        flagged_requests=await flagged_requests(engine, range_.since, range_.until),
        found=replace(found, rows=found.rows[:PAGE]), more=len(found.rows) > PAGE,
        refused=0 if wanted.failed is False else refused.total, sign_ins=signed_in,
    )  # fmt: skip


def filter_of(query: Mapping[str, str], range_: Range) -> ActionFilter:
    """The filter of the operators' log in an address; a number that is none is passed over.

    Sign-ins change nothing: they are left out, unless they or a name of an action are wanted.
    """
    before = query.get("before", "")
    texts = {name: query.get(name, "").strip()[:LONGEST].replace("\0", "") for name in FIELDS}
    shown = query.get("sign_ins") == "true" or texts["action"]
    return ActionFilter(
        **texts, sign_ins=None if shown else False,
        failed={"true": True, "false": False}.get(query.get("failed", "")), since=range_.since, until=range_.until,
        before=whole_number(before, digits=19), limit=PAGE,
    )  # fmt: skip


def _more(stored: Stored | None) -> int | None:
    """The number from which the next page goes back, None at the end."""
    return stored.found.rows[-1].number if stored and stored.more else None


def _sessions(console: Console, stored: Stored | None) -> Sequence[tuple[Listed, str]]:
    """Each session and its state, the open ones first."""

    def state(one: Listed) -> str:
        return "ended" if one.revoked_at else "over" if console.sessions.over(one) else "open"

    return sorted(((one, state(one)) for one in stored.sessions), key=lambda pair: pair[1] != "open") if stored else []


async def _first(
    console: Console, stored: Stored | None, first: dict[tuple[str, str], datetime]
) -> Mapping[tuple[str, str], datetime]:
    """The first use of each key that was used in the last days; ``first`` keeps the answers."""
    if missing := [key for key in (stored.uses if stored else {}) if key not in first]:
        found = await console.known.read("first uses", first_uses(console.parts.engine, {print_ for _, print_ in missing}))
        first.update(found.value or {})
    return first


def _provider_keys(
    console: Console, stored: Stored | None, now: datetime, first: Mapping[tuple[str, str], datetime]
) -> tuple[Sequence[ProviderKey], str]:
    """Our keys at providers, by fingerprint, and why they cannot be read."""
    try:
        found = console.parts.provider_keys()
    except (Misconfigured, OSError) as error:
        return (), str(error)
    simulated, uses = console.parts.releases.simulated, stored.uses if stored else {}
    return [provider_key(status, uses, now, first, simulated=simulated) for status in found], ""


def answer(
    rows: Sequence[Threat],
    stored: Stored | None,
    live: Sequence[Key],
    ours: Sequence[ProviderKey],
    range_: Range,
    held: Attacks | None,
) -> tuple[str, str]:
    """How it stands, in sentences of the data: threats, attacks as the readiness review counts them, keys."""
    counts = counts_of(rows)
    denied = [key.status.provider for key in ours if key.word == "denied"]
    usable: Sequence[Key | ProviderKey] = [*live, *ours]
    old = [key for key in usable if key.word == "old"]
    if denied:
        rest = f" The key at {' and '.join(denied)} was denied when it was last used."
    elif old:
        rest = f" {formats.number(len(old), 'key')} {'is' if len(old) == 1 else 'are'} over {OLD.days} days old: rotate."
    else:
        rest = f" {formats.number(len(live), 'API key')} work, none older than {OLD.days} days." if stored else ""
    if stored:
        flagged = sum(one.calls for one in stored.flagged)
        rest += f" The guard set {formats.number(flagged, 'flag')} {range_.words}."
    attacked = held.words if held else "Attacks in the evals are not known right now."
    attacked = f"{_verdict(counts, held, len(old), denied, known=bool(stored))} {attacked[0].upper()}{attacked[1:]} "
    bad = counts["open"] or counts["failed"] or denied or (held and held.kind == "bad")
    warn = old or not rows or not stored or held is None or held.kind == "warn"
    return "bad" if bad else "warn" if warn else "good", attacked + proven(counts) + rest


UNPROVED = {"missing": "is missing", "stale": "is stale", "gaps": "has a gap"}


def _verdict(counts: Mapping[str, int], held: Attacks | None, old: int, denied: Sequence[str], *, known: bool) -> str:
    """How many attacks got through and what is to mend, in one sentence; the others are the figures of all."""
    to_mend = held.to_mend if held else ""
    lacks = next((words for state, words in UNPROVED.items() if held and any(one.state == state for one in held.evidence)), "")
    open_, failed = counts["open"], counts["failed"]
    threats = formats.number(counts["threats"], "threat")
    found = {
        "the attacks are not known right now": held is None,
        "an injection gate fails": held is not None and held.kind == "bad",
        f"the evidence on attacks {lacks}": bool(lacks) and not to_mend,
        "this installation carries no threat model": not counts["threats"],
        f"{open_} of {threats} lack a control or a test": bool(open_),
        f"{formats.number(failed, 'test')} of threats failed here": bool(failed),
        f"{' and '.join(denied)} denied our key": bool(denied),
        f"{formats.number(old, 'key is', 'keys are')} over {OLD.days} days old": bool(old),
        "the keys are not known right now": not known,
    }
    ill = [words for words, is_so in found.items() if is_so]
    if not ill and not to_mend:
        return "Each attack was held off, each threat has its control and its tests, and no key is old or was denied."
    said = "; ".join(filter(None, (held.verdict if held else "", f"to mend: {formats.listed(ill)}" if ill else "")))
    return f"{said[0].upper()}{said[1:]}. All else holds."


def flags_answer(stored: Stored | None, range_: Range) -> tuple[str, str]:
    """The guard's flags in a sentence: how many, the most frequent, and how the calls ended."""
    if stored is None:
        return "warn", "The guard's flags are not known right now."
    found = flags_of(stored, range_)
    if found is None:
        return "good", f"The guard has flagged no call {range_.words}."
    seen = stored.flagged_requests
    requests, calls = formats.number(seen.requests, "request"), formats.number(seen.calls, "call")
    words = f"The guard flagged {requests} {range_.words}: {formats.number(found['total'], 'flag')} on {calls}"
    marked = "went on with the text marked as data"
    stopped = f"It refused {formats.count(seen.refused)} of them; the others {marked}" if seen.refused else f"Each {marked}"
    return (
        "warn",
        f"{words}, most often {found['most']}. {stopped}. {TAINTED}",
    )


def log_answer(stored: Stored | None, range_: Range, now: datetime) -> tuple[str, str]:
    """The operators' log in a sentence: how many actions match, how many failed, and the newest."""
    if stored is None:
        return "warn", "The operators' log is not known right now."
    total, newest = stored.found.total, next(iter(stored.found.rows), None)
    if newest is None:
        return "none", f"No action of an operator matches {range_.words}."
    failed = f"{formats.count(stored.refused)} of them refused or failed" if stored.refused else "none was refused or failed"
    ago = formats.span(now - newest.at)
    last = f"The first in this list is {newest.action} by {newest.actor}, {ago} ago."
    return "none", f"{formats.number(total, 'line matches', 'lines match')} {range_.words}; {failed}. {last}"


def sessions_answer(stored: Stored | None, sessions: Sequence[tuple[Listed, str]], now: datetime) -> tuple[str, str]:
    """The sessions in a sentence: how many are open, how many may act, and the longest."""
    if stored is None:
        return "warn", "The sessions are not known right now."
    held = [one for one, state in sessions if state == "open"]
    may_act = sum(one.holder.role == "operator" for one in held)
    longest = max((now - one.began_at for one in held), default=None)
    words = f"{formats.number(len(held), 'session is', 'sessions are')} open; {formats.number(may_act, 'may', 'may')} act"
    rest = f"; the longest began {formats.span(longest)} ago" if longest else ""
    return "none", f"{words}{rest}. {formats.number(len(sessions) - len(held), 'other has', 'others have')} ended."


def packages_answer(packages: Sequence[installed.Package]) -> tuple[str, str]:
    """The packages in a sentence: how many run as locked, and those that differ."""
    differing = [package.name for package in packages if package.differs]
    if not packages:
        return "none", "This installation carries no lock of its packages."
    if differing:
        return (
            "bad",
            f"{formats.number(len(differing), 'package differs', 'packages differ')} from the lock: {', '.join(differing)}.",
        )
    run = sum(bool(package.installed) for package in packages)
    counted = f"{formats.count(run)} of the {formats.number(len(packages), 'package')} of the lock"
    return "good", f"{counted} {'is' if run == 1 else 'are'} installed here, each in the version whose hash was reviewed."


def flags_of(stored: Stored | None, range_: Range) -> dict[str, Any] | None:
    """Flags over time as a chart, and by flag and feature as rows; None where there are none."""
    if stored is None or not stored.flagged:
        return None
    sums: Counter[str] = Counter()
    by_row: dict[tuple[str, str], Counter[str]] = {}
    for one in stored.flagged:
        sums[one.flag] += one.calls
        by_row.setdefault((one.flag, one.feature), Counter())["answered" if one.outcome == "ok" else "refused"] += one.calls
    steps = -(-(range_.until - range_.since) // range_.width)
    times = [range_.since + n * range_.width for n in range(steps)]
    own = [flag for flag, _ in sums.most_common(SERIES)]
    values: dict[str, list[float | None]] = {name: [0.0] * steps for name in [*own, *(["others"] if len(sums) > SERIES else [])]}
    for one in stored.flagged:
        place = min(steps - 1, max(0, int((one.at - range_.since) / range_.width)))
        line = values[one.flag if one.flag in own else "others"]
        line[place] = (line[place] or 0) + one.calls
    total, most = sums.total(), sums.most_common(1)[0]
    return {
        "total": total, "most": most[0], "points": [sum(line[n] or 0 for line in values.values()) for n in range(steps)],
        "sentence": f"{formats.number(total, 'flag')} {range_.words}, most often {most[0]} ({formats.count(most[1])}).",
        "spec": charts.spec(times, [(name, line, "") for name, line in values.items()], unit="flags", kind="stack"),
        "rows": [
            (flag, feature, counts["answered"], counts["refused"],
             link("/console/calls", range_.query, degraded=f"guard:{flag}", feature=feature))
            for (flag, feature), counts in sorted(by_row.items(), key=lambda row: -row[1].total())
        ],
    }  # fmt: skip
