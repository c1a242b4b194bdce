"""The catalogue is all that can be emitted (O5)."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram, generate_latest
from prometheus_client.utils import floatToGoString

from app.domain.calls import Attempt, Usage
from app.domain.errors import OctantError, ProviderError
from app.domain.money import MicroUSD
from app.domain.records import REFUSALS
from app.telemetry.catalogue import CATALOGUE
from app.telemetry.metrics import Metrics, Undeclared, _observe

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


def leaves(root: type[OctantError | ProviderError]) -> Iterator[type[OctantError | ProviderError]]:
    for leaf in root.__subclasses__():
        yield from leaves(leaf) if leaf.__subclasses__() else (leaf,)


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


@pytest.mark.parametrize("outcome", sorted(REFUSALS))
def test_a_call_that_was_refused_on_purpose_is_counted_and_takes_no_time(metrics: Metrics, outcome: str) -> None:
    """A storm of quick refusals must not make the latency of the others look better."""
    metrics.call("chat", "ok", 2.0, 0.004, 0)
    for _ in range(100):
        metrics.call("chat", outcome, 0.002, 0.002, 0)
    assert value_of(metrics, "octant_calls_total", feature="chat", outcome=outcome) == 100
    assert value_of(metrics, "octant_call_seconds_count", feature="chat") == 1
    assert value_of(metrics, "octant_overhead_seconds_count", feature="chat") == 1


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
    metrics.degraded("f", "ok", ())
    metrics.degraded("f", "budget_exceeded", ("cheaper_model",))
    metrics.degraded("f", "ok", ("cheaper_model", "no_retries"))
    assert value_of(metrics, "octant_calls_degraded_total", feature="f") == 1
    assert value_of(metrics, "octant_degradations_total", degradation="cheaper_model") == 2, "also of a refused call"
    assert value_of(metrics, "octant_degradations_total", degradation="no_retries") == 1


def test_reasoning_tokens_are_a_share_of_the_output_and_not_counted_again(metrics: Metrics) -> None:
    metrics.attempt("f", an_attempt())
    text = generate_latest(metrics.registry).decode()
    total = sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("llm_tokens_total{"))
    assert total == Usage(input=10, output=5, cached_input=3, reasoning=4).total


def test_worker_processes_add_up(tmp_path: Path) -> None:
    """Shows G7 for metrics: each worker writes its own file, one page sums them."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    for count in ("2", "3"):
        subprocess.run([sys.executable, "-c", WORKER, count], env=env, check=True, timeout=120)
    page = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)], env=env, check=True, timeout=120, capture_output=True, text=True
    ).stdout
    assert 'octant_calls_total{feature="f",outcome="ok"} 5.0' in page


SUFFIXES = {"seconds": "_seconds", "dollars": "_dollars", "bytes": "_bytes", "ratio": "_ratio", "tokens": "_tokens"}


def test_a_name_states_its_unit_and_every_label_has_a_bound() -> None:
    for declared in CATALOGUE:
        if declared.unit in SUFFIXES:
            assert SUFFIXES[declared.unit] in f"{declared.name.removesuffix('_total')}", declared.name
        for label in declared.bounded:
            assert bool(label.values) != bool(label.most), declared.name
            assert 2 <= label.bound <= 201
            assert label.name.isidentifier()


def test_more_values_than_a_label_may_have_become_other_and_are_counted(metrics: Metrics) -> None:
    """O5: a process emits a bounded number of series, whatever values a release or a caller invents."""
    for number in range(1_000):
        metrics.attempts.inc(provider="openai", model=f"made-up-{number}", outcome="ok")
    text = generate_latest(metrics.registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("octant_attempts_total{")]
    assert len(lines) == 65
    assert value_of(metrics, "octant_attempts_total", provider="openai", model="other", outcome="ok") == 1_000 - 64
    assert value_of(metrics, "octant_attempts_total", provider="openai", model="made-up-63", outcome="ok") == 1
    assert value_of(metrics, "octant_label_overflows_total", metric="octant_attempts_total") == 1_000 - 64
    assert len(metrics.attempts._children) == 65  # nor does memory grow


def test_a_value_that_a_closed_label_does_not_have_becomes_other(metrics: Metrics) -> None:
    metrics.calls.inc(feature="chat", outcome="<script>")
    assert value_of(metrics, "octant_calls_total", feature="chat", outcome="other") == 1
    assert value_of(metrics, "octant_label_overflows_total", metric="octant_calls_total") == 1


def test_every_outcome_that_a_call_or_an_attempt_can_have_is_known(metrics: Metrics) -> None:
    for code in (leaf.code for leaf in leaves(OctantError)):
        metrics.calls.inc(feature="chat", outcome=code)
    for code in (leaf.code for leaf in leaves(ProviderError)):
        metrics.attempts.inc(provider="openai", model="m", outcome=code)
    assert "octant_label_overflows_total{" not in generate_latest(metrics.registry).decode()


def test_what_alerts_count_is_there_at_0_before_it_happens(metrics: Metrics) -> None:
    """A counter that appears with its first count shows no increase."""
    for name, labels in (
        ("octant_records_dropped_total", {}),
        ("octant_spans_total", {"outcome": "failed"}),
        ("octant_repairs_total", {"step": "invalid"}),
        ("octant_kill_switch_on", {"scope": "all"}),
        ("octant_gauge_samples_failed_total", {"gauge": "keys"}),
    ):
        assert metrics.registry.get_sample_value(name, labels) == 0


def test_a_call_that_fell_back_twice_is_one_call_that_fell_back(metrics: Metrics) -> None:
    metrics.call("chat", "ok", 1.0, 0.001, 2)
    metrics.call("chat", "ok", 1.0, 0.001, 0)
    assert value_of(metrics, "octant_fallbacks_total", feature="chat") == 2
    assert value_of(metrics, "octant_calls_fallen_back_total", feature="chat") == 1


def test_threads_that_count_at_once_keep_the_bound(metrics: Metrics) -> None:
    """Spans are counted by their exporter's thread."""
    with ThreadPoolExecutor(8) as threads:
        for number in range(500):
            threads.submit(metrics.guard_flags.inc, flag=f"f{number % 100}")
    text = generate_latest(metrics.registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("octant_guard_flags_total{")]
    assert len(lines) == 33
    assert sum(float(line.rsplit(" ", 1)[1]) for line in lines) == 500


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_counts_within_a_loop_are_written_before_they_are_read_and_soon_in_any_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    metrics.calls.inc(2, feature="f", outcome="ok")
    metrics.calls.inc(feature="f", outcome="ok")
    metrics.call_seconds.observe(0.2, feature="f")
    assert metrics.later.counts
    assert sample(metrics, "octant_calls_total", feature="f", outcome="ok") == 3
    assert sample(metrics, "octant_call_seconds_count", feature="f") == 1
    assert not metrics.later.counts
    monkeypatch.setattr(type(metrics.later), "SECONDS", 0.0)
    metrics.calls.inc(feature="f", outcome="ok")
    async with asyncio.timeout(120):
        while metrics.later.counts:  # noqa: ASYNC110 - its end is set
            await asyncio.sleep(0)


def test_counts_outside_of_a_loop_are_written_at_once() -> None:
    metrics = Metrics()
    metrics.calls.inc(feature="f", outcome="ok")
    metrics.call_seconds.observe(0.2, feature="f")
    assert not metrics.later.counts
    assert not metrics.later.observed


@given(st.lists(st.one_of(st.floats(0, 1000), st.sampled_from([0.005, 0.01, 60.0])), max_size=20))
def test_observations_written_together_are_those_written_one_by_one(found: list[float]) -> None:
    one, many = Metrics(), Metrics()
    histogram = many.call_seconds._child({"feature": "f"})
    assert isinstance(histogram, Histogram)
    if found:
        _observe(histogram, found)
    for value in found:
        one.call_seconds.observe(value, feature="f")
    one.call_seconds._child({"feature": "f"})
    for bound in histogram._upper_bounds:
        labels = {"feature": "f", "le": str(floatToGoString(bound))}  # type: ignore[no-untyped-call]
        assert sample(many, "octant_call_seconds_bucket", **labels) == sample(one, "octant_call_seconds_bucket", **labels)
    assert sample(many, "octant_call_seconds_sum", feature="f") == pytest.approx(
        sample(one, "octant_call_seconds_sum", feature="f")
    )


AMOUNTS = st.integers(-8, 8).map(lambda number: number / 2) | st.sampled_from([float("nan"), float("inf"), float("-inf")])
STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "up", "set", "observe"]), AMOUNTS, st.sampled_from(["a", "b"]))
    | st.just(("write", 0.0, "")),
    max_size=12,
)


def done(metrics: Metrics, steps: list[tuple[str, float, str]]) -> tuple[list[bool], list[str]]:
    """Which steps are refused, and all samples afterwards."""
    refused = []
    for step, amount, feature in steps:
        try:
            if step == "count":
                metrics.calls.inc(amount, feature=feature, outcome="ok")
            elif step == "up":
                metrics.cost_drift.inc(amount, feature=feature)
            elif step == "set":
                metrics.cost_drift.set(amount, feature=feature)
            elif step == "observe":
                metrics.call_seconds.observe(amount, feature=feature)
            else:
                metrics.later.write()
            refused.append(False)
        except ValueError:
            refused.append(True)
    return refused, [
        repr(one[:3])
        for metric in metrics.registry.collect()
        for one in metric.samples
        if metric.name in ("octant_calls", "octant_cost_drift", "octant_call_seconds") and not one.name.endswith("_created")
    ]


@given(STEPS)
def test_what_is_kept_and_written_together_is_what_is_written_at_once(steps: list[tuple[str, float, str]]) -> None:
    async def kept() -> tuple[list[bool], list[str]]:
        return done(Metrics(), steps)

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(kept()) == done(Metrics(), steps)
    finally:
        loop.close()


async def test_a_thread_that_reads_writes_nothing_that_the_loop_keeps() -> None:
    metrics = Metrics()
    metrics.calls.inc(feature="f", outcome="ok")
    await asyncio.to_thread(generate_latest, metrics.registry)
    assert metrics.later.counts
    await asyncio.to_thread(asyncio.run, counted_in_another_loop(metrics))
    assert sum(metrics.later.counts.values()) == 1
    assert sample(metrics, "octant_calls_total", feature="f", outcome="ok") == 3


async def counted_in_another_loop(metrics: Metrics) -> None:
    metrics.calls.inc(2, feature="f", outcome="ok")


def test_counts_of_a_loop_that_ended_are_written_with_the_next_reading() -> None:
    metrics = Metrics()
    asyncio.run(counted_in_another_loop(metrics))
    assert sample(metrics, "octant_calls_total", feature="f", outcome="ok") == 2


async def test_one_count_that_cannot_be_written_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    for feature in ("a", "b"):
        metrics.calls.inc(feature=feature, outcome="ok")
    child = metrics.calls._child({"feature": "a", "outcome": "ok"})

    def full(_: float) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(child, "inc", full)
    assert sample(metrics, "octant_calls_total", feature="b", outcome="ok") == 1
