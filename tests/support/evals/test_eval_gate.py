"""The gate passes the service and fails worse ones.

It names the failure mode, and a missing score is a failure.
"""

import json
import os
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import ROOT, Simulator
from forked import run_module

from app.stack.embedded import free_port
from evals.gate import Threshold, Thresholds


def evals(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run `python -m evals` as a process.

    ``cwd`` may hold a changed copy of the suite.
    """
    return run_module("evals", *arguments, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=cwd, seconds=300)


def gate(url: str, key: str, *more: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    named = ["--label", "simulator in tests", "--baseline", "simulator", "--suite", "support"]
    return evals("gate", "--base-url", url, "--api-key", key, *named, *more, cwd=cwd)


SUITE = Path("evals/suites/support")


class HandsEverythingOver(BaseHTTPRequestHandler):
    """A product that answers nothing.

    Every question goes to a person, every ticket is an `other`.
    """

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = {"outcome": "handed_over", "answer": "", "tools": [], "citations": []}
        ticket = {"category": "other", "priority": "low", "order_id": None, "product": None}
        self._answer({**answer, **ticket, "sentiment": "neutral", "language": "en", "summary": ""})

    def _answer(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def worse_product() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), HandsEverythingOver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the suite, to plant something in."""
    shutil.copytree(ROOT / "evals", tmp_path / "evals", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def reduced(copy: Path, *modes: str) -> Path:
    """The copy with the cases of a few failure modes alone.

    Thresholds and baseline match, so the gate takes seconds.
    """
    suite = copy / SUITE
    for folder in (suite / "cases").iterdir():
        if folder.name not in modes:
            shutil.rmtree(folder)
    baseline = json.loads((suite / "baseline.json").read_text())
    baseline["cases"] = {mode: ids for mode, ids in baseline["cases"].items() if mode in modes}
    (suite / "baseline.json").write_text(json.dumps(baseline))
    kept = Thresholds.model_validate(tomllib.loads((suite / "thresholds.toml").read_text())).of("simulator")
    lines = [_table("overall", kept.overall.model_copy(update={"least": 0.01}))]  # the overall share of these is another
    lines += [_table(f"modes.{mode}", threshold) for mode, threshold in kept.modes.items() if mode in modes]
    lines += [_table(f'models."{model}"', threshold) for model, threshold in kept.models.items()]
    (suite / "thresholds.toml").write_text("\n".join(lines))
    return copy


def _table(name: str, threshold: Threshold) -> str:
    return f"[{name}]\nleast = {threshold.least}\ngoal = {threshold.goal}\nmetric = {json.dumps(threshold.metric)}\n"


@pytest.mark.timeout(900)
def test_the_service_as_it_is_passes_and_the_report_says_what_answered(
    service_url: str, api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    """E3, E4."""
    files = [str(tmp_path / "run.json"), str(tmp_path / "report.md")]
    run = gate(service_url, api_key, "--json", files[0], "--report", files[1])
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(Path(files[0]).read_text())
    assert (result["label"], result["code"]) == ("simulator in tests", 0)
    result = result["suites"]["support"]
    assert result["answered_by"]["anthropic/claude-sonnet-5-5"] > 20
    assert result["cost_usd"] > 0
    assert Path(files[1]).read_text() in run.stdout


def test_output_off_its_schema_is_below_the_threshold_of_every_ticket_mode(
    service_url: str, api_key: str, simulator: Simulator, copy: Path
) -> None:
    """E3, E7, R4: a regression planted in the models themselves."""
    simulator.put_faults({"kind": "schema_violation"})
    run = gate(service_url, api_key, cwd=reduced(copy, "malformed_output", "wrong_category"))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "malformed_output: 0.0% passed" in run.stdout
    assert "wrong_category: 0.0% passed" in run.stdout
    assert "output_invalid" in run.stdout


def test_models_that_refuse_every_request_cannot_be_judged(service_url: str, api_key: str, simulator: Simulator) -> None:
    """E3: the service gives errors; that is no score."""
    simulator.put_faults({"kind": "status", "status": 400})
    run = gate(service_url, api_key)
    assert run.returncode == 2, run.stdout + run.stderr
    assert "HTTP 502 translation_refused" in run.stdout


def test_a_worse_product_is_below_the_thresholds_and_its_failure_modes_are_named() -> None:
    """E2, E3."""
    with worse_product() as url:
        run = gate(url, "none")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "retrieval_miss: 0.0% passed" in run.stdout
    assert "data_exfiltration: " in run.stdout
    assert "answer_that_should_be_refusal: " not in run.stdout


def test_some_cases_can_be_run_without_a_verdict() -> None:
    """`run` shows results and fails only without a judgement.

    For work on a case.
    """
    with worse_product() as url:
        run = evals("run", "--only", "derby", "--only", "wrong_tool", "--base-url", url, "--label", "a stub")
        unknown = evals("run", "--only", "no-such-case", "--base-url", url, "--label", "a stub")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "`where-is-my-order` (wrong_tool): outcome: is handed_over, not answered" in run.stdout
    assert "derby" not in run.stdout
    assert (unknown.returncode, "no-such-case" in unknown.stderr) == (2, True)


def test_a_dead_service_is_not_a_low_score() -> None:
    """E3: another exit code for what could not be judged."""
    run = gate(f"http://127.0.0.1:{free_port()}", "none")
    assert (run.returncode, "no service answers" in run.stderr) == (2, True)


def test_a_key_that_is_not_known_is_not_a_low_score(service_url: str) -> None:
    """E3."""
    run = gate(service_url, "oct_unknown")
    assert (run.returncode, "HTTP 401" in run.stderr) == (2, True)


def test_a_run_that_nothing_is_pinned_for_is_not_compared_in_silence() -> None:
    """E3, E4: an own label does not evade the pinned number."""
    with worse_product() as url:
        run = evals("gate", "--suite", "support", "--base-url", url, "--label", "a new label")
    assert (run.returncode, "no run of a new label is pinned" in run.stderr) == (2, True)


@pytest.mark.parametrize("label", ["", " "])
def test_a_foreign_service_needs_a_label(label: str) -> None:
    """E10: only the caller knows whether a simulator answers there."""
    run = evals("gate", "--base-url", f"http://127.0.0.1:{free_port()}", "--label", label)
    assert (run.returncode, "--label" in run.stderr) == (2, True)


def test_fewer_cases_than_the_baseline_are_no_suite(copy: Path) -> None:
    """E3: deleting what fails does not pass the gate."""
    (copy / SUITE / "cases" / "pii_leak" / "tickets.yaml").unlink()
    run = gate(f"http://127.0.0.1:{free_port()}", "none", cwd=copy)
    assert run.returncode == 2
    assert "pii_leak: 7 cases, the baseline has 13; missing: bank-account-in-the-ticket" in run.stderr


def test_a_case_twice_is_no_suite(copy: Path) -> None:
    """E3."""
    folder = copy / SUITE / "cases" / "multilingual"
    shutil.copy(folder / "tickets.yaml", folder / "again.yaml")
    run = evals("check", cwd=copy)
    assert (run.returncode, "german-ticket: used twice" in run.stderr) == (2, True)


def test_a_scorer_that_crashes_is_not_a_low_score(copy: Path) -> None:
    """E3: an invalid score fails the run, not the product."""
    with (copy / SUITE / "scorers.py").open("a") as file:
        file.write('\nANSWER_SCORERS = {"crashes": lambda case, answer: iter([str(1 / 0)])}\n')
    with worse_product() as url:
        run = gate(url, "none", cwd=copy)
    assert run.returncode == 2
    assert "the scorer failed: ZeroDivisionError division by zero (scorers.py:" in run.stdout
    assert "Evals of support failed: could not be judged" in run.stdout
