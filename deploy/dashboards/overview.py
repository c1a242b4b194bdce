"""The dashboard for 3 a.m.: availability, containment, and gaps in what is recorded."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from app.domain.errors import OctantError
from app.edge.errors import TABLE
from deploy.dashboards.panels import NEVER, Description, Levels, Panel, board, figure, lines, states
from deploy.dashboards.queries import each, newest, or_none, quantile, rate, recorded, share, total

BREAKER = (("closed", "green"), ("half-open", "yellow"), ("open", "red"))
SCORED_BY = ("feature", "release")
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def codes(least: int, most: int) -> str:
    """A matcher for the outcomes that are answered with a status from ``least`` to ``most``."""
    leaves: list[type[OctantError]] = [leaf for leaf, row in TABLE.items() if least <= row.status <= most]
    return '=~"' + "|".join(sorted(leaf.code for leaf in leaves)) + '"'


FAILED = codes(500, 599)


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "octant-overview",
        "Octant: overview",
        "Woken up? Read it from top to bottom. Any panel says what to do when it is bad.",
        {
            "Now": _now(),
            "Objectives": _promised(),
            "Are users served?": _served(),
            "Is anything limited or stopped?": _contained(),
            "Is the data complete?": _seen(),
        },
    )


def _now() -> list[Panel]:
    return [
        figure(
            Description(
                "Availability",
                "Share of calls that we did not fail: all but those that ended in a 5xx. Callers' mistakes, cancelled calls"
                " and refusals for money do not count against it. Calls that an operator stopped do.",
                "'Errors by outcome' below names the failure.",
                "objectives.md#availability",
            ),
            "percentunit",
            f"1 - {share(rate('calls', outcome=FAILED), rate('calls'))}",
            Levels(doubtful=0.999, bad=0.99, rising=False),
        ),
        figure(
            Description(
                "Calls per second",
                "Calls through the gateway, of all features that are chosen above.",
                "no calls at a busy hour: callers do not reach us. Check the load balancer, then /readyz.",
                "observability.md#prometheus-sees-no-service",
            ),
            "cps",
            rate("calls"),
        ),
        figure(
            Description(
                "Latency, p95",
                "19 of 20 calls were answered faster than this, whole answers and whole streams.",
                "our own share is 'Own overhead' on the service dashboard; a provider's share is 'Time to first token'.",
                "objectives.md#latency",
            ),
            "s",
            quantile(0.95, "call_seconds"),
            Levels(doubtful=10, bad=30),
        ),
        figure(
            Description(
                "Money per hour",
                "Spend per hour at the present rate.",
                "find the tenant that spends it, and lower its cap.",
                "cost-spike.md",
            ),
            "currencyUSD",
            f"3600 * {rate('cost_dollars')}",
        ),
        figure(
            Description(
                "Breakers open",
                "Models that are skipped because they keep failing.",
                "calls go to the next model of the route; with none left they fail. Find the model, and check the"
                " provider's status page.",
                "provider-outage.md",
            ),
            "none",
            or_none(f"count({newest('breaker_state', ('provider', 'model'))} == 2)"),
            NEVER,
        ),
        figure(
            Description(
                "Kill switches on",
                "Stops by operators: everything, a provider, a tenant.",
                "an operator stopped it on purpose. `octant kill status` shows the operator and the reason; resume it"
                " when the reason is gone.",
                "kill-switch.md",
            ),
            "none",
            f"sum({newest('kill_switch_on', ('scope',))})",
            NEVER,
        ),
    ]


def _promised() -> list[Panel]:
    return [
        figure(
            Description(
                "Error budget left",
                "Share of the failures allowed in a month that is left: 1 is all of it, below 0 the objective is missed."
                " No data: too few calls.",
                "make no new releases until it is back above a quarter. The panels below show the cause.",
                "objectives.md",
            ),
            "percentunit",
            recorded("slo:budget_left:ratio", ("slo",)),
            Levels(doubtful=0.25, bad=0, rising=False),
            legend="{{slo}}",
            span=12,
        ),
        figure(
            Description(
                "Failures in the last hour",
                "Share of events that each objective calls bad, over the last hour.",
                "pages come at 14.4 times what the objective allows. Its alert links to the page of the runbook that fits.",
                "objectives.md",
            ),
            "percentunit",
            recorded("slo:bad_ratio:rate1h", ("slo",)),
            Levels(doubtful=0.01, bad=0.05),
            legend="{{slo}}",
            span=12,
        ),
    ]


def _served() -> list[Panel]:
    return [
        lines(
            Description(
                "Errors by outcome",
                "Share of calls that ended in each server-side failure.",
                "`providers_…` and `deadline_exceeded`: a provider. `dependency_unavailable`: our Valkey or Postgres."
                " `output_invalid`: a model or a prompt. `internal_error`: a bug of ours, look for its log line."
                " `stopped_by_operator`: a kill switch.",
                "README.md#the-first-five-minutes",
            ),
            "percentunit",
            {
                "all": share(rate("calls", outcome=FAILED), rate("calls")),
                "{{outcome}}": each(rate("calls", ("outcome",), outcome=FAILED), rate("calls")),
            },
            Levels(doubtful=0.001, bad=0.01),
        ),
        lines(
            Description(
                "Latency",
                "Whole duration of calls: median, 95th and 99th percentile.",
                "if the time to first token rises with it, a provider is slow; if not, answers are longer or we are overloaded.",
                "objectives.md#latency",
            ),
            "s",
            {name: quantile(q, "call_seconds") for name, q in QUANTILES.items()},
        ),
        lines(
            Description(
                "Time to first token",
                "From our request to a provider to the first token of its stream.",
                "select providers one by one above to find the slow one, and stop it.",
                "objectives.md#first-token",
            ),
            "s",
            {name: quantile(q, "ttft_seconds") for name, q in QUANTILES.items()},
        ),
        lines(
            Description(
                "Calls by feature",
                "Calls per second of each product.",
                "a steep rise of one feature: a caller in a loop, or a flood. Its tenant can be limited or stopped.",
                "cost-spike.md#contain",
            ),
            "cps",
            {"{{feature}}": rate("calls", ("feature",))},
        ),
        lines(
            Description(
                "Money by model",
                "Dollars per hour, by model.",
                "an expensive model that suddenly takes the load: a fallback, or a release. A rise of all: traffic or"
                " longer prompts.",
                "cost-spike.md",
            ),
            "currencyUSD",
            {"{{provider}} {{model}}": f"3600 * {rate('cost_dollars', ('provider', 'model'))}"},
        ),
        lines(
            Description(
                "Eval score on production traffic",
                "Share of sampled real calls that passed the scorers of our evals, by release. No data: no call is scored; check"
                " that `python -m evals online` runs.",
                "worse answers since a release: go back to the one before.",
                "objectives.md#eval-score",
            ),
            "percentunit",
            {"{{feature}} {{release}}": share(rate("eval_passed", SCORED_BY), rate("eval_scored", SCORED_BY))},
            Levels(doubtful=0.9, bad=0.8, rising=False),
        ),
        lines(
            Description(
                "Findings from production",
                "Features whose answers began to fail more often (1: for a day), and candidates for cases an hour, by reason.",
                "drift since a release: go back. Without one: read the candidates, `python -m evals candidates`.",
                "eval-drift.md#answers-drift",
            ),
            "none",
            {
                "drift: {{feature}}": newest("eval_drift", ("feature",)),
                "{{reason}}": f"3600 * {rate('eval_candidates', ('reason',))}",
            },
        ),
        lines(
            Description(
                "Feedback, and records left out of scoring",
                "Feedback an hour, and records an hour that scoring left out: by sampling (`sample`), for lack of time"
                " (`seconds`), unreadable records, too many candidates.",
                "`unreadable` rises: a prompt's form changed and the reader of records did not. `seconds`: allow more time.",
                "objectives.md#eval-score",
            ),
            "none",
            {
                "feedback: {{rating}}": f"3600 * {rate('feedback', ('rating',))}",
                "left out: {{reason}}": f"3600 * {rate('eval_left_out', ('reason',))}",
            },
        ),
        figure(
            Description(
                "Last round of scoring",
                "How long ago the last round of scoring ended. One is due every minute.",
                "the scorer hangs, or Postgres does not accept its writes. Its log gives the reason.",
                "objectives.md#scoring-is-late",
            ),
            "s",
            f"time() - ({newest('eval_round')} > 0)",
            Levels(doubtful=300, bad=900),
        ),
    ]


def _contained() -> list[Panel]:
    return [
        states(
            Description(
                "Breakers",
                "Each model's circuit: closed (used), half-open (probed by one call), open (skipped).",
                "open on one provider's models only: that provider fails. Open on all: our network, or our keys.",
                "provider-outage.md#confirm",
            ),
            newest("breaker_state", ("provider", "model")),
            "{{provider}} {{model}}",
            BREAKER,
        ),
        lines(
            Description(
                "Budget use",
                "Share of a cap that is spent: of the global day, and of the tenant that is nearest to its cap.",
                "at 1, calls are refused until the cap's day ends. Find the tenant that spends, then raise its cap or stop it.",
                "cost-spike.md",
            ),
            "percentunit",
            {"{{scope}}": newest("budget_used", ("scope",))},
            Levels(doubtful=0.8, bad=0.95),
            span=6,
        ),
        lines(
            Description(
                "Refused",
                "Calls per second that were refused for money, by scope, and those that a kill switch refused.",
                "`global-day`: no tenant is served. `tenant-…`: one tenant is not. `user-…` and `request`: the cap works as"
                " intended.",
                "cost-spike.md#confirm",
            ),
            "cps",
            {
                "money: {{scope}}": rate("budget_refusals", ("scope",)),
                "kill switch": rate("kill_switch_refusals"),
            },
            span=6,
        ),
    ]


def _seen() -> list[Panel]:
    return [
        figure(
            Description(
                "Records lost",
                "Call records dropped in the shown time. There must be none.",
                "the queue and the spill were both full: Postgres is down and the disk is full or read-only. Free the disk,"
                " then restore Postgres.",
                "observability.md#records-are-lost-or-late",
            ),
            "none",
            total("records_dropped"),
            NEVER,
        ),
        figure(
            Description(
                "Record lag, p99",
                "From a call's end until its record can be queried. The promise is five seconds.",
                "Postgres is slow or down; records wait on disk and return. Calls are still served.",
                "observability.md#records-are-lost-or-late",
            ),
            "s",
            quantile(0.99, "records_lag"),
            Levels(doubtful=3, bad=5),
        ),
        figure(
            Description(
                "Redaction failed",
                "Texts that were replaced whole in the shown time because they could not be redacted. Nothing leaked:"
                " redaction fails closed.",
                "records say `[redaction failed]`. Look for the log line that names the error type.",
                "observability.md#redaction-fails",
            ),
            "none",
            total("redaction_failures"),
            NEVER,
        ),
        figure(
            Description(
                "Spans lost, share",
                "Share of spans that the collector did not accept.",
                "the collector or the network to it is down. Calls are still served; traces are incomplete.",
                "observability.md#traces-do-not-arrive",
            ),
            "percentunit",
            share(rate("spans", outcome='="failed"'), rate("spans")),
            Levels(doubtful=0.001, bad=0.05),
        ),
        figure(
            Description(
                "Ledger behind",
                "Ledger entries that are in Valkey and not in Postgres yet.",
                "Postgres is away. Money is counted all the same; do not empty Valkey.",
                "cost-spike.md",
            ),
            "none",
            newest("ledger_pending"),
            Levels(doubtful=1000, bad=10000),
        ),
        figure(
            Description(
                "Guard flags per second",
                "Findings of the guard in inputs and answers.",
                "a steep rise: an attacker tries injections. Find the flag on the service dashboard, then the tenant.",
                "kill-switch.md",
            ),
            "cps",
            or_none(rate("guard_flags")),
        ),
    ]
