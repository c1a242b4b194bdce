"""Pages on a real Postgres, sent to receivers that check the vendors' schemas (P3)."""

import asyncio
import errno
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from conftest import ROOT
from pager import Pager, running_pager
from paging import Events, paging
from sqlalchemy import func, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.cli import paging as paging_command
from app.console import oncall_actions
from app.console.console import Console, Elsewhere
from app.console.sessions import Session
from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound
from app.oncall.incidents.store import Incidents, RunbookChange, incident_for_page
from app.oncall.incidents.timeline import timeline
from app.oncall.paging.alarms import WATCHDOG, Alarm
from app.oncall.paging.answers import Answer
from app.oncall.paging.deadman import KEY
from app.oncall.paging.figures import newest_test
from app.oncall.paging.maintenance import Maintenance
from app.oncall.paging.message import Result
from app.oncall.paging.pages import Page
from app.oncall.paging.paging import Paging
from app.oncall.paging.policy import Policy
from app.oncall.paging.spool import Spool
from app.oncall.paging.tables import maintenance_windows, page_deliveries, page_timers, pages, paging_marks
from app.telemetry.metrics import Metrics
from app.wiring.paging import paging_check, sample_pages

POLICY = Policy(receivers=("pagerduty", "webhook"))
PATIENCE = 60.0
NOWHERE = "postgresql+psycopg://absent@127.0.0.1:1/none"


def alarm(key: str | None = None, **more: Any) -> Alarm:  # noqa: ANN401 - fields of an alarm
    said = {"summary": "It is down.", **more}
    return Alarm(key=key or f"group-{uuid4().hex}", alert="OctantDown", labels={"job": "octant"}, **said)


@pytest_asyncio.fixture
async def pager() -> AsyncIterator[Pager]:
    async with running_pager() as pager:
        yield pager


@pytest_asyncio.fixture
async def clean(engine: AsyncEngine) -> AsyncEngine:
    """The tests' engine, without pages of other tests."""
    async with engine.begin() as connection:
        await connection.execute(
            text("TRUNCATE pages, page_events, page_timers, page_deliveries, maintenance_windows, paging_marks")
        )
    return engine


Made = Callable[..., Any]


@pytest_asyncio.fixture
async def made(clean: AsyncEngine, pager: Pager, tmp_path: Path) -> Made:
    """Paging that does one step at a time: nothing runs in the background."""

    @asynccontextmanager
    async def make(policy: Policy = POLICY, engine: AsyncEngine = clean, **more: Any) -> AsyncIterator[Paging]:  # noqa: ANN401
        async with paging(engine, pager.base, tmp_path, policy, **more) as found:
            yield found

    return make


async def step(room: Paging) -> None:
    """One cycle: due timers, then due deliveries."""
    await room.parts.pages.run_timers()
    await room.parts.deliveries.send_due()


async def the_page(room: Paging, key: str) -> Page:
    return next(page for page in await room.parts.pages.newest(resolved=True) if page.dedup_key == key)


async def events_of(room: Paging, page: Page) -> list[str]:
    return [row.event for row in await room.parts.pages.events(page.id)]


async def pass_time(engine: AsyncEngine, page: UUID, seconds: float) -> None:
    """Let time pass for one page: all its moments move into the past."""
    earlier = timedelta(seconds=seconds)
    async with engine.begin() as connection:
        for column in (pages.c.triggered_at, pages.c.acknowledged_at, pages.c.ack_expires_at, pages.c.resolved_at):
            await connection.execute(update(pages).where(pages.c.id == page).values({column: column - earlier}))
        for column in (page_timers.c.due_at, page_deliveries.c.due_at, page_deliveries.c.created_at):
            await connection.execute(
                update(column.table).where(column.table.c.page_id == page).values({column: column - earlier})
            )


async def test_a_page_is_triggered_acknowledged_and_resolved_at_every_receiver(made: Made, pager: Pager) -> None:
    seen = Events([], [])
    async with made(replace(POLICY, receivers=("pagerduty", "incident_io", "webhook")), reported=seen) as room:
        fired = alarm()
        assert await room.take(fired) == "triggered"
        await step(room)
        page = await the_page(room, fired.key)
        assert (page.status, page.level, page.person) == ("triggered", 1, "Ada")
        acknowledged = await room.parts.pages.acknowledge(page.id, by="grace")
        await step(room)
        assert (acknowledged.status, acknowledged.acknowledged_by) == ("acknowledged", "grace")
        assert await room.take(replace(fired, firing=False)) == "resolved"
        await step(room)
        assert pager.actions("pagerduty") == ["trigger", "acknowledge", "resolve"]
        assert pager.actions("incident_io") == ["firing", "resolved"]
        assert pager.actions("webhook") == ["page.trigger", "page.acknowledge", "page.resolve"]
        assert len({event["dedup_key"] for event in pager.of("pagerduty")}) == 1
        assert pager.wrong == []
        assert (await the_page(room, fired.key)).status == "resolved"
        with pytest.raises(InvalidRequest, match="resolved already"):
            await room.parts.pages.acknowledge(page.id, by="late")
    assert seen.events == ["triggered", "paged", "acknowledged", "resolved"]
    assert set(seen.outcomes) == {("pagerduty", "sent"), ("incident_io", "sent"), ("webhook", "sent")}


async def test_the_newest_test_of_the_pager_is_also_one_that_waits_or_whose_command_ended_early(
    made: Made, clean: AsyncEngine
) -> None:
    async with made() as room:
        assert await newest_test(clean) is None
        ended, early = alarm(test=True), alarm(test=True)
        await room.take(ended)
        page = await the_page(room, ended.key)
        await room.parts.pages.acknowledge(page.id, by="grace")
        await room.parts.pages.note(page.id, "test_answered", seconds=2.5, by="grace")
        await pass_time(clean, page.id, 60)
        assert (found := await newest_test(clean))
        assert (found.answered, found.by, found.seconds, found.waits) == (True, "grace", 2.5, False)
        await room.take(early)
        page = await the_page(room, early.key)
        await room.take(alarm())  # no test
        await pass_time(clean, page.id, -1)
        assert (found := await newest_test(clean))
        assert (found.answered, found.waits) == (False, True), "it is the newest, and has no answer"
        await pass_time(clean, page.id, 11)
        await room.parts.pages.acknowledge(page.id, by="ada")
        await pass_time(clean, page.id, -11)
        assert (found := await newest_test(clean))
        assert (found.answered, found.by, found.waits) == (True, "ada", False)
        assert 9 < found.seconds < 60
        await pass_time(clean, page.id, 60)
        never = alarm(test=True)
        await room.take(never)
        page = await the_page(room, never.key)
        acts = {act.name: act for act in oncall_actions.actions(cast(Console, SimpleNamespace(parts=room.parts)))}
        asked = await acts["oncall-page-resolve"].ask({"page": str(page.id)})
        assert "counts as one without an answer" in asked.effect
        await pass_time(clean, page.id, 5)
        await room.parts.pages.resolve(page.id, by="ada")
        assert (found := await newest_test(clean))
        assert (found.answered, found.waits) == (False, False), "a failure is not resolved away"
        assert 4 < found.seconds < 60


async def test_the_newest_test_names_the_channels_that_took_it(made: Made, clean: AsyncEngine) -> None:
    async with made(replace(POLICY, receivers=("pagerduty", "webhook"))) as room:
        await room.take(alarm(test=True))
        assert (found := await newest_test(clean))
        assert found.receivers == (), "it did not go out yet"
        await step(room)
        assert (found := await newest_test(clean))
        assert found.receivers == ("pagerduty", "webhook")


async def test_the_consoles_button_sends_one_test_at_a_time(made: Made, clean: AsyncEngine) -> None:
    operator = cast(Session, SimpleNamespace(actor="key:ada"))
    async with made() as room:
        parts = SimpleNamespace(pages=room.parts.pages, paging=room)
        acts = {act.name: act for act in oncall_actions.actions(cast(Console, SimpleNamespace(parts=parts)))}
        asked = await acts["oncall-page"].ask({})
        assert (asked.command, "will call the person on duty" in asked.effect) == ("octant oncall page --test", True)
        await acts["oncall-page"].do({}, "try it", operator)
        [page] = await room.parts.pages.newest()
        assert (page.test, page.summary) == (True, "A test of paging by key:ada: acknowledge it, nothing is broken.")
        with pytest.raises(Elsewhere):  # the page where the open one is, with its buttons
            await acts["oncall-page"].ask({})
        await acts["oncall-ack"].do({"page": str(page.id)}, "I have it", operator)
        assert (found := await newest_test(clean))
        assert (found.answered, found.by, found.waits) == (True, "key:ada", False)
        await acts["oncall-page-resolve"].do({"page": str(page.id)}, "over", operator)
        assert (await acts["oncall-page"].ask({})).title == "Send a test page"


async def test_a_test_of_the_pager_that_is_interrupted_calls_no_further_person(
    made: Made, clean: AsyncEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with made() as room:

        @asynccontextmanager
        async def here() -> AsyncIterator[tuple[Any, Any]]:
            yield room.parts.pages, SimpleNamespace(paging=SimpleNamespace(receivers=("webhook",)))

        monkeypatch.setattr(paging_command, "_pages", here)
        command = asyncio.create_task(paging_command._tested(600))
        async with asyncio.timeout(PATIENCE):
            while "waiting up to 10 minutes" not in capsys.readouterr().out:  # noqa: ASYNC110 - it prints, and sets no event
                await asyncio.sleep(0.05)
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command
        assert await room.parts.pages.newest() == [], "it is resolved"
        found = await newest_test(clean)
        assert found
        assert (found.answered, found.waits) == (False, False)


async def test_one_group_is_one_page_however_often_and_from_wherever_it_is_reported(made: Made, pager: Pager) -> None:
    async with made() as one, made() as other:
        fired = alarm()
        events = await asyncio.gather(*(room.take(fired) for room in [one, other] * 5))
        await asyncio.gather(step(one), step(other))
        await step(one)
        assert sorted(events) == ["repeated"] * 9 + ["triggered"]
        assert pager.actions("pagerduty") == ["trigger"]
        assert await one.take(alarm(firing=False)) == "", "the end of a group that no page is about"


async def test_a_page_escalates_level_by_level_until_it_is_acknowledged(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    async with made(escalate_after=60.0) as room:
        fired = alarm()
        await room.take(fired)
        people = []
        for _ in range(4):
            await step(room)
            await step(room)  # nothing is due yet
            page = await the_page(room, fired.key)
            people.append((page.level, page.person))
            await pass_time(clean, page.id, 61)
        page = await the_page(room, fired.key)
        assert people == [(1, "Ada"), (2, "Grace"), (3, "Edsger"), (1, "Ada")]
        triggers = pager.of("pagerduty")
        assert [event["payload"]["custom_details"]["person"] for event in triggers] == ["Ada", "Grace", "Edsger", "Ada"]
        assert len({event["dedup_key"] for event in triggers}) == 4, "the same key would call no person again"
        await room.parts.pages.acknowledge(page.id, by="ada")
        await pass_time(clean, page.id, 61)
        await step(room)
        assert pager.actions("pagerduty").count("trigger") == 4
        assert pager.actions("pagerduty").count("acknowledge") == 4


async def test_an_acknowledgement_expires_and_the_page_begins_again(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    async with made(replace(POLICY, ack_expires=300)) as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(page.id, by="ada")
        await pass_time(clean, page.id, 299)
        await step(room)
        assert pager.actions("pagerduty").count("trigger") == 1
        await pass_time(clean, page.id, 2)
        await step(room)
        again = await the_page(room, fired.key)
        assert (again.status, again.level, again.ack_expires_at) == ("triggered", 1, None)
        assert again.acknowledged_at, "the first acknowledgement counts for the time to acknowledge"
        assert pager.actions("pagerduty").count("trigger") == 2
        happened = [event for event in await events_of(room, page) if event != "sent"]
        assert happened == ["triggered", "paged", "acknowledged", "ack_expired", "paged"]


async def test_an_alert_that_joins_an_acknowledged_group_calls_again(made: Made, pager: Pager) -> None:
    """The person acknowledged the page without it; an alert that was part of it and comes back does not call."""
    async with made() as room:
        fired = alarm(fingerprints=("a", "b"))
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(page.id, by="ada")
        for alerts, event in (("a", "repeated"), ("ab", "repeated"), ("abc", "joined"), ("abc", "repeated")):
            assert await room.take(replace(fired, fingerprints=tuple(alerts))) == event
            await step(room)
        again = await the_page(room, fired.key)
        assert (again.id, again.status, again.level) == (page.id, "triggered", 1)
        assert pager.actions("pagerduty") == ["trigger", "acknowledge", "trigger"]
        keys = {event["dedup_key"] for event in pager.of("pagerduty") if event["event_action"] == "trigger"}
        assert len(keys) == 2, "the same key would call no person again"


async def test_who_acknowledges_the_page_leads_its_incident_until_another_one_takes_it(made: Made, clean: AsyncEngine) -> None:
    """An acknowledged page stood beside "no person leads it yet"."""
    incidents = Incidents(clean, clean=str)

    async def leading(page: Page) -> str | None:
        return next(one.commander for one in await incidents.list() if one.id == page.incident_id)

    async with made(incident_for=partial(incident_for_page, clean=str)) as room:
        fired = replace(alarm(), labels={"tenant": uuid4().hex})
        await room.take(fired)
        page = await the_page(room, fired.key)
        assert await leading(page) is None
        for person in ("grace", "ada"):
            await room.parts.pages.acknowledge(page.id, by=person)
            assert await leading(page) == "grace", "the second one does not take it away"
        opened = next(one for one in await incidents.list() if one.id == page.incident_id)
        await incidents.assign(opened, "ada", by="grace")
        await room.parts.pages.acknowledge(page.id, by="grace")
        assert await leading(page) == "ada"
        said = [entry.text for entry in await timeline(clean, opened, clean=str) if entry.text.startswith("commander")]
    assert said == ["commander is grace, who acknowledged the page", "commander is ada"]


async def test_an_event_keeps_the_words_that_the_page_had_then(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    """A cap that was lowered had changed the first line of the incident's timeline, and its postmortem."""
    async with made(incident_for=partial(incident_for_page, clean=str)) as room:
        fired = alarm(summary="95 % of a cap of $5.00 is spent.")
        await room.take(fired)
        identity = (await the_page(room, fired.key)).incident_id
        one = next(one for one in await Incidents(clean, clean=str).list() if one.id == identity)
        before = await timeline(clean, one, clean=str)
        await room.take(replace(fired, summary="95 % of a cap of $0.01 is spent."))
        await room.take(replace(fired, summary="95 % of a cap of $0.01 is spent."))
        assert (await the_page(room, fired.key)).summary == "95 % of a cap of $0.01 is spent."
        after = await timeline(clean, one, clean=str)
    words = [entry.text for entry in after if entry.kind == "page"]
    assert words[:-2] == [entry.text for entry in before if entry.kind == "page"]
    assert words[-2:] == [f"repeated: {fired.alert}, page: 95 % of a cap of $0.01 is spent.", f"repeated: {fired.alert}"]
    assert words[0] == f"triggered: {fired.alert}, page: 95 % of a cap of $5.00 is spent."


async def test_a_page_and_its_incident_say_what_is_wrong_as_the_first_page_does(
    made: Made, pager: Pager, clean: AsyncEngine
) -> None:
    """The alert counts a share; the diagnosis knows that no provider answers. Its own text is for where nothing is known."""
    found: list[str | None] = ["No provider answers since 19:53:56: 11 of the last 11 calls failed.", ""]

    async def diagnose(_: Alarm) -> str | None:
        return found[0]

    async with made(incident_for=partial(incident_for_page, clean=str), diagnose=diagnose) as room:
        fired = replace(
            alarm(summary="14% of calls failed in the last minutes (0.1% is allowed)."), labels={"tenant": uuid4().hex}
        )
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        opened = next(one for one in await Incidents(clean, clean=str).list() if one.id == page.incident_id)
        assert page.summary == opened.title == pager.of("pagerduty")[0]["payload"]["summary"] == found.pop(0)
        await room.take(replace(fired, summary="21% of calls failed in the last minutes (0.1% is allowed)."))
        assert (await the_page(room, fired.key)).summary == page.summary, "it has ended, and the alert not yet"
        found[0] = None
        tried = alarm(summary="A test.", test=True)
        await room.take(tried)
        assert (await the_page(room, tried.key)).summary == "A test."


@pytest.mark.parametrize("fault", [DependencyUnavailable("Valkey is away."), TimeoutError(), SQLAlchemyError()], ids=repr)
async def test_a_page_without_a_diagnosis_goes_out_in_its_alerts_words(made: Made, pager: Pager, fault: Exception) -> None:
    async def diagnose(_: Alarm) -> str | None:
        raise fault

    async with made(diagnose=diagnose) as room:
        fired = alarm()
        assert await room.take(fired) == "triggered"
        await step(room)
        assert pager.of("pagerduty")[0]["payload"]["summary"] == fired.summary


def answer(kind: str, key: str, by: str = "Ada Lovelace", people: str = "", identity: str = "") -> Answer:
    return Answer(identity=identity or uuid4().hex, kind=kind, key=key, by=by, people=people)


async def paged(room: Paging, pager: Pager) -> tuple[Page, str]:
    """A page that went out, and the key that PagerDuty knows it by."""
    fired = alarm()
    await room.take(fired)
    await step(room)
    return await the_page(room, fired.key), pager.of("pagerduty")[-1]["dedup_key"]


async def test_an_acknowledgement_at_pagerduty_stops_the_escalation_once(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    """A second delivery of the same event changes nothing, also when it comes after it was taken back."""
    seen = Events([], [])
    async with made(escalate_after=60.0, reported=seen) as room:
        page, key = await paged(room, pager)
        first = answer("acknowledged", key)
        assert [await room.answer(first), await room.answer(first)] == ["acknowledged", "repeated"]
        acknowledged = await room.parts.pages.find(str(page.id))
        assert (acknowledged.status, acknowledged.acknowledged_by) == ("acknowledged", "Ada Lovelace")
        await pass_time(clean, page.id, 61)
        await step(room)
        assert pager.actions("pagerduty").count("trigger") == 1
        assert pager.actions("webhook") == ["page.trigger", "page.acknowledge"], "the other receivers get to know"
        assert await room.answer(answer("unacknowledged", key, by="")) == "unacknowledged"
        assert await room.answer(first) == "repeated"
        await step(room)
        assert (await room.parts.pages.find(str(page.id))).status == "triggered"
        await pass_time(clean, page.id, 61)
        await step(room)
        assert (await room.parts.pages.find(str(page.id))).person == "Grace", "the next level is called"
        assert await room.answer(answer("resolved", key)) == "resolved"
        assert (await room.parts.pages.find(str(page.id))).status == "resolved"
    assert seen.events == ["triggered", "paged", "acknowledged", "unacknowledged", "paged", "resolved"]


async def test_only_a_person_at_pagerduty_acknowledges_or_resolves(made: Made, pager: Pager) -> None:
    """An automation there does not, nor the echo of our own event; and no event of another page, or of a page that is over."""
    async with made() as room:
        page, key = await paged(room, pager)
        ignored = [answer("acknowledged", key, by=""), answer("resolved", key, by=""), answer("unacknowledged", key)]
        assert [await room.answer(one) for one in ignored] == ["ignored"] * 3
        assert await room.answer(answer("acknowledged", "octant-of-another-1")) == "unknown"
        assert (await room.parts.pages.find(str(page.id))).status == "triggered"
        moved = answer("reassigned", key, people="Grace Hopper")
        assert await room.answer(moved) == "reassigned"
        assert (await room.parts.pages.events(page.id))[-1].detail["person"] == "Grace Hopper"
        await room.parts.pages.resolve(page.id, by="ada")
        late = answer("acknowledged", key)
        assert await room.answer(late) == "ignored"
        assert await room.take(alarm(page.dedup_key)) == "reopened"
        assert await room.answer(late) == "repeated", "an event that was of no use once is of none later"


async def test_an_answer_is_not_lost_while_postgres_is_away(made: Made, pager: Pager) -> None:
    """PagerDuty tries a 5xx again for two days."""
    async with made(engine=create_async_engine(NOWHERE)) as room:
        with pytest.raises(DependencyUnavailable):
            await room.answer(answer("acknowledged", "octant-x-1"))


async def test_an_acknowledgement_cancels_what_is_pending(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    """Of a receiver that did not take the page yet; and it tells one that may have taken it."""
    async with made() as room:
        fired = alarm()
        await room.take(fired)
        pager.answers += [(503, {}), (503, {})]
        await step(room)
        page = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(page.id, by="ada")
        await pass_time(clean, page.id, 100)
        await step(room)
        assert "trigger" not in pager.actions("pagerduty")
        assert pager.actions("pagerduty") == ["acknowledge"]
        assert pager.actions("webhook") == ["page.acknowledge"]


async def test_an_alert_that_flaps_reopens_its_page(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    async with made(replace(POLICY, reopen_within=120)) as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        first = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(first.id, by="ada")
        for _ in range(3):
            await room.take(replace(fired, firing=False))
            await step(room)
            assert await room.take(fired) == "reopened"
            await step(room)
        flapped = await the_page(room, fired.key)
        assert (flapped.id, flapped.status) == (first.id, "acknowledged")
        assert pager.actions("pagerduty").count("trigger") == 1, "an acknowledged page that flaps stays quiet"
        await room.take(replace(fired, firing=False))
        await pass_time(clean, first.id, 121)
        assert await room.take(fired) == "triggered"
        await step(room)
        assert (await the_page(room, fired.key)).id != first.id
        assert pager.actions("pagerduty").count("trigger") == 2


async def test_another_alert_that_reopens_an_acknowledged_page_calls(made: Made, pager: Pager) -> None:
    """The person acknowledged the page without it. It is known then, and flaps quietly once it is acknowledged, too."""
    async with made() as room:
        fired = alarm(fingerprints=("a",))
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(page.id, by="ada")
        await room.take(replace(fired, firing=False))
        await step(room)
        other = replace(fired, fingerprints=("b",), summary="Another part is down.", labels={"job": "other"})
        assert await room.take(other) == "reopened"
        await step(room)
        again = await the_page(room, fired.key)
        assert (again.id, again.status, again.level) == (page.id, "triggered", 1)
        assert (again.summary, again.labels) == (other.summary, other.labels), "it says what fires now"
        assert pager.actions("pagerduty").count("trigger") == 2
        await room.parts.pages.acknowledge(page.id, by="ada")
        await room.take(replace(other, firing=False))
        assert await room.take(other) == "reopened"
        await step(room)
        assert (await the_page(room, fired.key)).status == "acknowledged"
        assert pager.actions("pagerduty").count("trigger") == 2


SLOW = "Providers are slow: half of the calls of the last 2 min took 40 s or more."
SLOWER = "Providers are slow: half of the calls of the last 2 min took 55 s or more."
AWAY = "Valkey does not answer."


@pytest.mark.parametrize("ends", [True, False], ids=["reopened", "while it fires"])
async def test_another_fault_of_the_same_alert_calls_though_its_page_is_acknowledged(
    made: Made, pager: Pager, *, ends: bool
) -> None:
    """A second outage with another cause called no person, for half an hour."""
    said = [SLOW]

    async def diagnose(_: Alarm) -> str:
        return said[0]

    async with made(replace(POLICY, reopen_within=120), diagnose=diagnose) as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        for words, calls in ((SLOWER, 1), ("", 1), (SLOW, 1), (AWAY, 2), (AWAY, 2)):
            await room.parts.pages.acknowledge(page.id, by="ada")
            said[0] = words
            if ends:
                await room.take(replace(fired, firing=False))
            await room.take(fired)
            await step(room)
            assert pager.actions("pagerduty").count("trigger") == calls, words
        again = await the_page(room, fired.key)
        assert (again.id, again.status, again.level, again.summary) == (page.id, "acknowledged", 1, AWAY)


async def test_a_page_whose_incident_was_closed_calls_when_it_fires_again(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    store = Incidents(clean, clean=str)
    async with made(replace(POLICY, reopen_within=120), incident_for=partial(incident_for_page, clean=str)) as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        await room.parts.pages.acknowledge(page.id, by="ada")
        [first] = [one for one in await store.list() if one.id == page.incident_id]
        await store.close(first, RunbookChange(None, "nothing to learn"), by="ada")
        await room.take(replace(fired, firing=False))
        assert await room.take(fired) == "reopened"
        await step(room)
        again = await the_page(room, fired.key)
        assert (again.status, again.level, again.incident_id != first.id) == ("triggered", 1, True)
        assert pager.actions("pagerduty").count("trigger") == 2


async def test_a_page_that_no_person_acknowledged_pages_the_same_level_when_it_is_reopened(made: Made, pager: Pager) -> None:
    async with made() as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        await room.take(replace(fired, firing=False))
        await step(room)
        assert await room.take(fired) == "reopened"
        await step(room)
        page = await the_page(room, fired.key)
        assert (page.status, page.level) == ("triggered", 1)
        assert pager.actions("pagerduty") == ["trigger", "resolve", "trigger"]


async def test_a_late_end_of_the_page_before_does_not_end_the_next(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    async with made(replace(POLICY, receivers=("pagerduty",), reopen_within=0)) as room:
        fired = alarm()
        await room.take(fired)
        await step(room)
        await room.take(replace(fired, firing=False))
        pager.answers.append((500, {}))
        await step(room)  # the receiver does not take the end
        assert await room.take(fired) == "triggered"
        await pass_time(clean, (await the_page(room, fired.key)).id, 0)
        async with clean.begin() as connection:
            await connection.execute(update(page_deliveries).values(due_at=func.now()))
        await step(room)
        assert pager.actions("pagerduty") == ["trigger", "trigger"]


async def test_a_receiver_that_is_away_is_tried_again_and_not_before_it_asks_for(
    made: Made, pager: Pager, clean: AsyncEngine
) -> None:
    seen = Events([], [])
    async with made(replace(POLICY, receivers=("pagerduty",)), reported=seen) as room:
        fired = alarm()
        await room.take(fired)
        pager.answers.append((429, {"retry-after": "120"}))
        await step(room)
        page = await the_page(room, fired.key)
        assert await room.parts.deliveries.unsent() == (1, pytest.approx(0, abs=30))
        await pass_time(clean, page.id, 100)
        await step(room)
        assert pager.events == [], "it asked for two minutes"
        await pass_time(clean, page.id, 21)
        await step(room)
        assert pager.actions("pagerduty") == ["trigger"]
        assert (await room.parts.deliveries.unsent())[0] == 0
    assert seen.outcomes == [("pagerduty", "failed"), ("pagerduty", "sent")]


async def test_a_page_goes_to_the_next_where_a_receivers_answer_meets_a_bug(
    made: Made, pager: Pager, clean: AsyncEngine, tmp_path: Path
) -> None:
    """It was sent again and again, failed nowhere, and no fallback got it; and so while Postgres was away."""
    policy = replace(POLICY, receivers=("pagerduty",), fallback=("webhook",), fallback_after=60)

    async def broken(*_: object) -> Result:
        raise OverflowError("a bug")

    async with made(policy) as room:
        room.parts.deliveries._receivers["pagerduty"] = SimpleNamespace(name="pagerduty", send=broken)
        fired = alarm()
        await room.take(fired)
        await step(room)
        page = await the_page(room, fired.key)
        await pass_time(clean, page.id, 61)
        await step(room)
        assert pager.actions("webhook") == ["page.trigger"]
    away = create_async_engine(NOWHERE)
    async with made(policy, engine=away) as room:
        room.parts.relay._receivers["pagerduty"] = SimpleNamespace(name="pagerduty", send=broken)
        await room.take(alarm())
        await room.parts.relay.run()
        assert pager.actions("webhook") == ["page.trigger"] * 2
    await away.dispose()


@pytest.mark.parametrize(("answer", "seconds"), [((403, {}), 0.0), ((503, {}), 61.0)], ids=["refused", "late"])
async def test_a_page_that_a_receiver_does_not_take_goes_to_the_next(
    answer: tuple[int, dict[str, str]], seconds: float, made: Made, pager: Pager, clean: AsyncEngine
) -> None:
    policy = replace(POLICY, receivers=("pagerduty",), fallback=("webhook",), fallback_after=60.0)
    seen = Events([], [])
    async with made(policy, reported=seen) as room:
        fired = alarm()
        await room.take(fired)
        pager.answers.append(answer)
        await step(room)
        page = await the_page(room, fired.key)
        if seconds:
            assert pager.events == [], "a first failure may be a hiccup"
            await pass_time(clean, page.id, seconds)
            pager.answers.append(answer)
            await step(room)
        assert pager.actions("webhook") == ["page.trigger"]
        assert "fallback" in seen.events
        await pass_time(clean, page.id, 100)
        await step(room)
        assert (pager.actions("pagerduty"), pager.actions("webhook")) == (["trigger"], ["page.trigger"]), "and the first goes on"


async def test_a_maintenance_window_holds_pages_back_records_them_and_ends(made: Made, pager: Pager, clean: AsyncEngine) -> None:
    windows = Maintenance(clean, longest=3600)
    for seconds in (0, 3601):
        with pytest.raises(InvalidRequest, match="1 hours at most"):
            await windows.start({}, seconds, by="ada", reason="too long")
    window = await windows.start({"alertname": "OctantDown", "job": "octant"}, 3600, by="ada", reason="upgrade")
    async with made() as room:
        held, passed, other = alarm(), alarm(), Alarm(key=f"group-{uuid4().hex}", alert="OctantOverBound", summary="Other.")
        for one in (held, passed, other):
            await room.take(one)
        await step(room)
        assert [event["payload"]["class"] for event in pager.of("pagerduty")] == ["OctantOverBound"]
        page = await the_page(room, held.key)
        assert (page.status, page.level, await events_of(room, page)) == ("triggered", 0, ["triggered", "suppressed"])
        await room.take(replace(passed, firing=False))
        async with clean.begin() as connection:  # an hour passes
            gone = timedelta(hours=1)
            await connection.execute(update(maintenance_windows).values(ends_at=maintenance_windows.c.ends_at - gone))
        await pass_time(clean, page.id, 3601)
        await step(room)
        assert [event["payload"]["class"] for event in pager.of("pagerduty")] == ["OctantOverBound", "OctantDown"]
        with pytest.raises(NotFound):
            await windows.end(window.id)
        second = await windows.start({}, 60, by="ada", reason="everything")
        later = alarm()
        await room.take(later)
        await step(room)
        assert len(pager.of("pagerduty")) == 2
        await windows.end(second.id)
        await step(room)
        assert len(pager.of("pagerduty")) == 3, "a window that is ended lets go at once what it held back"


async def test_without_postgres_a_page_goes_out_from_a_file_and_once_more_only_if_it_must(
    made: Made, pager: Pager, clean: AsyncEngine, tmp_path: Path
) -> None:
    seen = Events([], [])
    away = create_async_engine(NOWHERE)
    fired = alarm()
    async with made(engine=away, reported=seen) as room:
        assert await room.take(fired) == "spooled"
        assert await room.spooled() == 1
        pager.answers.append((503, {}))
        await room.parts.relay.run()
        assert len(pager.events) == 1, "one of the two receivers was away"
        await asyncio.sleep(1.1)  # its pause
        await room.parts.relay.run()
        await room.parts.relay.run()
        assert pager.actions("pagerduty") == ["trigger"]
        assert pager.actions("webhook") == ["page.trigger"]
        assert await room.spooled() == 1, "Postgres does not have it"
    await away.dispose()
    async with made() as room:
        assert await room.parts.relay.run() == 1
        assert await room.spooled() == 0
        await step(room)
        page = await the_page(room, fired.key)
        assert (page.status, page.level) == ("triggered", 1)
        assert pager.actions("pagerduty") == ["trigger"], "both receivers had it already"
        await room.take(replace(fired, firing=False))
        await step(room)
        assert pager.actions("pagerduty") == ["trigger", "resolve"]
        assert len({event["dedup_key"] for event in pager.of("pagerduty")}) == 1
    assert seen.events.count("spooled") == 1
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "pages").iterdir() if path.suffix == ".json"] == []


async def test_the_end_of_an_alert_that_waits_in_a_file_comes_after_it(made: Made, pager: Pager) -> None:
    """Postgres is back, and the end comes before the file was worked through: it would find no page to end."""
    away = create_async_engine(NOWHERE)
    fired, other = alarm(), alarm()
    async with made(engine=away) as room:
        assert await room.take(fired) == "spooled"
    await away.dispose()
    async with made() as room:
        assert await room.take(replace(fired, firing=False)) == "spooled"
        assert await room.take(other) == "triggered", "one of another group waits for nothing"
        assert await room.parts.relay.run() == 2
        await step(room)
        assert (await the_page(room, fired.key)).status == "resolved"
        assert await room.spooled() == 0


@pytest.mark.parametrize("fails", ["read", "add"])
async def test_a_disk_that_fails_keeps_no_page_from_postgres(
    fails: str, made: Made, pager: Pager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be read, and one that takes no further file while it holds an earlier alarm of the group."""
    away, fired = create_async_engine(NOWHERE), alarm()
    async with made(engine=away) as room:
        assert await room.take(fired) == "spooled"
    await away.dispose()

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "a broken disk")

    monkeypatch.setattr(Spool, fails, broken)
    async with made() as room:
        assert await room.take(fired) == "triggered"


async def test_a_page_that_cannot_be_stored_holds_up_no_other_in_the_files(made: Made, pager: Pager) -> None:
    away = create_async_engine(NOWHERE)
    fired = alarm()
    async with made(engine=away) as room:
        assert await room.take(replace(alarm(), summary="a NUL: \0")) == "spooled"
        assert await room.take(fired) == "spooled"
    await away.dispose()
    async with made() as room:
        assert await room.parts.relay.run() == 1
        assert (await the_page(room, fired.key)).status == "triggered"
        assert pager.actions("pagerduty") == ["trigger"], "the other one went to the receivers"


async def test_readiness_says_that_pages_wait_and_never_fails_for_it(made: Made, pager: Pager) -> None:
    async with made() as room:
        check = paging_check(room)
        assert await check() == "ok"
        pager.answers += [(503, {}), (503, {})]
        await room.take(alarm())
        await step(room)
        assert await check() == "degraded"
    away = create_async_engine(NOWHERE)
    async with made(engine=away) as room:
        assert await paging_check(room)() == "degraded", "calls of known keys still work"
        await room.take(alarm())
        metrics = Metrics()
        with pytest.raises(SQLAlchemyError):
            await sample_pages(room, metrics)
        assert metrics.registry.get_sample_value("octant_pages_unsent", {"where": "file"}) == 1, "counted without Postgres"
    await away.dispose()


async def test_a_page_that_can_be_stored_nowhere_is_refused_so_that_alertmanager_tries_again(
    pager: Pager, tmp_path: Path
) -> None:
    away = create_async_engine(NOWHERE)
    (tmp_path / "pages").write_text("a file where the folder should be")
    async with paging(away, pager.base, tmp_path, POLICY) as room:
        with pytest.raises(DependencyUnavailable, match="neither in Postgres nor in a file"):
            await room.take(alarm())
    await away.dispose()


async def test_a_watchdog_that_does_not_come_opens_a_page_and_its_return_ends_it(
    made: Made, pager: Pager, clean: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("app.oncall.paging.deadman.time.monotonic", lambda: now)
    async with made(watchdog_after=300.0) as room:
        watchdog = room.parts.watchdog
        assert await watchdog.check() is False

        async def late(seconds: float) -> None:
            async with clean.begin() as connection:
                gone = timedelta(seconds=seconds)
                await connection.execute(update(paging_marks).values(at=paging_marks.c.at - gone))

        await late(301)
        assert await watchdog.check() is True
        assert await room.parts.pages.open_page(KEY) is None, "this process was not there while it could have come"
        now += 301
        await watchdog.check()
        await watchdog.check()
        await step(room)
        (event,) = pager.of("pagerduty")
        assert event["payload"]["class"] == "OctantWatchdogMissing"
        assert await room.take(Alarm(key="w", alert=WATCHDOG, summary="always")) == "watchdog"
        assert await watchdog.check() is False
        await step(room)
        assert await room.parts.pages.open_page(KEY) is None
        assert pager.actions("pagerduty").count("resolve") == 1


async def test_the_heartbeat_goes_out_once_a_minute_and_not_while_a_page_waits(
    made: Made, pager: Pager, clean: AsyncEngine
) -> None:
    async def minute() -> None:
        async with clean.begin() as connection:
            await connection.execute(update(paging_marks).values(at=paging_marks.c.at - timedelta(seconds=61)))

    async with made() as one, made() as other:
        outcomes = await asyncio.gather(one.parts.heartbeat.beat(), other.parts.heartbeat.beat(), one.parts.heartbeat.beat())
        assert sorted(outcomes) == ["", "", "sent"]
        await one.take(alarm())
        pager.answers += [(503, {}), (503, {})]
        await step(one)
        await minute()
        assert await other.parts.heartbeat.beat() == "withheld"
        assert pager.heartbeats == 1


async def test_an_incident_that_cannot_be_opened_does_not_keep_the_page_back(made: Made, pager: Pager) -> None:
    opened: list[dict[str, Any]] = []

    async def incident_for(session: AsyncConnection, **wanted: Any) -> UUID:  # noqa: ANN401 - the port's
        opened.append(wanted)
        if len(opened) > 1:
            await session.execute(text("SELECT no_such_column FROM pages"))
        return UUID(int=7)

    async with made(incident_for=incident_for) as room:
        first, second = alarm(), alarm()
        for one in (first, second, alarm(test=True)):
            await room.take(one)
        await step(room)
        assert (await the_page(room, first.key)).incident_id == UUID(int=7)
        assert (await the_page(room, second.key)).incident_id is None
        assert len(pager.of("pagerduty")) == 3
        assert [one["dedup_key"] for one in opened] == [first.key, second.key], "a test opens none"
        assert isinstance(opened[0]["at"], datetime)


@pytest.mark.timeout(900)
async def test_a_process_killed_while_it_sends_pages_exactly_once_more(
    clean: AsyncEngine, database_url: str, made: Made, pager: Pager, tmp_path: Path
) -> None:
    """The receiver has the request and does not answer; the process is killed; this process sends it again, once."""
    async with hanging_receiver() as (base, requests, arrived):
        policy = {"receivers": ["webhook"], "lease": 1.0}
        arguments = json.dumps([database_url, base, str(tmp_path / "state"), policy, {"escalate_after": 3600.0}])
        async with made(Policy(receivers=("webhook",), lease=1.0)) as room:
            fired = alarm()
            await room.take(fired)
            command = [sys.executable, "tests/paging.py", arguments]
            environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"}
            process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
            try:
                async with asyncio.timeout(PATIENCE):
                    await arrived.wait()
            finally:
                process.kill()
                await process.wait()
            assert process.returncode == -signal.SIGKILL
            async with asyncio.timeout(PATIENCE):
                while not pager.ids:
                    await step(room)
                    await asyncio.sleep(0.1)  # the dead process has a lease
            await asyncio.sleep(1.5)  # longer than a lease
            await step(room)
            assert (len(requests), pager.ids) == (1, [requests[0]["webhook-id"]])
            page = await the_page(room, fired.key)
            assert (page.level, (await events_of(room, page)).count("paged")) == (1, 1)


@asynccontextmanager
async def hanging_receiver() -> AsyncIterator[tuple[str, list[dict[str, str]], asyncio.Event]]:
    """A webhook's server that answers nothing."""
    requests: list[dict[str, str]] = []
    arrived = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        await request.read()
        requests.append(dict(request.headers))
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield f"http://127.0.0.1:{port}", requests, arrived
    finally:
        await runner.cleanup()
