"""Places and actions that the palette and the search box offer: pages, their parts, the runbook's incidents, actions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from app.console.navigation import (
    BUDGETS,
    CALLS,
    EVALS,
    ONCALL,
    OVERVIEW,
    PAGES,
    RELEASES,
    REQUESTS,
    RUNBOOK,
    SECURITY,
    Page,
)
from app.console.waiting import WaitingPage
from app.oncall.runbook.pages import read
from app.oncall.runbook.search import in_one_piece, tokens

MOST_WAITING = 3  # pages in the palette; On-call lists all


@dataclass(frozen=True, slots=True)
class Place:
    """A place to go to, or an action. ``words``: the phrases by which people look for it, with commas between.

    An empty ``href``: the browser does it, by ``name``. ``searched``: it is offered only for words that are typed.
    ``late``: it comes after the console's own.
    """

    title: str
    about: str
    words: str
    href: str = ""
    name: str = ""
    searched: bool = False
    late: bool = False


def _part(page: Page, at: str, title: str, words: str) -> Place:
    """A part of a page. ``at``: what follows the page's address."""
    return Place(title, f"In {page.title}", words, page.path + at, searched=True)


PARTS = (
    _part(OVERVIEW, "#latency", "Latency", "latency, slow, response time, p50, p95, p99, percentile, how fast"),
    _part(OVERVIEW, "#by-outcome", "Calls by outcome", "error rate, errors, failures, success rate, dashboard, dashboards"),
    _part(OVERVIEW, "#providers", "Providers now", "provider down, provider is down, resting, circuit, vendor, uptime"),
    _part(OVERVIEW, "#cost", "Cost of a request", "cost of a request, cost per call, cost distribution, price of an answer"),
    _part(BUDGETS, "#at-once", "Held, spent, and calls at once", "hold, held, what is a hold, calls at once, how many calls fit"),
    _part(
        BUDGETS, "#worst-case", "Worst case of one user and of all",
        "rogue user, rogue, runaway, abuse, abusive user, worst case, exposure, most that one user can spend,"
        " how much can one user spend",
    ),
    _part(
        REQUESTS, "/failed", "Failed answers: 4xx and 5xx",
        "401, 404, 4xx, 5xx, failed answers, wrong key, wrong model, errors of callers, refused requests",
    ),
    _part(
        CALLS, "?failed=false&min_fallbacks=1&range=24h", "Calls answered by another model",
        "fallbacks, fell back",
    ),
    _part(
        CALLS, "?range=1h&sort=latency_ms", "Traces: the slowest calls of the last hour",
        "trace, traces, waterfall, span, spans, slowest call, slowest calls, steps of a call",
    ),
    _part(
        EVALS, "#example", "A case that one release fails, and another passes",
        "wrong answer, failure mode, mended",
    ),
    _part(
        EVALS, "/production", "Score of live calls",
        "score in production, live score, drift, sampled",
    ),
    _part(EVALS, "#runs", "Runs of the evals", "eval runs, eval history, trend"),
    _part(
        RELEASES, "#rollback", "Rollback: the last one and its seconds",
        "rollback, roll back, how do you roll back, how long does a rollback take, revert, undo, bad release, seconds, rehearsal",
    ),
    _part(RELEASES, "?tab=stops#stops", "Kill switch and stops", "kill switch, stopped, emergency stop, resume"),
    _part(ONCALL, "#pages", "Pages and their acknowledgement", "ack, acknowledge, open pages, escalation, time to acknowledge"),
    _part(ONCALL, "#calendar", "Calendar of shifts", "calendar, shifts, next on call, handover, rotation, schedule"),
    _part(
        SECURITY, "#attacks", "Prompt injection: attacks, and the harm",
        "prompt injection, injection, jailbreak, attacks, attack, red team, injection gate",
    ),
    _part(SECURITY, "#threats", "Threats and their tests", "threat model, threats, owasp, controls, proofs"),
    _part(SECURITY, "?tab=flags", "Flags of the guard", "prompt injection, guard, guardrail, flags, flagged, moderation"),
    _part(RUNBOOK, "/keys#a-key-has-leaked", "A key has leaked", "leaked key, leaked api key, stolen key"),
    _part(
        SECURITY, "?tab=keys", "API keys and their ages",
        "api keys, keys, how old are the keys, key age, unused keys, revoke",
    ),
    _part(
        SECURITY, "?tab=keys#provider-keys", "Our keys at providers",
        "provider keys, provider key, vendor key, secrets, rotate, rotation of keys, keys",
    ),
    _part(SECURITY, "?tab=log", "Operators' log", "audit log, who did it, audit trail, operators log, actions"),
    _part(SECURITY, "?tab=sessions", "Sessions of the console", "sessions, signed in, sign-ins, logins"),
    _part(SECURITY, "?tab=packages", "Installed packages", "packages, supply chain, dependencies, lock, vulnerabilities, cve"),
)  # fmt: skip


DRILL = Place(
    "Drill an alert…", "A page and an incident, marked as a drill", "real alert, drill, fire an alert, page me",
    "/console/do/oncall-drill",
)  # fmt: skip


@cache
def _incidents() -> tuple[Place, ...]:
    """The runbook's pages of incidents, by the words of their symptoms; read once, as a deployment brings new ones."""
    return tuple(
        Place(
            page.title,
            "Runbook",
            page.sections[0].words,
            f"/console/runbook/{page.name.removesuffix('.md')}",
            searched=True,
            late=True,
        )
        for page in read()
        if page.is_incident
    )


def own() -> Iterator[Place]:
    """The console's own places: its pages first, then their parts. Both the palette and the search box offer them."""
    yield from (Place(page.title, page.about, page.words, page.path) for page in PAGES)
    yield from PARTS


def places(providers: Sequence[str], *, may_act: bool, waiting: Sequence[WaitingPage] = (), drills: bool = False) -> list[Place]:
    """All that the palette offers; the actions for those who may act. Each asks once more before it happens.

    ``drills``: alerts may be drilled here. ``waiting``: pages without an answer. Their acknowledgement comes first, or the way to
    them for those who may not act.
    """
    rest = [*own(), Place("Switch the theme", "Light or dark", "dark, light, mode, colours, appearance", name="theme")]
    first = (_acknowledge(page, may_act=may_act) for page in waiting[:MOST_WAITING])
    drill = [DRILL] if may_act and drills else []
    return [*first, *(_actions(providers) if may_act else ()), *drill, *rest, *_incidents()]


def _acknowledge(page: WaitingPage, *, may_act: bool) -> Place:
    way = f"/console/do/oncall-ack?page={page.id}" if may_act else "/console/oncall#pages"
    title = f"Acknowledge {page.alert}…" if may_act else f"The page {page.alert} waits"
    return Place(title, "A page without an answer", "ack, acknowledge, page, open page, answer the page, pager", way)


def _actions(providers: Sequence[str]) -> list[Place]:
    return [
        Place("Roll back…", "Make the release before live again", "rollback, revert, undo, bad release", "/console/do/rollback"),
        Place("Stop everything…", "The kill switch of all calls", "kill, kill all, kill switch, stop, emergency, halt",
              "/console/do/kill-all"),
        *(
            Place(f"Stop provider {name}…", "Routes pass it over", "kill provider, disable",
                  f"/console/do/kill-provider?name={name}")
            for name in providers
        ),
        Place("Send a test page…", "It calls the person on duty", "try paging, phone rings", "/console/do/oncall-page"),
        Place("Play an outage…", "A game day on a service of its own", "drill, rehearse, chaos",
              "/console/do/drill-gameday?scenario=provider-outage"),
        Place("Play a leaked key…", "A game day on a service of its own", "drill of a leaked key",
              "/console/do/drill-gameday?scenario=key-leak"),
    ]  # fmt: skip


def fitting(typed: str) -> list[Place]:
    """The console's own places that the words name, best first: by a whole phrase of theirs, or else by each word."""
    said, wanted = in_one_piece(typed), set(tokens(typed))
    ranked = [(_rank(place, said, wanted), place) for place in own()]
    best = min((rank for rank, _ in ranked), default=NOT)
    return [place for rank, place in sorted(ranked, key=lambda one: one[0]) if rank < NOT and (best > 0 or rank == 0)]


def is_question(typed: str) -> bool:
    """Whether the words are a whole phrase of three words or more, such as “who is on call”: it is no search in texts."""
    said = in_one_piece(typed)
    return said.count(" ") > LONG and any(said == phrase for place in own() for phrase in _phrases(place))


NOT = 3
LONG = 3  # blanks in two words; three have four


def _rank(place: Place, said: str, wanted: set[str]) -> int:
    if any(phrase == said or (phrase.count(" ") >= LONG and phrase in said) for phrase in _phrases(place)):
        return 0
    if wanted and wanted <= set(tokens(place.title)):
        return 1
    return 2 if wanted and wanted <= set(tokens(f"{place.title} {place.words}")) else NOT


def _phrases(place: Place) -> Iterator[str]:
    return map(in_one_piece, (place.title, *place.words.split(",")))
