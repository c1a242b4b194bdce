"""The demo scores its own calls, so that scores, drift and candidates are there to see (G5, E9)."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import ROOT
from flow.test_demo import START, STOP, Demo, demo

from app.settings import Settings
from app.stack import demo as stack_demo
from app.stack.port_claims import PortClaims

pytestmark = pytest.mark.whole_stack

__all__ = ["demo"]  # a fixture

SCORED = re.compile(r"(?m)^octant_eval_scored_total\{.*\} ([0-9.]+)$")


def scored(metrics: str) -> float:
    """Calls that were scored so far; 0 while the listener is not there."""
    try:
        with urllib.request.urlopen(metrics, timeout=5) as answer:  # noqa: S310 - loopback
            return sum(map(float, SCORED.findall(answer.read().decode())))
    except OSError:
        return 0.0


@pytest.mark.timeout(240)
def test_the_sample_traffic_is_scored_and_the_scorer_stops_with_the_demo(demo: Demo, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    demo.env["OCTANT_EVALS__METRICS_PORT"] = "0"
    with out.open("wb") as stdout:
        demo.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo"],
            cwd=ROOT, env=demo.env, stdout=stdout, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 2 * START
    while time.monotonic() < deadline:
        found = re.search(r"calls are scored; metrics at (\S+/metrics)", out.read_text())
        if found and scored(found[1]):
            break
        assert demo.process.poll() is None, out.read_text()
        time.sleep(0.3)
    else:
        pytest.fail(f"nothing was scored:\n{out.read_text()}")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(STOP) == 0
    assert demo.processes() == []


def test_without_the_evals_the_demo_runs_without_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run image may leave them out."""
    monkeypatch.setattr(stack_demo, "find_spec", lambda _: None)
    with ExitStack() as stack:
        assert stack_demo._scorer(stack, tmp_path, Settings(), PortClaims(stack), print) == []
    assert list(tmp_path.iterdir()) == []
