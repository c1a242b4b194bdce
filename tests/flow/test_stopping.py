"""How a service stops (ADR 0008): every signal with calls in flight, on real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT, Simulator, octant, running_worker, wait_until_ready
from forked import Forked
from fresh_ports import on_free_ports

from app.stack.embedded import free_port
from app.stack.ports import require_free

pytestmark = pytest.mark.whole_stack

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PATIENCE = 120.0  # seconds that a busy machine may take; nothing here measures speed


@dataclass
class Call:
    """One request made in a thread of its own.

    It has the status (0 where the connection broke) and the whole body.
    """

    url: str
    body: Mapping[str, Any]
    key: str
    status: int = 0
    text: str = ""
    first: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:  # noqa: D105
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        request = urllib.request.Request(self.url, json.dumps(self.body).encode())  # noqa: S310 - loopback
        request.add_header("authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - loopback
                for line in answer:
                    self.text += line.decode()
                    self.first.set()
                self.status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                self.status, self.text = error.code, error.read().decode()
        except OSError as error:
            self.text += f"<{type(error).__name__}>"

    def ended(self) -> "Call":
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), f"{self.url} is not answered"
        return self

    @property
    def error_code(self) -> str:
        """The code of the error that it ended in; of a stream, of its last event."""
        last = self.text.strip().rsplit("data: ", 1)[-1]
        return str(json.loads(last)["error"]["code"])


@dataclass
class Service:
    """A running `octant serve` and how to call it."""

    process: "Forked | subprocess.Popen[bytes]"
    env: Mapping[str, str]
    key: str
    log: Path
    user: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:8]}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.env['OCTANT_PORT']}"

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]

    def call(self, path: str = CHAT, *, stream: bool = False) -> Call:
        body = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50, "stream": stream}
        about = {"metadata": {"user_id": self.user}} if path == MESSAGES else {"user": self.user}
        return Call(self.url + path, {**body, **about}, self.key)

    def outcomes(self) -> list[str]:
        """Of the records of this service's calls."""
        lines = octant(self.env, "calls", "--user", self.user, "--json").splitlines()
        return sorted(json.loads(line)["outcome"] for line in lines)

    def refuses(self) -> bool:
        """Whether no process listens any more."""
        try:
            require_free([("127.0.0.1", int(self.env["OCTANT_PORT"]))], wait=0)
        except Exception:  # noqa: BLE001 - in use
            return False
        return True


@contextmanager
def serving(stack_env: Mapping[str, str], key: str, folder: Path, *, real: bool = False, **settings: str) -> Iterator[Service]:
    """Run `octant serve`; ``real``: the program itself, which imports everything anew."""
    env = {**stack_env, "OCTANT_PORT": str(free_port()), "OCTANT_METRICS_PORT": str(free_port()), **settings}
    log = folder / f"{uuid.uuid4().hex}.log"
    log.touch()
    with on_free_ports(env, log, lambda: _started(env, key, log, real=real)) as service:
        yield service


@contextmanager
def _started(env: Mapping[str, str], key: str, log: Path, *, real: bool) -> Iterator[Service]:
    process: Forked | subprocess.Popen[bytes]
    if real:
        command = [sys.executable, "-m", "app.cli", "serve"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True)
    else:
        process = Forked(env, log, "serve", session=True)
    service = Service(process, env, key, log)
    family = []
    try:
        wait_until_ready(service.url, process, log)
        family = psutil.Process(process.pid).children()
        yield service
    finally:
        family += psutil.Process(process.pid).children() if process.poll() is None else []
        process.kill()
        for member in family:
            if member.is_running():
                member.kill()
        process.wait(PATIENCE)


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: did not come true"
        time.sleep(0.05)


STOPS = {
    "SIGTERM": [signal.SIGTERM],
    "SIGINT": [signal.SIGINT],
    "SIGQUIT": [signal.SIGQUIT],
    "SIGTERM-then-SIGINT": [signal.SIGTERM, signal.SIGINT],
}


@pytest.mark.parametrize("name", [*STOPS, "Ctrl-C-twice"])
def test_a_stop_ends_every_call_with_a_typed_error_and_keeps_records_and_money(
    name: str, stack_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Only SIGTERM alone waits, for the graceful timeout; every other stop ends the calls at once."""
    graceful = "1" if name == "SIGTERM" else "600"
    env = {**stack_env, "OCTANT_HTTP__KEEP_ALIVE": "0", "OCTANT_HTTP__FIRST_BYTE": "0"}  # either begins a stream, with a status
    with serving(env, api_key, tmp_path, OCTANT_GRACEFUL_TIMEOUT=graceful) as service:
        simulator.put_faults({"kind": "idle", "seconds": 600, "after_tokens": 3})
        stream = service.call(stream=True)
        assert stream.first.wait(PATIENCE)
        simulator.put_faults({"kind": "hang"})
        calls = [service.call(), service.call(MESSAGES), service.call(stream=True), service.call(MESSAGES, stream=True)]
        eventually(lambda: open_calls(simulator) >= 5, "the calls are with the provider")
        for number in STOPS.get(name, []):
            service.process.send_signal(number)
            eventually(service.refuses, "the port is closed")
        if name == "Ctrl-C-twice":  # a terminal signals the workers, too
            for _ in range(2):
                with suppress(ProcessLookupError):  # the second one may come too late
                    os.killpg(service.process.pid, signal.SIGINT)
                eventually(service.refuses, "the port is closed")
        for call in calls:
            assert (call.ended().status, call.error_code) == (503, "shutting_down"), call.text
        assert (stream.ended().status, stream.error_code) == (200, "shutting_down"), stream.text
        assert "[DONE]" not in stream.text
        assert service.process.wait(PATIENCE) == 0, service.log.read_text()[-3000:]
        assert service.outcomes() == ["shutting_down"] * 5
    assert held(stack_env, service.user) == 0, "every lease of these calls is settled"


def held(env: dict[str, str], user: str) -> float:
    """Dollars that the user's calls hold now: others of the tenant may be under way."""
    lines = octant(env, "budget", "show", "acme", "--user", user).splitlines()
    (found,) = [re.search(r"held +\$([0-9.]+)", line) for line in lines if line.startswith("user-day")]
    assert found
    return float(found[1])


def open_calls(simulator: Simulator) -> int:
    return sum(int(provider["open"]) for provider in simulator.stats().values())  # type: ignore[call-overload]


@pytest.mark.parametrize("number", [signal.SIGTERM], ids=["SIGTERM"])
def test_calls_that_end_within_the_graceful_timeout_are_answered_whole(
    number: signal.Signals, stack_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    with serving(stack_env, api_key, tmp_path, real=True) as service:
        simulator.put_faults({"kind": "slow_first_token", "seconds": 3})
        calls = [service.call(), service.call(MESSAGES), service.call(stream=True)]
        eventually(lambda: open_calls(simulator) >= 3, "the calls are with the provider")
        service.process.send_signal(number)
        eventually(service.refuses, "the port is closed")
        assert [call.ended().status for call in calls] == [200, 200, 200]
        assert calls[2].text.endswith("data: [DONE]\n\n")
        assert service.process.wait(PATIENCE) == 0
        assert service.outcomes() == ["ok"] * 3


def test_signals_that_do_not_stop_it_and_signals_to_one_worker_cut_no_call(
    stack_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Signals that must not end calls.

    Reload, one worker more, one less, log files, live upgrade; then a worker that must stop, or whose terminal closes.
    """
    with serving(stack_env, api_key, tmp_path) as service:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
            _cuts_no_call(service, simulator, lambda n=number: service.process.send_signal(n))  # type: ignore[misc]
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            _cuts_no_call(service, simulator, lambda n=number: os.kill(service.workers()[0], n))  # type: ignore[misc]
        eventually(lambda: len(service.workers()) == 2, "two workers serve")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE) == 0
        assert set(service.outcomes()) == {"ok"}


def _cuts_no_call(service: Service, simulator: Simulator, act: Callable[[], None]) -> None:
    simulator.put_faults({"kind": "slow_first_token", "seconds": 1})
    calls = [service.call(stream=number % 2 == 0) for number in range(4)]
    eventually(lambda: open_calls(simulator) == 4, "the calls are with the provider")
    act()
    after = service.call()  # also while workers change
    assert [call.ended().status for call in [*calls, after]] == [200] * 5, [call.text for call in calls]


def test_workers_of_a_killed_parent_end_their_calls_and_free_the_port(
    stack_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    with serving(stack_env, api_key, tmp_path) as service:
        orphans = service.workers()
        assert len(orphans) == 2
        simulator.put_faults({"kind": "slow_first_token", "seconds": 2})
        calls = [service.call(), service.call(stream=True)]
        eventually(lambda: open_calls(simulator) == 2, "the calls are with the provider")
        service.process.kill()
        with serving({**service.env}, api_key, tmp_path, OCTANT_PORT=service.env["OCTANT_PORT"]) as following:
            assert [call.ended().status for call in calls] == [200, 200]
            eventually(lambda: not any(psutil.pid_exists(pid) for pid in orphans), "the orphans are gone")
            eventually(lambda: len(following.workers()) == 2, "the new service runs")
            assert following.url == service.url, "the port was not free in time"
            assert following.call().ended().status == 200
        assert service.outcomes() == ["ok"] * 2


@pytest.mark.timeout(4 * PATIENCE)
def test_a_service_does_not_start_on_the_port_of_another_and_leaves_it_alone(
    service_url: str, stack_env: dict[str, str], api_key: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve"],
        cwd=ROOT,
        env=stack_env,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert run.returncode == 1
    assert f"Port {stack_env['OCTANT_PORT']} on 127.0.0.1 is in use by " in run.stderr
    assert "(pid " in run.stderr
    assert "Traceback" not in run.stderr
    assert any(Path(stack_env["OCTANT_STATE_DIR"], "metrics").rglob("*.db")), "the other's metrics are gone"


@pytest.mark.parametrize(
    "numbers", [[signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT], [signal.SIGTERM, signal.SIGQUIT]], ids=str
)
def test_a_worker_of_jobs_that_stops_hands_its_job_back(
    numbers: list[signal.Signals], service_url: str, stack_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    """SIGTERM and SIGHUP wait for the graceful timeout; a second signal or a quick one does not."""
    slow = signal.SIGTERM in numbers[:1] or signal.SIGHUP in numbers[:1]
    env = {**stack_env, "OCTANT_WORKER_METRICS_PORT": str(free_port())}
    env["OCTANT_GRACEFUL_TIMEOUT"] = "1" if slow and len(numbers) == 1 else "600"
    simulator.put_faults({"kind": "hang"})
    body = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}

    def known(job: str) -> dict[str, Any]:
        request = urllib.request.Request(f"{service_url}/v1/jobs/{job}", headers={"authorization": f"Bearer {api_key}"})  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer))

    with running_worker(env, tmp_path / "worker.log") as worker:
        call = Call(f"{service_url}/v1/jobs", {"path": CHAT, "body": body}, api_key).ended()
        job = json.loads(call.text)["id"]
        eventually(lambda: open_calls(simulator) == 1, "the job runs")
        attempts = known(job)["attempts"]  # more than one where a circuit of an earlier test still rested
        for number in numbers:
            worker.send_signal(number)
            time.sleep(0.2)
        assert worker.wait(PATIENCE) == 0, (tmp_path / "worker.log").read_text()[-3000:]
    state = known(job)
    Call(f"{service_url}/v1/jobs/{job}/cancel", {}, api_key).ended()
    assert (state["state"], state["attempts"]) == ("queued", attempts)
