"""Processes of `octant`, forked from one that has imported all code of ours.

So a start costs the service's own work alone.

The standard library's fork server is that process. It is started anew, so nothing of a test is in it. The real `octant serve` is
started by `tests/flow/test_stopping.py` and `tests/flow/test_outages.py`.
"""

import gc
import mmap
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Any

import psutil

# With all libraries that they use. Sought from the root of the project: the fork server has its folder, and not pytest's paths.
IMPORTED = (
    *("app.cli.stack", "app.main", "app.stack.http_worker", "app.stack.job_worker"),
    *("app.gateway.providers.anthropic", "app.gateway.providers.openai", "tests.warmed"),
)


class Forked:
    """A command's process, with what tests use of `subprocess.Popen`.

    ``session``: it leads a session of its own, as one that a terminal or a shell has started.
    """

    def __init__(self, env: Mapping[str, str], log: Path, *command: str, session: bool = False) -> None:
        self._process: ForkServerProcess = _context().Process(target=_main, args=(dict(env), str(log), command, session))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutExpired("octant", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def run_module(module: str, *arguments: str, env: Mapping[str, str], cwd: Path, seconds: float) -> "CompletedProcess[str]":
    """Run `python -m MODULE …` in a folder to its end, as `subprocess.run` does.

    Modules of ours that the fork server has not imported are found in the folder first. Raises TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="octant-forked-") as folder:
        streams = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _context().Process(target=_main_of, args=(dict(env), streams, str(cwd), module, arguments))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(module, seconds)
        stdout, stderr = (stream.read_text() for stream in streams)
        return CompletedProcess([module, *arguments], process.exitcode, stdout, stderr)


def supervisor_of(port: int) -> psutil.Process:
    """The process of `octant serve` that listens on a port.

    It is the parent of its workers, which listen too.
    """
    for process in psutil.Process().children(recursive=True):  # parents before their children
        if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in process.net_connections("tcp")):
            return process
    raise AssertionError(f"no service listens on {port}")


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


def _main(env: dict[str, str], log: str, command: tuple[str, ...], session: bool) -> None:
    """Become `octant` with these arguments.

    As a Python that was started with this environment and these streams.
    """
    if session:
        os.setsid()
    _become(env, Path(log), Path(log))
    sys.argv = ["octant", *command]
    from app.cli import main

    main()


def _main_of(env: dict[str, str], streams: list[Path], cwd: str, module: str, arguments: tuple[str, ...]) -> None:
    """Become `python -m MODULE …`."""
    _become(env, *streams)
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _become(env: dict[str, str], *streams: Path) -> None:
    """Take this environment, and write standard output and standard error to these files."""
    assert set(IMPORTED) <= sys.modules.keys(), "the fork server could not import them, and does not say so"
    from prometheus_client import values

    from app.stack import http_worker

    os.environ.clear()
    os.environ.update(env)
    gc.freeze()  # what was imported lives as long as the process

    def decide(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the library's own
        """Decide where the processes of one service share their numbers: at the first number, not when it is imported."""
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
        return values.ValueClass(*args, **kwargs)

    values.ValueClass = decide
    http_worker._SERVED = mmap.mmap(-1, 1)  # of this service's workers; the one that was imported is shared with other services
    for number, stream in enumerate(streams, start=1):
        out = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        os.dup2(out, number)
        os.close(out)
