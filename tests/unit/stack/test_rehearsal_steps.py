"""A step of a rehearsal is timed twice: from its command, and from the write to the store (B5)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.stack import rehearsal
from app.stack.probes import Probes

STARTS, FOLLOWS = 0.3, 0.3  # seconds of a command's own start, and of the last worker


@pytest.mark.parametrize(
    ("limit", "promise", "kept"), [(5.0, 5.0, True), (5.0, 0.1, False), (0.4, 5.0, False)], ids=["kept", "promise", "limit"]
)
async def test_a_step_is_kept_within_its_limit_and_its_promise(limit: float, promise: float, kept: bool) -> None:
    began = asyncio.get_running_loop().time()

    async def run(_env: Mapping[str, str], _command: Sequence[str]) -> tuple[int, str]:
        await asyncio.sleep(STARTS)
        return 0, ""

    def after(seconds: float) -> Callable[[], Awaitable[bool]]:
        return lambda: asyncio.sleep(0, asyncio.get_running_loop().time() - began >= seconds)

    stage = cast(Any, SimpleNamespace(run=run, env={}, probes=Probes("http://127.0.0.1:1", "k", "m")))
    step = await rehearsal._timed(
        stage, "kill all", ("kill", "all"), after(STARTS + FOLLOWS), limit=limit, written=after(STARTS), promise=promise
    )
    assert step.written is not None
    assert step.seconds >= 0.5
    assert step.written <= step.seconds - 0.2, "the command's own start is left out"
    assert (step.kept, step.limit, step.promise) == (kept, limit, promise)
