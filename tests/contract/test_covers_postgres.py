"""Covers in a real Postgres, and in a file while it is away (P1)."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from rotas import BERLIN, DATA, rotation, text
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import InvalidRequest
from app.oncall.incidents.duty import duties_from
from app.oncall.incidents.handoff import LATE, last_change, next_change
from app.oncall.incidents.report import hours_of
from app.oncall.rota.covers import FILE, Cover, Covers, current, refuse_bad, stand_in
from app.oncall.rota.shifts import duties
from app.oncall.rota.tables import covers

NOON = datetime(2026, 11, 24, 12, tzinfo=BERLIN)  # bob is at level 1, dan at level 2
EVENING = NOON + timedelta(hours=6)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def empty(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with engine.begin() as connection:
        await connection.execute(delete(covers))
    yield engine
    async with engine.begin() as connection:
        await connection.execute(delete(covers))


@pytest_asyncio.fixture
async def away() -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    yield engine
    await engine.dispose()


def cover(instead_of: str = "bob", by: str = "ann", minutes: int = 0, **changes: object) -> Cover:
    """From noon until the evening, entered ``minutes`` after noon."""
    about = {"begins_at": NOON, "ends_at": EVENING, "entered_by": "os:ada@host", "entered_at": NOON + timedelta(minutes=minutes)}
    return Cover(instead_of=instead_of, by=by, **(about | changes))  # type: ignore[arg-type]


async def called(store: Covers, at: datetime, since: datetime = LONG_AGO) -> list[str]:
    r, _ = await current(rotation(), store, since=since)
    return [duty.key for duty in duties(r, at)]


async def test_a_cover_holds_at_once_and_ends_by_itself(empty: AsyncEngine, tmp_path: Path) -> None:
    store = Covers(empty, file=tmp_path / FILE)
    assert await store.add(cover())
    assert await called(store, NOON - timedelta(minutes=1)) == ["bob", "dan"]
    assert await called(store, NOON) == ["ann", "dan"]
    assert await called(store, EVENING) == ["bob", "dan"]
    assert not (tmp_path / FILE).exists()


async def test_a_reason_with_any_line_end_in_it_costs_no_cover(away: AsyncEngine, tmp_path: Path) -> None:
    """A pasted text may hold ends of lines that are none to the file."""
    store = Covers(away, file=tmp_path / FILE)
    await store.add(cover(reason="bob is ill\u2028until\x85the evening\n"))
    assert await called(store, NOON) == ["ann", "dan"]


async def test_reports_and_the_hand_over_message_count_covers(empty: AsyncEngine, tmp_path: Path) -> None:
    """A past cover counts in the report of its week, one under way in the message and at its end."""
    file, store = tmp_path / "rotation.yaml", Covers(empty, file=tmp_path / FILE)
    file.write_text(text())
    week, night = NOON.replace(hour=0) - timedelta(days=1), timedelta(days=1)
    before = hours_of(await duties_from(file, store)(week), week, week + 7 * night)
    await store.add(cover())
    after = await duties_from(file, store)(week)
    hours = hours_of(after, week, week + 7 * night)
    assert (hours["Ann"][0] - before["Ann"][0], hours["Bob"][0] - before["Bob"][0]) == (6.0, -6.0)
    assert (after.people(NOON), after.people(EVENING)) == (["Ann", "Dan"], ["Bob", "Dan"])
    assert next_change(after, NOON) == EVENING
    ended = await duties_from(file, store)(EVENING + timedelta(minutes=1) - LATE)
    assert last_change(ended, EVENING + timedelta(minutes=1)) == EVENING


async def test_a_later_list_changes_no_duty_of_a_past_week(empty: AsyncEngine, tmp_path: Path) -> None:
    """The person who had the pager then stays in the report, although the file gives the turns to others now."""
    file, store = tmp_path / "rotation.yaml", Covers(empty, file=tmp_path / FILE)
    file.write_text(text())
    await store.add(cover())
    week, end = NOON - timedelta(days=7), NOON + timedelta(days=3)
    then = hours_of(await duties_from(file, store)(week), week, end)
    later = {"from": "2026-12-07", "people": ["dan", "cat"]}
    file.write_text(text(layers={name: [*lists, later] for name, lists in DATA["layers"].items()}))
    now = await duties_from(file, store)(week)
    assert hours_of(now, week, end) == then
    assert now.people(NOON + timedelta(days=14)) == ["Dan", "Dan"]


async def test_without_postgres_the_covers_that_were_read_last_hold_on(
    empty: AsyncEngine, away: AsyncEngine, tmp_path: Path
) -> None:
    store = Covers(empty, file=tmp_path / FILE)
    await store.add(cover())
    assert await called(store, NOON) == ["ann", "dan"]
    store._engine = away
    assert await called(store, NOON) == ["ann", "dan"]
    assert await called(store, EVENING) == ["bob", "dan"]


async def test_a_cover_of_the_one_who_covers_is_stronger(empty: AsyncEngine, tmp_path: Path) -> None:
    store = Covers(empty, file=tmp_path / FILE)
    await store.add(cover("ann", "cat", minutes=5))
    await store.add(cover("bob", "ann"))
    assert await called(store, NOON) == ["cat", "dan"], "in the order of entry, not of the rows"


async def test_covers_that_have_ended_are_read_only_for_a_report_of_their_time(empty: AsyncEngine, tmp_path: Path) -> None:
    store = Covers(empty, file=tmp_path / FILE)
    await store.add(cover())
    assert (await store.all(since=EVENING))[0] == []
    assert [c.by for c in (await store.all(since=LONG_AGO))[0]] == ["ann"]


async def test_without_postgres_a_cover_is_in_the_file_and_later_goes_over_once(
    empty: AsyncEngine, away: AsyncEngine, tmp_path: Path
) -> None:
    file = tmp_path / "state" / FILE
    apart, back = Covers(away, file=file), Covers(empty, file=file)
    assert not await apart.add(cover())
    assert (await apart.all(since=LONG_AGO))[1] is False
    assert await called(apart, NOON) == ["ann", "dan"], "it holds on this machine"
    assert file.stat().st_mode & 0o077 == 0
    assert await back.add(cover("dan", "cat", minutes=1))
    assert not file.exists()
    assert await called(Covers(empty, file=tmp_path / "another machine"), NOON) == ["ann", "cat"]
    assert await back.add(cover("dan", "cat", minutes=2))
    assert len((await back.all(since=LONG_AGO))[0]) == 3


async def test_a_file_with_broken_lines_keeps_its_good_ones(tmp_path: Path) -> None:
    store = Covers(None, file=tmp_path / FILE)
    await store.add(cover())
    with (tmp_path / FILE).open("a") as out:
        out.write('{"id": "half\n[]\n\n{"instead_of": "bob"}\n')
    await store.add(cover("dan", "cat", minutes=1))
    assert [c.by for c in (await store.all(since=LONG_AGO))[0]] == ["ann", "cat"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instead_of": "eve"}, "eve is no person of the rotation: one of ann, bob, cat, dan"),
        ({"by": "eve"}, "eve is no person"),
        ({"by": "bob"}, "cannot cover for the same person"),
        ({"instead_of": "ann", "by": "bob"}, "ann is not on call in that time"),
        ({"ends_at": NOON - timedelta(minutes=1)}, "ends after it begins"),
        ({"ends_at": NOON + timedelta(days=15)}, "at most 14 days"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cover_that_would_mislead_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        refuse_bad(rotation(), dataclasses.replace(cover(), **change), NOON)  # type: ignore[arg-type]


def test_the_next_free_person_of_the_list_covers_by_default() -> None:
    assert stand_in(rotation(), "bob", NOON, EVENING) == "ann"
    layers = {**DATA["layers"], "agency": [{"from": "2026-11-02", "people": ["cat", "bob", "dan", "ann"]}]}
    assert stand_in(rotation(layers=layers), "bob", NOON - timedelta(weeks=2), EVENING - timedelta(weeks=2)) == "ann", (
        "dan is busy"
    )
    with pytest.raises(InvalidRequest, match="not on call"):
        stand_in(rotation(), "ann", NOON, EVENING)
    alone = {**DATA["layers"], "agency": [{"from": "2026-11-02", "people": ["bob"]}]}
    with pytest.raises(InvalidRequest, match="--by"):
        stand_in(rotation(layers=alone), "bob", NOON, EVENING)
