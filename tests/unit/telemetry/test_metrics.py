"""The catalogue is all that can be emitted (O5)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.telemetry.catalogue import CATALOGUE
from app.telemetry.metrics import Metrics, Undeclared

WORKER = """
import sys
from app.telemetry.metrics import Metrics
Metrics().calls.inc(int(sys.argv[1]), feature="f", outcome="ok")
"""
SUPERVISOR = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry, path=sys.argv[1])
print(generate_latest(registry).decode())
"""


def an_attempt(**changes: object) -> Attempt:
    fields: dict[str, object] = {
        "number": 1, "provider": "openai", "model": "m", "outcome": "ok", "started_ms": 0.0, "latency_ms": 9.0, "ttft_ms": 250.0,
        "usage": Usage(input=10, output=5, cached_input=3, reasoning=4), "cost": MicroUSD(1_500_000),
    }  # fmt: skip
    return Attempt(**(fields | changes))  # type: ignore[arg-type] # fields by name


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_an_undeclared_metric_cannot_be_emitted(metrics: Metrics) -> None:
    with pytest.raises(Undeclared, match="catalogue"):
        metrics.invented.inc()


@pytest.mark.parametrize("labels", [{}, {"feature": "f"}, {"feature": "f", "outcome": "ok", "tenant": "acme"}])
def test_a_label_that_is_not_declared_or_is_missing_raises(metrics: Metrics, labels: dict[str, str]) -> None:
    with pytest.raises(Undeclared):
        metrics.calls.inc(1, **labels)


def test_an_instrument_used_as_another_kind_raises(metrics: Metrics) -> None:
    with pytest.raises(Undeclared):
        metrics.call_seconds.inc(feature="f")
    with pytest.raises(Undeclared):
        metrics.records_dropped.observe(1)
    with pytest.raises(Undeclared):
        metrics.records_dropped.set(1)


def test_names_are_unique_follow_the_convention_and_no_label_is_unbounded() -> None:
    assert len({d.name for d in CATALOGUE}) == len({d.attribute for d in CATALOGUE}) == len(CATALOGUE)
    for declared in CATALOGUE:
        assert re.fullmatch(r"(octant|llm)_[a-z_]+", declared.name)
        assert declared.name.endswith("_total") == (declared.kind == "counter")
        assert not set(declared.labels) & {"tenant", "user", "request_id", "call_id", "trace_id", "key"}


def test_a_call_and_its_attempts_are_counted_in_calls_seconds_tokens_and_dollars(metrics: Metrics) -> None:
    metrics.call("support.answer", "ok", 1.25, 0.004, 1)
    metrics.attempt("support.answer", an_attempt())
    assert value_of(metrics, "octant_calls_total", feature="support.answer", outcome="ok") == 1
    assert value_of(metrics, "octant_call_seconds_sum", feature="support.answer") == 1.25
    assert value_of(metrics, "octant_attempts_total", provider="openai", model="m", outcome="ok") == 1
    assert value_of(metrics, "octant_ttft_seconds_sum", provider="openai", model="m") == 0.25
    assert value_of(metrics, "llm_cost_dollars_total", provider="openai", model="m", feature="support.answer") == 1.5
    assert value_of(metrics, "llm_tokens_total", provider="openai", model="m", kind="output") == 5


def test_a_degraded_call_is_counted_once_and_in_each_of_its_ways(metrics: Metrics) -> None:
    metrics.degraded("f", ())
    metrics.degraded("f", ("cheaper_model", "no_retries"))
    assert value_of(metrics, "octant_calls_degraded_total", feature="f") == 1
    assert value_of(metrics, "octant_degradations_total", word="cheaper_model") == 1
    assert value_of(metrics, "octant_degradations_total", word="no_retries") == 1


def test_reasoning_tokens_are_a_share_of_the_output_and_not_counted_again(metrics: Metrics) -> None:
    metrics.attempt("f", an_attempt())
    text = generate_latest(metrics.registry).decode()
    total = sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("llm_tokens_total{"))
    assert total == Usage(input=10, output=5, cached_input=3, reasoning=4).total


def test_worker_processes_add_up(tmp_path: Path) -> None:
    """Shows G7 for metrics: each worker writes its own file, one page sums them."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    for count in ("2", "3"):
        subprocess.run([sys.executable, "-c", WORKER, count], env=env, check=True, timeout=30)
    page = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)], env=env, check=True, timeout=30, capture_output=True, text=True
    ).stdout
    assert 'octant_calls_total{feature="f",outcome="ok"} 5.0' in page
