"""The live release on real Postgres and Valkey (B1, B2, B3)."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import Misconfigured
from app.releases.effective import Effect
from app.releases.manifest import Places
from app.releases.releases import WORKERS, Releases, ever_live
from app.releases.tables import activations, manifests, metadata

PRICES = """
version = "p1"
effective = 2026-11-01
unit = "micro-USD per million tokens"
sources = ["made up"]
price = [{ provider = "openai", model = "m", input = 2, output = 4, cached_input = 1, cache_write = 3 }]
"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database of our own: other tests have a live release in theirs."""
    url = make_url(database_url)
    admin = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text("CREATE DATABASE releases_contract"))
    engine = create_async_engine(url.set(database="releases_contract"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()
    async with admin.connect() as connection:
        await connection.execute(text("DROP DATABASE releases_contract"))
    await admin.dispose()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(own_engine: AsyncEngine) -> AsyncEngine:
    """Nothing was ever live."""
    async with own_engine.begin() as connection:
        await connection.execute(delete(activations))
        await connection.execute(delete(manifests))
    return own_engine


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A numbered database of our own, for other tests' workers report in theirs."""
    client = Redis.from_url(valkey_url.removesuffix("/0") + "/9", decode_responses=True)
    await client.delete(WORKERS)
    yield client
    await client.aclose()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Releases a, b and c, which resolve."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    for release_id in "abc":
        write(tmp_path, release_id)
    return Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset({"openai"}))


def write(folder: Path, release_id: str, extra: str = "") -> None:
    (folder / f"{release_id}.toml").write_text(f"""
id = "{release_id}"
created = 2026-11-01
note = "n"
code = "0.1.0"
prices = {{ file = "prices/p1.toml", sha256 = "{hashlib.sha256(PRICES.encode()).hexdigest()}" }}
{extra}
[routes.smart]
targets = [{{ provider = "openai", model = "m" }}]
max_output_tokens = 10
""")


@asynccontextmanager
async def worker(
    engine: AsyncEngine, valkey: Redis, places: Places, name: str = "w", poll: float = 0.1
) -> AsyncIterator[Releases]:
    releases = Releases(engine, valkey, places, poll=poll)
    releases._worker = name
    await releases.start()
    try:
        yield releases
    finally:
        await releases.aclose()


async def within(seconds: float, holds: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + seconds, f"did not hold within {seconds} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def test_with_nothing_live_a_start_says_which_command_helps(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    with pytest.raises(Misconfigured, match="octant release activate ID"):
        await Releases(engine, valkey, places).start()


async def test_an_activation_reaches_every_worker_at_once_by_announcement(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """B2: the poll is far too slow here to be what carries it."""
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    async with worker(engine, valkey, places, "one", poll=60) as one, worker(engine, valkey, places, "two", poll=60) as two:
        await within(5, lambda: one._listening.is_set() and two._listening.is_set())
        await operator.activate("b", by="ada", reason="better")
        assert await within(2, lambda: one.current.id == two.current.id == "b") < 2
        await within(2, lambda: one.current.id == "b")
        async with asyncio.timeout(5):  # a worker reports after it has changed
            while await operator.workers() != {"one": "b", "two": "b"}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_without_valkey_a_rollback_still_reaches_the_workers_by_their_poll(engine: AsyncEngine, places: Places) -> None:
    """B2: a dead Valkey costs the announcement, nothing else."""
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    operator = Releases(engine, away, places)
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    async with worker(engine, away, places) as one:
        assert one.current.id == "b"
        assert await operator.rollback(by="ada", reason="worse") == "a"
        await within(5, lambda: one.current.id == "a")
    await away.aclose()


async def test_a_call_keeps_the_release_that_it_began_with(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B2."""
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    async with worker(engine, valkey, places) as one:
        pin = one.pin("smart")
        await operator.activate("b", by="ada", reason="better")
        await within(5, lambda: one.current.id == "b")
        assert (pin.release, one.pin("smart").release) == ("a", "b")


async def test_a_release_that_does_not_resolve_changes_nothing(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B3."""
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    write(places.directory, "b", '[indexes]\nkb = "kb-0"')
    with pytest.raises(Misconfigured, match="octant index build"):
        await operator.activate("b", by="ada", reason="better")
    assert [a.release for a in await operator.history()] == ["a"]
    assert await ever_live(engine) == {"a"}


async def test_a_release_that_was_changed_after_it_was_live_is_refused(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """B1: immutable. The live release keeps its content."""
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    write(places.directory, "a", "# one more line")
    with pytest.raises(Misconfigured, match="A release is immutable"):
        await operator.activate("a", by="ada", reason="again")
    async with worker(engine, valkey, places) as one:
        assert "one more line" not in one.current.text


async def test_a_release_goes_live_again_although_its_file_is_gone(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B2: the texts of earlier releases are kept; at 3 a.m. no operator has to find a file."""
    operator = Releases(engine, valkey, places)
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    (places.directory / "a.toml").unlink()
    assert await operator.rollback(by="ada", reason="worse") == "a"


async def test_a_worker_that_cannot_load_the_new_release_serves_the_old_and_keeps_trying(
    engine: AsyncEngine, valkey: Redis, places: Places, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The index is on the operator's machine and still on its way to the worker's."""
    write(places.directory, "b", '[indexes]\nkb = "kb-1"')
    arrived = tmp_path_factory.mktemp("operator")
    (arrived / "kb-1.sqlite").touch()
    operator = Releases(engine, valkey, replace(places, indexes=arrived))
    await operator.activate("a", by="ada", reason="first")
    async with worker(engine, valkey, places) as one:
        await operator.activate("b", by="ada", reason="new index")
        await within(5, lambda: one._refused == "b")
        assert one.current.id == "a"
        assert await operator.workers() == {"w": "a"}
        (places.indexes / "kb-1.sqlite").touch()
        await within(5, lambda: one.current.id == "b")


async def test_rolling_back_twice_goes_back_twice_and_then_says_that_there_is_no_more(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = Releases(engine, valkey, places)
    for release in "abc":
        await operator.activate(release, by="ada", reason="r")
    assert [await operator.rollback(by="ada", reason="worse") for _ in range(2)] == ["b", "a"]
    with pytest.raises(Misconfigured, match="no earlier release"):
        await operator.rollback(by="ada", reason="worse")
    assert (await operator.history())[0].release == "a"


async def test_operators_who_roll_back_at_the_same_time_build_on_each_other(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = Releases(engine, valkey, places)
    for release in "abc":
        await operator.activate(release, by="ada", reason="r")
    targets = await asyncio.gather(*(operator.rollback(by=name, reason="worse") for name in ("ada", "grace")))
    assert sorted(targets) == ["a", "b"]
    assert [(a.release, a.previous) for a in await operator.history(limit=2)] == [("a", "b"), ("b", "c")]


async def test_a_rollback_to_what_was_never_live_is_refused(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    with pytest.raises(Misconfigured, match="never live: activate it instead"):
        await operator.rollback(by="ada", reason="r", to="b")


async def test_the_history_says_who_changed_what_and_why_newest_first(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    await operator.activate("b", by="grace", reason="better")
    await operator.rollback(by="ada", reason="worse")
    history = [(a.kind, a.release, a.previous, a.by, a.reason) for a in await operator.history()]
    assert history == [
        ("rollback", "a", "b", "ada", "worse"),
        ("activate", "b", "a", "grace", "better"),
        ("activate", "a", None, "ada", "first"),
    ]


async def test_a_worker_that_is_gone_is_not_counted(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    await valkey.hset(WORKERS, mapping={"crashed": '{"release": "z", "at": 1}'})
    async with worker(engine, valkey, places):
        assert await operator.workers() == {"w": "a"}
        assert await valkey.hkeys(WORKERS) == ["w"]
    assert await operator.workers() == {}


async def test_a_worker_stops_promptly_at_any_moment(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """Also while it subscribes, when the client loses a cancellation."""
    operator = Releases(engine, valkey, places)
    await operator.activate("a", by="ada", reason="first")
    for turns in range(0, 60, 4):
        releases = Releases(engine, valkey, places)
        await releases.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(releases.aclose(), 30)
    assert await operator.workers() == {}


async def test_a_release_with_future_prices_is_refused_and_an_earlier_one_can_return(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """C2: the refusal comes before any change and names the day.

    Going back never fails for it.
    """
    day = date(2026, 11, 1)
    early = Releases(engine, valkey, places, today=lambda: day - timedelta(days=1))
    with pytest.raises(Misconfigured, match=r"takes effect on 2026-11-01; today is 2026-10-31 \(UTC\)"):
        await early.activate("a", by="tests", reason="too early")
    assert await early.history() == []
    in_time = Releases(engine, valkey, places, today=lambda: day)
    for release_id in ("a", "b"):
        await in_time.activate(release_id, by="tests", reason="in time")
    assert await early.rollback(by="tests", reason="the clock went back") == "a"


async def test_a_live_release_says_when_its_prices_are_superseded(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """C2: the day comes while it is live, and a newer table is there."""
    today = date(2026, 11, 30)
    releases = Releases(engine, valkey, places, today=lambda: today)
    await releases.activate("a", by="tests", reason="live")
    await releases.start()
    try:
        (places.prices / "p2.toml").write_text(PRICES.replace("p1", "p2").replace("2026-11-01", "2026-12-01"))
        assert releases.price_effect() == Effect("in_effect")
        today = date(2026, 12, 1)
        assert releases.price_effect() == Effect("superseded", "p2")
    finally:
        await releases.aclose()


async def test_an_alias_of_embeddings_cannot_change_its_vectors(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """Clients' indexes hold the vectors of a release that is long gone; a rollback is never refused."""

    def alias(space: str) -> str:
        target = '{ provider = "openai", model = "m" }'
        return f'[embeddings.vectors]\nspace = "m"\ndimensions = {space}\ntargets = [{target}]\n'

    for name, extra in (("e1", alias("3")), ("e2", ""), ("e3", alias("6")), ("e4", alias("3"))):
        write(places.directory, name, extra)
    operator = Releases(engine, valkey, places)
    for name in ("e1", "e2"):
        await operator.activate(name, by="ada", reason="tests")
    with pytest.raises(Misconfigured, match="an alias of its own"):
        await operator.activate("e3", by="ada", reason="tests")
    await operator.activate("e4", by="ada", reason="tests")
    assert await operator.rollback(by="ada", reason="tests") == "e2"
