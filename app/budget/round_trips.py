"""Scripts to Valkey on one connection: those of one turn of the loop leave together, and answers come in the scripts' order.

The client's own pool sends one command at a time on each connection, with a task, four locks and three timers: many times the
cost of a script. Each script stays atomic by itself. A connection that breaks fails the scripts on their way, and the next one
opens another; who sent a script decides whether to send it again.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from app.budget.valkey_answers import Form, WrongAnswerError, a_number, words
from app.domain.periodic import STOP_SECONDS, end, spawn
from app.domain.quick import quick
from app.domain.waiting import one_of

BREAK_SECONDS = 2 * STOP_SECONDS  # a broken connection that is not given back by then fails its scripts all the same
OPENINGS = 3  # of connections that break before a script can be sent, until its caller gets the error
OnSent = Callable[[asyncio.Future[Any]], None]


@quick
@dataclass(frozen=True, slots=True)
class Run:
    """One run of a script. ``form``: that of its answers."""

    script: AsyncScript
    keys: Sequence[str]
    arguments: Sequence[Any]
    form: Form = a_number

    def check(self, answer: object) -> None:
        """Raise WrongAnswerError unless the answer is one of the script's, or an error."""
        if not isinstance(answer, (RedisError, OSError)) and not self.form(answer):
            raise WrongAnswerError("a script")


class RoundTrips:
    """See the module. A cluster client's pipelines take no scripts: there each run is a round trip of its own."""

    def __init__(self, valkey: Redis) -> None:
        """Nothing connects before the first script."""
        self._valkey = valkey
        self._clustered = isinstance(cast("object", valkey), RedisCluster)  # the same commands, typed apart
        self._line: _Line | None = None
        self._opening: asyncio.Task[_Line] | None = None

    async def aclose(self) -> None:
        """Close the connection."""
        if self._line:
            await self._line.aclose()

    def joining(self, script: AsyncScript) -> Callable[..., Awaitable[Any]]:
        """A script that answers words, called as ever. ``sent`` gets the answer under way: it runs even if its caller leaves."""

        async def run(*, keys: Sequence[str], args: Sequence[Any], sent: OnSent = lambda _: None) -> Any:  # noqa: ANN401 - its own answer
            return await self.run(Run(script, keys, args, words), sent)

        return run

    async def run(self, run: Run, sent: OnSent = lambda _: None) -> Any:  # noqa: ANN401 - a script's own answer
        """Run a script. Raises the client's errors."""
        (answer,) = await self._sent([run])
        sent(answer)
        found = await self._found(run, answer, sent)
        if isinstance(found, BaseException):
            raise found
        return found

    async def all(self, runs: Sequence[Run]) -> list[Any]:
        """Run scripts. Returns each one's answer or error; raises the client's errors where none has one."""
        answers = await self._sent(runs)
        return [await self._found(run, answer) for run, answer in zip(runs, answers, strict=True)]

    async def _sent(self, runs: Sequence[Run]) -> list[asyncio.Future[Any]]:
        if self._clustered:
            return [asyncio.ensure_future(_alone(run)) for run in runs]
        line = self._line
        for _ in range(OPENINGS):
            if line and not line.broken:  # nothing is awaited between this look and `send`: on a broken line nothing answers
                return line.send(runs)
            line = await self._opened()
        if line and not line.broken:
            return line.send(runs)
        raise ValkeyConnectionError("Each new connection broke at once.")

    async def _found(self, run: Run, answer: asyncio.Future[Any], sent: OnSent = lambda _: None) -> Any:  # noqa: ANN401 - its own
        await one_of([answer])
        found = answer.result()
        if isinstance(found, NoScriptError):  # a new server: it is given the script
            again = asyncio.ensure_future(self._load_and_run(run))
            sent(again)
            found = await asyncio.shield(again)
        run.check(found)
        return found

    async def _load_and_run(self, run: Run) -> Any:  # noqa: ANN401 - a script's own answer or error
        await self._valkey.script_load(run.script.script)
        return await _alone(run)

    async def _opened(self) -> "_Line":
        """A new connection; all that come meanwhile wait for the same one, and fail with it."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> "_Line":
        pool = self._valkey.connection_pool
        self._line = _Line(await pool.get_connection(), pool)  # type: ignore[no-untyped-call] # its decorator has no types
        return self._line


class _Line:
    """One connection of the pool, until it breaks."""

    def __init__(self, connection: Connection, pool: ConnectionPool) -> None:
        """Begin to read answers."""
        self._connection = connection
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        # The client's own way to send makes two tasks and a timer for each script.
        self._writer: asyncio.StreamWriter = connection._writer  # type: ignore[assignment] # noqa: SLF001 - it is connected
        self._unsent: list[bytes] = []
        self._expected: deque[tuple[asyncio.Future[Any], float, Run]] = deque()  # with the time at which it is late
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception = ValkeyConnectionError("The connection was closed.")
        self._over = self._loop.create_future()
        self._giving_back: asyncio.Task[None] | None = None
        self.broken = False
        self._reading = spawn("answers of Valkey", self._read())
        self._reading.add_done_callback(self._ended)  # also where it is cancelled before its first step

    def send(self, runs: Sequence[Run]) -> list[asyncio.Future[Any]]:
        """Send scripts without waiting, so a caller that leaves breaks nothing for the others.

        Each future gets an answer, or the error that the server answered; or it raises the client's errors. What a server that
        takes nothing has not taken stays in memory until the oldest answer is late.
        """
        commands = (("EVALSHA", run.script.sha, len(run.keys), *run.keys, *run.arguments) for run in runs)
        packed = b"".join(map(hiredis.pack_command, commands))
        late = self._loop.time() + (self._connection.socket_timeout or math.inf)
        answers = [self._loop.create_future() for _ in runs]
        self._expected.extend((answer, late, run) for answer, run in zip(answers, runs, strict=True))
        if self._timer is None and late < math.inf:
            self._timer = self._loop.call_at(late, self._look)
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent.append(packed)
        return answers

    def _write(self) -> None:
        """Write what came in this turn of the loop at once: each write is a call of the system that wakes the server."""
        packed, self._unsent = b"".join(self._unsent), []
        try:
            self._writer.write(packed)
        except (OSError, RuntimeError) as error:  # it is closed, and the reading task does not know yet
            self._failure = ValkeyConnectionError(str(error))
            self._break()

    async def aclose(self) -> None:
        """Close it; what is on its way fails."""
        self.broken = True
        await end(self._reading)
        await asyncio.wait([self._over], timeout=STOP_SECONDS)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    found = await self._connection.read_response(timeout=math.inf)
                except ResponseError as error:
                    found = error
                if not self._expected:
                    raise WrongAnswerError("no script")
                answer, _, run = self._expected[0]
                run.check(found)
                self._expected.popleft()
                if not answer.done():  # else its caller is gone
                    answer.set_result(found)
        except (RedisError, OSError) as error:
            self._failure = error
        finally:
            self.broken = True

    def _ended(self, _: object) -> None:
        """Give the connection back, in a task that no `_break` cancels: else the pool would lose a place."""
        self.broken = True
        self._giving_back = spawn("connection to Valkey given back", self._give_back())
        self._giving_back.add_done_callback(self._given_back)

    async def _give_back(self) -> None:
        try:
            with suppress(RedisError, OSError):
                await self._connection.disconnect(nowait=True)
        finally:
            await self._pool.release(self._connection)

    def _given_back(self, _: object) -> None:
        self._fail()
        if not self._over.done():
            self._over.set_result(None)

    def _look(self) -> None:
        """Break the connection if the oldest answer is late: one timer for all."""
        self._timer = None
        if not self._expected:
            return
        late = self._expected[0][1]
        if late <= self._loop.time():
            if self.broken:  # the pool does not take the connection back: its answers are late all the same
                self._fail()
                return
            self._failure = ValkeyTimeoutError("Valkey did not answer in time.")
            self._break()
            self._timer = self._loop.call_later(BREAK_SECONDS, self._look)
        else:
            self._timer = self._loop.call_at(late, self._look)

    def _break(self) -> None:
        self.broken = True
        self._reading.cancel()

    def _fail(self) -> None:
        """Fail what waits, once the pool knows that the connection broke: who tries again gets a new one."""
        if self._timer:
            self._timer.cancel()
        while self._expected:
            answer, *_ = self._expected.popleft()
            if not answer.done():
                answer.set_exception(self._failure)
                answer.exception()  # a caller that left does not look at it


def raise_first(answers: Iterable[object]) -> None:
    """Raise the first error among answers."""
    for failure in (answer for answer in answers if isinstance(answer, Exception)):
        raise failure


async def _alone(run: Run) -> Any:  # noqa: ANN401 - a script's own answer or error
    """Run a script the client's own way."""
    try:
        return await run.script(keys=list(run.keys), args=list(run.arguments))
    except (RedisError, OSError) as error:
        return error
