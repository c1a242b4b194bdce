"""A step of a rehearsal is timed twice: from its command, and from the write to the store (B5)."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.releases.rehearsals import REASON, Step
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


class _Past:
    """Releases whose newest activation is this one. ``back``: where the rehearsal has put them back to."""

    def __init__(self, release: str, reason: str) -> None:
        self.newest, self.back = SimpleNamespace(release=release, reason=reason, by="ada"), list[str]()

    async def history(self, _limit: int) -> list[SimpleNamespace]:
        return [self.newest]

    async def live(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.newest.release)

    async def rollback(self, *, to: str, **_: object) -> None:
        self.back.append(to)


@pytest.mark.parametrize(
    ("release", "reason", "back"), [("practice", REASON, ["live"]), ("mended", "an incident", []), ("live", "r", [])]
)
async def test_a_rehearsal_takes_back_only_what_it_made_live_itself(release: str, reason: str, back: list[str]) -> None:
    """An operator who makes a release live in the middle of one means it."""
    past = _Past(release, reason)
    stage = cast(Any, SimpleNamespace(releases=past, live="live", engine=None, began=None))
    await rehearsal._restore(stage)
    assert past.back == back
    if release == "mended":
        with pytest.raises(rehearsal.NotJudged, match="ada made mended live meanwhile"):
            await rehearsal._still_alone(stage)


@pytest.mark.parametrize("quiet", [0, 1, 2, 3])
async def test_a_rehearsal_ends_where_real_traffic_begins_in_the_middle(quiet: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each step it looks, and puts the release back; on the next steps real callers would meet what is rehearsed."""
    asked, did = [0] * quiet, list[str]()

    async def foreign(*_: object) -> int:
        return asked.pop() if asked else 7

    async def step(*words: object, **_: object) -> Step:
        did.append("step")
        return Step("a step", 1.0, kept=True)

    async def restored(_: object) -> None:
        did.append("restored")

    @asynccontextmanager
    async def calls(*_: object) -> AsyncGenerator[None, None]:
        yield

    async def resumed(*_: object, **__: object) -> None:
        """Nothing is stopped."""

    for name, made in (("real_calls", foreign), ("_restore", restored), ("_stop_step", step), ("_calls", calls)):
        monkeypatch.setattr(rehearsal, name, made)
    monkeypatch.setattr(rehearsal, "_rollbacks", lambda _: [step, step])
    stage = SimpleNamespace(
        engine=None,
        began=None,
        probes=None,
        releases=_Past("live", "r"),
        live="live",
        practice=SimpleNamespace(alias="smart"),
        switch=SimpleNamespace(resume=resumed),
    )
    with pytest.raises(rehearsal.NotJudged, match="7 calls of other tenants came meanwhile"):
        await rehearsal._all_steps(cast(Any, stage), lambda _: None)
    assert did.count("step") == min(quiet, 2) + 2 * max(0, quiet - 2)
    assert did.count("restored") == 1


async def test_a_command_that_hangs_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While it hung, everything could be stopped."""
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o700)
    monkeypatch.setattr(rehearsal, "COMMAND_SECONDS", 0.2)
    monkeypatch.setattr(sys, "executable", str(hangs))
    assert await asyncio.wait_for(rehearsal.program({}, ()), 30) == (1, "It did not end within 0.2 s.")
