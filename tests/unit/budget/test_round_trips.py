"""Scripts of concurrent calls leave in one round trip; each has its own answer or error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

import pytest
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import NoScriptError, ResponseError

from app.budget.round_trips import RoundTrips, Run


class Pipeline:
    def __init__(self, server: "Server") -> None:
        self._server = server
        self._commands: list[tuple[Any, ...]] = []

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to give back."""

    def execute_command(self, *command: Any) -> None:  # noqa: ANN401
        self._commands.append(command)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return await self._server.answer(self._commands)


class Server:
    """Answers each script's first argument in its turn; ``held`` keeps answers back."""

    def __init__(self) -> None:
        self.trips: list[list[Any]] = []
        self.reached = asyncio.Event()
        self.known = True
        self.broken = False
        self._held: asyncio.Event | None = None

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = asyncio.Event()
        yield
        self._held.set()

    async def answer(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        self.trips.append([command[-1] for command in commands])
        self.reached.set()
        if self._held:
            await self._held.wait()
        if self.broken:
            raise ValkeyConnectionError("gone")
        if not self.known:
            return [NoScriptError("unknown") for _ in commands]
        return [ResponseError("refused") if command[-1] == "bad" else command[-1] for command in commands]

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
def trips(server: Server) -> RoundTrips:
    return RoundTrips(cast("Redis", server))


def run(argument: object) -> Run:
    return Run(cast("AsyncScript", Script()), ["k"], [argument])


async def test_scripts_that_come_during_a_round_trip_leave_together_with_the_next(trips: RoundTrips, server: Server) -> None:
    with server.held():
        calls = [asyncio.create_task(trips.run(run(1)))]
        await server.reached.wait()
        calls += [asyncio.create_task(trips.run(run(number))) for number in (2, 3, 4)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == [1, 2, 3, 4]
    assert server.trips == [[1], [2, 3, 4]]


async def test_an_error_is_its_own_callers_alone(trips: RoundTrips) -> None:
    found = await asyncio.gather(trips.run(run("good")), trips.run(run("bad")), return_exceptions=True)
    assert found[0] == "good"
    assert isinstance(found[1], ResponseError)


async def test_a_broken_connection_fails_all_that_wait_and_none_that_comes_later(trips: RoundTrips, server: Server) -> None:
    server.broken = True
    with server.held():
        calls = [asyncio.create_task(trips.run(run(number))) for number in (1, 2)]
        await server.reached.wait()
        calls.append(asyncio.create_task(trips.run(run(3))))
        await asyncio.sleep(0)
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(failure) for failure in failures] == [ValkeyConnectionError] * 3
    server.broken = False
    assert await trips.run(run(4)) == 4


async def test_a_server_that_lost_the_script_is_given_it(trips: RoundTrips, server: Server) -> None:
    server.known = False
    assert await trips.run(run(7)) == "7 by itself"
    assert await trips.run(run(8)) == 8


async def test_a_caller_that_leaves_its_own_round_trip_holds_up_no_other(trips: RoundTrips, server: Server) -> None:
    with server.held():
        first = asyncio.create_task(trips.run(run(1)))
        await server.reached.wait()
        second = asyncio.create_task(trips.run(run(2)))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
    assert await second == 2
    assert await trips.run(run(3)) == 3


async def test_a_caller_that_left_costs_the_others_nothing(trips: RoundTrips, server: Server) -> None:
    with server.held():
        gone, stays = asyncio.create_task(trips.run(run(1))), asyncio.create_task(trips.run(run(2)))
        await server.reached.wait()
        gone.cancel()
        await asyncio.sleep(0)
    assert await stays == 2
