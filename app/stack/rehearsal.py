"""Rehearses the way back (B5): every kind of rollback and the kill switch, each timed from the command to the last worker.

The commands are the program that an operator types, so their own start is in the figures. Calls go on meanwhile, and a call that
fails breaks the promise. First the service is checked: a rehearsal on a sick one judges nothing. At the end all is as it was.

It runs on a service of its own (`owned`), or on one that exists, in staging, without other callers (`real_traffic`).
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import InvalidRequest, Misconfigured, OctantError
from app.domain.money import from_dollars
from app.oncall.self_test import PROMISED_SECONDS
from app.oncall.switch import KillSwitch
from app.releases import code, following
from app.releases.rehearsals import END_REASON, REASON, ROLLBACK, Rehearsal, Step, Verdict
from app.releases.releases import Releases
from app.rooms import releases_of
from app.security.keys.administration import KeyAdministration
from app.security.keys.token import key_id_of
from app.settings import PACKAGE, Settings, load
from app.stack import demo, practice
from app.stack.busy import load_words
from app.stack.commit import commit
from app.stack.practice import Practice
from app.stack.probes import STOPPED, Probes
from app.stack.real_traffic import TENANT, of_an_operator, real_calls
from app.stores import build_engine, build_valkey

LIMIT_SECONDS = 10.0  # of a step: the five seconds until the last worker follows, and as many for the command's own start
CODE_SECONDS = 60.0  # of the step of code: its workers start anew, and the earlier ones have their calls' time to end
LONGEST_SECONDS = 60.0
START_SECONDS = 300.0  # starting is not rehearsed, so it may take long
CALLERS = 2
COMMAND_SECONDS = 300.0  # of a command, for one that hangs: its step is late long before
KEY_LASTS = timedelta(hours=2)  # of the calls' key: longer than a rehearsal, which may be killed before it revokes it

Run = Callable[[Mapping[str, str], Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs `octant` with these words in an environment. Returns its exit code and its output."""

NewerCode = Callable[[], AbstractContextManager[str]]
"""Starts a service that went forward to other code just now. Yields its address."""


class NotJudged(Exception):  # noqa: N818 - a verdict, not a fault of ours
    """The service was sick before the rehearsal began, so it says nothing about the way back."""


@dataclass(slots=True)
class Traffic:
    """Calls that go on during the rollbacks."""

    calls: int = 0
    failed: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stage:
    """The service that is rehearsed on, since it ``began``, and the means to do so."""

    engine: AsyncEngine
    releases: Releases
    switch: KillSwitch
    probes: Probes
    practice: Practice
    live: str
    env: dict[str, str]
    run: Run
    began: datetime


@contextmanager
def owned(folder: Path, *, workers: int) -> Generator[Settings, None, None]:
    """Run a whole service with its ``workers`` in a folder of its own, until the end of the block. Yields its settings."""
    before = dict(os.environ)
    clean = {k: v for k, v in before.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
    base = load()
    os.environ.clear()
    os.environ.update(clean)
    os.environ.update(
        OCTANT_STATE_DIR=str(folder), OCTANT_PORT="0", OCTANT_METRICS_PORT="0", OCTANT_WORKER_METRICS_PORT="0",
        OCTANT_OPENAI__API_KEY="", OCTANT_ANTHROPIC__API_KEY="", OCTANT_RELEASES_DIR=str(base.releases_dir.resolve()),
        OCTANT_PROMPTS_DIR=str(base.prompts_dir.resolve()), OCTANT_LOG_LEVEL="error", OCTANT_ENVIRONMENT="staging",
        OCTANT_WORKERS=str(workers), OCTANT_SECRET_KEY=os.urandom(32).hex(),
    )  # fmt: skip
    try:
        with demo.everything(load(), lambda _: None, start_seconds=START_SECONDS) as running:
            yield running.settings
    finally:
        os.environ.clear()
        os.environ.update(before)


def not_judged(note: str, *, environment: str) -> Rehearsal:
    """The result where there was nothing to rehearse on."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Rehearsal(at=now, what=ROLLBACK, kept=False, note=note, verdict="not judged", environment=environment)


def refuse_production(settings: Settings) -> None:
    """Raise InvalidRequest unless the environment says, in so many words, that this is not production."""
    if settings.environment == "production" or "environment" not in settings.model_fields_set:
        raise InvalidRequest(
            "A rehearsal stops every call for some seconds. It runs on a service that exists only where OCTANT_ENVIRONMENT is set"
            " to staging or development."
        )


async def _still_alone(stage: Stage) -> None:
    """Raise NotJudged where real traffic or an operator has come meanwhile: the next step would meet them."""
    if other := await of_an_operator(stage.releases, stage.live):
        raise NotJudged(f"{other.by} made {other.release} live meanwhile, so it ended.")
    if calls := await real_calls(stage.engine, stage.began):
        raise NotJudged(f"{calls} calls of other tenants came meanwhile, so it ended before it stopped real traffic.")


async def program(env: Mapping[str, str], command: Sequence[str]) -> tuple[int, str]:
    """See `Run`: as a process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", *command,
        env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"It did not end within {COMMAND_SECONDS:g} s."
    return process.returncode or 0, out.decode(errors="replace")


async def rehearse(
    settings: Settings,
    *,
    url: str,
    workers: int,
    environment: str,
    tell: Callable[[Step], None],
    run: Run = program,
    newer: NewerCode | None = None,
) -> Rehearsal:
    """Rehearse on a running service. Returns the result, also where it is not judged.

    ``workers``: how many there have to be. ``newer``: starts a service whose code can go back; None: the one at ``url`` can, if
    the settings name a deploy target.
    """
    engine, valkey = build_engine(settings), build_valkey(settings)
    steps: list[Step] = []
    verdict: Verdict = "not judged"
    try:
        releases, switch = releases_of(settings, engine, valkey), KillSwitch(valkey, engine, file=settings.kill_path)
        async with _stage(settings, url, engine, releases, switch, run) as stage:
            await _baseline(stage, workers)

            def done(step: Step) -> None:
                steps.append(step)
                tell(step)

            note = await _all_steps(stage, done)
            if newer or settings.deploy.target:
                note = "; ".join(filter(None, (note, await _code_step(stage, newer, done))))
        verdict = "kept" if steps and not note and all(step.kept for step in steps) else "not kept"
        if not note:
            longest = max(steps, key=lambda step: step.seconds)
            note = f"{sum(s.kept for s in steps)} of {len(steps)} steps in time, slowest {longest.seconds:.1f} s: {longest.name}"
        note += "" if verdict == "kept" else f"; {load_words()}"
    except NotJudged as error:
        note = " ".join(str(error).split())
    finally:
        await valkey.aclose()
        await engine.dispose()
    return Rehearsal(
        at=datetime.now(UTC).replace(microsecond=0), what=ROLLBACK, kept=verdict == "kept", note=note, verdict=verdict,
        environment=environment, workers=workers, steps=tuple(steps), code=commit(),
    )  # fmt: skip


@asynccontextmanager
async def _stage(
    settings: Settings, url: str, engine: AsyncEngine, releases: Releases, switch: KillSwitch, run: Run
) -> AsyncGenerator[Stage, None]:
    """A tenant with a key for the calls, and a release to go back from. The key is revoked at the end."""
    live = await releases.live()
    live_text = await releases.live_text()
    if live is None or live_text is None:
        raise NotJudged("No release is live, so there is none to go back to.")
    keys = KeyAdministration(engine, secret=settings.secret)
    if TENANT not in {tenant.id for tenant in await keys.list_tenants()}:
        await keys.create_tenant(TENANT, "Rehearsals", from_dollars("100.00"), from_dollars("100.00"))
    began = datetime.now(UTC)
    key = await keys.create_key(TENANT, name="rehearsal", expires_at=began + KEY_LASTS)
    beside = settings.state_dir if settings.state_dir.is_dir() else None  # where a killed rehearsal's own service is cleaned up
    with tempfile.TemporaryDirectory(prefix="octant-rehearsal-", dir=beside) as name:
        stamp = datetime.now(UTC).strftime("%Y%m%dt%H%M%S")
        made = practice.write(live_text, settings, Path(name), stamp=stamp)
        paths = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH", ""))))
        env = {**os.environ, **made.environment(Path(name)), "PYTHONPATH": paths}
        try:
            async with Probes(url, key, made.alias) as probes:
                yield Stage(engine, releases, switch, probes, made, live.id, env, run, began)
        finally:
            await keys.revoke_key(key_id_of(key) or "")


async def _baseline(stage: Stage, workers: int) -> None:
    """Raise NotJudged unless every worker serves the live release, calls are answered, and a command starts in time."""
    reports = await stage.releases.reports()
    behind = [report.worker for report in reports if report.release != stage.live]
    if len(reports) < workers or behind:
        raise NotJudged(f"{len(reports)} of {workers} workers report, {len(behind)} of them not the live release {stage.live}.")
    if stops := await stage.switch.status():
        raise NotJudged(f"{stops[0].scope} {stops[0].name}".strip() + " is stopped.")
    try:
        await stage.probes.connect(report.worker for report in reports)
    except OctantError as error:
        raise NotJudged(f"{error}") from None
    if not await stage.probes.answering(200):
        raise NotJudged("Not every worker answers a call.")
    began = time.monotonic()
    exit_code, _ = await _command(stage, "release", "status")
    took = time.monotonic() - began
    if exit_code:
        raise NotJudged(f"The command octant release status failed with exit code {exit_code}.")
    if took > LIMIT_SECONDS / 2:
        raise NotJudged(
            f"The machine is too busy: a command that only reads took {took:.1f} s, over half of a step's {LIMIT_SECONDS:g} s."
        )


async def _all_steps(stage: Stage, done: Callable[[Step], None]) -> str:
    """Do every step and put everything back. Returns what was wrong besides the steps."""
    traffic = Traffic()
    try:
        async with _calls(stage.probes, traffic):
            for step in _rollbacks(stage):
                await _still_alone(stage)
                done(await step())
    finally:
        await _restore(stage)
    for scope in (("all",), ("model", stage.practice.alias)):
        await _still_alone(stage)
        try:
            done(await _stop_step(stage, scope, stopped=True))
            done(await _stop_step(stage, scope, stopped=False))
        finally:
            with suppress(OctantError):
                await stage.switch.resume(scope[0], "".join(scope[1:]), by=REASON)
    wrong = [f"{len(traffic.failed)} of {traffic.calls} calls failed meanwhile"] * bool(traffic.failed)
    if not await stage.probes.until(lambda: stage.probes.serving(lambda release: release == stage.live), LONGEST_SECONDS):
        wrong.append(f"not every worker serves {stage.live} again")
    return "; ".join(wrong)


async def _code_step(stage: Stage, newer: NewerCode | None, done: Callable[[Step], None]) -> str:
    """Time a rollback of code until every worker reports the earlier one. Returns what was wrong besides it.

    A service that goes on after the rehearsal goes forward again.
    """
    traffic = Traffic()
    await _still_alone(stage)
    with ExitStack() as stack:
        try:
            url = await asyncio.to_thread(stack.enter_context, newer()) if newer else stage.probes.url
        except Misconfigured as error:
            raise NotJudged(str(error)) from None
        now = code.path_of(await code.read(stage.engine))[-1]

        async def gone() -> bool:
            reports = await stage.releases.reports()
            return bool(reports) and all(report.code not in ("", now) for report in reports)

        env = {**stage.env, **{name: value for name, value in os.environ.items() if name.startswith("OCTANT_DEPLOY__")}}
        async with _calls(stage.probes.at(url), traffic):
            command = ("rollback", "--code", "--reason", REASON)
            step = await _timed(replace(stage, env=env), "rollback code", command, gone, limit=CODE_SECONDS)
        done(step)
        if not newer:
            await _command(replace(stage, env=env), "rollback", "--code", "--to", now, "--reason", REASON)
        await asyncio.to_thread(stack.close)
    return f"{len(traffic.failed)} of {traffic.calls} calls failed while the code went back" if traffic.failed else ""


def _rollbacks(stage: Stage) -> Sequence[Callable[[], Awaitable[Step]]]:
    """The rollbacks: of the whole release, as an operator at night would, then of each pin."""
    single = [(kind, options) for kind, options in stage.practice.options.items() if options]
    return [
        lambda: _rollback_step(stage, "all", ()),
        *(
            lambda kind=kind, options=options: _rollback_step(stage, kind, (*options, "--to", stage.live))
            for kind, options in single
        ),
    ]


async def _rollback_step(stage: Stage, kind: str, options: Sequence[str]) -> Step:
    """Put the practice release live (for the first pin, and for all), then time one rollback."""
    live = await stage.releases.live()
    before = live.id if live else ""
    if before == stage.live:
        await _activate(stage)
        before = stage.practice.id
    name = " ".join((kind, *options[1:2])) if kind in ("prompt", "model") else kind

    async def changed() -> bool:
        now = await stage.releases.live()
        return now is not None and now.id != before

    return await _timed(
        stage, f"rollback {name}", ("rollback", *options, "--again", "--reason", REASON),
        lambda: stage.probes.serving(lambda release: release not in ("", before)),
        written=changed, promise=following.WITHIN,
    )  # fmt: skip


async def _activate(stage: Stage) -> None:
    """Put the practice release live on every worker. Raises NotJudged where going forward does not work."""
    exit_code, out = await _command(stage, "release", "activate", stage.practice.id, "--force", "--reason", REASON)
    if exit_code or not await stage.probes.until(
        lambda: stage.probes.serving(lambda release: release == stage.practice.id), LONGEST_SECONDS
    ):
        raise NotJudged(f"The release for the rehearsal is not live: {out[-500:]}")


async def _stop_step(stage: Stage, scope: Sequence[str], *, stopped: bool) -> Step:
    verb = "kill" if stopped else "resume"
    command = (verb, *scope, *(("--reason", REASON) if stopped else ()))

    async def changed() -> bool:
        return bool(await stage.switch.status()) == stopped

    return await _timed(
        stage, f"{verb} {scope[0]}", command, lambda: stage.probes.answering(STOPPED if stopped else 200),
        written=changed, promise=PROMISED_SECONDS,
    )  # fmt: skip


async def _timed(
    stage: Stage, name: str, command: Sequence[str], seen: Callable[[], Awaitable[bool]], *,
    limit: float = LIMIT_SECONDS, written: Callable[[], Awaitable[bool]] | None = None, promise: float = 0.0,
) -> Step:  # fmt: skip
    """Run a command, and time it until the last worker shows its effect.

    ``limit``: seconds from its start within which it is kept. ``written``: whether the store has its change, from which on the
    workers have the seconds of the ``promise``.
    """
    began = time.monotonic()
    running = asyncio.create_task(_command(stage, *command))
    wrote, last = await asyncio.gather(
        stage.probes.until(written, LONGEST_SECONDS) if written else asyncio.sleep(0), stage.probes.until(seen, LONGEST_SECONDS)
    )
    exit_code, out = await running
    seconds = round((last or time.monotonic()) - began, 2)
    after = round(max(0.0, last - wrote), 2) if last and wrote else None
    kept = last is not None and exit_code == 0 and seconds <= limit and (not written or (after is not None and after <= promise))
    return Step(name, seconds, kept, "" if kept else " ".join(out.split())[-300:], limit, after, promise)


async def _command(stage: Stage, *command: str) -> tuple[int, str]:
    return await stage.run(stage.env, command)


async def _restore(stage: Stage) -> None:
    """Put the release live again that was live before, unless an operator has chosen another meanwhile."""
    live = await stage.releases.live()
    if live and live.id != stage.live and not await of_an_operator(stage.releases, stage.live):
        await stage.releases.rollback(by=REASON, reason=END_REASON, to=stage.live, force=True)


@asynccontextmanager
async def _calls(probes: Probes, traffic: Traffic) -> AsyncGenerator[None, None]:
    """Make calls, each on a connection of its own, until the end of the block."""
    over = asyncio.Event()

    async def caller() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not over.is_set():
                status = await probes.call(session)
                traffic.calls += 1
                if status != 200:
                    traffic.failed.append(status)
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)
