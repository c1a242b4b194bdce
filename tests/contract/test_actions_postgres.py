"""The operators' log on a real Postgres: appended and chained (S8).

A change of a row is found.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from conftest import own_database
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit.actions import FORGED, START, Action, ActionLog
from app.domain.errors import RateLimited

SECRET = b"a secret for the tests of actions"


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    """A chain of these tests' own: it is tampered with."""
    with own_database(database_url, "actions") as url:
        yield url


@pytest_asyncio.fixture
async def own_engine(own_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(own_url)
    yield engine
    for table in ("actions", "actions_head"):
        await past_the_trigger(engine, f"TRUNCATE {table}")
    await engine.dispose()


@pytest_asyncio.fixture
async def nowhere() -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    yield engine
    await engine.dispose()


def an_action(subject: str, *, reason: str = "a test", outcome: str = "ok") -> Action:
    return Action(actor="os:ada@host", action="kill provider", subject=subject, reason=reason, outcome=outcome)


def log_on(engine: AsyncEngine, folder: Path, secret: bytes = SECRET) -> ActionLog:
    return ActionLog(engine, secret=secret, notes=folder / "actions.jsonl")


async def past_the_trigger(engine: AsyncEngine, statement: str) -> None:
    """As the owner of the database."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text(statement))


async def test_actions_are_chained_and_the_chain_is_whole(own_engine: AsyncEngine, tmp_path: Path) -> None:
    log = log_on(own_engine, tmp_path)
    assert await log.verify() == (await log.verify())
    assert (await log.verify()).head == f"0:{START}"
    await asyncio.gather(*(log_on(own_engine, tmp_path / str(n)).append(an_action(f"name=p{n}")) for n in range(8)))
    verdict = await log.verify()
    assert (verdict.count, verdict.problems) == (8, ())
    newest = await log.newest(3)
    assert [row.number for row in newest] == [8, 7, 6]
    assert (newest[0].actor, newest[0].action, newest[0].reason, newest[0].outcome) == (
        "os:ada@host",
        "kill provider",
        "a test",
        "ok",
    )
    head = verdict.head
    await log.append(an_action("name=later"))
    assert not (await log.verify(head=head)).problems
    assert (await log.verify(head="8:" + "f" * 64)).problems


@pytest.mark.parametrize(
    "statement", ["UPDATE actions SET reason = 'x'", "DELETE FROM actions", "TRUNCATE actions", "DELETE FROM actions_head"]
)
async def test_the_database_refuses_every_change_but_a_new_row(own_engine: AsyncEngine, tmp_path: Path, statement: str) -> None:
    await log_on(own_engine, tmp_path).append(an_action("name=one"))
    with pytest.raises(DBAPIError, match="append-only"):
        async with own_engine.begin() as connection:
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE actions SET reason = 'another' WHERE number = 2", "action 2 is not what was written"),
        ("UPDATE actions SET at = at + interval '1 hour' WHERE number = 4", "action 4 is not what was written"),
        ("DELETE FROM actions WHERE number = 2", "action 2 is missing"),
        ("DELETE FROM actions WHERE number = 1", "action 1 is missing"),
        ("DELETE FROM actions WHERE number = 4", "the chain ends at 3, its head says 4"),
        ("DELETE FROM actions", "the chain ends at 0, its head says 4"),
        ("DELETE FROM actions_head", "the chain ends at 4, its head says 0"),
        (
            "INSERT INTO actions SELECT 5, gen_random_uuid(), at, actor, action, '', '', '', mac FROM actions WHERE number = 4",
            "action 5 is not what was written",
        ),
    ],
)
async def test_the_owner_of_the_database_cannot_touch_it_unseen(
    own_engine: AsyncEngine, tmp_path: Path, statement: str, problem: str
) -> None:
    log = log_on(own_engine, tmp_path)
    for n in range(4):
        await log.append(an_action(f"name=p{n}"))
    await past_the_trigger(own_engine, statement)
    assert any(problem in found for found in (await log.verify()).problems)


async def test_a_whole_database_put_back_is_seen_by_a_head_noted_elsewhere(own_engine: AsyncEngine, tmp_path: Path) -> None:
    log = log_on(own_engine, tmp_path)
    await log.append(an_action("name=one"))
    async with own_engine.connect() as connection:
        old = (await connection.execute(text("SELECT number, mac FROM actions_head"))).one()
    await log.append(an_action("name=two"))
    noted = (await log.verify()).head
    await past_the_trigger(own_engine, "DELETE FROM actions WHERE number = 2")
    put_back = f"UPDATE actions_head SET number = {old.number}, mac = '{old.mac}'"  # noqa: S608 - our own head
    await past_the_trigger(own_engine, put_back)
    assert not (await log.verify()).problems, "the chain alone cannot see it"
    assert (await log.verify(head=noted)).problems


async def test_without_the_secret_no_written_chain_holds(own_engine: AsyncEngine, tmp_path: Path) -> None:
    await log_on(own_engine, tmp_path, b"another secret").append(an_action("name=one"))
    assert (await log_on(own_engine, tmp_path).verify()).problems


async def test_what_was_done_without_postgres_is_noted_and_chained_once(
    own_engine: AsyncEngine, nowhere: AsyncEngine, tmp_path: Path
) -> None:
    away, back = log_on(nowhere, tmp_path), log_on(own_engine, tmp_path)
    notes = tmp_path / "actions.jsonl"
    assert not await away.append(an_action("name=first"))
    assert not await away.append(an_action("name=second"))
    assert (len(notes.read_text().splitlines()), notes.stat().st_mode & 0o077) == (2, 0)
    kept = notes.read_text()
    assert await back.append(an_action("name=third"))
    assert notes.read_text() == ""
    notes.write_text(kept)  # as if we had died before the file was emptied
    assert await back.append(an_action("name=fourth"))
    rows = list(reversed(await back.newest(9)))
    assert [row.subject for row in rows] == ["name=first", "name=second", "name=third", "name=fourth"]
    assert [row.reason for row in rows[:2]] == ["a test (noted while Postgres was away)"] * 2
    assert not (await back.verify()).problems


async def test_a_note_that_was_not_ours_goes_into_the_chain_as_forged(
    own_engine: AsyncEngine, nowhere: AsyncEngine, tmp_path: Path
) -> None:
    await log_on(nowhere, tmp_path).append(an_action("name=first"))
    notes = tmp_path / "actions.jsonl"
    line = json.loads(notes.read_text())
    line["action"] = line["action"].replace("name=first", "name=other")
    notes.write_text(json.dumps(line) + "\nno json\n")
    log = log_on(own_engine, tmp_path)
    await log.append(an_action("name=second"))
    assert [row.outcome for row in await log.newest(9)] == ["ok", FORGED, FORGED]
    assert not (await log.verify()).problems


async def test_the_same_foreign_line_twice_does_not_stop_the_log(own_engine: AsyncEngine, tmp_path: Path) -> None:
    (tmp_path / "actions.jsonl").write_text("no json\nno json\n")
    log = log_on(own_engine, tmp_path)
    assert await log.append(an_action("name=one"))
    assert [row.outcome for row in await log.newest(9)] == ["ok", FORGED]
    assert not (await log.verify()).problems


async def test_an_action_with_a_pause_is_done_once_in_it_however_many_operators_try(
    own_engine: AsyncEngine, tmp_path: Path
) -> None:
    log, pause = log_on(own_engine, tmp_path), timedelta(minutes=1)
    tries = (log.write(an_action(f"n={n}"), pause=pause) for n in range(8))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
    assert (len(refused), outcomes.count(None)) == (7, 1)
    assert all(0 < (one.retry_after or 0) <= 60 for one in refused)
    await log.write(an_action("no pause is needed"))
    later = replace(an_action("later"), at=datetime.now(UTC) + timedelta(seconds=61))
    await log.write(later, pause=pause)
    assert (await log.verify()).problems == ()
    assert len(await log.newest(10)) == 3
