"""The gate on a running service: it passes what is good and names what is broken."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT, Simulator, free_port


def gate(url: str, key: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "evals", "gate", "--base-url", url, "--api-key", key, "--label", "simulator in tests"]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=100, check=False)


def test_the_service_as_it_is_passes(service_url: str, api_key: str, simulator: Simulator) -> None:
    """E3."""
    run = gate(service_url, api_key)
    assert run.returncode == 0, run.stdout + run.stderr


def test_cases_that_fail_with_an_error_cannot_be_judged(service_url: str, api_key: str, simulator: Simulator) -> None:
    """E3."""
    simulator.put_faults({"kind": "status", "status": 400, "model": "gpt-6-luna"})
    run = gate(service_url, api_key)
    assert run.returncode == 2, run.stdout + run.stderr
    assert "german-ticket: HTTP 400" in run.stdout


class HandsEverythingOver(BaseHTTPRequestHandler):
    """A product that answers nothing: every question goes to a person, every ticket is an `other`."""

    def do_POST(self) -> None:
        body = json.dumps({"outcome": "handed_over", "answer": "", "tools": [], "citations": [], "category": "other"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_a_worse_product_is_below_the_thresholds_and_its_failure_modes_are_named() -> None:
    """E2, E3."""
    with ThreadingHTTPServer(("127.0.0.1", 0), HandsEverythingOver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run = gate(f"http://127.0.0.1:{server.server_port}", "none")
        server.shutdown()
    assert run.returncode == 1, run.stdout + run.stderr
    assert "retrieval_miss: 0.0% passed" in run.stdout
    assert "answer_that_should_be_refusal: " not in run.stdout


def test_a_dead_service_is_not_a_low_score(api_key: str) -> None:
    """E3: another exit code for what could not be judged."""
    run = gate(f"http://127.0.0.1:{free_port()}", api_key)
    assert run.returncode == 2
    assert "ClientConnectorError" in run.stdout


@pytest.mark.parametrize("label", ["", " "])
def test_a_foreign_service_needs_a_label(service_url: str, api_key: str, label: str) -> None:
    command = [sys.executable, "-m", "evals", "gate", "--base-url", service_url, "--api-key", api_key, "--label", label.strip()]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, "--label" in run.stderr) == (2, True)
