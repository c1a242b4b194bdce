"""Child processes: started in sessions of their own, watched, stopped in order, and found again after a crash of ours."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.domain.errors import Misconfigured
from app.stack import interrupts
from app.stack.interrupts import held_back
from app.stack.log_tail import last_lines
from app.stack.same_process import same, started

STOP_SECONDS = 25.0
LEFT_OVER_SECONDS = 30.0
TICK = 0.05


@dataclass(frozen=True, slots=True)
class Watched:
    """A process that must stay alive, and where it logs."""

    name: str
    pid: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def tell(self, line: str) -> None:
        """Write one line to its input, and close it."""
        if self.process and self.process.stdin:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.close()

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return last_lines(self.log, count)


@contextmanager
def child(
    name: str, command: list[str], folder: Path, *, stop_seconds: float = STOP_SECONDS, append: bool = False
) -> Generator[Watched, None, None]:
    """Run a command until the end of the block; its output goes to ``folder/logs/<name>.log``, its input comes from `tell`.

    ``append``: the log of an earlier process of that name goes on. It has ``stop_seconds`` to stop before it is killed. A second
    interrupt of ours goes on to it, as SIGINT.
    """
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    note = folder / "run" / f"{name}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    process: subprocess.Popen[bytes] | None = None
    try:
        with held_back(), log.open("ab" if append else "wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            note.write_text(json.dumps({"pid": process.pid, "started": started(psutil.Process(process.pid))}))
        yield Watched(name, process.pid, log, process)
    finally:
        if process is not None:
            _stop(process, stop_seconds)
        note.unlink(missing_ok=True)


def stop_left_overs(folder: Path) -> list[str]:
    """Stop the processes of an earlier, killed run. Only those with the same pid and start time."""
    stopped = []
    for note in sorted((folder / "run").glob("*.json")):
        try:
            known = json.loads(note.read_text())
            process = psutil.Process(known["pid"])
            if same(process, known["started"]):
                _end_family(process)
                stopped.append(note.stem)
        except (ValueError, KeyError, psutil.Error):
            pass  # half a note, no such process, or another program's by now
        note.unlink(missing_ok=True)
    return stopped


def wait_for(ready: Path, process: Watched, seconds: float) -> str:
    """Wait for a first line in ``ready``; return it. Raises Misconfigured with the log's end if the process dies first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.alive():
        text = ready.read_text(errors="replace") if ready.exists() else ""
        if "\n" in text:
            return text.splitlines()[0]
        time.sleep(0.01)
    raise Misconfigured(f"{process.name} did not start. Its log ends:\n{process.last_lines()}")


def _end_family(process: psutil.Process) -> None:
    family = [process, *process.children(recursive=True)]
    process.terminate()
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGINT)  # calls end at once: the process that started it is gone
    _, alive = psutil.wait_procs(family, timeout=LEFT_OVER_SECONDS)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _stop(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask, wait, then end the whole group: also the workers of a process that died before it could stop them."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        ends, hurried = time.monotonic() + seconds, False
        while process.poll() is None and time.monotonic() < ends:
            if not hurried and interrupts.repeated():
                hurried = True
                process.send_signal(signal.SIGINT)
            time.sleep(TICK)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
