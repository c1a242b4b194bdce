"""Parts of a demo that are started again when they end: their work is in the stores, and another process goes on with it."""

import re
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from app.stack.interrupts import held_back
from app.stack.processes import STOP_SECONDS, Watched, child

IN_A_ROW = 5
STEADY_SECONDS = 60.0  # a part that ran this long begins a new row
STALLED = re.compile(r"^Timeout \(", re.MULTILINE)  # the first line of a watchdog of `faulthandler`
LOG_BYTES = 65_536


class Revived:
    """A process that is started again when it ends, a few times in a row; its log goes on. Stopped at the end of the block."""

    def __init__(self, name: str, command: list[str], folder: Path, *, stop_seconds: float = STOP_SECONDS) -> None:
        """Nothing runs before the block."""
        self.name = name
        self._command, self._folder, self._stop_seconds = command, folder, stop_seconds
        self._stack = ExitStack()
        self._revived = 0

    def __enter__(self) -> Self:
        """Start it. Raises what `subprocess.Popen` raises."""
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it."""
        self._stack.close()

    @property
    def part(self) -> Watched:
        """The process that runs now, or ran last."""
        return self._part

    def kept_alive(self, tell: Callable[[str], None]) -> bool:
        """Whether it runs. One that ended is started again, and ``tell`` gets a line on it, unless it ended too often."""
        if self._part.alive():
            return True
        if time.monotonic() - self._began >= STEADY_SECONDS:
            self._revived = 0
        if self._revived == IN_A_ROW:
            return False
        self._revived += 1
        with held_back():  # or an interrupt strikes between the start and the note of it
            self._stack.close()
            why = self._why()
            self._begin()
        tell(f"{self.name} {why}; started again ({self._revived} of {IN_A_ROW} times). Its log: {self._part.log}")
        return True

    def _begin(self) -> None:
        self._began = time.monotonic()
        start = child(self.name, self._command, self._folder, stop_seconds=self._stop_seconds, append=self._revived > 0)
        self._part = self._stack.enter_context(start)
        self._log_starts = self._part.log.stat().st_size if self._revived else 0

    def _why(self) -> str:
        """How its last process ended, in words that follow its name."""
        with self._part.log.open("rb") as log:
            log.seek(max(self._log_starts, log.seek(0, 2) - LOG_BYTES))
            if STALLED.search(log.read().decode(errors="replace")):
                return "stood still (OCTANT_JOBS_STALL), as on an overloaded machine"
        code = self._part.process.returncode if self._part.process else None
        if code == -signal.SIGKILL:
            return "was killed, as when memory runs out"
        return f"ended with exit code {code}"
