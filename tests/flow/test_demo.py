"""`octant demo`: it starts everything, and leaves nothing behind however it ends (G5)."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import commands
import psutil
import pytest
from conftest import ROOT

from app.stack.embedded import free_port
from app.stack.traffic import samples

START, STOP = 240.0, 120.0
pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(600)]  # whole demos, also on a machine that does much else


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notice = folder / "notice.json"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
        ports = dict.fromkeys(("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT"), "0")
        # One worker, which starts sooner, where a test is not about answers.
        self.env = {**kept, "OCTANT_STATE_DIR": str(folder / "state"), "OCTANT_WORKERS": "1", **ports}
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
        notice: dict[str, str] = json.loads(self.notice.read_text())
        return notice

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

    def run(self, *command: str) -> "commands.Ran | subprocess.CompletedProcess[str]":
        """Run `octant …`: a demo as a process, other commands in this one."""
        if command[0] != "demo":
            return commands.run(self.env, *command)
        words = [sys.executable, "-m", "app.cli", *command]
        return subprocess.run(words, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=START, check=False)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this folder."""
        mine = str(self.folder / "state")
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join([*process.cmdline(), process.environ().get("OCTANT_STATE_DIR", ""), process.cwd()])
                if mine in command and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def demo() -> Iterator[Demo]:
    """A demo that has never started."""
    with own_folder() as demo:
        yield demo


@dataclass(frozen=True, slots=True)
class First:
    """The first start of a demo, which has ended: its output, and a copy of the state that it left."""

    demo: Demo
    ran: "commands.Ran | subprocess.CompletedProcess[str]"
    state: Path


@pytest.fixture(scope="module")
def first() -> Iterator[First]:
    """Databases, tenants and indexes are set up once, for all tests in which a start follows another one."""
    with own_folder() as demo:
        demo.env["OCTANT_RELEASES_DIR"] = str(shutil.copytree(ROOT / "releases", demo.folder / "releases"))
        ran = demo.run("demo", "--once")
        _copy(demo.folder / "state", demo.folder / "kept")
        yield First(demo, ran, demo.folder / "kept")


def _copy(state: Path, there: Path) -> None:
    """Copy with the owner of every file, which `shutil.copytree` does not keep."""
    subprocess.run(["cp", "-a", state, there], check=True)


@pytest.fixture
def started_before(first: First) -> Iterator[Demo]:
    """A demo that has been started before."""
    with own_folder(first.state) as demo:
        yield demo


@contextmanager
def own_folder(state: Path | None = None) -> Iterator[Demo]:
    """A demo that leaves nothing behind, in a folder with a space in its name, with a copy of ``state``.

    Not below pytest's own temporary folder: as root, Postgres runs as another user and needs access.
    """
    folder = Path(tempfile.mkdtemp(prefix="octant demo-")).resolve()
    if state is not None:
        _copy(state, folder / "state")
    demo = Demo(folder)
    yield demo
    if demo.process and demo.process.poll() is None:
        demo.process.terminate()
        demo.process.wait(STOP)
    for process in demo.processes():
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def post(notice: dict[str, str], path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - an HTTP answer
    headers = {"authorization": f"Bearer {notice['key']}"}
    request = urllib.request.Request(notice["url"] + path, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    return urllib.request.urlopen(request, timeout=120)  # noqa: S310 - loopback


def ask(notice: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON
    with post(notice, "/v1/extract", {"text": "Please call me back.", "user": "ada"}) as answer:
        return json.loads(answer.read())


def provider_of_a_chat(notice: dict[str, str]) -> str:
    with post(notice, "/v1/chat/completions", {"model": "smart", "messages": [{"role": "user", "content": "Hello"}]}) as answer:
        return str(answer.headers["octant-provider"])


def test_it_answers_and_leaves_only_its_state_after_ctrl_c(demo: Demo) -> None:
    del demo.env["OCTANT_WORKERS"]  # as a newcomer starts it
    notice = demo.start()
    assert notice["label"] == "simulator"
    assert ask(notice)["request"] == "Please call me back."
    cap = demo.run("budget", "show", "acme")
    assert "tenant-day" in cap.stdout, cap.stderr
    assert cap.stderr == f"octant: using the demo at {notice['url']} ({demo.folder / 'state'})\n"
    refused = demo.run("reset")
    assert refused.returncode == 1
    assert "is running" in refused.stderr
    assert provider_of_a_chat(notice) == "anthropic"
    broken = demo.run("simulate", "outage", "anthropic")
    assert broken.stdout == "anthropic: outage, connections are refused\n", broken.stderr
    assert provider_of_a_chat(notice) == "openai"
    assert re.search(r"simulate outage +\S* *provider=anthropic", demo.run("audit", "list").stdout)
    assert demo.end(signal.SIGINT)[0] == 0
    assert demo.processes() == []
    assert demo.run("reset").returncode == 0
    assert not (demo.folder / "state").exists()


def test_an_alert_is_drilled_as_alertmanager_posts_it_with_its_page_and_incident(started_before: Demo) -> None:
    demo = started_before
    paging = {"RECEIVERS": '["webhook"]', "WEBHOOK_URL": "http://127.0.0.1:9/page", "ALERTMANAGER_TOKEN": "of-a-test"}
    demo.env |= {f"OCTANT_PAGING__{name}": value for name, value in paging.items()}
    demo.start()
    assert "of-a-test" not in (demo.folder / "state" / "running.json").read_text()
    drilled = demo.run("oncall", "drill", "--reason", "practice")
    assert drilled.stdout.startswith("OctantAvailabilityBurnsFast: triggered."), drilled.stderr
    assert "[DRILL]: Drill: An objective is being missed: availability" in demo.run("oncall", "page", "list").stdout
    assert "Drill: An objective is being missed" in demo.run("incident", "list").stdout
    assert "Drilled page without an answer" in demo.run("status").stdout
    assert "oncall drill" in demo.run("audit", "list").stdout
    assert "its drill is open already" in demo.run("oncall", "drill", "--reason", "again").stdout
    wrong = demo.run("oncall", "drill", "--reason", "x", "--alert", "OctantNothing")
    assert (wrong.returncode, "No rule has the alert" in wrong.stderr) == (1, True)
    demo.env["OCTANT_PAGING__ALERTMANAGER_TOKEN"] = "another"
    refused = demo.run("oncall", "drill", "--reason", "x")
    assert (refused.returncode, "refuses the alert" in refused.stderr) == (1, True)
    assert demo.end(signal.SIGINT)[0] == 0


def test_when_a_part_dies_the_rest_is_stopped_and_the_part_is_named(started_before: Demo) -> None:
    """One state for all, so each start but the first finds what the death before has left."""
    demo = started_before
    state = demo.folder / "state"
    for part in ("postgres", "valkey", "service", "simulator"):
        demo.start()
        if part == "postgres":
            pid = int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        elif part == "valkey":
            pid = int((state / "valkey" / "valkey.pid").read_text())
        else:
            pid = json.loads((state / "run" / f"{part}.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        code, out = demo.end(None)
        assert code == 3, f"{part}: {out}"
        assert f"{part} died" in out
        assert demo.processes() == [], part


def test_a_job_worker_that_dies_is_started_again_and_runs_jobs(started_before: Demo) -> None:
    demo = started_before
    notice = demo.start()
    note = demo.folder / "state" / "run" / "worker.json"
    killed = json.loads(note.read_text())["pid"]
    os.kill(killed, signal.SIGKILL)
    body = {"path": "/v1/chat/completions", "body": {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}}
    with post(notice, "/v1/jobs", body) as answer:
        url = f"{notice['url']}/v1/jobs/{json.loads(answer.read())['id']}"
    polling = urllib.request.Request(url, headers={"authorization": f"Bearer {notice['key']}"})  # noqa: S310 - loopback
    state, deadline = "queued", time.monotonic() + START
    while state in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.2)
        with urllib.request.urlopen(polling, timeout=120) as answer:  # noqa: S310 - loopback
            state = json.loads(answer.read())["state"]
    assert state == "succeeded"
    assert json.loads(note.read_text())["pid"] != killed
    code, out = demo.end(signal.SIGINT)
    assert code == 0, out
    assert out.count("worker was killed, as when memory runs out; started again (1 of 5 times).") == 1
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


def test_once_shows_every_kind_of_answer_and_fails_where_one_is_wrong(first: First) -> None:
    demo, run = first.demo, first.ran
    assert run.returncode == 0, run.stdout + run.stderr
    shown = sum(sample.shown for sample in samples())
    assert run.stdout.count("\nanswered 200: {\n") == shown >= 2
    _, _, answer = run.stdout.partition("POST /v1/extract ")
    assert json.JSONDecoder().raw_decode(answer.partition("answered 200: ")[2])[0]["company"] == "Engine Works"
    assert not re.search(r"curl|export KEY|Octant answers at|/console", run.stdout), "nothing to try on a service that is gone"
    assert "anthropic: simulated" in run.stdout
    rows = {line[:24].strip(): line[24:] for line in run.stdout.splitlines()}
    statuses = {name: int(rows[name].split()[0]) for name in ("chat", "ticket", "unknown model", "over a tiny cap", "not a key")}
    assert statuses == {"chat": 200, "ticket": 200, "unknown model": 404, "over a tiny cap": 429, "not a key": 401}
    assert demo.processes() == []
    stop = demo.folder / "state" / "stop"  # the kill file where the runbook says that the demo has it
    stop.touch()
    run = demo.run("demo", "--once")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "(expected: 200)" in run.stdout
    stop.unlink()
    edit_prices_in_place(demo.folder / "releases")
    for _ in range(2):  # the second start says it too
        run = demo.run("demo", "--once", "--quiet")
        assert run.returncode == 1
        assert run.stderr.startswith(f"octant: The state in {demo.folder / 'state'} does not fit the files of this checkout.")
        assert "If the state is of an older checkout, `make reset` removes it" in run.stderr
        assert "{" not in run.stderr, "no line of a log"
        assert len(run.stderr.splitlines()) <= 5
    assert demo.run("reset").returncode == 0


def edit_prices_in_place(releases: Path) -> None:
    """Make the state one of an older checkout: live price tables, and the hashes that pin them, are edited."""
    for table in (releases / "prices").glob("*.toml"):
        before = hashlib.sha256(table.read_bytes()).hexdigest()
        table.write_text(table.read_text() + "# changed\n")
        for manifest in releases.glob("*.toml"):
            manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(table.read_bytes()).hexdigest()))


def test_what_a_killed_demo_started_is_stopped_by_itself_the_next_start_or_a_reset(started_before: Demo) -> None:
    """Service, worker, simulator and stores: nothing serves on that no process supervises."""
    demo = started_before
    key = demo.start()["key"]
    demo.kill_with_its_keeper()
    left = {p.pid for p in demo.processes()}
    assert left
    next_one = demo.start()
    assert ask(next_one)["request"] == "Please call me back."
    assert next_one["key"] == key
    assert left & {p.pid for p in demo.processes()} == set()
    demo.end(signal.SIGKILL)  # its keeper lives
    deadline = time.monotonic() + 120
    while demo.processes():
        assert time.monotonic() < deadline, demo.processes()
        time.sleep(0.2)
    demo.start()
    demo.kill_with_its_keeper()
    assert demo.processes()
    reset = demo.run("reset")  # otherwise Postgres and Valkey run on, on files that are gone
    assert reset.returncode == 0, reset.stderr
    assert demo.processes() == []
    assert not (demo.folder / "state").exists()


class Refusing(BaseHTTPRequestHandler):
    """A vendor that takes no key."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing_vendor() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_two_demos_at_once_get_ports_of_their_own_and_live_on(started_before: Demo, first: First, refusing_vendor: str) -> None:
    """Both want the same three ports. One has a key that its vendor refuses, and says so; it ends with its terminal."""
    demo = started_before
    with own_folder(first.state) as other:
        wanted = str(free_port())
        for each in (demo, other):
            each.env |= dict.fromkeys(("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT"), wanted)
            each.env.pop("ANTHROPIC_API_KEY", None)
        other.env |= {"OCTANT_ANTHROPIC__BASE_URL": refusing_vendor, "ANTHROPIC_API_KEY": "wrong"}
        demo.launch()
        other.launch()
        notices = []
        for each in (demo, other):
            each.wait_for(each.notice)
            notices.append(json.loads(each.notice.read_text()))
        deadline = time.monotonic() + START
        for each in (demo, other):  # the worker is the last to listen, seconds after the demo is ready
            log = each.folder / "state" / "logs" / "worker.log"
            while "worker is ready" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            assert each.process is not None
            assert each.process.poll() is None
        assert notices[0]["url"] != notices[1]["url"]
        assert [provider_of_a_chat(each) for each in notices] == ["anthropic", "openai"]
        assert demo.end(signal.SIGINT)[0] == 0
        code, out = other.end(signal.SIGHUP)
        assert code == 0, out
        assert other.processes() == []
        assert "anthropic: real" in out
        assert "its key (ANTHROPIC_API_KEY) IS REFUSED (401)" in out
