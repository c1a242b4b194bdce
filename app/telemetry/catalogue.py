"""Every metric of the service, declared once. What is not declared here cannot be emitted, and labels are bounded.

No tenant and no user is ever a label: their number is not bounded (design decision 14).
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DOLLARS = (0.00001, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
SHORT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric. ``attribute`` is its name on `Metrics`; ``buckets`` only where it is a histogram.

    ``over_workers``: how a gauge of several processes becomes one figure.
    """

    attribute: str
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS
    over_workers: Literal["livesum", "livemax"] = "livesum"


CATALOGUE: tuple[Declared, ...] = (
    Declared("http_requests", "octant_http_requests_total", "counter", "Requests answered.", ("path", "status")),
    Declared("calls", "octant_calls_total", "counter", "Calls through the gateway.", ("feature", "outcome")),
    Declared("call_seconds", "octant_call_seconds", "histogram", "Whole duration of a call.", ("feature",)),
    Declared("overhead_seconds", "octant_overhead_seconds", "histogram", "Our own share of it.", ("feature",), SHORT_SECONDS),
    Declared("attempts", "octant_attempts_total", "counter", "Requests to providers.", ("provider", "model", "outcome")),
    Declared("ttft_seconds", "octant_ttft_seconds", "histogram", "Time to a stream's first token.", ("provider", "model")),
    Declared("cost_dollars", "llm_cost_dollars_total", "counter", "Money spent.", ("provider", "model", "feature")),
    Declared("tokens", "llm_tokens_total", "counter", "Tokens billed.", ("provider", "model", "kind")),
    Declared("fallbacks", "octant_fallbacks_total", "counter", "Calls that went on to another target.", ("feature",)),
    Declared("retries_refused", "octant_retries_refused_total", "counter", "Retries without budget.", ("provider",)),
    Declared("breaker_trips", "octant_breaker_trips_total", "counter", "Circuits opened.", ("provider", "model")),
    Declared("breaker_skips", "octant_breaker_skips_total", "counter", "Targets passed over.", ("provider", "model")),
    Declared(
        "breaker_state",
        "octant_breaker_state",
        "gauge",
        "0 closed, 1 half-open, 2 open.",
        ("provider", "model"),
        over_workers="livemax",
    ),
    Declared("repairs", "octant_repairs_total", "counter", "Steps taken over invalid output.", ("step",)),
    Declared("last_resorts", "octant_last_resorts_total", "counter", "Static answers given.", ("feature",)),
    Declared("budget_refusals", "octant_budget_refusals_total", "counter", "Calls refused for money.", ("scope",)),
    Declared("jobs", "octant_jobs_total", "counter", "Attempts at jobs, by how they ended.", ("outcome",)),
    Declared("job_wait_seconds", "octant_job_wait_seconds", "histogram", "From a job's submission to its attempt."),
    Declared("webhooks", "octant_webhooks_total", "counter", "Webhooks sent.", ("outcome",)),
    Declared("budget_alerts", "octant_budget_alerts_total", "counter", "Shares of caps that were reached.", ("scope",)),
    Declared(
        "budget_difference",
        "octant_budget_difference_dollars",
        "gauge",
        "Counters against ledger, before it was mended.",
        over_workers="livemax",
    ),
    Declared("over_bound", "octant_over_bound_total", "counter", "Attempts billed above our bound.", ("provider", "model")),
    Declared("call_cost", "octant_call_cost_dollars", "histogram", "Cost of a call.", ("feature",), DOLLARS),
    Declared("ledger_pending", "octant_ledger_pending", "gauge", "Ledger entries not in Postgres yet.", over_workers="livemax"),
    Declared("settle_failures", "octant_settle_failures_total", "counter", "Tries to settle that failed."),
    Declared("records_dropped", "octant_records_dropped_total", "counter", "Call records lost."),
    Declared("records_queued", "octant_records_queued", "gauge", "Call records waiting to be written."),
    Declared("records_spilled", "octant_records_spilled_total", "counter", "Call records put on disk: Postgres was away."),
    Declared("spill_bytes", "octant_spill_bytes", "gauge", "Call records on disk, to be brought back.", over_workers="livemax"),
    Declared("spans", "octant_spans_total", "counter", "Spans, by what became of them.", ("fate",)),
    Declared("redaction_failures", "octant_redaction_failures_total", "counter", "Texts replaced whole: redaction failed."),
    Declared("guard_flags", "octant_guard_flags_total", "counter", "What the guard noticed.", ("flag",)),
    Declared(
        "provider_key_age",
        "octant_provider_key_age_seconds",
        "gauge",
        "Since the file of a provider's key was written.",
        ("provider",),
        over_workers="livemax",
    ),
    Declared("bad_keys", "octant_bad_keys_total", "counter", "API keys that were not valid.", ("outcome",)),
    Declared("connections_cut", "octant_connections_cut_total", "counter", "Connections closed on the client.", ("why",)),
    Declared("idempotency", "octant_idempotency_total", "counter", "What became of Idempotency-Keys.", ("outcome",)),
    Declared("kill_switch_refusals", "octant_kill_switch_refusals_total", "counter", "Calls refused by a kill switch."),
)
