"""`octant status`: how the service goes, in the sentence and the figures of the console's first page."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.ready import readiness
from app.cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.audit.failed_answers import Failed
    from app.audit.just_now import JustNow
    from app.audit.overview import Overview
    from app.console.health import Now, Summary
    from app.console.provider_strips import Strip
    from app.console.ranges import Range
    from app.oncall.scopes import Subject
    from app.releases.reports import Report, Silent

CHANGES = 3
JUST_SILENT = 120.0  # seconds: then it is worth the first line
HOUR = timedelta(hours=1)
UNITS = {"s": "s", "m": "min", "h": "h", "d": "d", "w": "weeks"}  # of an age

T = TypeVar("T")


def status(
    since: Annotated[str, typer.Option(help="The begin: a time, or an age such as 15m, 1h, 7d.")] = "1h",
    until: Annotated[str | None, typer.Option(help="The end; now, if none is given.")] = None,
) -> None:
    """Say how the service goes: calls, latency, cost, providers, money, stops. Exit code 1: something fails, or is unknown."""
    from app.console.ranges import PRESETS, Range

    end = moment(until) or datetime.now(UTC)
    begin = moment(since) or end - HOUR
    preset = since if until is None and since in PRESETS else ""
    age = UNITS.get(since[-1:]) if until is None and not preset else None
    said = f"in the last {int(since[:-1])} {age}" if age else ""
    if not asyncio.run(_status(Range(begin, end, preset, said=said), to_now=until is None)):
        raise typer.Exit(1)


async def _status(range_: "Range", *, to_now: bool) -> bool:
    """Print what each store knows, and the end of the range apart where it is worse. Returns whether all is known, and well."""
    from app.audit.overview import overview
    from app.budget.standing import used_caps
    from app.cli.database import database
    from app.cli.releases import live_release
    from app.cli.stop_warnings import with_names
    from app.cli.switch import switch_of
    from app.console.health import beside, now_of, stops_of, summary, without_valkey
    from app.console.pace import paces_and_caps
    from app.console.waiting import Waiting, waiting
    from app.releases import reports
    from app.rooms import budget_policy, releases_of
    from app.security.keys.administration import KeyAdministration
    from app.stores import build_valkey

    async with database() as (engine, settings):
        valkey, policy = build_valkey(settings), budget_policy(settings)
        switch = switch_of(settings, engine, valkey)
        try:
            at = datetime.now(UTC)
            calls = asyncio.gather(
                overview(engine, range_.since, range_.until, range_.width),
                _end(engine, range_ if to_now else None),
                now_of(valkey, policy.global_daily_cap),
                switch.status(),
                used_caps(engine, valkey, at, share=max(policy.shares, default=100)),
                paces_and_caps(engine, valkey, KeyAdministration(engine, secret=b""), at),
                return_exceptions=True,
            )
            release = live_release(releases_of(settings, engine, valkey))
            rest = asyncio.gather(reports.read(engine), reports.silent(engine), waiting(engine), release, return_exceptions=True)
            (seen, newest, now, stops, caps, spent), (serving, silent, open_now, live) = await asyncio.gather(calls, rest)
            address, ready, unready = await asyncio.to_thread(readiness, settings.host, settings.port)
        finally:
            await valkey.aclose()
    found = seen, newest, now, stops, caps, spent, serving, silent, open_now
    unknown = [_unknown(one) for one in found if isinstance(one, BaseException)]
    for sentence in dict.fromkeys(unknown):
        typer.echo(f"octant: {sentence}", err=True)
    held = await with_names(_known(stops) or ())
    stopped = stops_of([stop.words for stop in held], {(stop.scope, stop.name) for stop in held}, _known(live))
    waits = (_known(open_now) if to_now else None) or Waiting()
    print("".join(f"{words}  {command}\n" for words, command in waits.lines), end="")
    kind = "bad" if stopped.subjects else "none"
    if isinstance(seen, BaseException):
        print(stopped.words or "How calls went is unknown.")
    else:
        latest, recent = _known(newest) or (None, None)
        how = summary(seen, range_, latest, _known(now), stopped, _known(caps) or (), recent)
        how = beside(waits, without_valkey(how) if isinstance(now, BaseException) and to_now else how)
        kind = how.kind
        _print([*([f"{address}: {ready}."] if unready else []), *(_hanging(_known(silent) or ()) if to_now else [])], how.said)
        _table([*_of_page(how if to_now else None), *_of_calls(seen, range_), *_of_failed_answers(seen)])
        _table([*_of_providers(how.strips), *_of_changes(seen)])
    _table([("Service", f"{address}: {ready}"), *_of_workers(_known(serving), _known(silent) or ()), ("This machine", _load())])
    if not isinstance(now, BaseException):
        _table(_of_now(now, _known(spent) or ((0, 0), None), stopped.subjects))
    return kind != "bad" and not unready and not unknown


def _print(first: "Sequence[str]", said: "Sequence[str]") -> None:
    """The sentences; behind one on the service itself, all is not well."""
    from app.console.health import WELL

    print("\n".join([*first, *(words.replace(WELL, "", 1) if first else words for words in said)]))


async def _end(engine: "AsyncEngine", range_: "Range | None") -> "tuple[Overview | None, JustNow | None]":
    """The last minutes of a range that goes on: what was seen in them, unless it is as short, and the facts."""
    from app.audit.just_now import just_now
    from app.audit.overview import overview
    from app.console.health import last_minutes

    if range_ is None:
        return None, None
    end = last_minutes(range_)
    latest = await overview(engine, end.since, end.until, end.width, with_states=False) if end else None
    return latest, await just_now(engine, range_.until)


def _known(found: "T | BaseException") -> "T | None":
    return None if isinstance(found, BaseException) else found


def _hanging(silent: "Sequence[Silent]") -> list[str]:
    """Workers that fell silent just now: the calls at one hang or are lost, and leave no record."""
    return [
        f"Worker {one.worker} is silent for {one.seconds:.0f} s: it hangs or was killed, and its calls may leave no record."
        for one in silent
        if one.seconds < JUST_SILENT
    ]


def _of_workers(serving: "Sequence[Report] | None", silent: "Sequence[Silent]") -> "Iterator[tuple[str, str]]":
    """The workers that report, and those that did until lately and never said that they stop."""
    from app.console import formats

    lost = ", ".join(f"{one.worker} for {formats.seconds(one.seconds)}" for one in silent)
    if serving is not None:
        yield "Workers", f"{len(serving)} report{f'; silent without having stopped: {lost}' if lost else ''}"


def _load() -> str:
    """How busy the machine is that the command runs on: another program may take what the service needs."""
    from app.stack.busy import TOO_BUSY

    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = "; busy: `top` shows with what" if load > TOO_BUSY * cores else ""
    return f"load {load:.1f} on {cores} cores{busy}"


def _unknown(error: BaseException) -> str:
    """The sentence on a store that does not answer, or refuses a statement: the rest is said all the same. Raises the others."""
    from app.domain.errors import OctantError
    from app.domain.store_errors import POSTGRES, away, is_of_store, of_store

    sentence = str(error) if isinstance(error, OctantError | OSError) else of_store(error)
    sentence = sentence or (away(POSTGRES, error) if is_of_store(error) else None)
    if sentence is None:
        raise error
    return sentence


def _of_page(how: "Summary | None") -> "Iterator[tuple[str, str]]":
    """The command that finds what to do."""
    if how and how.symptom:
        yield "Runbook", f"octant runbook {how.symptom}"


def _of_calls(seen: "Overview", range_: "Range") -> "Iterator[tuple[str, str]]":
    from app.console import formats
    from app.console.health import kinds_of, refusals

    total, (request, call) = seen.total, kinds_of(seen.total)
    rate = range_.rate(total.requests, seen.began)
    counted = f"{formats.number(total.requests, 'request')} let through, with {formats.number(total.calls, 'call')}"
    yield "Requests", f"{rate}; {counted}"
    failed = formats.share(total.failed / total.calls) if total.calls else formats.NONE
    yield "Calls failed", "; ".join(filter(None, (f"{failed}, {formats.count(total.failed)}", refusals(seen))))
    for one in (request, call):
        bands = ", ".join(f"p{p} {formats.ms(value)}" for p, value in zip((50, 95, 99), one.latency, strict=True))
        yield "A request takes" if one is request else "A call takes", bands
    yield "First token", f"p50 {formats.ms(total.ttft)}"
    yield "A request costs", f"{formats.usd(request.mean)} on average; {formats.usd(total.cost)} in all"
    score = formats.share(seen.passed / seen.scored) if seen.scored else formats.NONE
    yield "Production score", f"{score}, {formats.count(seen.scored)} scored"


def _of_failed_answers(seen: "Overview") -> "Iterator[tuple[str, str]]":
    """Answers of 4xx and 5xx, also of requests that no call knows: the newest first, and of a minute the most frequent."""
    from app.console import formats

    def newest(one: "Failed") -> tuple[float, int]:
        return -one.minute.timestamp(), -one.answers

    for one in sorted(seen.failed_answers, key=newest):
        most = f"{formats.count(one.of_key)} of them to" if one.of_key and one.of_key < one.answers else ""
        whose = f"of {one.tenant}, {most} key {one.key_id}".replace("  ", " ") if one.tenant else "without a valid key"
        last = f"last in {one.minute:%H:%M} UTC, {one.request_id}: {one.message}"
        yield f"{one.status} {one.code}", f"{formats.count(one.answers)} {whose}, on {one.path}; {last}"


def _of_providers(strips: "Sequence[Strip]") -> "Iterator[tuple[str, str]]":
    for strip in strips:
        yield strip.name, f"{strip.word}{f' ({strip.why})' if strip.why else ''}"


def _of_changes(seen: "Overview") -> "Iterator[tuple[str, str]]":
    """What operators changed last in the range: the first suspect of what began then."""
    for at, action, subject in seen.marks[-CHANGES:]:
        yield f"Changed {at:%H:%M:%S} UTC", f"octant {action}  {subject}"


def _of_now(now: "Now", spent: "tuple[Sequence[int], int | None]", stopped: "Collection[Subject]") -> "Iterator[tuple[str, str]]":
    """``spent``: as `paces_and_caps` returns it."""
    from app.console import formats
    from app.console.pace import burn, pace_words
    from app.console.provider_strips import state_of

    for circuit in now.circuits:
        yield circuit.target.provider, state_of(circuit, stopped)
    number, calls = now.under_way
    longest = f", the longest for {formats.seconds((datetime.now(UTC) - calls[0].began_at).total_seconds())}" if calls else ""
    yield "Under way", f"{formats.number(number, 'call')}{longest}"
    money = now.money
    yield "Money today", f"{formats.usd(money.spent)} spent, {formats.usd(money.held)} held of {formats.usd(money.cap)}"
    if pace := burn(money, spent[0], datetime.now(UTC), spent[1]):
        end = f"; at that pace the cap is reached at {pace.reached:%H:%M} UTC" if pace.reached else ""
        yield "Forecast of today", f"{pace_words(pace)}{end}"


def _table(rows: "Iterator[tuple[str, str]] | Sequence[tuple[str, str]]") -> None:
    for name, value in rows:
        print(f"{name:<24} {value}")
