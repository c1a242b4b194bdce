"""A worker that cannot start ends the service only if none of its workers ever served (ADR 0007)."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from conftest import ROOT

from app.stack.embedded import free_port
from app.stack.handover import VARIABLE, Handover

SERVICE = """
import os, sys, types
from gunicorn.app.base import BaseApplication
from app.domain.in_flight import InFlight
from app.stack.arbiter import DrainingArbiter
from app.stack.http_worker import Worker

port, flag = sys.argv[1:]

class App:
    def __init__(self):
        self.state = types.SimpleNamespace(in_flight=InFlight())

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if os.path.exists(flag):
                raise RuntimeError("a pin of the live release is missing on this machine")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

class Server(BaseApplication):
    def load_config(self):
        kind = type("W", (Worker,), {"CONFIG_KWARGS": {**Worker.CONFIG_KWARGS, "http": "httptools"}})
        chosen = {"bind": [f"127.0.0.1:{port}"], "workers": 2, "worker_class": kind, "graceful_timeout": 3, "preload_app": True}
        for name, value in {**chosen, "control_socket_disable": True}.items():
            self.cfg.set(name, value)

    def load(self):
        return App()

DrainingArbiter(Server()).run()
"""


@contextlib.contextmanager
def served(flag: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", SERVICE, str(port), str(flag)], cwd=ROOT, stdout=out, stderr=out)
    try:
        yield process, port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(120)
        process.kill()


def status(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        return 0
    except OSError:
        return 0


def test_workers_that_cannot_start_any_more_leave_those_that_serve_alone(tmp_path: Path) -> None:
    flag, log = tmp_path / "fail", tmp_path / "log"
    with served(flag, log) as (process, port):
        deadline = time.monotonic() + 120
        while status(port) != 200 or log.read_text().count("Application startup complete") < 2:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        flag.touch()
        os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGKILL)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        assert "a pin of the live release is missing" in log.read_text(), "the replacement did fail"
        deadline = time.monotonic() + 120
        while status(port) != 200:
            assert time.monotonic() < deadline, log.read_text()


def test_a_service_none_of_whose_workers_can_start_ends_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    with served(tmp_path / "fail", tmp_path / "log") as (process, _):
        assert process.wait(120) == 3


def test_a_service_whose_runner_was_killed_ends_and_frees_the_port(tmp_path: Path) -> None:
    """The runner that a supervisor starts next listens there."""
    port, log = free_port(), tmp_path / "log"
    given = Handover(listen=(0,), ready=-1, number=1).text
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SERVICE!r}, *sys.argv[1:]])"
    with log.open("wb") as out:
        command = [sys.executable, "-c", code, str(port), str(tmp_path / "fail")]
        runner = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, VARIABLE: given})
    deadline = time.monotonic() + 120
    while status(port) != 200:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    family = psutil.Process(runner.pid).children(recursive=True)
    runner.kill()
    runner.wait(120)
    try:
        assert psutil.wait_procs(family, timeout=60)[1] == [], log.read_text()
        assert status(port) == 0
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
