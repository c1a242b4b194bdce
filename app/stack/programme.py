"""What a demo lives through after its first start: a page, evals, attacks, an outage and the way back, each played for real.

Each part is the command that an operator types, so it stores its result where that command does, and the command makes it again.
The parts run one after the other, at a low priority, and on services of their own but for the page: the demo's callers meet no
fault. A part that has left its result in this state folder is not played again; one that is not judged, because the machine was
busy, is played once more after the others.
"""

import asyncio
import re
import shlex
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from app.domain.errors import Misconfigured
from app.features.installed import installed
from app.settings import Settings
from app.stack import interrupts
from app.stack.baseline import Verdict
from app.stack.busy import load_words
from app.stack.processes import Watched, child
from app.stack.receiver import DemoReceiver

OCTANT = (sys.executable, "-m", "app.cli")
EVALS = (sys.executable, "-m", "evals")
NICE = 10
STOP_SECONDS = 40.0  # a part stops a whole service
PAGE, ANSWERS, INJECTION, GAMEDAY, LEAK, ROGUE, WAY_BACK = "page", "answers", "injection", "gameday", "leak", "rogue", "rollback"
SCENARIO, LEAKED, ENDLESS = "provider-outage", "key-leak", "rogue-user"
BY = ("--by", "the demo's first start")  # a report says so
NOT_KEPT = Verdict.NOT_KEPT.exit_code
NOT_JUDGED = Verdict.NOT_JUDGED.exit_code
PROMISE = re.compile(r"\*\*Hypothesis:\*\* (.*?)\.?$", re.MULTILINE)  # of a game day's report


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``seconds``: about how long on two cores; ``verdict``: matches the line of its output that has the result."""

    name: str
    title: str
    seconds: int
    command: tuple[str, ...]
    verdict: re.Pattern[str]


PARTS = (
    Part(PAGE, "a test page", 5, ("oncall", "page", "--test", "--wait", "60s"), re.compile(r"(answered by .*|No answer.*)")),
    Part(ANSWERS, "evals of two releases", 35, ("example",), re.compile(r"Example: (.*)\.")),
    Part(
        INJECTION, "12 prompt injections", 15, ("drill", "injection", "--vector", "every", "--log"),
        re.compile(r"((?:NOT )?contained.*|not judged: .*)"),
    ),
    Part(GAMEDAY, "an outage of a provider", 70, ("drill", "gameday", SCENARIO, *BY), re.compile(r"\*\*Verdict:\*\* (.*)")),
    Part(LEAK, "a leaked API key", 45, ("drill", "gameday", LEAKED, *BY), re.compile(r"\*\*Verdict:\*\* (.*)")),
    Part(ROGUE, "a rogue user", 50, ("drill", "gameday", ENDLESS, *BY), re.compile(r"\*\*Verdict:\*\* (.*)")),
    Part(
        WAY_BACK, "rollbacks and the kill switch", 60, ("rehearse", "--log-here", "--workers", "2"),
        re.compile(r"((?:not )?kept: .*|not judged: .*)"),
    ),
)  # fmt: skip


def due(settings: Settings, *, paged: bool) -> list[Part]:
    """The parts without a result in the state folder. ``paged``: whether the demo's own receiver takes its pages."""
    from app.releases.eval_example import example
    from app.releases.rehearsals import ATTACKED, JUDGED, ROLLBACK, here
    from app.stack.gameday.report import verdicts

    judged = {one.what for one in here(settings.state_dir) if one.verdict in JUDGED}
    played = {scenario for scenario, verdict in verdicts(settings.state_dir) if verdict in JUDGED}
    done = {
        PAGE: not paged or asyncio.run(_page_tested(settings)),
        ANSWERS: not find_spec("evals") or not example(settings.releases_dir) or asyncio.run(_evals_stored(settings)),
        INJECTION: ATTACKED in judged or not any(feature.drill for feature in installed()),
        GAMEDAY: SCENARIO in played,
        LEAK: LEAKED in played,
        ROGUE: ENDLESS in played,
        WAY_BACK: ROLLBACK in judged,
    }
    return [part for part in PARTS if not done[part.name]]


async def _page_tested(settings: Settings) -> bool:
    from app.oncall.paging.figures import newest_test
    from app.stores import build_engine

    engine = build_engine(settings, pooled=False)
    try:
        test = await newest_test(engine)
        return test is not None and not test.waits
    finally:
        await engine.dispose()


async def _evals_stored(settings: Settings) -> bool:
    from app.releases.eval_history import runs
    from app.stores import build_engine

    engine = build_engine(settings, pooled=False)
    try:
        return (await runs(engine, most=1)).count > 0
    finally:
        await engine.dispose()


class Programme:
    """Plays parts one after the other: `begin` once, `step` again and again, `hurry` when the demo begins to stop."""

    def __init__(self, folder: Path, tell: Callable[[str], None], receiver: DemoReceiver | None) -> None:
        """Nothing runs yet. ``folder``: the state folder. ``receiver``: the demo's own, None where pages go elsewhere."""
        self._waiting: list[Part] = []
        self._folder = folder
        self._tell = tell
        self._receiver = receiver
        self._running = ExitStack()
        self._now: tuple[Part, Watched, float] | None = None
        self._again: set[str] = set()
        self._unproved: list[Part] = []

    def begin(self, settings: Settings, url: str) -> None:
        """Announce the parts that are due on this running demo."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with interrupts.held_back():  # no event loop's inside is broken into
                self._waiting = due(settings, paged=self._receiver is not None)
        except (Misconfigured, SQLAlchemyError, OSError) as error:  # a log that cannot be read ends no demo
            self._tell(f"\nNothing is rehearsed here: {error if isinstance(error, Misconfigured) else type(error).__name__}")
        if not self._waiting:
            return
        *first, last = [part.title for part in self._waiting]
        listed = " and ".join(filter(None, (", ".join(first), last)))
        self._tell(
            f"\nMeanwhile this demo rehearses {listed}: about {sum(part.seconds for part in self._waiting)} s; see"
            f" {url}/console/gameday; `octant demo --no-rehearsals` leaves it out."
        )

    def step(self) -> None:
        """Start the next part, or report the verdict of one that has ended. Never waits."""
        if self._now is None:
            if self._waiting:
                self._start(self._waiting.pop(0))
            return
        part, process, began = self._now
        code = process.process.poll() if process.process else 0
        if code is not None:
            self.stop()
            again = code == NOT_JUDGED and part.name not in self._again
            more = "; it is played once more" if again else ""
            if again:
                self._again.add(part.name)
                self._waiting.append(part)
            elif code not in (0, NOT_KEPT):
                self._unproved.append(part)
            self._tell(f"{_outcome(part, code, process.log)} ({time.monotonic() - began:.0f} s){more}")
            if self._unproved and not self._waiting:
                self._tell(_without_evidence(self._unproved))

    def hurry(self) -> None:
        """Ask the part that runs to stop, without waiting: it stops beside the demo's own parts."""
        if self._now and self._now[1].process:
            self._now[1].process.terminate()

    def stop(self) -> None:
        """End the part that runs, with all that it started."""
        self._now = None
        self._running.close()
        if self._receiver:
            self._receiver.acknowledges = False

    def _start(self, part: Part) -> None:
        if self._receiver:
            self._receiver.acknowledges = part.name == PAGE
        command = [*(EVALS if part.name == ANSWERS else OCTANT), *part.command]
        with interrupts.held_back():
            process = self._running.enter_context(
                child(f"rehearsal-{part.name}", command, self._folder, stop_seconds=STOP_SECONDS)
            )
            started = psutil.Process(process.pid)
            started.nice(max(NICE, started.nice()))  # all that it starts inherits this; only root may make it less
            self._now = part, process, time.monotonic()


def _outcome(part: Part, code: int, log: Path) -> str:
    """One line: the part, and its result as its own output has it."""
    printed = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    found = part.verdict.findall(printed)
    words = found[-1] if found else next(iter(printed.strip().splitlines()[-1:]), "it printed nothing")
    if found and (promise := PROMISE.search(printed)):
        words = f"{words}, the promise: {promise[1]}"
    if code in (0, NOT_JUDGED) and found:
        return f"Rehearsed {part.title}: {words}"
    load = f"; {load_words()}" if code == NOT_KEPT and " cores" not in words else ""
    return f"Rehearsed {part.title}: FAILED, {words} (exit code {code}{load})"


def _without_evidence(parts: Sequence[Part]) -> str:
    """The parts that left no result, each with its command."""
    commands = (["python", "-m", "evals"] if part.name == ANSWERS else ["octant"] for part in parts)
    listed = [
        f"{part.title} (`{shlex.join([*command, *(word for word in part.command if word not in BY)])}`)"
        for part, command in zip(parts, commands, strict=True)
    ]
    return f"Still without evidence here, and so on Readiness: {', '.join(listed)}. Each is best played on an idle machine."


@contextmanager
def playing(folder: Path, tell: Callable[[str], None], receiver: DemoReceiver | None) -> Generator[Programme, None, None]:
    """A programme, of which nothing runs after the end of the block."""
    programme = Programme(folder, tell, receiver)
    try:
        yield programme
    finally:
        programme.stop()
