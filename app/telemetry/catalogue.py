"""Every metric of the service, declared once. An undeclared metric cannot be emitted.

Labels are bounded by construction: each has a closed set of values, or a largest number of values for each process. A value
outside of either becomes `OTHER` and is counted (`octant_label_overflows_total`), so no caller and no release can make the
number of time series grow without end. No tenant and no user is ever a label: their number is not bounded (design decision 14).

`docs/metrics.md` is generated from this by `make generate`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, get_args

from app.domain.errors import OctantError, ProviderError, RejectionReason
from app.domain.records import CANCELLED

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DOLLARS = (0.00001, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
SHORT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
LAG_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0)
OTHER = "other"
PAGE_RECEIVERS = ("pagerduty", "incident_io", "webhook", "apprise")

Unit = Literal["count", "seconds", "dollars", "tokens", "bytes", "ratio", "state"]


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its bound: ``values`` where they are known, else the ``most`` that one process distinguishes."""

    name: str
    values: frozenset[str] = frozenset()
    most: int = 0

    @property
    def bound(self) -> int:
        """How many values it can have in one process, `OTHER` included."""
        return (len(self.values) or self.most) + 1


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric. ``attribute`` is its name on `Metrics`; ``buckets`` only where it is a histogram.

    ``over_workers``: how a gauge of several processes becomes one figure.
    """

    attribute: str
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: Unit
    help: str
    bounded: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = SECONDS
    over_workers: Literal["livesum", "livemax"] = "livesum"

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels' names, in order."""
        return tuple(label.name for label in self.bounded)


def _codes(root: type[OctantError | ProviderError]) -> Iterator[str]:
    """The codes of a tree's leaves."""
    for leaf in root.__subclasses__():
        yield from _codes(leaf) if leaf.__subclasses__() else (leaf.code,)


def _of(name: str, *values: str) -> Label:
    return Label(name, frozenset(values))


PATH = Label("path", most=64)  # the templates of our own routes, and `unmatched` for all that is none
STATUS = _of("status", "499", *(str(status.value) for status in HTTPStatus))
FEATURE = Label("feature", most=32)
RELEASE = Label("release", most=200)  # in one process, which may live for years: operators search for the newest
PROVIDER = Label("provider", most=16)
MODEL = Label("model", most=64)
FLAG = Label("flag", most=32)
DEGRADATION = Label("degradation", most=64)  # a code of `octant-degraded`
CALL_OUTCOME = _of("outcome", "ok", "last_resort", CANCELLED, *_codes(OctantError))
ATTEMPT_OUTCOME = _of("outcome", "ok", CANCELLED, *_codes(ProviderError))
CANARY_METRICS = ("failed", "slow", "dear", "refused", "rated_bad", "scored_low")
CAPS = ("tenant-day", "tenant-month", "user-day", "user-month", "global-day")

EDGE: tuple[Declared, ...] = (
    Declared("http_requests", "octant_http_requests_total", "counter", "count", "Requests answered.", (PATH, STATUS)),
    Declared(
        "unexpected_errors", "octant_unexpected_errors_total", "counter", "count",
        "Errors that no code foresaw: bugs that a request or a background task ended in, and operators' tests of the alarm.",
        (_of("cause", "bug", "task", "alarm_test"),),
    ),
    Declared(
        "bad_keys", "octant_bad_keys_total", "counter", "count", "API keys that were not valid.",
        (_of("outcome", "refused", "rate_limited"),),
    ),
    Declared("loop_lag", "octant_loop_lag_seconds", "histogram", "seconds", "How late a worker begins work.", (), SHORT_SECONDS),
    Declared(
        "connections_cut", "octant_connections_cut_total", "counter", "count",
        "Connections closed on clients that were too slow or sent too much.",
        (_of("reason", "slow_head", "slow_body", "slow_reader", "large_head", "malformed"),),
    ),
)  # fmt: skip

GATEWAY: tuple[Declared, ...] = (
    Declared("calls", "octant_calls_total", "counter", "count", "Calls through the gateway.", (FEATURE, CALL_OUTCOME)),
    Declared("call_seconds", "octant_call_seconds", "histogram", "seconds", "Duration of a call not refused.", (FEATURE,)),
    Declared(
        "overhead_seconds", "octant_overhead_seconds", "histogram", "seconds", "Our own share of it.", (FEATURE,), SHORT_SECONDS
    ),
    Declared(
        "attempts", "octant_attempts_total", "counter", "count", "Requests to providers.", (PROVIDER, MODEL, ATTEMPT_OUTCOME)
    ),
    Declared(
        "ttft_seconds", "octant_ttft_seconds", "histogram", "seconds", "Time to a stream's first token.", (PROVIDER, MODEL)
    ),
    Declared("cost_dollars", "llm_cost_dollars_total", "counter", "dollars", "Money spent.", (PROVIDER, MODEL, FEATURE)),
    Declared("call_cost", "octant_call_cost_dollars", "histogram", "dollars", "Known cost of a call.", (FEATURE,), DOLLARS),
    Declared(
        "tokens", "llm_tokens_total", "counter", "tokens", "Tokens billed.",
        (PROVIDER, MODEL, _of("kind", "input", "output", "cached_input", "cache_write")),
    ),
    Declared(
        "fallbacks", "octant_fallbacks_total", "counter", "count", "Targets that the route prefers to the one that answered.",
        (FEATURE,),
    ),
    Declared(
        "calls_fallen_back", "octant_calls_fallen_back_total", "counter", "count",
        "Calls answered by another target than the first of their route.", (FEATURE,),
    ),
    Declared("retries", "octant_retries_total", "counter", "count", "Retries of the same target.", (PROVIDER,)),
    Declared("retries_refused", "octant_retries_refused_total", "counter", "count", "Retries without budget.", (PROVIDER,)),
    Declared(
        "rejections", "octant_rejections_total", "counter", "count", "Requests that a model refused, by reason and cause.",
        (
            PROVIDER, MODEL, _of("reason", *get_args(RejectionReason)),
            _of("cause", "limit", "translation", "model", "caller", "unknown"),
        ),
    ),
    Declared("breaker_trips", "octant_breaker_trips_total", "counter", "count", "Circuits opened.", (PROVIDER, MODEL)),
    Declared("breaker_skips", "octant_breaker_skips_total", "counter", "count", "Targets passed over.", (PROVIDER, MODEL)),
    Declared(
        "overtaken", "octant_overtaken_total", "counter", "count", "Silent attempts while another model answered.",
        (PROVIDER, MODEL),
    ),
    Declared(
        "breaker_state", "octant_breaker_state", "gauge", "state", "0 closed, 1 half-open, 2 open.", (PROVIDER, MODEL),
        over_workers="livemax",
    ),
    Declared(
        "repairs", "octant_repairs_total", "counter", "count", "Steps taken over invalid output.",
        (_of("step", "invalid", "parsed", "asked_again", "repaired", "gave_up"),),
    ),
    Declared(
        "calls_degraded", "octant_calls_degraded_total", "counter", "count",
        "Calls that were degraded.", (FEATURE,),
    ),
    Declared(
        "degradations", "octant_degradations_total", "counter", "count", "Degradations of calls: codes of `octant-degraded`.",
        (DEGRADATION,),
    ),
    Declared(
        "no_evidence", "octant_no_evidence_total", "counter", "count",
        "Questions without a model call: there was no evidence to answer from.", (FEATURE,),
    ),
    Declared(
        "token_counts", "octant_token_counts_total", "counter", "count", "Requests that only counted their tokens.", (FEATURE,)
    ),
    Declared("last_resorts", "octant_last_resorts_total", "counter", "count", "Static answers given.", (FEATURE,)),
    Declared("over_bound", "octant_over_bound_total", "counter", "count", "Attempts billed above our bound.", (PROVIDER, MODEL)),
)  # fmt: skip

BUDGET: tuple[Declared, ...] = (
    Declared(
        "budget_refusals", "octant_budget_refusals_total", "counter", "count", "Calls refused for money.",
        (_of("scope", "request", *CAPS),),
    ),
    Declared(
        "budget_alerts", "octant_budget_alerts_total", "counter", "count", "Shares of caps that were reached, and drifts.",
        (_of("scope", "cost-drift", *CAPS),),
    ),
    Declared(
        "budget_used", "octant_budget_used_ratio", "gauge", "ratio",
        "Share of a cap that is spent today; of tenants, the one whose share is largest.",
        (_of("scope", "tenant-day", "global-day"),), over_workers="livemax",
    ),
    Declared(
        "budget_difference", "octant_budget_difference_dollars", "gauge", "dollars",
        "Counters against ledger, before it was mended.", over_workers="livemax",
    ),
    Declared(
        "cost_drift", "octant_cost_drift", "gauge", "state",
        "1 while a feature's calls cost something else than in the week before.", (FEATURE,), over_workers="livemax",
    ),
    Declared(
        "ledger_pending", "octant_ledger_pending", "gauge", "count", "Ledger entries not in Postgres yet.", over_workers="livemax"
    ),
    Declared("settle_failures", "octant_settle_failures_total", "counter", "count", "Tries to settle that failed."),
)  # fmt: skip

SECURITY: tuple[Declared, ...] = (
    Declared("guard_flags", "octant_guard_flags_total", "counter", "count", "Findings of the guard.", (FLAG,)),
    Declared(
        "redaction_failures", "octant_redaction_failures_total", "counter", "count", "Texts replaced whole: redaction failed."
    ),
    Declared(
        "api_key_age", "octant_api_key_age_seconds", "gauge", "seconds", "Age of the oldest API key that works.",
        over_workers="livemax",
    ),
    Declared(
        "provider_key_age", "octant_provider_key_age_seconds", "gauge", "seconds",
        "Since the file of a provider's key was written.", (PROVIDER,), over_workers="livemax",
    ),
)  # fmt: skip

ONCALL: tuple[Declared, ...] = (
    Declared("kill_switch_refusals", "octant_kill_switch_refusals_total", "counter", "count", "Calls refused by a kill switch."),
    Declared(
        "kill_switch_on", "octant_kill_switch_on", "gauge", "count", "Stops by operators, by kind.",
        (_of("scope", "all", "provider", "model", "prompt", "feature", "tool", "tenant", "user"),), over_workers="livemax",
    ),
    Declared(
        "kill_switch_test_age", "octant_kill_switch_test_age_seconds", "gauge", "seconds",
        "Since the newest self-test of the kill switch that passed; without one, since a worker started.", over_workers="livemax",
    ),
    Declared(
        "kill_switch_test_failed", "octant_kill_switch_test_failed", "gauge", "state",
        "1 where the newest self-test of the kill switch failed.", over_workers="livemax",
    ),
    Declared(
        "kill_switch_test_seconds", "octant_kill_switch_test_seconds", "gauge", "seconds",
        "How long the slowest worker took to see a flip in the newest self-test.", over_workers="livemax",
    ),
    Declared(
        "pages", "octant_pages_total", "counter", "count", "Events of pages.",
        (
            _of(
                "event", "triggered", "repeated", "paged", "acknowledged", "ack_expired", "resolved", "reopened", "suppressed",
                "fallback", "spooled", "joined", "unacknowledged",
            ),
        ),
    ),
    Declared(
        "page_deliveries", "octant_page_deliveries_total", "counter", "count", "Attempts to send an event of a page.",
        (_of("receiver", *PAGE_RECEIVERS), _of("outcome", "sent", "failed", "refused")),
    ),
    Declared(
        "pages_open", "octant_pages_open", "gauge", "count", "Pages that are not resolved.",
        (_of("status", "triggered", "acknowledged"),), over_workers="livemax",
    ),
    Declared(
        "pages_unsent", "octant_pages_unsent", "gauge", "count", "Pages that wait to be sent, in Postgres or in files.",
        (_of("where", "postgres", "file"),), over_workers="livemax",
    ),
    Declared(
        "watchdog_age", "octant_watchdog_age_seconds", "gauge", "seconds", "Since the watchdog alert last came to us.",
        over_workers="livemax",
    ),
    Declared(
        "heartbeats", "octant_heartbeats_total", "counter", "count", "Heartbeats to the outside checker.",
        (_of("outcome", "sent", "failed", "withheld"),),
    ),
)  # fmt: skip

RELEASES: tuple[Declared, ...] = (
    Declared(
        "release_unproven", "octant_release_unproven", "gauge", "count",
        "Eval results that the live release, or the canary, lacked when an operator forced it; 0: none.",
        (_of("what", "live", "canary"),), over_workers="livemax",
    ),
    Declared(
        "shadow_answers", "octant_shadow_answers_total", "counter", "count",
        "Answers of shadow releases, which no user gets; passed_over: too many waited.",
        (_of("outcome", "answered", "failed", "passed_over"),),
    ),
    Declared(
        "price_table_wrong", "octant_price_table_wrong", "gauge", "state",
        "1 where the live release's price table is not in effect yet, or a newer one is.",
        (_of("reason", "not_yet", "superseded"),), over_workers="livemax",
    ),
    Declared(
        "canary_share", "octant_canary_share_ratio", "gauge", "ratio", "Share of the users that a canary gets; 0: none runs.",
        over_workers="livemax",
    ),
    Declared(
        "canary_users", "octant_canary_users", "gauge", "count", "Users that the running canary has counted, by their release.",
        (_of("release", "canary", "live"),), over_workers="livemax",
    ),
    Declared(
        "canary_evidence", "octant_canary_evidence_log_ratio", "gauge", "ratio",
        "log10 of the evidence that the running canary is worse, by metric; `seen`: that its split is wrong.",
        (_of("metric", "seen", *CANARY_METRICS),), over_workers="livemax",
    ),
    Declared(
        "canary_promotion", "octant_canary_promotion_log_ratio", "gauge", "ratio",
        "log10 of the evidence that the running canary is less than twice as bad, by metric.",
        (_of("metric", *CANARY_METRICS),), over_workers="livemax",
    ),
    Declared(
        "canary_deadline", "octant_canary_deadline_seconds", "gauge", "seconds",
        "Until an operator decides about the running canary; negative: the deadline has passed.", over_workers="livemax",
    ),
    Declared(
        "canary_aborted", "octant_canary_aborted", "gauge", "state",
        "1 for a day after the service stopped the newest canary, by cause.",
        (_of("cause", "first_users", "cap", "split", "evidence"),), over_workers="livemax",
    ),
    Declared(
        "rehearsals", "octant_rehearsals", "gauge", "count", "Outages rehearsed, by the log; 0: never.", over_workers="livemax"
    ),
    Declared(
        "rehearsal_age", "octant_rehearsal_age_seconds", "gauge", "seconds", "Since the newest rehearsal of an outage, if any.",
        over_workers="livemax",
    ),
)  # fmt: skip

JOBS: tuple[Declared, ...] = (
    Declared(
        "idempotency", "octant_idempotency_total", "counter", "count", "Outcomes of requests with an Idempotency-Key.",
        (_of("outcome", "stored", "replayed", "in_flight", "reused", "released", "lost"),),
    ),
    Declared(
        "jobs", "octant_jobs_total", "counter", "count", "Attempts at jobs, by how they ended.",
        (_of("outcome", "succeeded", "failed", "lost", "cancelled", "retried", "put_back"),),
    ),
    Declared("job_wait_seconds", "octant_job_wait_seconds", "histogram", "seconds", "From a job's submission to its attempt."),
    Declared(
        "webhooks", "octant_webhooks_total", "counter", "count", "Webhooks sent.",
        (_of("outcome", "delivered", "failed", "given_up"),),
    ),
    Declared("jobs_waiting", "octant_jobs_waiting", "gauge", "count", "Jobs that are due and not begun.", over_workers="livemax"),
    Declared(
        "jobs_waiting_seconds", "octant_jobs_waiting_seconds", "gauge", "seconds", "Since when the first of them is due.",
        over_workers="livemax",
    ),
)  # fmt: skip

AUDIT: tuple[Declared, ...] = (
    Declared("records_dropped", "octant_records_dropped_total", "counter", "count", "Call records lost."),
    Declared("records_queued", "octant_records_queued", "gauge", "count", "Call records waiting to be written."),
    Declared(
        "records_lag", "octant_records_lag_seconds", "histogram", "seconds",
        "From a call's end until its record can be queried.", buckets=LAG_SECONDS,
    ),
    Declared(
        "records_spilled", "octant_records_spilled_total", "counter", "count", "Call records put on disk: Postgres was away."
    ),
    Declared(
        "spill_bytes", "octant_spill_bytes", "gauge", "bytes", "Call records on disk, to be brought back.", over_workers="livemax"
    ),
)  # fmt: skip

EVALS: tuple[Declared, ...] = (
    Declared(
        "eval_scored", "octant_eval_scored_total", "counter", "count", "Calls of production that were scored.", (FEATURE, RELEASE)
    ),
    Declared(
        "eval_passed", "octant_eval_passed_total", "counter", "count", "Of those, the ones that passed.", (FEATURE, RELEASE)
    ),
    Declared(
        "eval_left_out", "octant_eval_left_out_total", "counter", "count",
        "Records that a round left out: by sampling, for lack of time, unreadable, or too many candidates.",
        (_of("reason", "sample", "seconds", "unreadable", "candidates"),),
    ),
    Declared(
        "eval_candidates", "octant_eval_candidates_total", "counter", "count", "Candidates for cases, by why they are.",
        (_of("reason", "low_score", "user_feedback", "guard_flag", "hand_over", "operator"),),
    ),
    Declared(
        "eval_drift", "octant_eval_drift", "gauge", "state", "1 for a day after a feature's answers began to fail more often.",
        (FEATURE,), over_workers="livemax",
    ),
    Declared(
        "eval_round", "octant_eval_round_timestamp_seconds", "gauge", "seconds", "When the last round of scoring ended.",
        over_workers="livemax",
    ),
    Declared(
        "feedback", "octant_feedback_total", "counter", "count", "Ratings of answers by callers.", (_of("rating", "good", "bad"),)
    ),
)  # fmt: skip

TELEMETRY: tuple[Declared, ...] = (
    Declared(
        "spans", "octant_spans_total", "counter", "count", "Spans, by how they ended.",
        (_of("outcome", "sent", "failed", "dropped", "sampled_out"),),
    ),
    Declared(
        "gauge_samples_failed", "octant_gauge_samples_failed_total", "counter", "count", "Times a gauge could not be sampled.",
        (_of("gauge", "budget", "keys", "prices", "rehearsals", "jobs", "unproven", "self_test", "canary", "paging"),),
    ),
    Declared(
        "label_overflows", "octant_label_overflows_total", "counter", "count",
        f"Emissions whose label was out of bounds and became '{OTHER}'.", (Label("metric", most=200),),
    ),
)  # fmt: skip

CATALOGUE: tuple[Declared, ...] = (
    *EDGE, *GATEWAY, *BUDGET, *SECURITY, *ONCALL, *RELEASES, *JOBS, *AUDIT, *EVALS, *TELEMETRY,
)  # fmt: skip
