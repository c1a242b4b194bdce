"""The demo scores its own calls, so that scores, drift and candidates are there to see (G5, E9)."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from conftest import ROOT
from flow.test_demo import START, STOP, Demo, demo
from tools import tool

from app.features.installed import installed
from app.oncall.gamedays import played_now
from app.releases.eval_example import example
from app.settings import Settings
from app.stack import demo as stack_demo
from app.stack.port_claims import PortClaims

pytestmark = pytest.mark.whole_stack

__all__ = ["demo"]  # a fixture

SCORED = re.compile(r"(?m)^octant_eval_scored_total\{.*\} ([0-9.]+)$")


def scored(metrics: str) -> float:
    """Calls that were scored so far; 0 while the listener is not there."""
    try:
        with urllib.request.urlopen(metrics, timeout=120) as answer:  # noqa: S310 - loopback
            return sum(map(float, SCORED.findall(answer.read().decode())))
    except OSError:
        return 0.0


def state_of(process: psutil.Process) -> str:
    """Its state folder; empty for a process that has ended."""
    with suppress(psutil.Error):
        return process.environ().get("OCTANT_STATE_DIR", "")
    return ""


def program(process: psutil.Process) -> str:
    """The name of its program; empty for a process that has ended."""
    with suppress(psutil.Error):
        return Path(process.exe()).name
    return ""


@pytest.mark.timeout(600)
def test_a_first_start_scores_its_traffic_and_rehearses_beside_it_and_all_of_it_ends_with_it(demo: Demo, tmp_path: Path) -> None:
    """Of the programme page, evals and attacks whole, and the game day up to its begin: that is stopped in the middle.

    Meanwhile its alert rules are evaluated by a real Prometheus: with both providers away it pages.
    """
    tool("prometheus")
    tool("prometheus-alertmanager", "alertmanager")
    out = tmp_path / "out.txt"
    demo.env["OCTANT_EVALS__METRICS_PORT"] = "0"
    with out.open("wb") as stdout:
        demo.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo"],
            cwd=ROOT, env=demo.env, stdout=stdout, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
    process = demo.process

    def until(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 2 * START
        while not holds():
            assert process.poll() is None, out.read_text()
            assert "FAILED" not in out.read_text(), out.read_text()
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.3)

    def scores() -> bool:
        found = re.search(r"calls are scored; metrics at (\S+/metrics)", out.read_text())
        return bool(found and scored(found[1]))

    until(scores)
    drilled = any(feature.drill for feature in installed())  # a fork may have no product that can be attacked
    refused = example(Settings().releases_dir) is not None  # a fork may have no release that was refused
    until(lambda: out.read_text().count("Rehearsed ") == 1 + drilled + refused)
    printed = out.read_text()
    assert "Running. Ctrl-C stops everything.\n\nMeanwhile this demo rehearses a test page" in printed
    assert re.search(r"Rehearsed a test page: answered by the demo's receiver after \S+ s\.", printed), printed
    assert ("Rehearsed 12 prompt injections: contained: " in printed) == drilled
    mended = re.search(
        r"Rehearsed evals of two releases: .*; (\d+) that \S+ fails \S+ passes, and the answers of both are stored", printed
    )
    assert bool(mended) == refused, printed
    evidence = demo.run("readiness", "--axis", "1", "--evidence").stdout
    assert not mended or f"{mended[1]} cases failed with release " in evidence, evidence
    shown = demo.run("readiness").stdout.splitlines()
    attacked = r"With the service's checks, 0 of 12 attacks got through, though the model obeyed \d+, in a small run on"
    assert bool(re.search(attacked, shown[4])) == drilled, shown
    assert re.search(r"a test page reached the demo's receiver, a machine, which acknowledged it after", shown[5]), shown
    until(lambda: (now := played_now(demo.folder / "state")) and "waiting for steady callers" in {one.words for one in now.lines})
    for provider in ("openai", "anthropic"):
        demo.run("simulate", "outage", provider)
    said = (r"\nPAGE: (No provider answers since |[\d.]+% of calls failed )", r"\nTICKET: OctantBreakerOpen: The circuit of ")
    until(lambda: all(re.search(words, out.read_text()) for words in said))
    evidence = demo.run("readiness", "--axis", "6", "--evidence").stdout
    assert "they are evaluated: the watchdog alert of Prometheus came" in evidence, evidence
    family = psutil.Process(process.pid).children(recursive=True)
    assert {"prometheus", "alertmanager"} <= {name.removeprefix("prometheus-") for name in map(program, family)}
    assert any("octant-gameday-" in state_of(member) for member in family), "a service of its own"
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP) == 0
    assert [member for member in family if member.is_running()] == demo.processes() == []


def test_without_the_evals_the_demo_runs_without_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run image may leave them out."""
    monkeypatch.setattr(stack_demo, "find_spec", lambda _: None)
    with ExitStack() as stack:
        assert stack_demo._scorer(stack, tmp_path, Settings(), PortClaims(stack), print) == []
    assert list(tmp_path.iterdir()) == []
