"""The hand-over message on a real Postgres: complete, and sent once for each change of the shift."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from conftest import own_database
from paged import paging_engine, plant_page
from rotas import rotation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.money import from_dollars
from app.oncall.incidents.duty import RotationDuties
from app.oncall.incidents.handoff import LATE, Handoff, Handoffs, handoff, last_change, message, next_change
from app.oncall.incidents.store import Incidents
from app.oncall.stops import Entry, PostgresStops

CAP = from_dollars("100.00")
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday


def weekly() -> RotationDuties:
    """Two levels, which change on Mondays at nine, UTC."""
    return RotationDuties(rotation(timezone="UTC"))


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "handoff") as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[AsyncEngine]:
    async with paging_engine(own_url) as engine:
        yield engine
        async with engine.begin() as connection:
            await connection.execute(text("TRUNCATE incidents, pages, stops, manifests, handoffs CASCADE"))


async def test_a_message_names_all_that_is_open_and_says_none_where_nothing_is(own: AsyncEngine) -> None:
    at = datetime.now(UTC)
    empty = message(await handoff(own, weekly(), at, cap=CAP))
    parts = ("Open incidents", "Open pages", "Silences", "Stopped by the kill switch", "Live release", "Canary")
    assert [line for line in empty.splitlines() if line.endswith(": none")] == [f"{part}: none" for part in parts]
    await Incidents(own, clean=str).open("answers are late", "sev2", by="ada", commander="bob")
    await plant_page(own, at, person="ada")
    await plant_page(own, at, alert="OctantTest", test=True)
    await plant_page(own, at, alert="OctantOver", dedup_key="over", status="resolved")
    stop = Entry(scope="provider", name="x", stopped=True, by="ada", reason="outage", at=at.isoformat(), version=1)
    released = Entry(scope="provider", name="y", stopped=False, by="ada", reason="", at=at.isoformat(), version=1)
    await PostgresStops(own).write([stop, released])
    async with own.begin() as connection:
        await connection.execute(text("INSERT INTO manifests VALUES ('r1', 'x', 'x'), ('r2', 'x', 'x')"))
        await connection.execute(
            text("INSERT INTO activations (release, kind, by, reason) VALUES ('r1', 'activate', 'ada', 'old')")
        )
        await connection.execute(
            text(
                "INSERT INTO canaries (release, against, state, shares, tenants, limits, cap, by, reason, deadline)"
                " VALUES ('r2', 'r1', 'running', '{0.01,0.1}', '{}', '{}', 1, 'ada', 'try', :at)"
            ),
            {"at": at},
        )
    words = message(await handoff(own, weekly(), at, cap=CAP))
    for part in (
        "(sev2, commander bob) answers are late", "OctantBreakerOpen, triggered, ada", "provider x, since", "r1, since",
        "(activate by ada): old",
        "r2 beside r1 at 0.1, by ada", "$0 of $100.00 spent today", "0, 0 failed",
    ):  # fmt: skip
        assert part in words, words
    assert [name for name in ("OctantTest", "OctantOver", "provider y") if name in words] == []


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (None, "$10.00 of $100.00 spent today, 40% of it by midnight at this pace"),
        (15_000_000, "$10.00 of $100.00 spent today, 25% of it by midnight at this pace, the most that the caps allow"),
        (10**9, "$10.00 of $100.00 spent today, 40% of it by midnight at this pace"),
    ],
)
def test_the_pace_ends_at_what_the_tenants_caps_allow(allowed: int | None, words: str) -> None:
    six = NINE.replace(hour=6)
    found = Handoff(at=six, people=(), until=None, after=(), state=(), spent=from_dollars("10"), cap=CAP, allowed=allowed,
                    alerts=(), calls=0, failed=0)  # fmt: skip
    assert f"  {words}\n" in message(found)


def test_changes_are_found_on_both_sides() -> None:
    assert next_change(weekly(), NINE - timedelta(minutes=1)) == NINE
    assert next_change(weekly(), NINE) == NINE + timedelta(weeks=1)
    assert last_change(weekly(), NINE + timedelta(minutes=1)) == NINE
    assert last_change(weekly(), NINE + LATE + timedelta(minutes=15)) is None


async def test_one_worker_sends_a_change_once_and_a_refusal_is_tried_again(own: AsyncEngine) -> None:
    sent: list[str] = []
    takes = False

    async def send(title: str, words: str) -> bool:
        sent.append(f"{title}\n{words}")
        await asyncio.sleep(0.05)
        return takes

    at = NINE + timedelta(minutes=3)

    async def duties(_: datetime) -> RotationDuties:
        return weekly()

    workers = [Handoffs(own, duties, send, cap=CAP, clean=lambda words: words + " CLEAN", now=lambda: at) for _ in range(3)]
    assert await workers[0].round() is False
    takes = True
    assert sorted(await asyncio.gather(*(worker.round() for worker in workers))) == [False, False, True]
    assert await workers[1].round() is False
    assert len(sent) == 2
    assert sent[1].endswith("CLEAN")
    assert "On duty: Bob, then Dan, until 2026-11-30 09:00 UTC\nNext: Ann, then Cat" in sent[1]
    at = NINE + timedelta(days=1)
    assert await workers[0].round() is False
