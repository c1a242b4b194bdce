"""Actions of the pager: send a test page, drill an alert, acknowledge a page, and resolve it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from app.console import formats
from app.console.acting import Act, Asked, Choices
from app.console.console import Console, Elsewhere
from app.console.sessions import Session
from app.domain.errors import InvalidRequest
from app.oncall.paging import drilled
from app.oncall.paging.alarms import NO_RECEIVER, AlertmanagerMessage, alarm_for_test, alarm_of
from app.oncall.paging.pages import Page
from app.oncall.paging.paging import Paging
from app.oncall.runbook.pages import read

BACK = "/console/oncall"
MOST_OPEN = 200


def actions(console: Console) -> Iterator[Act]:
    """Send a test page, drill an alert, acknowledge a page, and resolve it."""
    pages = console.parts.pages

    async def ask_ack(values: Mapping[str, str]) -> Asked:
        page = await pages.find(values["page"])
        return Asked(
            title=f"Acknowledge {page.alert}", strong=False, button="Acknowledge",
            effect=f"You will have it once you press the button below: no further level will be called then, until the"
            f" acknowledgement ends. {page.summary}",
            command=f"octant oncall ack {str(page.id)[:8]}",
        )  # fmt: skip

    async def acknowledge(values: Mapping[str, str], _: str, session: Session) -> str:
        page = await pages.find(values["page"])
        done = await pages.acknowledge(page.id, by=session.actor)
        return f"{done.alert} is acknowledged until {formats.utc(done.ack_expires_at)}."

    async def ask_resolve(values: Mapping[str, str]) -> Asked:
        page = await pages.find(values["page"])
        return Asked(
            title=f"Resolve {page.alert}", button="Resolve",
            effect=f"The page will end for every receiver; an alert that still fires will page again."
            f" {_unanswered(page)}{page.summary}",
            command=f"octant oncall page resolve {str(page.id)[:8]}",
        )  # fmt: skip

    async def resolve(values: Mapping[str, str], _: str, session: Session) -> str:
        page = await pages.find(values["page"])
        done = await pages.resolve(page.id, by=session.actor)
        return f"{done.alert} is resolved."

    async def choices(_: Mapping[str, str]) -> Choices:
        return {"page": [(str(page.id), f"{page.alert}, {page.status}") for page in await pages.newest()]}

    yield _test(console)
    yield _drill(console)
    yield Act(
        name="oncall-ack", fields=("page",), ask=ask_ack, do=acknowledge, back=BACK, reasoned=False,
        label="Acknowledge", choices=choices,
    )  # fmt: skip
    yield Act(
        name="oncall-page-resolve", fields=("page",), ask=ask_resolve, do=resolve, back=BACK, label="Resolve", choices=choices,
    )  # fmt: skip


def _test(console: Console) -> Act:
    """A page that only tests the pager."""
    pages = console.parts.pages

    async def ask_test(_: Mapping[str, str]) -> Asked:
        if console.parts.paging is None:
            raise InvalidRequest(NO_RECEIVER)
        if any(page.test for page in await pages.newest(resolved=False, limit=MOST_OPEN)):
            raise Elsewhere("/console/oncall#pages")  # that one is there, with its buttons
        return Asked(
            title="Send a test page", strong=False, button="Send it",
            effect="It will call the person on duty, and without an answer the next level, as a real page does. The time to the"
            " acknowledgement will be kept, and counts in no figure of real pages. Nothing is broken. A person has to"
            " acknowledge it, with its button on the On-call page or `octant oncall ack PAGE`; in a demo that is you, and its"
            " terminal has the page. Until then Readiness will have a gap, and after 15 minutes a failure.",
            command="octant oncall page --test",
        )  # fmt: skip

    async def test(_values: Mapping[str, str], _: str, session: Session) -> str:
        await pages.take(alarm_for_test(session.actor))
        return "The test page is on its way. Acknowledge it below, as the person on call does; then resolve it."

    return Act(
        name="oncall-page", fields=(), ask=ask_test, do=test, back=BACK, label="Send a test page", typed="oncall page --test"
    )


def _drill(console: Console) -> Act:
    """An alert as Alertmanager would post it, taken in by what answers its webhook."""

    def paging() -> Paging:
        drilled.allowed(console.parts.environment)
        if console.parts.paging is None:
            raise InvalidRequest(NO_RECEIVER)
        return console.parts.paging

    async def ask(_: Mapping[str, str]) -> Asked:
        paging()
        return Asked(
            title="Drill an alert", strong=False, button="Drill it",
            effect=f"The service will take {drilled.DEFAULT} in as it takes a message of Alertmanager's: a page will call the"
            " person on duty, and without an answer the next level; its link leads to the runbook; and an incident will be open."
            " All will be marked as a drill and count in no figure. Nothing is broken. End the page and the incident with"
            " their buttons.",
            command='octant oncall drill --reason "…"',
        )  # fmt: skip

    async def do(_: Mapping[str, str], _reason: str, _session: Session) -> str:
        pages = await asyncio.to_thread(read)
        body = drilled.message_of(drilled.DEFAULT, pages, datetime.now(UTC))
        event = await paging().take(alarm_of(AlertmanagerMessage.model_validate_json(json.dumps(body))))
        came = "open already" if event == drilled.AGAIN else event
        return f"{drilled.DEFAULT} is {came}: acknowledge its page below, follow its link, and see its incident."

    return Act(name="oncall-drill", fields=(), ask=ask, do=do, back=BACK, label="Drill an alert")


def _unanswered(page: Page) -> str:
    """A warning before a test page is resolved that has no answer; empty for others."""
    if not page.test or page.acknowledged_at:
        return ""
    return "It was not acknowledged: resolved now, this test counts as one without an answer, a failure in Readiness. "
