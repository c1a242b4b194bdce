"""The search box: an id opens its trace, a symptom its runbook page; words lead to the console's own places and to calls."""

import asyncio
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.answers_without_call import listed
from app.audit.call_filter import CallFilter
from app.audit.query import find_calls, is_in_errors, traces_of
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console, link
from app.console.known import Known
from app.console.places import Place, fitting, is_question
from app.console.ranges import PRESETS
from app.console.running import running_with
from app.domain.errors import DependencyUnavailable, InvalidRequest
from app.domain.provider_errors import codes_of
from app.oncall.runbook.pages import read
from app.oncall.runbook.search import SURE, find, unmistakable

OF_ANSWERS = ("chatcmpl-", "msg_", "resp_")
LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Way:
    """Where the records lead. ``exact``: the words are a name there or stand in an error's text, not in other texts alone."""

    places: tuple[Place, ...] = ()
    exact: bool = False


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/search")
    async def search(request: Request, q: str = "") -> Response:
        """One thing that fits is opened; of several there is a list, the console's own places first."""
        words = q.strip()[:LONGEST]
        found, known = await found_for(console, words)
        if len(found) == 1 and not known.away:
            return RedirectResponse(found[0].href, 303)
        return console.page(
            request, "search.html", None, title=f"Search: {words}", found=found, known=known, words=answer(words, found),
            command=f"octant runbook {shlex.quote(words)}",
            calls_command=f"octant calls --since 30d --text {shlex.quote(words)}",
        )  # fmt: skip

    return made


async def found_for(console: Console, words: str) -> tuple[list[Place], Known[Way]]:
    """The places for these words, best first, and how the records are.

    The console's own places come first. A name or an error's text that the records have comes next. Else the runbook comes, which
    knows symptoms, and then calls with the words in their texts. A whole question, such as “who is on call”, leads to its place
    alone, as such words stand in many a text. Words that nothing surely has lead to the runbook's nearest pages, an id or a
    quotation to the list of calls, which says where it was looked for. Raises DependencyUnavailable where the records do not
    answer and nothing else fits.
    """
    offered = fitting(words)
    if is_question(words):
        return offered[:1], Known(Way(), datetime.now(UTC))
    known = await console.known.read(None, way_of(console, words))
    way = known.value or Way()
    guide, sure = await _guide(console, words)
    by_symptom = guide if sure else []
    rest = [*way.places, *(by_symptom if offered else [])] if way.exact else [*by_symptom, *way.places]
    found = [*offered, *rest]
    if not found and not _may_be_id(words) and '"' not in words:
        found = guide
    if not found and known.away:
        raise DependencyUnavailable(f"{known.away}, so no call is searched for; no page of the console or the runbook fits.")
    found = found or [Place("Calls", "", "", _calls_with(words))]
    return list({place.href: place for place in reversed(found)}.values())[::-1], known


async def way_of(console: Console, words: str) -> Way:
    """Where the records lead: to what bears the words as its name, such as an id, a user or an outcome, or to calls with them.

    The id of several requests leads to the list of their calls.
    """
    way = await _way_of_records(console, words)
    if way.exact:
        return way
    now = datetime.now(UTC)
    found = await listed(console.parts.engine, now - PRESETS["30d"][0], now, words, most=1) if words else ()
    if not found:
        return way
    refused = Place(f"Failed answers with “{words}”", "In Requests", "", failed_with(words))
    exact = words == found[0].request_id or f"'{words}'" in found[0].message or " " in words
    return Way((refused, *way.places) if exact else (*way.places, refused), exact=exact)


async def _way_of_records(console: Console, words: str) -> Way:
    """The same among calls."""
    if not words:
        return Way((Place("Calls", "", "", "/console/calls"),), exact=True)
    if _may_be_id(words) and (way := await _named(console, words)):
        exact = words.lower() not in console.parts.providers or await asyncio.to_thread(_means_it, words.lower())
        return Way((Place(f"“{words}” by its name", "In the records", "", way),), exact=exact)
    engine, since = console.parts.engine, datetime.now(UTC) - PRESETS["30d"][0]
    try:
        if not await find_calls(engine, CallFilter(text=words, since=since, limit=1), brief=True):
            return Way()
        by_words = Place(f"Calls with “{words}” in their texts", "In Calls", "", _calls_with(words))
        return Way((by_words,), exact=await is_in_errors(engine, words, since))
    except InvalidRequest:  # it takes too long, say; the list of calls says why
        return Way()


def _means_it(provider: str) -> bool:
    """Whether a provider's name is no word of the runbook, such as "slow": that may be a symptom."""
    return bool(unmistakable(read(), [provider]))


def failed_with(words: str) -> str:
    """The list of the failed answers with these words."""
    return link("/console/requests/failed", {"text": words, "range": "30d"})


def _calls_with(words: str) -> str:
    return link("/console/calls", {"text": words, "range": "30d", "runbook": words})


async def _guide(console: Console, words: str) -> tuple[list[Place], bool]:
    """The runbook's search, where it has pages for the words, and whether one surely fits."""
    found = await asyncio.to_thread(lambda: find(read(), words, console.parts.providers))
    places = [Place(found[0][1].title, "In Runbook", "", link("/console/runbook", {"q": words}))] if found else []
    return places, bool(found) and found[0][0] >= SURE


def answer(words: str, found: list[Place]) -> str:
    """How many places fit, in a sentence."""
    return f"{formats.number(len(found), 'place fits', 'places fit')} “{words}”. The first is {found[0].title}."


async def _named(console: Console, words: str) -> str:
    """The way to what bears this name; empty where nothing does."""
    engine = console.parts.engine
    ids = _ids(words)
    for name, value in ids:
        found = await find_calls(engine, _one(name, value), brief=True)
        if found and name == "request_id" and len(await traces_of(engine, value, 2)) > 1:
            return link("/console/calls", {name: value, "range": "30d"})
        if found:
            return f"/console/traces/{found[0]['trace_id']}" + (f"?call={value}" if name == "id" else "")
    if any(one.id == words for one in await console.parts.releases.listed()):
        return f"/console/releases/{words}"
    if words.lower() in console.parts.providers:
        return link("/console/calls", {"tried": words.lower(), "range": "24h"})
    for name in ("user", "tenant", "outcome", "model", *(["attempt"] if words in codes_of() else [])):
        within = "24h" if name == "attempt" else "30d"  # attempts have no index of their own
        since = datetime.now(UTC) - PRESETS[within][0] if name == "attempt" else None
        if await find_calls(engine, replace(_one(name, words), since=since), brief=True):
            return link("/console/calls", {name: words, "range": within})
    going = await running_with(console, [value for _, value in ids])
    return f"/console/traces/{going[0].trace_id}" if going else ""


def _ids(words: str) -> list[tuple[str, str]]:
    """The ids that words may be, by field. The id of an answer, which clients log, is that of its request under another name."""
    rest = next((words.removeprefix(prefix) for prefix in OF_ANSWERS if words.startswith(prefix)), "")
    answers = [("request_id", f"req_{rest}"), ("request_id", rest)] if rest else []
    return [("id", words), ("request_id", words), ("trace_id", words), *answers]


def searched_for(words: str) -> str:
    """Say where the search box looked for these words in vain."""
    ids = (
        "the ids of requests, traces and calls, releases, users, tenants and error codes, each as it is written, and "
        if _may_be_id(words)
        else ""
    )
    return (
        f"No request, trace or error has “{words}”. Searched: {ids}the words of requests, answers and errors of the last 30 d,"
        " redacted as they are stored. A name or an address that was redacted is not found; a call appears within two seconds."
    )


def _may_be_id(words: str) -> bool:
    return " " not in words and '"' not in words


def _one(name: str, words: str) -> CallFilter:
    values: dict[str, Any] = {name: words}
    return CallFilter(**values, limit=1)
