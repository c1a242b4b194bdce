"""The service itself: its overhead, its answers, and its background work."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import paging
from deploy.dashboards.canary import canary
from deploy.dashboards.overview import QUANTILES
from deploy.dashboards.panels import NEVER, Description, Levels, Panel, board, figure, lines
from deploy.dashboards.queries import newest, quantile, rate, share, total

START = "README.md#the-first-five-minutes"
THINGS = "README.md#where-things-are"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "octant-service",
        "Octant: the service itself",
        "Own overhead, answers, and background work of the service.",
        {
            "Requests": _requests(),
            "Recorder and spans": _seen(),
            "Later and once": _later(),
            "Pages": paging.panels(),
            "Safety and upkeep": _upkeep(),
            "Canary": canary(),
        },
    )


def _requests() -> list[Panel]:
    return [
        lines(
            Description(
                "Own overhead",
                "Time that the service adds to a call, without the provider's share: median, 95th and 99th percentile.",
                "the processes are short of CPU, or Valkey is slow: each call waits for one round trip to it. Add replicas.",
                START,
            ),
            "s",
            {name: quantile(q, "overhead_seconds") for name, q in QUANTILES.items()},
            Levels(doubtful=0.02, bad=0.1),
        ),
        lines(
            Description(
                "Event loop lag",
                "How late workers begin work that is due: median, 95th and 99th percentile. A call waits for it several times.",
                "the processes are short of CPU, or one step holds the loop: a very large request. Add replicas.",
                START,
            ),
            "s",
            {name: quantile(q, "loop_lag") for name, q in QUANTILES.items()},
            Levels(doubtful=0.01, bad=0.05),
        ),
        lines(
            Description(
                "Answers by status",
                "Requests per second by HTTP status, health checks included. 499: the caller left.",
                "401 and 403 rise: a key expired or is being guessed. 429: caps or rates. 5xx: see the overview.",
                START,
            ),
            "reqps",
            {"{{status}}": rate("http_requests", ("status",))},
        ),
        lines(
            Description(
                "Server errors by path",
                "Share of each path's requests that were answered with a 5xx.",
                "one path alone: its feature. All: a store of ours or the providers.",
                START,
            ),
            "percentunit",
            {"{{path}}": share(rate("http_requests", ("path",), status='=~"5.."'), rate("http_requests", ("path",)))},
            Levels(doubtful=0.001, bad=0.01),
        ),
    ]


def _seen() -> list[Panel]:
    return [
        lines(
            Description(
                "Record lag",
                "From a call's end until its record can be queried.",
                "above 5 s: Postgres is slow or away. Records wait, and go to disk when the queue is full.",
                "observability.md#records-are-lost-or-late",
            ),
            "s",
            {name: quantile(q, "records_lag") for name, q in QUANTILES.items()},
            Levels(doubtful=3, bad=5),
            span=6,
        ),
        lines(
            Description(
                "Records waiting and lost",
                "Records in memory; records per second that went to disk, and that were lost.",
                "on disk: Postgres is away. Lost: the disk is full or read-only as well.",
                "observability.md#records-are-lost-or-late",
            ),
            "none",
            {
                "in memory": newest("records_queued"),
                "to disk, per second": rate("records_spilled"),
                "lost, per second": rate("records_dropped"),
            },
            span=6,
        ),
        lines(
            Description(
                "Records on disk",
                "Bytes of records that wait on disk to be brought back.",
                "it must fall once Postgres is back. At OCTANT_RECORDS_SPILL_MAX_BYTES records are lost.",
                "observability.md#records-are-lost-or-late",
            ),
            "bytes",
            {"spill": newest("spill_bytes")},
            span=6,
        ),
        lines(
            Description(
                "Spans",
                "Spans per second by outcome: sent, sampled out, failed.",
                "failed: the collector, or the network to it.",
                "observability.md#traces-do-not-arrive",
            ),
            "cps",
            {"{{outcome}}": rate("spans", ("outcome",))},
            span=6,
        ),
    ]


def _later() -> list[Panel]:
    return [
        lines(
            Description(
                "Jobs waiting",
                "Jobs that are due and not begun, and how long the oldest has been due, in seconds.",
                "no worker is up, or too few. Start one.",
                "jobs.md#fix",
            ),
            "none",
            {"jobs": newest("jobs_waiting"), "oldest, seconds": newest("jobs_waiting_seconds")},
            Levels(doubtful=60, bad=600),
            span=6,
        ),
        lines(
            Description(
                "Job attempts",
                "Attempts at jobs per second by how they ended, and the 95th percentile of the wait before them, in seconds.",
                "`failed` and `put_back` rise: the provider, or a worker that is stopped again and again.",
                "jobs.md#confirm",
            ),
            "none",
            {"{{outcome}}": rate("jobs", ("outcome",)), "wait, p95, seconds": quantile(0.95, "job_wait_seconds")},
            span=6,
        ),
        lines(
            Description(
                "Webhooks",
                "Webhooks per second. `failed` is tried again, `given_up` is not.",
                "the receiver is down or refuses. The job's answer is kept: its owner can fetch it.",
                "jobs.md",
            ),
            "cps",
            {"{{outcome}}": rate("webhooks", ("outcome",))},
            span=6,
        ),
        lines(
            Description(
                "Idempotency keys",
                "Outcomes of requests with an Idempotency-Key, per second.",
                "`reused`: a caller sends one key with two bodies. `lost`: Postgres was away when an answer was to be kept.",
                THINGS,
            ),
            "cps",
            {"{{outcome}}": rate("idempotency", ("outcome",))},
            span=6,
        ),
    ]


def _upkeep() -> list[Panel]:
    return [
        lines(
            Description(
                "Guard flags",
                "Findings of the guard in inputs and answers, per second.",
                "a steep rise of one flag: an attacker tries injections. Find the tenant with `octant calls`, then stop it.",
                "kill-switch.md#contain",
            ),
            "cps",
            {"{{flag}}": rate("guard_flags", ("flag",))},
        ),
        lines(
            Description(
                "Age of providers' keys",
                "Since the file of each provider's key was written; a key from the environment has no age.",
                "rotate it: write the new key to the file, and the service uses it within seconds.",
                "keys.md#a-providers-key-is-old",
            ),
            "s",
            {"{{provider}}": newest("provider_key_age", ("provider",))},
            Levels(doubtful=90 * 86400, bad=180 * 86400),
        ),
        lines(
            Description(
                "Invalid API keys",
                "Invalid keys per second; `not heard` ones came from an address that guessed too often and must wait.",
                "many refused: an attacker guesses, or a caller still uses a revoked key.",
                "keys.md#many-wrong-keys",
            ),
            "cps",
            {"{{outcome}}": rate("bad_keys", ("outcome",))},
        ),
        lines(
            Description(
                "Connections cut",
                "Connections closed on clients whose requests came too slowly, were too large in the head, or were not HTTP.",
                "a steep rise: a client holds connections open. A slow network in between looks the same.",
                START,
            ),
            "cps",
            {"{{reason}}": rate("connections_cut", ("reason",))},
        ),
        figure(
            Description(
                "Oldest API key",
                "Age of the oldest key that works.",
                "rotate it: the new and the old work side by side until the old one is revoked.",
                "keys.md#an-api-key-is-old",
            ),
            "s",
            newest("api_key_age"),
            Levels(doubtful=90 * 86400, bad=180 * 86400),
        ),
        figure(
            Description(
                "Kill switch tested",
                "How long ago the kill switch's self-test passed: it flips the switch for a reserved scope on every worker, once"
                " a day. Without a test that passed: since when a worker waits for one.",
                "whether a stop reaches every worker is not known. `octant kill self-test` tries it now.",
                "kill-switch.md#the-self-test-failed",
            ),
            "s",
            newest("kill_switch_test_age"),
            Levels(doubtful=25 * 3600, bad=26 * 3600),
        ),
        figure(
            Description(
                "Kill switch, slowest worker",
                "How long the slowest worker took to see a flip in the newest self-test. 2 seconds are promised.",
                "a worker is too busy, or a store is slow.",
                "kill-switch.md#the-self-test-failed",
            ),
            "s",
            newest("kill_switch_test_seconds"),
            Levels(doubtful=1.5, bad=2),
        ),
        figure(
            Description(
                "Kill switch self-test failed",
                "1: the newest self-test failed.",
                "a stop may not reach every worker.",
                "kill-switch.md#the-self-test-failed",
            ),
            "none",
            newest("kill_switch_test_failed"),
            NEVER,
        ),
        figure(
            Description(
                "Newest outage rehearsal",
                "How long ago a provider outage was last rehearsed. No data: never.",
                "rehearse it: without practice for a month, the reaction fails when it is needed.",
                "rehearsal.md",
            ),
            "s",
            f"{newest('rehearsal_age')} and ({newest('rehearsals')} > 0)",
            Levels(doubtful=25 * 86400, bad=30 * 86400),
        ),
        figure(
            Description(
                "Rehearsals logged",
                "How many rehearsals of a provider outage the log holds.",
                "0: an outage was never rehearsed here.",
                "rehearsal.md",
            ),
            "none",
            newest("rehearsals"),
            Levels(doubtful=1, bad=0.5, rising=False),
        ),
        figure(
            Description(
                "Eval results that are lacking",
                "What the live release and the canary lacked when they were forced, by an operator or a first start.",
                "no suite has shown that the answers are good enough. Evaluate the release and activate it again.",
                "rollback.md#a-release-without-eval-results",
            ),
            "none",
            f"sum({newest('release_unproven', ('what',))})",
            NEVER,
        ),
        lines(
            Description(
                "Answers of a shadow release",
                "Answers that a shadow release gave beside the live one. No user gets them.",
                "failed: the new release cannot answer what the live one can; `octant release status` compares them.",
                "rollback.md#confirm",
            ),
            "cps",
            {"{{outcome}}": rate("shadow_answers", ("outcome",))},
        ),
        figure(
            Description(
                "Unexpected errors",
                "Errors that no code foresaw, of requests and background tasks, in all the time that is shown.",
                "a bug, or an operator's test of the alarm. The log has `unhandled error` with the request's id, or the task.",
                "observability.md#an-error-that-no-code-foresaw",
            ),
            "none",
            total("unexpected_errors"),
            NEVER,
        ),
        figure(
            Description(
                "Blind spots",
                "Gauges that could not be sampled, labels out of bounds, texts that could not be redacted; in all the time"
                " that is shown.",
                "a panel may show old or lumped figures. The log names it.",
                "observability.md#figures-are-stale",
            ),
            "none",
            " + ".join(f"({total(name)})" for name in ("gauge_samples_failed", "label_overflows", "redaction_failures")),
            NEVER,
        ),
    ]
