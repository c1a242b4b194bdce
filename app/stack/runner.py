"""`octant run`: the service from a checkout, and the handover to another one without a lost call: the deploy target `process`.

A folder holds the link `current`, which names a checkout. The runner listens, and starts `octant serve` of that checkout with its
sockets. On SIGHUP it starts the checkout that `current` names then; once all its workers serve, the ones before are stopped: they
take no more connections, and answer the calls that they have. A version that does not start is ended, the one before goes on, and
the link is put back.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from app.domain.errors import Misconfigured
from app.settings import PACKAGE, Settings, load
from app.stack.handover import VARIABLE, Handover
from app.stack.log_tail import last_lines
from app.stack.ports import require_free
from app.stack.same_process import same, started
from app.stack.stop_times import stop_seconds

CURRENT, STATE = "current", "runner.json"
START_SECONDS = 120.0
BACKLOG = 2048
TICK = 0.1
PAUSE = 1.0  # before a version that died is started again


@dataclass(frozen=True, slots=True)
class State:
    """The runner's process, the checkout whose workers serve, how often it started one, and why the last handover failed."""

    pid: int
    started: float
    checkout: str
    number: int
    error: str = ""

    def alive(self) -> bool:
        """Whether that runner still runs."""
        try:
            return same(psutil.Process(self.pid), self.started)
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True, slots=True)
class _Version:
    checkout: Path
    process: "subprocess.Popen[bytes]"
    log: Path


def state_of(folder: Path) -> State:
    """The runner of a folder. Raises Misconfigured where none runs."""
    try:
        state = State(**json.loads((folder / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        raise Misconfigured(f"No runner runs in {folder.resolve()}: start `octant run` there first.") from None
    if not state.alive():
        raise Misconfigured(f"The runner of {folder.resolve()} (pid {state.pid}) is gone: start `octant run` again.")
    return state


def switch(folder: Path, checkout: Path) -> None:
    """Point `current` at a checkout, in one step. Raises Misconfigured where there is no code of ours."""
    if not (checkout / "app" / "cli").is_dir():
        raise Misconfigured(f"{checkout} is no checkout of this service (any more): there is no {checkout}/app/cli.")
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{CURRENT}.{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(checkout.resolve())
    beside.replace(folder / CURRENT)


def run() -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code. Raises Misconfigured where the first version does not start."""
    settings = load()
    settings.require_stores()
    runner = _Runner(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, runner.stop)
    signal.signal(signal.SIGHUP, runner.hand_over)
    return runner.run()


class _Runner:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.deploy.folder.resolve()
        self._number = 0
        self._stopping = False
        self._wanted = False

    def stop(self, *_: object) -> None:
        self._stopping = True

    def hand_over(self, *_: object) -> None:
        self._wanted = True

    def run(self) -> int:
        if not (self._folder / CURRENT).exists():
            switch(self._folder, PACKAGE.parent)
        with self._listening() as sockets:
            live = self._start(sockets)
            self._note(live)
            try:
                while not self._stopping:
                    if self._wanted:
                        self._wanted = False
                        live = self._handed_over(live, sockets)
                    elif live.process.poll() is not None:
                        print(f"{live.checkout} ended with {live.process.returncode}; starting it again", flush=True)
                        time.sleep(PAUSE)
                        live = self._start(sockets)
                    time.sleep(TICK)
            finally:
                (self._folder / STATE).unlink(missing_ok=True)
                self._end(live)
        return live.process.returncode or 0

    @contextmanager
    def _listening(self) -> Generator[list[socket.socket], None, None]:
        """The sockets, in the order of the service's own addresses."""
        known = self._settings
        addresses = [(known.host, known.port)] + [(known.admin_host, known.admin_port)] * bool(known.admin_port)
        require_free([*addresses, (known.host, known.metrics_port)])
        with ExitStack() as stack:
            yield [stack.enter_context(socket.create_server(address, backlog=BACKLOG)) for address in addresses]

    def _handed_over(self, live: _Version, sockets: list[socket.socket]) -> _Version:
        """The version that serves afterwards: the new one, or the one before where that does not start."""
        began = time.monotonic()
        try:
            new = self._start(sockets)
        except Misconfigured as error:
            print(f"{error}\n{live.checkout} goes on.", flush=True)
            switch(self._folder, live.checkout)
            self._note(live, error=str(error))
            return live
        self._end(live)
        self._note(new)
        print(f"{new.checkout} serves, {live.checkout} has ended ({time.monotonic() - began:.1f} s)", flush=True)
        return new

    def _start(self, sockets: list[socket.socket]) -> _Version:
        """Start the current checkout and wait until all its workers serve. Raises Misconfigured; then it has ended."""
        checkout = (self._folder / CURRENT).resolve()
        self._number += 1
        reading, writing = os.pipe()
        given = Handover(tuple(s.fileno() for s in sockets), writing, self._number)
        own = checkout / ".venv" / "bin" / "python"
        log = self._folder / f"service-{self._number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(own) if own.exists() else sys.executable, "-m", "app.cli", "serve"],
                cwd=checkout, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=(*given.listen, writing), env={**os.environ, **self._environment(checkout), VARIABLE: given.text},
            )  # fmt: skip
        os.close(writing)
        version = _Version(checkout, process, log)
        try:
            if not self._ready(reading, process):
                self._end(version)
                raise Misconfigured(f"{checkout} does not start. Its log ends:\n{last_lines(log, 15)}")
        finally:
            os.close(reading)
        return version

    def _environment(self, checkout: Path) -> dict[str, str]:
        """Code and state: the state is the runner's, whatever the checkout."""
        return {"PYTHONPATH": str(checkout), "OCTANT_STATE_DIR": str(self._settings.state_dir.resolve())}

    def _ready(self, reading: int, process: "subprocess.Popen[bytes]") -> bool:
        """Wait for a byte of each worker."""
        missing, ends = self._settings.workers, time.monotonic() + START_SECONDS
        while missing > 0 and process.poll() is None and time.monotonic() < ends and not self._stopping:
            if select.select([reading], [], [], TICK)[0]:
                came = len(os.read(reading, 64))
                if not came:
                    return False
                missing -= came
        return missing <= 0

    def _end(self, version: _Version) -> None:
        """Let a version answer its calls and end."""
        if version.process.poll() is None:
            version.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                version.process.wait(stop_seconds(self._settings.graceful_timeout) + 2)
        with suppress(ProcessLookupError):
            os.killpg(version.process.pid, signal.SIGKILL)
        version.process.wait()

    def _note(self, live: _Version, *, error: str = "") -> None:
        """Write the state, in one step."""
        state = State(os.getpid(), started(psutil.Process()), str(live.checkout), self._number, error)
        beside = self._folder / f".{STATE}"
        beside.write_text(json.dumps(asdict(state)))
        beside.replace(self._folder / STATE)
