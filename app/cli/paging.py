"""`octant oncall page …`, `ack` and `maintenance`: pages, their acknowledgement, and times without them."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.asking import asked, reason_in
from app.cli.audited import changes
from app.cli.operator import user_name
from app.cli.tables import print_line
from app.domain.hosts import authority

if TYPE_CHECKING:
    from app.oncall.paging.maintenance import Maintenance
    from app.oncall.paging.pages import Page, Pages
    from app.settings import Settings

page = typer.Typer(help="Pages: list, show, resolve, or test them.")
maintenance = typer.Typer(no_args_is_help=True, help="Times in which matching alerts are recorded and page no person.")

LOOK_EVERY = 1.0
ANSWERS_WITHIN = 10.0
SENT_WITHIN = 30.0  # seconds after which a test that did not go out says so
_SPAN = re.compile(r"(\d+)([smh])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600}
PageId = Annotated[str, typer.Argument(metavar="ID", help="Id of a page, or its beginning.")]
By = Annotated[str, typer.Option("--as", help="Your name, by default that of your account.")]


def add_to(oncall: typer.Typer) -> None:
    """Add the commands to `octant oncall`."""
    oncall.add_typer(page, name="page")
    oncall.add_typer(maintenance, name="maintenance")
    oncall.command("ack")(ack)
    oncall.command("drill")(drill)


@changes("oncall ack")
def ack(
    page_id: PageId,
    by: By = "",
    lasts: Annotated[str | None, typer.Option("--for", help="How long, as 45m or 2h; then the page goes out again.")] = None,
) -> None:
    """Acknowledge a page: you have it, and no further level is called until the acknowledgement ends."""
    seconds = _seconds(lasts) if lasts else None

    async def acknowledge() -> "Page":
        async with _pages() as (pages, _):
            found = await pages.find(page_id)
            return await pages.acknowledge(found.id, by=by or user_name(), seconds=seconds)

    done = asyncio.run(acknowledge())
    print_line(f"{_short(done)} {done.alert}: acknowledged by {done.acknowledged_by} until {_time(done.ack_expires_at)}.")


@changes("oncall drill")
def drill(
    reason: Annotated[str, typer.Option(help="Why, for the operators' log.")] = "a drill",  # noqa: ARG001 - `changes` writes it
    alert: Annotated[str, typer.Option(help="The alert; `octant runbook alerts` lists all.")] = "OctantAvailabilityBurnsFast",
) -> None:
    """Post an alert to the running demo as Alertmanager does: it pages, and opens an incident. Both are marked as a drill."""
    from app.cli.stores import running_demo
    from app.domain.errors import Misconfigured
    from app.oncall.paging import drilled
    from app.oncall.runbook.pages import read
    from app.settings import load

    settings = load()
    drilled.allowed(settings.environment)
    demo = running_demo(settings, above=False)
    if not demo.same_secret(settings):
        raise Misconfigured(f"The demo in {demo.folder} runs with another OCTANT_SECRET_KEY: set the same one here.")
    demo.hand_over_settings()
    settings = load()
    body = drilled.message_of(alert, read(), datetime.now(UTC), runbook_url=settings.runbook_url)
    at = authority(settings.admin_host, settings.admin_port) if settings.admin_port else demo.url.partition("://")[2]
    token = settings.paging.alertmanager_token.get_secret_value() or drilled.token_of(settings.secret)
    event = _posted(at, body, token)
    if event == drilled.AGAIN:
        print_line(f"{alert}: its drill is open already. `octant oncall page list` shows it.")
        return
    print_line(f"{alert}: {event}. A page calls the person on duty, and its incident is open:")
    print("  `octant oncall page list`, `octant oncall ack PAGE`, and to end it `octant oncall page resolve PAGE --reason drill`")
    print('  `octant incident list`, `octant incident show NUMBER`, and to end it `octant incident close --no-change "a drill"`')


def _posted(at: str, body: "dict[str, Any]", token: str) -> str:
    """Post an alert to the service's webhook. Returns the event that came of it. Raises Misconfigured for a refusal."""
    from app.domain.errors import Misconfigured

    what, headers = f"The service at {at}", {"authorization": f"Bearer {token}", "content-type": "application/json"}
    status, answer = asked(what, at, "POST", "/v1/admin/alertmanager", body, headers=headers, within=ANSWERS_WITHIN)
    if status != HTTPStatus.OK:
        raise Misconfigured(f"{what} refuses the alert: {reason_in(answer)}")
    if not isinstance(answer, dict) or not isinstance(answer.get("event"), str):
        raise Misconfigured(f"{what} is no Octant: it does not say what came of the alert.")
    event: str = answer["event"]
    return event


@page.callback(invoke_without_command=True)
def _page(
    context: typer.Context,
    *,
    test: Annotated[bool, typer.Option("--test", help="Page the person on call, and measure the time to an answer.")] = False,
    wait: Annotated[str, typer.Option(help="How long to wait for the answer, as 15m.")] = "15m",
) -> None:
    """Show the open pages; with --test, send one and wait for its acknowledgement."""
    if context.invoked_subcommand:
        return
    if test:
        _test(wait=wait)
    else:
        list_pages()


@changes("oncall page", waits=True)
def _test(*, wait: str) -> None:
    """Send a page that is marked as a test. The minutes to its acknowledgement are kept."""
    if not asyncio.run(_tested(_seconds(wait))):
        raise typer.Exit(1)


_page.changes = "oncall page"  # type: ignore[attr-defined] # `_test` does it: the group itself only reads


@page.command("list")
def list_pages(
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
) -> None:
    """List pages, newest first."""

    async def found() -> "list[Page]":
        async with _pages() as (pages, _):
            return await pages.newest(resolved=everything, limit=limit)

    shown = asyncio.run(found())
    for one in shown:
        print_line(_line(one))
    if not shown:
        print("No page." if everything else "No open page. `octant oncall page list --all` shows the resolved ones.")


@page.command("show")
def show(page_id: PageId) -> None:
    """Show a page with everything that happened to it."""

    async def found() -> None:
        async with _pages() as (pages, _):
            one = await pages.find(page_id)
            print_line(_line(one))
            print_line(f"id {one.id}  key {one.dedup_key}")
            for name, value in sorted(one.labels.items()):
                print_line(f"  {name}={value}")
            for event in await pages.events(one.id):
                detail = " ".join(f"{name}={value}" for name, value in event.detail.items() if value)
                print_line(f"{_time(event.at)}  {event.event:<12} {detail}".rstrip())

    asyncio.run(found())


@page.command("resolve")
@changes("oncall page resolve")
def resolve(
    page_id: PageId,
    reason: Annotated[str, typer.Option(help="Why, for the operators' log.")],  # noqa: ARG001 - `changes` writes it
    by: By = "",
) -> None:
    """End a page by hand. If its alert still fires, Alertmanager's next message opens it again."""

    async def end() -> "Page":
        async with _pages() as (pages, _):
            return await pages.resolve((await pages.find(page_id)).id, by=by or user_name())

    done = asyncio.run(end())
    print_line(f"{_short(done)} {done.alert}: resolved.")


@maintenance.command("start")
@changes("oncall maintenance start")
def start(
    lasts: Annotated[str, typer.Option("--for", help="How long, as 45m or 2h. Every window ends.")],
    reason: Annotated[str, typer.Option(help="Why; the list shows it.")],
    match: Annotated[
        list[str] | None, typer.Option(help="LABEL=VALUE of the alerts, as alertname=OctantDown. All must fit.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Every alert, instead of --match.")] = False,
    by: By = "",
) -> None:
    """Page no person for matching alerts, for a time. They are recorded; those that still fire at its end page then."""
    from app.domain.errors import InvalidRequest

    matchers = dict(one.partition("=")[::2] for one in match or [])
    if bool(matchers) == everything or not all(matchers) or not all(matchers.values()):
        raise InvalidRequest("Give --match LABEL=VALUE, once or more often, or --everything.")

    async def begin() -> None:
        async with _windows() as windows:
            row = await windows.start(matchers, _seconds(lasts), by=by or user_name(), reason=reason)
            until = f"until {_time(row.ends_at)}"
            print_line(f"{row.id}: {_matchers(row.matchers)} {until}. `octant oncall maintenance end {row.id}` ends it sooner.")

    asyncio.run(begin())


@maintenance.command("end")
@changes("oncall maintenance end")
def end_window(number: Annotated[int, typer.Argument(help="Its number in the list.")]) -> None:
    """End a maintenance window now: what it held back goes out."""

    async def end() -> None:
        async with _windows() as windows:
            await windows.end(number)

    asyncio.run(end())
    print(f"{number}: ended.")


@maintenance.command("list")
def list_windows() -> None:
    """List the newest maintenance windows."""

    async def show_them() -> None:
        async with _windows() as windows:
            found = await windows.newest()
        for row in found:
            state = f"until {_time(row.ends_at)}" if row.open else f"ended {_time(row.ends_at)}"
            print_line(f"{row.id:>4}  {state}  {_matchers(row.matchers)}  by {row.by}: {row.reason}")
        if not found:
            print("No maintenance window.")

    asyncio.run(show_them())


async def _tested(seconds: float) -> bool:
    from app.domain.errors import Misconfigured
    from app.oncall.paging.alarms import NO_RECEIVER, alarm_for_test

    who, begun = user_name(), time.monotonic()
    async with _pages() as (pages, settings):
        if not settings.paging.receivers:
            raise Misconfigured(NO_RECEIVER)
        alarm = alarm_for_test(who)
        await pages.take(alarm)
        one = await pages.open_page(alarm.key)
        assert one is not None  # noqa: S101 - it was taken a moment ago
        long = f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} minutes"
        print(f"{_short(one)}: paging, and waiting up to {long}. `octant oncall ack {_short(one)}` acknowledges it.", flush=True)
        try:
            one = await _answered(pages, one, until=begun + seconds)
        except asyncio.CancelledError:  # Ctrl-C: no further person is called
            await pages.note(one.id, "test_unanswered", seconds=round(time.monotonic() - begun, 1), level=one.level)
            await pages.resolve(one.id, by=who)
            raise
        answered = one.acknowledged_at is not None  # a page that was resolved without an answer had none
        took = ((one.acknowledged_at or datetime.now(UTC)) - one.triggered_at).total_seconds()
        by = one.acknowledged_by or who
        detail = {"seconds": round(took, 1), "level": one.level, **({"by": by} if answered else {})}
        await pages.note(one.id, "test_answered" if answered else "test_unanswered", **detail)
        if one.status != "resolved":
            await pages.resolve(one.id, by=who)
    time_taken = f"{took:.1f} s" if took < 60 else f"{took / 60:.1f} minutes"
    print(f"{_short(one)}: answered by {by} after {time_taken}." if answered else f"No answer in {time_taken}.")
    return answered


async def _answered(pages: "Pages", one: "Page", *, until: float) -> "Page":
    """The test page as soon as a person has it, or at the time (`time.monotonic`) at which the wait ends."""
    begun, said = time.monotonic(), False
    while (one := await pages.find(str(one.id))).status == "triggered" and time.monotonic() < until:
        if not said and time.monotonic() - begun > SENT_WITHIN:
            said = True
            if "sent" not in {event.event for event in await pages.events(one.id)}:
                print("It did not go out yet: does a service run with these settings? `octant oncall page show` has more.")
        await asyncio.sleep(LOOK_EVERY)
    return one


@asynccontextmanager
async def _pages() -> "AsyncGenerator[tuple[Pages, Settings], None]":
    from app.cli.database import database
    from app.rooms import pages_of

    async with database() as (engine, settings):
        yield pages_of(settings, engine), settings


@asynccontextmanager
async def _windows() -> "AsyncGenerator[Maintenance, None]":
    from app.cli.database import database
    from app.oncall.paging.maintenance import Maintenance

    async with database() as (engine, settings):
        yield Maintenance(engine, settings.paging.maintenance_longest)


def _seconds(text: str) -> float:
    """Seconds of 90s, 45m or 2h. Raises InvalidRequest."""
    from app.domain.errors import InvalidRequest

    found = _SPAN.match(text)
    if found is None or int(found[1]) == 0:
        raise InvalidRequest(f"{text!r} is no time such as 90s, 45m or 2h.")
    return float(int(found[1]) * _UNITS[found[2]])


def _line(one: "Page") -> str:
    state = {
        "triggered": f"level {one.level}: {one.person or 'no person'}" if one.level else "not sent: maintenance, or a moment old",
        "acknowledged": f"{one.acknowledged_by} until {_time(one.ack_expires_at)}",
        "resolved": f"at {_time(one.resolved_at)}",
    }[one.status]
    test = " [TEST]" if one.test else " [DRILL]" if one.drill else ""
    return f"{_short(one)}  {_time(one.triggered_at)}  {one.status:<12} {state}  {one.alert}{test}: {one.summary}"


def _short(one: "Page") -> str:
    return str(one.id)[:8]


def _matchers(matchers: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(matchers.items())) or "every alert"


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at else "-"
