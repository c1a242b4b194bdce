"""The kill switch's self-test: it flips the switch for a scope that no call looks at, and every worker must see it (P5).

A flip takes the way of every stop: both stores, and each worker's reading of them. A worker that sees one says so in Postgres
(`Sightings`). Times run from before the flip until that row, both by Postgres' clock, so they are an upper bound and clocks of
machines do not matter. Once a day one worker does it by itself (`DailySelfTest`): a stored row is its lease and holds the result.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import OctantError
from app.domain.periodic import Periodic
from app.oncall.switch import KillSwitch
from app.oncall.tables import switch_sightings, switch_tests

PROMISED_SECONDS = 2.0
WAIT_SECONDS = 15.0  # longer than a worker that died is among those that are there
LOOK_EVERY = 0.02
DAILY, AGAIN = timedelta(days=1), timedelta(minutes=10)  # after a success; after a failure, or a worker that died in the test
CHECK_EVERY = 60.0
SERVICE = "octant"  # a test by the service, not by an operator
LOCK = 0x0C8B

log = logging.getLogger(__name__)
Workers = Callable[[], Awaitable[Iterable[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one test found. ``seconds``: for each flip and worker, until it was seen; ``away``: stores that did not answer."""

    flips: int = 0
    workers: int = 0
    seconds: tuple[float, ...] = ()
    missing: tuple[str, ...] = ()
    away: frozenset[str] = frozenset()

    @property
    def problem(self) -> str:
        """Why the test failed; empty where it passed. A store that is away is none: the other is enough."""
        if not self.workers:
            return "No worker reports: none is running."
        if self.missing:
            return f"{len(self.missing)} of {self.workers} workers did not see a flip: {', '.join(self.missing)}."
        if self.slowest > PROMISED_SECONDS:
            return f"A worker saw a flip after {self.slowest:.1f} s; {PROMISED_SECONDS:g} s are promised."
        return ""

    @property
    def slowest(self) -> float:
        """The longest time, in seconds."""
        return max(self.seconds, default=0.0)

    def quantile(self, part: float) -> float:
        """The time in seconds that ``part`` of the workers took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


class Sightings:
    """One worker's part: it says which flip it has seen last."""

    def __init__(self, engine: AsyncEngine, worker: str) -> None:
        """``worker``: its name among `Workers`."""
        self._engine = engine
        self._worker = worker
        self._seen = self._written = 0
        self._writing = Periodic("kill switch: sightings", self._write, every=1.0, survives=(SQLAlchemyError, OSError))

    async def start(self) -> None:
        """Begin."""
        self._writing.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._writing.stop()

    def note(self, version: int) -> None:
        """A flip was seen. Never waits."""
        self._seen = version
        self._writing.wake()

    async def _write(self) -> None:
        seen = self._seen
        if seen == self._written:
            return
        values = {"version": seen, "at": func.clock_timestamp()}
        put = postgresql.insert(switch_sightings).values(worker=self._worker, **values)
        async with self._engine.begin() as connection:
            await connection.execute(put.on_conflict_do_update(index_elements=["worker"], set_=values))
        self._written = seen


async def flip(switch: KillSwitch, engine: AsyncEngine, workers: Workers, *, flips: int, by: str) -> Result:
    """Flip the switch ``flips`` times, and wait each time until every worker has seen it. It ends released.

    Ends early where a worker does not see a flip. Raises DependencyUnavailable, SQLAlchemyError or OSError.
    """
    result = Result(workers=len(list(await workers())))
    stopped = False
    try:
        while result.flips < flips and not result.missing:
            async with engine.connect() as connection:
                since = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            version, away = await switch.flip_test(stopped=not stopped, by=by)
            stopped = not stopped
            seconds, missing = await _seen(engine, workers, version, since)
            result = replace(
                result, flips=result.flips + 1, workers=max(result.workers, len(seconds) + len(missing)),
                seconds=(*result.seconds, *seconds), missing=missing, away=result.away | away,
            )  # fmt: skip
    finally:
        if stopped:
            await switch.flip_test(stopped=False, by=by)
    return result


async def _seen(engine: AsyncEngine, workers: Workers, version: int, since: datetime) -> tuple[list[float], tuple[str, ...]]:
    """Each worker's seconds, and the workers that are there and did not see this version."""
    wanted = set(await workers())
    statement = select(switch_sightings.c.worker, switch_sightings.c.at).where(switch_sightings.c.version >= version)
    until = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        async with engine.connect() as connection:
            seen = {str(worker): at for worker, at in await connection.execute(statement)}
        if wanted <= seen.keys() or asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(LOOK_EVERY)
    missing = wanted - seen.keys()
    if missing:  # one that stopped meanwhile is not missing
        missing &= set(await workers())
    return [(seen[worker] - since).total_seconds() for worker in sorted(wanted & seen.keys())], tuple(sorted(missing))


async def begin(connection: AsyncConnection, *, by: str) -> int:
    """Begin a test: a row without a result, which is the lease of the daily one as well. Returns its id."""
    return int((await connection.execute(insert(switch_tests).values(by=by).returning(switch_tests.c.id))).scalar_one())


async def begin_if_due(engine: AsyncEngine) -> int | None:
    """Begin the daily test. None where it is not due, or another worker begins it."""
    c = switch_tests.c
    recent = or_(and_(c.passed, c.at > func.now() - DAILY), c.at > func.now() - AGAIN)
    async with engine.begin() as connection:
        if not (await connection.execute(select(func.pg_try_advisory_xact_lock(LOCK)))).scalar_one():
            return None
        if (await connection.execute(select(c.id).where(recent).limit(1))).first():
            return None
        return await begin(connection, by=SERVICE)


async def store(engine: AsyncEngine, test: int, result: Result, *, problem: str = "") -> None:
    """Write a test's result. ``problem``: why it could not be done."""
    problem = problem or result.problem
    values = {
        "passed": not problem, "problem": problem, "flips": result.flips, "workers": result.workers,
        "missing": list(result.missing),
        "p50": result.quantile(0.5), "p99": result.quantile(0.99), "slowest": result.slowest,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(update(switch_tests).where(switch_tests.c.id == test).values(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the stored tests say. ``passed_ago``: seconds since the newest that passed; the rest is of the newest that ended."""

    passed_ago: float | None
    failed: bool
    slowest: float | None


async def state(engine: AsyncEngine) -> State:
    """Read it. A test without a result for ten minutes has failed. Raises SQLAlchemyError or OSError."""
    c = switch_tests.c
    ago = select(func.extract("epoch", func.now() - func.max(c.at))).where(c.passed)
    newest = select(c.passed, c.slowest).where(or_(c.passed.is_not(None), c.at < func.now() - AGAIN))
    async with engine.connect() as connection:
        passed_ago = (await connection.execute(ago)).scalar_one_or_none()
        row = (await connection.execute(newest.order_by(c.at.desc(), c.id.desc()).limit(1))).one_or_none()
    return State(
        passed_ago=None if passed_ago is None else float(passed_ago),
        failed=row is not None and not row.passed,
        slowest=row.slowest if row else None,
    )


class DailySelfTest:
    """Does the test once a day, on one of all workers."""

    def __init__(self, switch: KillSwitch, engine: AsyncEngine, workers: Workers) -> None:
        """Nothing runs yet."""
        self._switch = switch
        self._engine = engine
        self._workers = workers
        self._loop = Periodic(
            "kill switch: self-test", self.run_if_due, every=CHECK_EVERY, at_once=False, jitter=0.5,
            survives=(SQLAlchemyError, OSError), complaint="self-test not done",
        )  # fmt: skip

    async def start(self) -> None:
        """Begin."""
        self._loop.start()

    async def aclose(self) -> None:
        """Stop; a test under way ends first."""
        await self._loop.stop(grace=PROMISED_SECONDS)

    async def run_if_due(self) -> bool:
        """Do the test if one is due and no other worker does it. Returns whether it did."""
        test = await begin_if_due(self._engine)
        if test is None:
            return False
        result, problem = Result(), ""
        try:
            result = await flip(self._switch, self._engine, self._workers, flips=2, by=SERVICE)
        except OctantError as error:
            problem = error.message
        await store(self._engine, test, result, problem=problem)
        if problem := problem or result.problem:
            log.error("kill switch self-test failed", extra={"reason": problem})
        return True
