"""`octant demo`: it starts everything, and leaves nothing behind however it ends (G5)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT

START, STOP = 90.0, 60.0


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notice = folder / "notice.json"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
        ports = dict.fromkeys(("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT"), "0")
        self.env = {**kept, "OCTANT_STATE_DIR": str(folder / "state"), **ports}
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> "subprocess.Popen[str]":
        self.notice.unlink(missing_ok=True)
        command = [sys.executable, "-m", "app.cli", "demo", "--quiet", "--notice", str(self.notice)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        return self.process

    def start(self) -> dict[str, str]:
        self.launch()
        self.wait_for(self.notice)
        told: dict[str, str] = json.loads(self.notice.read_text())
        return told

    def wait_for(self, path: Path) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            if path.exists() and path.read_text():
                return
            time.sleep(0.002)
        pytest.fail(f"the demo did not start: {self.process.communicate()[0] if self.process.poll() is not None else 'too slow'}")

    def end(self, number: signal.Signals | None) -> tuple[int, str]:
        """Send a signal (or wait for it to end by itself). Returns exit code and output."""
        assert self.process is not None
        if number:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=STOP)
        return self.process.returncode, out

    def kill_with_its_keeper(self) -> None:
        """As when memory runs out for both: what they started runs on."""
        assert self.process
        demo = psutil.Process(self.process.pid)
        for child in demo.children():
            if child.cmdline() == demo.cmdline():
                child.kill()
        self.end(signal.SIGKILL)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-m", "app.cli", *command]
        return subprocess.run(words, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this folder."""
        mine = str(self.folder / "state")
        found = []
        for process in psutil.process_iter():
            try:
                told = " ".join([*process.cmdline(), process.environ().get("OCTANT_STATE_DIR", ""), process.cwd()])
                if mine in told and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def demo() -> Iterator[Demo]:
    """Not below pytest's own temporary folder: as root, Postgres runs as another user and must be let through."""
    folder = Path(tempfile.mkdtemp(prefix="octant-demo-")).resolve()
    demo = Demo(folder)
    yield demo
    if demo.process and demo.process.poll() is None:
        demo.process.terminate()
        demo.process.wait(STOP)
    for process in demo.processes():
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def ask(told: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON
    body = json.dumps({"text": "Please call me back.", "user": "ada"}).encode()
    request = urllib.request.Request(told["url"] + "/v1/extract", body, {"authorization": f"Bearer {told['key']}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


def test_it_answers_stops_on_ctrl_c_and_keeps_its_state(demo: Demo) -> None:
    first = demo.start()
    assert first["label"] == "simulator"
    assert ask(first)["request"] == "Please call me back."
    refused = demo.run("reset")
    assert refused.returncode == 1
    assert "is running" in refused.stderr
    assert demo.end(signal.SIGINT)[0] == 0
    assert demo.processes() == []
    second = demo.start()
    assert second["key"] == first["key"]
    assert ask(second)["request"] == "Please call me back."
    assert demo.end(signal.SIGINT)[0] == 0
    assert demo.run("reset").returncode == 0
    assert not (demo.folder / "state").exists()


@pytest.mark.parametrize("part", ["simulator", "service", "valkey", "postgres"])
def test_when_a_part_dies_the_rest_is_stopped_and_the_part_is_named(demo: Demo, part: str) -> None:
    demo.start()
    state = demo.folder / "state"
    if part == "postgres":
        pid = int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    elif part == "valkey":
        pid = int((state / "valkey" / "valkey.pid").read_text())
    else:
        pid = json.loads((state / "run" / f"{part}.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    code, out = demo.end(None)
    assert code == 3, out
    assert f"{part} died" in out
    assert demo.processes() == []


def test_when_its_terminal_is_closed_it_leaves_nothing_running(demo: Demo) -> None:
    demo.start()
    code, out = demo.end(signal.SIGHUP)
    assert code == 0, out
    assert demo.processes() == []


@pytest.mark.parametrize("after", ["valkey/valkey.pid", "demo.json"])
def test_interrupted_in_the_middle_of_its_start_it_leaves_nothing_running(demo: Demo, after: str) -> None:
    """The moment at which it strikes is the one when this file appears."""
    demo.launch()
    demo.wait_for(demo.folder / "state" / after)
    code, out = demo.end(signal.SIGINT)
    assert code == 0, out
    assert "Traceback" not in out
    assert demo.processes() == []


def test_it_shows_every_kind_of_answer_and_fails_when_asked_once_if_one_is_not_as_it_should_be(demo: Demo) -> None:
    run = demo.run("demo", "--once")
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("curl -s http://127.0.0.1:") == 3
    rows = {line[:24].strip(): line[24:] for line in run.stdout.splitlines()}
    statuses = {name: int(rows[name].split()[0]) for name in ("chat", "ticket", "unknown model", "over a tiny cap", "not a key")}
    assert statuses == {"chat": 200, "ticket": 200, "unknown model": 404, "over a tiny cap": 429, "not a key": 401}
    assert demo.processes() == []
    (demo.folder / "state" / "stop").touch()  # the kill file where the runbook says that the demo has it
    run = demo.run("demo", "--once")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "(expected: 200)" in run.stdout


def test_reset_after_a_kill_stops_what_was_left_before_it_removes_the_files(demo: Demo) -> None:
    """Otherwise Postgres and Valkey run on, on files that are gone."""
    demo.start()
    demo.kill_with_its_keeper()
    assert demo.processes()
    reset = demo.run("reset")
    assert reset.returncode == 0, reset.stderr
    assert demo.processes() == []
    assert not (demo.folder / "state").exists()


def test_what_a_killed_demo_started_stops_by_itself(demo: Demo) -> None:
    """Service, worker, simulator and stores: nothing serves on that no process supervises."""
    demo.start()
    demo.end(signal.SIGKILL)
    deadline = time.monotonic() + 90
    while demo.processes():
        assert time.monotonic() < deadline, demo.processes()
        time.sleep(0.2)


def test_what_a_killed_demo_left_running_is_stopped_by_the_next(demo: Demo) -> None:
    demo.start()
    demo.kill_with_its_keeper()
    left = {p.pid for p in demo.processes()}
    assert left
    assert ask(demo.start())["request"] == "Please call me back."
    assert left & {p.pid for p in demo.processes()} == set()
    assert demo.end(signal.SIGINT)[0] == 0
    assert demo.processes() == []
