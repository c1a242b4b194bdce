"""Calls: every filter of `octant calls` in the address, rows and their total from the same conditions, and a live tail."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.answers_without_call import listed
from app.audit.call_filter import SORTS, CallFilter, Searched, bounds_of, searched
from app.audit.query import Total, cursor_of, find_calls, total_of
from app.audit.searching import one_moment
from app.audit.values import values_of_late
from app.console import formats, live
from app.console.console import EVENTS_WAIT, ROUTES, SAID, VIEWING, Console, link
from app.console.known import Known
from app.console.navigation import CALLS
from app.console.pages.search import LONGEST, searched_for
from app.console.ranges import Range
from app.console.running import running
from app.domain.errors import InvalidRequest
from app.domain.provider_errors import codes_of

PAGE = 50
FIRST = ("text", "tenant", "user", "outcome", "provider", "model", "feature", "release")  # the rest is folded
CHOICES = {
    "failed": ("failed or refused", "answered"), "refused": ("by a cap, a rate limit or a stop", "not refused"),
    "needed_model": ("yes", "no: replayed, or without evidence"), "stream": ("streams", "whole answers"),
}  # fmt: skip
_GONE_WITH = {"text": {"runbook": None}}  # the offer to search the runbook is for these words
NOT_FIELDS = {"sort", "ascending", "after", "since", "until"}


@dataclass(frozen=True, slots=True)
class Found:
    """One page of rows, the total over all pages, and whether there is a next one."""

    rows: list[dict[str, Any]]
    total: Total
    more: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form. ``options``: of a choice; else it is a text."""

    name: str
    label: str
    value: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """Its value as the form shows it."""
        return dict(self.options).get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is applied. ``without``: the same page without it."""

    label: str
    words: str
    without: str


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/calls")
    async def page(request: Request) -> Response:
        """The page."""
        query = dict(request.query_params)
        range_ = await console.range(query)
        fields = _fields(query)
        problem, wanted = "", CallFilter(since=range_.since, until=range_.until, limit=PAGE)
        known: Known[Found] = Known(None, range_.until)
        try:
            wanted = filter_of(query, range_)
            known = await _found(console, wanted, query)
        except InvalidRequest as error:
            problem = error.message
        by_search = range_.preset == "30d" and query.get("runbook") == query.get("text")
        nothing = query.get("runbook", "") if by_search and known.value and not known.value.total.calls else ""
        shown = {name: value for name, value in query.items() if value and name not in ("after", *SAID)}
        return console.page(
            request, "calls.html", CALLS, range=range_, known=known, found=known.value, problem=problem, wanted=wanted,
            shown=shown, tail=query.get("tail") == "1" and range_.live, fields=fields, more=_more(known.value, wanted),
            sorts=True, chips=chips_of(fields, shown), command=_command(query, range_),
            words=searched_for(nothing) if nothing else _words(known.value, range_), nothing=nothing,
            failed_with=await _failed_with(console, range_, query),
            runbook_command=f"octant runbook {shlex.quote(nothing)}",
            running=await running(console), suggested={} if known.away else await _suggested(console, range_),
        )  # fmt: skip

    @made.get("/live/calls")
    async def part(request: Request) -> Response:
        """The newest rows, live."""
        query = dict(request.query_params)
        filter_of(query, await console.range(query))  # a wrong one is an error now, not in the stream

        async def write() -> str:
            range_ = await console.range(query)
            wanted = filter_of(query, range_)
            known = await _found(console, wanted, query)
            return console.fragment(
                "parts/calls.html", range=range_, known=known, found=known.value, more="", shown={}, wanted=wanted, nothing="",
                sorts=False, words=_words(known.value, range_), running=await running(console),
            )  # fmt: skip

        return live.stream(request, console, write)

    return made


async def _failed_with(console: Console, range_: Range, query: dict[str, str]) -> str:
    """The way to the failed answers with the wanted words, such as the id of a request that never became a call."""
    words = next((query[name] for name in ("text", "request_id", "model", "outcome") if query.get(name)), "")
    if not words:
        return ""
    found = await console.known.read(None, listed(console.parts.engine, range_.since, range_.until, words, most=1))
    return link("/console/requests/failed", {**range_.query, "text": words}) if found.value else ""


def filter_of(query: dict[str, str], range_: Range) -> CallFilter:
    """The filter in an address. Raises InvalidRequest that names the field."""
    values: dict[str, Any] = {}
    for field in searched():
        text = query.get(field.name, "").strip()
        if not text or field.name in ("since", "until"):
            continue
        if len(text) > LONGEST:
            raise InvalidRequest(f"{_label(field)} is over {LONGEST:,} characters.", param=field.name)
        values[field.name] = _value(field, text)
    ranges = bounds_of(_bounds(query, "min_"), _bounds(query, "max_"))
    return CallFilter(**{**values, "since": range_.since, "until": range_.until}, ranges=ranges, limit=PAGE)


def _bounds(query: dict[str, str], prefix: str) -> list[str]:
    return [f"{name.removeprefix(prefix)}={text}" for name, text in query.items() if name.startswith(prefix) and text]


def _value(field: Searched, text: str) -> Any:  # noqa: ANN401 - of the field's type
    if field.type is bool or bool in get_args(field.type):
        if text not in ("true", "false"):
            raise InvalidRequest(f"{_label(field)} is true or false.", param=field.name)
        return text == "true"
    if field.name == "sort" and text not in SORTS:
        raise InvalidRequest(f"Calls are sorted by {', '.join(SORTS)}.", param="sort")
    return text


async def _found(console: Console, wanted: CallFilter, query: dict[str, str]) -> Known[Found]:
    engine = console.parts.engine

    async def read() -> Found:
        async with one_moment(engine) as connection:
            further = replace(wanted, limit=PAGE + 1)  # one more says whether there is a next page
            rows = await find_calls(connection, further, brief=True)
            return Found(rows[:PAGE], await total_of(connection, replace(wanted, after=None)), more=len(rows) > PAGE)

    return await console.known.read(("calls", *sorted(query.items())), read())


async def _suggested(console: Console, range_: Range) -> dict[str, list[str]]:
    """The values that the form suggests, by field: those of late, and the names of providers and errors."""
    known = await console.known.read("values of late", values_of_late(console.parts.engine, range_.until), wait=EVENTS_WAIT)
    late, providers = known.value or {}, console.parts.providers
    named = {"provider": providers, "tried": providers, "attempt": ("ok", *codes_of())}
    return {name: sorted({*late.get(name, ()), *named.get(name, ())}) for name in (*late, *named)}


def _more(found: Found | None, wanted: CallFilter) -> str:
    """The cursor of the next page, empty at the end."""
    return cursor_of(found.rows[-1], wanted.sort) if found and found.more else ""


def _words(found: Found | None, range_: Range) -> str:
    if found is None:
        return "Nothing is known of these calls."
    total = found.total
    if not total.calls:
        return f"No calls match {range_.words}."
    failed = f"{formats.count(total.failed)} failed" if total.failed else "none failed"
    tokens = f"{formats.count(total.input_tokens)} tokens in, {formats.count(total.output_tokens)} out"
    matching = formats.number(total.calls, "call matches", "calls match")
    return (
        f"{matching} {range_.words}{_kinds(total)}: {failed}, {formats.at_most(formats.usd(total.cost), total.bound)}, {tokens}."
    )


def _kinds(total: Total) -> str:
    """The kinds of rows, where there are several: the overview counts those of a model. Empty where all are of a model."""
    others = {"that needed none": total.unneeded, "refused": total.refused}
    if not any(others.values()):
        return ""
    of_model = formats.number(total.calls - sum(others.values()), "call")
    rest = [f"{formats.count(number)} {words}" for words, number in others.items() if number]
    return f" ({of_model} of a model, {', '.join(rest)})"


def _fields(query: dict[str, str]) -> list[tuple[bool, Field]]:
    """The form's fields, each with whether it is among the first."""
    fields = []
    for field in searched():
        if field.name in NOT_FIELDS:
            continue
        options: tuple[tuple[str, str], ...] = ()
        if bool in get_args(field.type):
            yes, no = CHOICES[field.name]
            options = (("", "all"), ("true", yes), ("false", no))
        fields.append((field.name in FIRST, Field(field.name, _label(field), query.get(field.name, ""), options)))
    for name, label in (("latency_ms", "Latency, ms"), ("cost", "Cost, $"), ("input_tokens", "Input tokens")):
        fields += [
            (False, Field(f"{p}{name}", f"{label}, {w}", query.get(f"{p}{name}", "")))
            for p, w in (("min_", "least"), ("max_", "most"))
        ]
    return fields


def chips_of(fields: Sequence[tuple[bool, Field]], shown: dict[str, str]) -> list[Chip]:
    """The filters that are applied, in the form's order. ``shown``: the address's query."""
    return [
        Chip(one.label, one.words, link("/console/calls", {**shown, one.name: None, **_GONE_WITH.get(one.name, {})}))
        for _, one in fields
        if one.value
    ]


def _label(field: Searched) -> str:
    return field.name.replace("_", " ").capitalize()


def _command(query: dict[str, str], range_: Range) -> str:
    """The same as a command."""
    options = []
    for field in searched():
        text = query.get(field.name, "")
        if not text or field.name in ("since", "until", "after"):
            continue
        names = [name for option in field.about.options for name in option.split("/")] or [f"--{field.name.replace('_', '-')}"]
        if text in ("true", "false"):
            yes = names[0]
            options.append(yes if text == "true" else (names[1] if len(names) > 1 else ""))
        else:
            options.append(f"{names[0]} {shlex.quote(text)}")
    for prefix, option in (("min_", "--at-least"), ("max_", "--at-most")):
        options += [f"{option} {bound}" for bound in _bounds(query, prefix)]
    return " ".join(["octant calls", range_.options, *filter(None, options)])
