"""Scripts of concurrent calls leave at once on one connection; each has its own answer or error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import hiredis
import pytest
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from app.budget.round_trips import RoundTrips, Run


class Connection:
    """Answers each script's last argument in its turn."""

    socket_timeout = 5.0

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._scripts: asyncio.Queue[str] = asyncio.Queue()
        self._writer = self  # where redis-py has its stream
        self.closed = False

    async def disconnect(self, *, nowait: bool) -> None:
        assert nowait
        self.closed = True

    def write(self, command: bytes) -> None:
        if self._server.full:
            raise RuntimeError("the handler is closed")
        reader = hiredis.Reader(encoding="utf-8")
        reader.feed(command)
        trip = []
        while found := reader.gets():
            name, sha, number, *rest = found
            assert (name, sha, number, rest[:-1]) == ("EVALSHA", "abc", "1", ["k"])
            self._scripts.put_nowait(rest[-1])
            trip.append(rest[-1])
        self._server.trips.append(trip)

    async def read_response(self, *, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - redis-py's
        assert timeout == float("inf")
        if self._server.stillborn:
            self._server.stillborn -= 1
            raise ValkeyConnectionError("closed at once")
        script = await self._scripts.get()
        await self._server.unheld.wait()
        if self._server.broken:
            raise ValkeyConnectionError("gone")
        if not self._server.known:
            raise NoScriptError("unknown")
        if script == "bad":
            raise ResponseError("refused")
        return script


class Server:
    """Makes connections; ``held`` keeps answers back."""

    def __init__(self) -> None:
        self.trips: list[list[str]] = []
        self.known, self.broken, self.away, self.full = True, False, False, False
        self.stillborn = self.released = 0  # connections that close at once; those that the pool has back
        self.unheld, self.taken_back = asyncio.Event(), asyncio.Event()
        for open_door in (self.unheld, self.taken_back):
            open_door.set()
        self.connections: list[Connection] = []
        self.connection_pool = self

    async def get_connection(self) -> Connection:
        self.connections.append(Connection(self))
        if self.away:
            raise ValkeyConnectionError("nothing there")
        return self.connections[-1]

    async def release(self, connection: Connection) -> None:
        assert connection.closed
        await self.taken_back.wait()
        self.released += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        self.unheld.clear()
        yield
        self.unheld.set()

    async def reached(self, scripts: int) -> None:
        while sum(map(len, self.trips)) < scripts:  # noqa: ASYNC110 - a turn of the loop is all it takes
            await asyncio.sleep(0)

    async def script_load(self, script: str) -> None:
        assert script == "return 1"
        self.known = True


class Script:
    sha, script = "abc", "return 1"

    async def __call__(self, *, keys: list[str], args: list[Any]) -> str:
        """As the client runs it alone."""
        assert keys == ["k"]
        return f"{args[0]} by itself"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def trips(server: Server) -> AsyncIterator[RoundTrips]:
    trips = RoundTrips(cast("Redis", server))
    yield trips
    await trips.aclose()


def run(argument: object) -> Run:
    return Run(cast("AsyncScript", Script()), ["k"], [argument], lambda _: True)


async def test_scripts_of_one_turn_leave_together_and_have_their_own_answers(trips: RoundTrips, server: Server) -> None:
    with server.held():
        calls = [asyncio.create_task(trips.run(run(number))) for number in (1, 2)]
        calls.append(asyncio.create_task(trips.all([run(3), run(4)])))
        await server.reached(4)
        calls.append(asyncio.create_task(trips.run(run(5))))  # while they are under way
        await server.reached(5)
    assert await asyncio.gather(*calls) == ["1", "2", ["3", "4"], "5"]
    assert server.trips == [["1", "2", "3", "4"], ["5"]]
    assert len(server.connections) == 1


async def test_answers_that_are_there_are_read_in_one_turn_of_the_loop(trips: RoundTrips) -> None:
    """A turn for each, and a busy worker settles fewer calls than it answers: their money stays held, and its memory grows."""
    turns, over = 0, False

    async def count() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await trips.all([run(number) for number in range(200)]) == [str(number) for number in range(200)]
    over = True
    await counting
    assert turns < 20


async def test_an_error_is_its_own_callers_alone(trips: RoundTrips) -> None:
    found = await asyncio.gather(trips.run(run("good")), trips.run(run("bad")), return_exceptions=True)
    assert found[0] == "good"
    assert isinstance(found[1], ResponseError)


async def test_a_broken_connection_fails_all_that_wait_and_none_that_comes_later(trips: RoundTrips, server: Server) -> None:
    server.broken = True
    with server.held():
        calls = [asyncio.create_task(trips.run(run(number))) for number in (1, 2, 3)]
        await server.reached(3)
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(failure) for failure in failures] == [ValkeyConnectionError] * 3
    server.broken = False
    assert await trips.run(run(4)) == "4"
    assert [connection.closed for connection in server.connections] == [True, False]


async def test_a_connection_that_cannot_send_is_not_used_again(trips: RoundTrips, server: Server) -> None:
    with server.held():
        waiting = asyncio.create_task(trips.run(run(1)))
        await server.reached(1)
        server.full = True
        with pytest.raises(ValkeyConnectionError):
            await trips.run(run(2))
        with pytest.raises(ValkeyConnectionError):
            await waiting
        server.full = False
    assert await trips.run(run(3)) == "3"
    assert len(server.connections) == 2


async def test_an_answer_that_is_late_breaks_the_connection(
    trips: RoundTrips, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "socket_timeout", 0.01)
    with server.held(), pytest.raises(ValkeyTimeoutError):
        await trips.run(run(1))
    monkeypatch.setattr(Connection, "socket_timeout", 5.0)
    assert await trips.run(run(2)) == "2"


async def test_all_that_wait_for_a_connection_fail_with_it(trips: RoundTrips, server: Server) -> None:
    server.away = True
    failures = await asyncio.gather(*(trips.run(run(number)) for number in (1, 2)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ValkeyConnectionError] * 2
    assert len(server.connections) == 1
    server.away = False
    assert await trips.run(run(3)) == "3"


async def test_a_server_that_lost_the_script_is_given_it(trips: RoundTrips, server: Server) -> None:
    server.known = False
    assert await trips.run(run(7)) == "7 by itself"
    assert await trips.run(run(8)) == "8"


async def test_a_script_that_runs_again_is_reported_as_under_way_again(trips: RoundTrips, server: Server) -> None:
    server.known = False
    noted: list[asyncio.Future[Any]] = []
    assert await trips.run(run(7), noted.append) == "7 by itself"
    assert [type(await answer) for answer in noted] == [NoScriptError, str]


async def test_a_caller_that_left_costs_the_others_nothing(trips: RoundTrips, server: Server) -> None:
    with server.held():
        gone, stays = asyncio.create_task(trips.run(run(1))), asyncio.create_task(trips.run(run(2)))
        await server.reached(2)
        gone.cancel()
        await asyncio.sleep(0)
    assert await stays == "2"
    assert await trips.run(run(3)) == "3"


async def test_a_connection_that_breaks_before_its_first_script_is_replaced(
    trips: RoundTrips, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "socket_timeout", 0.05)
    server.stillborn = 1
    async with asyncio.timeout(120):
        assert await trips.run(run(1)) == "1"
        server.stillborn = 1000
        server.broken = True
        with pytest.raises(ValkeyConnectionError):
            await trips.run(run(2))
        server.broken, server.stillborn = False, 1000
        with pytest.raises(ValkeyConnectionError):
            await trips.run(run(3))
    assert len(server.connections) < 10


async def test_an_answer_that_is_late_while_a_connection_is_given_back_takes_no_place_of_the_pool(
    trips: RoundTrips, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "socket_timeout", 0.02)
    server.broken = True
    server.taken_back.clear()
    async with asyncio.timeout(120):
        with pytest.raises(ValkeyConnectionError):
            await trips.run(run(1))
        server.taken_back.set()
        while not server.released:  # noqa: ASYNC110 - a turn of the loop is all it takes
            await asyncio.sleep(0)


@pytest.mark.parametrize("first", [True, False])
async def test_the_script_of_a_caller_that_left_runs_all_the_same(trips: RoundTrips, server: Server, first: bool) -> None:
    if not first:
        await trips.run(run(0))
    noted: list[asyncio.Future[Any]] = []
    with server.held():
        gone, stays = asyncio.create_task(trips.run(run(1), noted.append)), asyncio.create_task(trips.run(run(2)))
        await server.reached(2 if first else 3)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()
    assert await stays == "2"
    assert [await answer for answer in noted] == ["1"]
    assert len(server.connections) == 1


async def test_a_server_that_takes_nothing_is_late_and_a_new_connection_answers() -> None:
    """Of redis-py, on a real socket: the first connection's server never reads, the second's answers."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 2:
            await reader.readuntil(b"small\r\n")
            writer.write(b"+taken\r\n")
        with contextlib.closing(writer):
            await over.wait()

    over = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Redis(port=port, protocol=2, driver_info=None, socket_timeout=0.2, decode_responses=True) as valkey:
        trips = RoundTrips(valkey)
        late = await asyncio.gather(*(trips.run(run("x" * 1_000_000)) for _ in range(20)), return_exceptions=True)
        assert {type(error) for error in late} == {ValkeyTimeoutError}
        assert await trips.run(run("small")) == "taken"
        await trips.aclose()
    over.set()
    server.close()


async def test_closing_before_the_first_answer_fails_what_waits(trips: RoundTrips, server: Server) -> None:
    with server.held():
        waiting = asyncio.create_task(trips.run(run(1)))
        await server.reached(1)
        await trips.aclose()
        with pytest.raises(ValkeyConnectionError):
            await waiting
    assert server.released == 1
