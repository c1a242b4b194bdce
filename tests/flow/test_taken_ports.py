"""A port that another program takes between its draw and the start of a service costs no test."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import running_service, running_worker
from fresh_ports import listens, on_free_ports

from app.stack.embedded import free_port


class AlwaysReady(BaseHTTPRequestHandler):
    """As the service of another run: it answers 200 to `/readyz`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def taken() -> Iterator[str]:
    """The port of another program's service."""
    with ThreadingHTTPServer(("127.0.0.1", free_port()), AlwaysReady) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield str(server.server_address[1])
        server.shutdown()
        serving.join()


def test_a_service_gets_another_port_where_its_own_is_taken(stack_env: dict[str, str], taken: str, tmp_path: Path) -> None:
    env = {**stack_env, "OCTANT_PORT": taken, "OCTANT_METRICS_PORT": str(free_port())}
    metrics = env["OCTANT_METRICS_PORT"]
    with running_service(env, tmp_path / "service.log") as url:
        assert env["OCTANT_PORT"] != taken
        assert env["OCTANT_METRICS_PORT"] == metrics
        assert url == f"http://127.0.0.1:{env['OCTANT_PORT']}"


def test_a_worker_gets_another_port_where_its_own_is_taken(stack_env: dict[str, str], taken: str, tmp_path: Path) -> None:
    env = {**stack_env, "OCTANT_WORKER_METRICS_PORT": taken}
    with running_worker(env, tmp_path / "worker.log") as worker:
        assert env["OCTANT_WORKER_METRICS_PORT"] != taken
        assert listens(worker.pid, int(env["OCTANT_WORKER_METRICS_PORT"]))


@pytest.mark.parametrize("said", ["Port 1 on 127.0.0.1 is in use by python (pid 7).", "Port 2 on 127.0.0.1 is closed.", ""])
def test_another_failure_of_a_start_fails_the_test_at_once(said: str, tmp_path: Path) -> None:
    """Also a port that is none of the service's own."""
    log, starts = tmp_path / "service.log", []
    log.write_text(said)

    def start() -> AbstractContextManager[None]:
        starts.append(1)
        pytest.fail("not ready")

    with pytest.raises(pytest.fail.Exception), on_free_ports({"OCTANT_PORT": "2"}, log, start):
        pass
    assert len(starts) == 1


def test_a_port_that_is_taken_again_and_again_fails_the_test(tmp_path: Path) -> None:
    log, env, tried = tmp_path / "service.log", {"OCTANT_PORT": "2"}, []

    def start() -> AbstractContextManager[None]:
        tried.append(env["OCTANT_PORT"])
        log.write_text(f"Port {env['OCTANT_PORT']} on 127.0.0.1 is in use.")
        raise AssertionError

    with pytest.raises(AssertionError), on_free_ports(env, log, start):
        pass
    assert len(set(tried)) == len(tried) == 3


def test_only_a_listener_of_the_family_counts_as_its_own(taken: str) -> None:
    assert listens(os.getpid(), int(taken))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not listens(os.getpid(), unused.getsockname()[1])
