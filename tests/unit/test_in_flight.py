"""Work under way is ended from outside with an error, and only that work."""

import asyncio
from collections.abc import Callable

import pytest

from app.domain.errors import OctantError, ShuttingDown, Stopped
from app.domain.in_flight import InFlight, ended


async def served(running: InFlight, subject: str, begun: asyncio.Event, *, inner: bool = False) -> str:
    """A request as the edge and the gateway serve it. Returns how it ended."""
    try:
        with running.track(), running.track(subject):
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if inner and (ending := ended()):
                    raise ending from None
                raise
    except OctantError as error:
        await asyncio.sleep(0)  # it writes its answer: the cancellation is taken back
        return error.code
    except asyncio.CancelledError:
        return "cancelled"
    return "answered"


async def begin(running: InFlight, subject: str, *, inner: bool = False) -> "asyncio.Task[str]":
    begun = asyncio.Event()
    task = asyncio.create_task(served(running, subject, begun, inner=inner))
    await begun.wait()
    return task


def stopped() -> Stopped:
    return Stopped("stopped")


@pytest.mark.parametrize("inner", [True, False])
async def test_what_matches_ends_with_its_error_and_nothing_else_does(inner: bool) -> None:
    running = InFlight()
    one, other = await begin(running, "acme", inner=inner), await begin(running, "other", inner=inner)
    assert running.count == 2
    assert running.end(stopped, lambda subject: subject == "acme") == 1
    assert await one == ("stopped_by_operator" if inner else "cancelled")  # where no handler looks in time, it is cancelled
    assert running.count == 1
    other.cancel()
    assert await other == "cancelled"


async def test_each_task_gets_an_error_of_its_own_once() -> None:
    running = InFlight()
    tasks = [await begin(running, "acme", inner=True) for _ in range(3)]
    made: list[OctantError] = []

    def make() -> OctantError:
        made.append(ShuttingDown("bye"))
        return made[-1]

    assert running.end(make) == 3
    assert running.end(make) == 0
    assert [await task for task in tasks] == ["shutting_down"] * 3
    assert len({id(error) for error in made}) == 3
    assert running.count == 0


@pytest.mark.parametrize("first", ["end", "cancel"])
async def test_a_client_that_leaves_in_the_same_moment_changes_nothing(first: str) -> None:
    running = InFlight()
    task = await begin(running, "acme", inner=True)
    acts: list[Callable[[], object]] = [lambda: running.end(stopped), task.cancel]
    for act in acts if first == "end" else reversed(acts):
        act()
    assert await task in ("stopped_by_operator", "cancelled")
    assert running.count == 0


async def test_outside_of_work_nothing_was_ended() -> None:
    assert ended() is None
