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
from manifests import PRICES, prove, write
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import Misconfigured
from app.releases import evaluations, files, reports
from app.releases.effective import Effect
from app.releases.history import ever_live
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.releases.reports import Report
from app.releases.reports import write as report
from app.releases.setting_back import Pinned
from app.releases.tables import activations, manifests, metadata, release_files, worker_reports


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database of our own: other tests have a live release in theirs."""
    url = make_url(database_url)
    admin = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text("CREATE DATABASE releases_contract"))
    engine = create_async_engine(url.set(database="releases_contract"))
    async with engine.begin() as connection:
        for tables in (metadata, evaluations.metadata):
            await connection.run_sync(tables.create_all)
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
        for table in (manifests, release_files, worker_reports):
            await connection.execute(delete(table))
    return own_engine


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A numbered database of our own, for other tests' workers report in theirs."""
    client = Redis.from_url(valkey_url.removesuffix("/0") + "/9", decode_responses=True)
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


@asynccontextmanager
async def worker(
    engine: AsyncEngine, valkey: Redis, places: Places, name: str = "w", poll: float = 0.1
) -> AsyncIterator[Releases]:
    releases = Releases(engine, valkey, places, secret=b"tests", poll=poll)
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
        await Releases(engine, valkey, places, secret=b"tests").start()


async def test_an_activation_reaches_every_worker_at_once_by_announcement(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """B2: the poll is far too slow here to be what carries it."""
    operator = Releases(engine, valkey, places, secret=b"tests")
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
    operator = Releases(engine, away, places, secret=b"tests")
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    async with worker(engine, away, places) as one:
        assert one.current.id == "b"
        assert await operator.rollback(by="ada", reason="worse") == "a"
        await within(5, lambda: one.current.id == "a")
    await away.aclose()


async def test_a_call_keeps_the_release_that_it_began_with(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B2."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    async with worker(engine, valkey, places) as one:
        pin = one.pin("smart")
        await operator.activate("b", by="ada", reason="better")
        await within(5, lambda: one.current.id == "b")
        assert (pin.release, one.pin("smart").release) == ("a", "b")


async def test_a_release_that_does_not_resolve_changes_nothing(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B3."""
    operator = Releases(engine, valkey, places, secret=b"tests")
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
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    write(places.directory, "a", "# one more line")
    with pytest.raises(Misconfigured, match="A release is immutable"):
        await operator.activate("a", by="ada", reason="again")
    async with worker(engine, valkey, places) as one:
        assert "one more line" not in one.current.text


async def test_a_release_goes_live_again_although_its_file_is_gone(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """B2: the texts of earlier releases are kept; at 3 a.m. no operator has to find a file."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    (places.directory / "a.toml").unlink()
    assert await operator.rollback(by="ada", reason="worse") == "a"


async def test_a_worker_that_cannot_load_the_new_release_serves_the_old_and_keeps_trying(
    engine: AsyncEngine,
    valkey: Redis,
    places: Places,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The index is too large to be kept, and still on its way from the operator's machine to the worker's."""
    monkeypatch.setattr(files, "MOST_BYTES", 0)
    write(places.directory, "b", '[indexes]\nkb = "kb-1"')
    arrived = tmp_path_factory.mktemp("operator")
    (arrived / "kb-1.sqlite").write_bytes(b"large")
    operator = Releases(engine, valkey, replace(places, indexes=arrived), secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    async with worker(engine, valkey, places) as one:
        await operator.activate("b", by="ada", reason="new index")
        await within(5, lambda: one._refused[0] == "b")
        assert one.current.id == "a"
        async with asyncio.timeout(5):
            while not (refusals := [found for found in await operator.reports() if found.refused]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [(found.worker, found.release, found.refused) for found in refusals] == [("w", "a", "b")]
        assert "kb-1" in refusals[0].reason
        (places.indexes / "kb-1.sqlite").write_bytes(b"large")
        await within(5, lambda: one.current.id == "b")


async def test_rolling_back_twice_goes_back_twice_and_then_says_that_there_is_no_more(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
    for release in "abc":
        await operator.activate(release, by="ada", reason="r")
    assert await operator.rollback(by="ada", reason="worse") == "b"
    with pytest.raises(Misconfigured, match=r"A rollback was done \d+ s ago by ada: b is live .* --again"):
        await operator.rollback(by="grace", reason="pressed twice")
    assert await operator.rollback(by="ada", reason="still bad", again=True) == "a"
    with pytest.raises(Misconfigured, match="no earlier release"):
        await operator.rollback(by="ada", reason="worse", again=True)
    assert (await operator.history())[0].release == "a"


async def test_operators_who_roll_back_at_the_same_time_build_on_each_other(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
    for release in "abc":
        await operator.activate(release, by="ada", reason="r")
    both = (operator.rollback(by=name, reason="worse") for name in ("ada", "grace"))
    targets = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(target).__name__ for target in targets) == ["Misconfigured", "str"]
    again = (operator.rollback(by=name, reason="worse", again=True) for name in ("ada", "grace"))
    targets = await asyncio.gather(*again, return_exceptions=True)
    assert sorted(str(target)[:5] for target in targets) == ["There", "a"]
    assert [(a.release, a.previous) for a in await operator.history(limit=2)] == [("a", "b"), ("b", "c")]


async def test_a_rollback_to_what_was_never_live_is_refused(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    with pytest.raises(Misconfigured, match="never live: activate it instead"):
        await operator.rollback(by="ada", reason="r", to="b")


async def test_the_history_says_who_changed_what_and_why_newest_first(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
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
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    await report(engine, Report(worker="crashed", release="z"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE worker_reports SET at = now() - interval '11 seconds'"))
    async with worker(engine, valkey, places):
        assert await operator.workers() == {"w": "a"}
    assert await operator.workers() == {}


async def test_a_worker_that_hangs_or_was_killed_is_silent_and_one_that_stops_is_not(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """Nothing else says so: its calls leave no record."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    for name, seconds in (("frozen", 14), ("late", 4), ("of yesterday", 90_000)):
        await report(engine, Report(worker=name, release="a"))
        async with engine.begin() as connection:
            late = text("UPDATE worker_reports SET at = now() - make_interval(secs => :seconds) WHERE worker = :name")
            await connection.execute(late, {"seconds": seconds, "name": name})
    async with worker(engine, valkey, places):
        pass
    [found] = await reports.silent(engine)
    assert (found.worker, 14 <= found.seconds < 30) == ("frozen", True)


async def test_a_worker_stops_promptly_at_any_moment(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """Also while it subscribes, when the client loses a cancellation."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    await operator.activate("a", by="ada", reason="first")
    for turns in range(0, 60, 4):
        releases = Releases(engine, valkey, places, secret=b"tests")
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
    early = Releases(engine, valkey, places, secret=b"tests", today=lambda: day - timedelta(days=1))
    with pytest.raises(Misconfigured, match=r"takes effect on 2026-11-01; today is 2026-10-31 \(UTC\)"):
        await early.activate("a", by="tests", reason="too early")
    assert await early.history() == []
    in_time = Releases(engine, valkey, places, secret=b"tests", today=lambda: day)
    for release_id in ("a", "b"):
        await in_time.activate(release_id, by="tests", reason="in time")
    assert await early.rollback(by="tests", reason="the clock went back") == "a"


async def test_a_live_release_says_when_its_prices_are_superseded(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    """C2: the day comes while it is live, and a newer table is there."""
    today = date(2026, 11, 30)
    releases = Releases(engine, valkey, places, secret=b"tests", today=lambda: today)
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
    operator = Releases(engine, valkey, places, secret=b"tests")
    for name in ("e1", "e2"):
        await operator.activate(name, by="ada", reason="tests")
    with pytest.raises(Misconfigured, match="an alias of its own"):
        await operator.activate("e3", by="ada", reason="tests")
    await operator.activate("e4", by="ada", reason="tests")
    assert await operator.rollback(by="ada", reason="tests") == "e2"


PROMPT = 'description = "d"\nsystem = "Be {}."\nuser = "$text"\n'


def write_prompt(folder: Path, version: str, manner: str) -> str:
    """Write a prompt's version. Returns its section in a manifest."""
    path = folder / "support" / "prompts" / "answer" / f"{version}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROMPT.format(manner))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'[prompts."support/answer"]\nversion = "{version}"\nsha256 = "{digest}"\nroute = "smart"\n'


async def test_one_prompt_goes_back_alone_and_the_live_release_stays_as_it_was(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """B2: the new route of b stays; its prompt is that of a."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    write(places.directory, "a", write_prompt(places.directory, "v1", "kind"))
    prove(places.directory, "a")
    more = '[routes.fast]\ntargets = [{ provider = "openai", model = "m" }]\nmax_output_tokens = 5\n'
    write(places.directory, "b", write_prompt(places.directory, "v2", "terse") + more)
    prove(places.directory, "b")
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    made = await operator.rollback(by="ada", reason="too terse", only=Pinned("prompt", "support/answer"))
    assert made == "b.back-1"
    async with worker(engine, valkey, places) as one:
        assert one.current.prompts["support/answer"].system == "Be kind."
        assert set(one.current.routes) == {"smart", "fast"}
    assert "b with the prompt support/answer of a: too terse" in (await operator.live()).note  # type: ignore[union-attr]
    assert await ever_live(engine) == {"a", "b", "b.back-1"}
    assert await operator.rollback(by="ada", reason="all of it", again=True) == "a", "never forth again to b"


@pytest.mark.parametrize(
    ("only", "to", "said"),
    [
        (Pinned("prompt", "support/none"), None, "pins no prompt support/none. Known: support/answer"),
        (Pinned("model", "smart"), None, "The model smart was the same in every release"),
        (Pinned("prices"), "a", "nothing would change"),
        (Pinned("index"), "z", "never live"),
    ],
)
async def test_a_pin_that_cannot_go_back_says_why_and_changes_nothing(
    engine: AsyncEngine, valkey: Redis, places: Places, only: Pinned, to: str | None, said: str
) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
    write(places.directory, "b", write_prompt(places.directory, "v2", "terse"))
    prove(places.directory, "b")
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    with pytest.raises(Misconfigured, match=said):
        await operator.rollback(by="ada", reason="r", only=only, to=to)
    assert [a.release for a in await operator.history()] == ["b", "a"]
    assert await ever_live(engine) == {"a", "b"}


async def test_a_machine_without_any_of_the_files_follows_a_rollback(
    engine: AsyncEngine, valkey: Redis, places: Places, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A fresh volume, a new replica, another checkout: what was live can be live again there (B2)."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    (places.indexes / "kb-1.sqlite").write_bytes(b"an index")
    write(places.directory, "a", '[indexes]\nkb = "kb-1"\n' + write_prompt(places.directory, "v1", "kind"))
    prove(places.directory, "a")
    for release in "ab":
        await operator.activate(release, by="ada", reason="r")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    bare = replace(places, directory=elsewhere, prompts=elsewhere, indexes=elsewhere / "indexes")
    assert await Releases(engine, valkey, bare, secret=b"tests").rollback(by="ada", reason="worse") == "a"
    async with worker(engine, valkey, bare) as one:
        assert one.current.prompts["support/answer"].system == "Be kind."
    assert (elsewhere / "indexes" / "kb-1.sqlite").read_bytes() == b"an index"


async def test_a_file_that_was_changed_on_a_machine_is_replaced_by_the_kept_one(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = Releases(engine, valkey, places, secret=b"tests")
    (places.indexes / "kb-1.sqlite").write_bytes(b"an index")
    write(places.directory, "a", '[indexes]\nkb = "kb-1"\n' + write_prompt(places.directory, "v1", "kind"))
    prove(places.directory, "a")
    await operator.activate("a", by="ada", reason="r")
    (places.indexes / "kb-1.sqlite").write_bytes(b"tampered with")
    write_prompt(places.directory, "v1", "rude")
    async with worker(engine, valkey, places) as one:
        assert one.current.prompts["support/answer"].system == "Be kind."
    assert (places.indexes / "kb-1.sqlite").read_bytes() == b"an index"


async def test_a_rollback_to_what_no_longer_resolves_says_which_pin_and_what_else_there_is(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    """B3: activated by a version that kept no files, and the prompt is gone since."""
    operator = Releases(engine, valkey, places, secret=b"tests")
    write(places.directory, "b", write_prompt(places.directory, "v1", "kind"))
    prove(places.directory, "b")
    for release in "abc":
        await operator.activate(release, by="ada", reason="r")
    async with engine.begin() as connection:
        await connection.execute(delete(release_files))
    (places.directory / "support" / "prompts" / "answer" / "v1.toml").unlink()
    with pytest.raises(
        Misconfigured, match=r"v1\.toml does not exist(.|\n)*no activation has kept it(.|\n)*Was live, too: a \(--to ID\)"
    ):
        await operator.rollback(by="ada", reason="worse")
    assert (await operator.history())[0].release == "c"
    assert await operator.rollback(by="ada", reason="worse", to="a") == "a"
