"""Security: threats with the state of their proofs, guard flags, keys and their ages, the operators' log, sessions, packages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.action_search import ActionFilter, FoundActions, find_actions
from app.audit.flags import Flagged, flags
from app.audit.provider_use import Use, last_uses
from app.console import charts, formats
from app.console.console import ROUTES, SAID, VIEWING, Console, link
from app.console.navigation import SECURITY
from app.console.pages.readiness import sources_of
from app.console.ranges import Range
from app.console.readiness.answers import KINDS, SHORT
from app.console.readiness.security import Attacks, attacks
from app.console.sessions import Listed
from app.domain.errors import Misconfigured
from app.security import installed, threats
from app.security.keys.administration import KeyInfo
from app.security.keys.provider_keys import KeyStatus
from app.security.threats import Threat

OLD = timedelta(days=90)  # an alert fires then, too (deploy/slo/alerts.toml)
PAGE = 50
LONGEST = 200
SERIES = 4  # flags with a line of their own; the rest is one
TABS = {
    "threats": "Threats", "flags": "Guard", "keys": "Keys", "log": "Operators' log", "sessions": "Sessions",
    "packages": "Packages",
}  # fmt: skip
FIELDS = ("actor", "action", "subject", "reason")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the list shows it."""

    info: KeyInfo
    kind: str
    word: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One of our keys at a provider. ``age``: None for a variable."""

    status: KeyStatus
    kind: str
    word: str
    age: timedelta | None
    use: Use | None


@dataclass(frozen=True, slots=True)
class Stored:
    """All that the page shows from Postgres."""

    keys: Sequence[KeyInfo]
    uses: Mapping[tuple[str, str], Use]
    sessions: Sequence[Listed]
    flagged: Sequence[Flagged]
    found: FoundActions


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/security")
    async def page(request: Request) -> Response:
        """The page."""
        query = dict(request.query_params)
        range_ = await console.range(query, "7d")
        known = await console.known.read(("security", *sorted(query.items())), _stored(console, range_, query))
        chain = await console.known.read("chain", console.parts.actions.verify()) if query.get("check") else None
        rows, tab = threats.read(), query.get("tab", "")
        now = datetime.now(UTC)
        stored = known.value
        provider_keys, problem = _provider_keys(console, stored, now)
        keys = [key_of(info, now) for info in stored.keys] if stored else []
        live = [key for key in keys if key.word in ("live", "old")]
        packages = installed.packages()
        held = await console.known.read("attacks", attacks(sources_of(console, {})))
        kind, words = answer(rows, stored, live, provider_keys, range_, held.value)
        shown = {name: value for name, value in query.items() if value and name not in ("before", "check", *SAID)}
        return console.page(
            request, "security.html", SECURITY, range=range_, known=known, stored=stored, kind=kind, words=words,
            keys=[key for key in keys if key in live or query.get("keys") == "all"], live=live, gone=len(keys) - len(live),
            provider_keys=provider_keys, provider_problem=problem, packages=packages, threat_counts=threat_counts(rows),
            differing=[package for package in packages if package.differs], chain=chain, shown=shown,
            more=_more(stored), sessions=_sessions(console, stored), flags=flags_of(stored, range_),
            fields=[(name, query.get(name, "")) for name in FIELDS], failed=query.get("failed", ""),
            tabs=TABS, tab=tab if tab in TABS else "threats", only=query.get("threats", ""),
            rows=[row for row in rows if row.state == "missing" or query.get("threats") != "missing"],
            held=held.value, held_away=held, states=SHORT, kinds=KINDS, oldest=max((key.age for key in live), default=None),
        )  # fmt: skip

    return made


async def _stored(console: Console, range_: Range, query: Mapping[str, str]) -> Stored:
    engine = console.parts.engine
    return Stored(
        keys=await console.parts.keys.list_keys(), uses=await last_uses(engine), sessions=await console.sessions.list(),
        flagged=await flags(engine, range_.since, range_.until, range_.width),
        found=await find_actions(engine, filter_of(query, range_)),
    )  # fmt: skip


def filter_of(query: Mapping[str, str], range_: Range) -> ActionFilter:
    """The filter of the operators' log in an address; a number that is none is passed over."""
    before = query.get("before", "")
    texts = {name: query.get(name, "").strip()[:LONGEST].replace("\0", "") for name in FIELDS}
    return ActionFilter(
        **texts, failed={"true": True, "false": False}.get(query.get("failed", "")), since=range_.since, until=range_.until,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 20 else None, limit=PAGE,
    )  # fmt: skip


def _more(stored: Stored | None) -> int | None:
    """The number from which the next page goes back, None at the end."""
    return stored.found.rows[-1].number if stored and len(stored.found.rows) == PAGE else None


def _sessions(console: Console, stored: Stored | None) -> Sequence[tuple[Listed, str]]:
    """Each session and its state, the open ones first."""

    def state(one: Listed) -> str:
        return "ended" if one.revoked_at else "over" if console.sessions.over(one) else "open"

    return sorted(((one, state(one)) for one in stored.sessions), key=lambda pair: pair[1] != "open") if stored else []


def key_of(info: KeyInfo, now: datetime) -> Key:
    """A key with its state and age."""
    age = now - info.created_at
    if info.revoked_at:
        return Key(info, "none", "revoked", age)
    if info.expires_at and info.expires_at <= now:
        return Key(info, "none", "expired", age)
    return Key(info, "warn", "old", age) if age > OLD else Key(info, "good", "live", age)


def _provider_keys(console: Console, stored: Stored | None, now: datetime) -> tuple[Sequence[ProviderKey], str]:
    """Our keys at providers, by fingerprint, and why they cannot be read."""
    try:
        found = console.parts.provider_keys()
    except (Misconfigured, OSError) as error:
        return (), str(error)
    return [provider_key(status, stored.uses if stored else {}, now) for status in found], ""


def provider_key(status: KeyStatus, uses: Mapping[tuple[str, str], Use], now: datetime) -> ProviderKey:
    """A key with its state: denied is worse than old, and a denial counts until the provider accepts the key again."""
    age = timedelta(seconds=status.age) if status.age is not None else None
    if status.fingerprint is None:
        return ProviderKey(status, "none", "no key", None, None)
    use = uses.get((status.provider, status.fingerprint))
    never = datetime.min.replace(tzinfo=UTC)
    if use and use.denied_at and use.denied_at > (use.accepted_at or never) and now - use.denied_at < timedelta(days=7):
        return ProviderKey(status, "bad", "denied", age, use)
    if age and age > OLD:
        return ProviderKey(status, "warn", "old", age, use)
    return ProviderKey(status, "good" if use and use.accepted_at else "none", "accepted" if use else "not used", age, use)


def threat_counts(rows: Sequence[Threat]) -> Mapping[str, int]:
    """Threats, their proofs, how many of either are missing, and how many proofs passed or failed when they last ran here."""
    proofs = [proof for row in rows for proof in row.proofs]
    return {
        "threats": len(rows), "proofs": len(proofs), "missing": sum(proof.state == "missing" for proof in proofs),
        "open": sum(row.state == "missing" for row in rows), "unknown": sum(proof.state == "not here" for proof in proofs),
        "failed": sum(len(row.failed) for row in rows), "passed": sum(len(row.passed) for row in rows),
    }  # fmt: skip


def answer(
    rows: Sequence[Threat],
    stored: Stored | None,
    live: Sequence[Key],
    ours: Sequence[ProviderKey],
    range_: Range,
    held: Attacks | None,
) -> tuple[str, str]:
    """How it stands, in sentences of the data: threats, attacks as the readiness review counts them, keys."""
    counts = threat_counts(rows)
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
    attacked = f"{attacked[0].upper()}{attacked[1:]} "
    bad = counts["open"] or counts["failed"] or denied or (held and held.kind == "bad")
    warn = old or not rows or not stored or held is None or held.kind == "warn"
    return "bad" if bad else "warn" if warn else "good", attacked + _proven(counts) + rest


def _proven(counts: Mapping[str, int]) -> str:
    """How the threats stand, in a sentence, by `threat_counts`."""
    threats_, tests = counts["threats"], formats.number(counts["proofs"], "test")
    if not threats_:
        return "This installation carries no threat model; the repository does."
    if counts["open"]:
        return f"{formats.number(counts['open'], 'threat')} of {threats_} lack a control or a test that they name."
    if counts["failed"]:
        failed = f"{counts['failed']} of the {tests}"
        return f"Each of {threats_} threats has its control and its tests, but {failed} failed when they last ran here."
    if counts["unknown"]:
        return f"Each of {threats_} threats has its control here; their {counts['proofs']} tests are not in this image."
    whole = f"Each of {threats_} threats has its control and the tests it names"
    if counts["passed"] == counts["proofs"]:
        return f"{whole}; {tests} passed when they last ran here."
    here = f", and {counts['passed']} passed here" if counts["passed"] else ", not this page"
    return f"{whole}: {tests} that CI runs{here}."


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
        "total": total, "points": [sum(line[n] or 0 for line in values.values()) for n in range(steps)],
        "sentence": f"{formats.number(total, 'flag')} {range_.words}, most often {most[0]} ({formats.count(most[1])}).",
        "spec": charts.spec(times, [(name, line, "") for name, line in values.items()], unit="flags", kind="stack"),
        "rows": [
            (flag, feature, counts["answered"], counts["refused"],
             link("/console/calls", range_.query, degraded=f"guard:{flag}", feature=feature))
            for (flag, feature), counts in sorted(by_row.items(), key=lambda row: -row[1].total())
        ],
    }  # fmt: skip
