"""Providers' failures before a caller saw them: retries, fallbacks, repairs, circuit breakers."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from app.domain.records import REFUSALS
from deploy.dashboards.overview import BREAKER, QUANTILES
from deploy.dashboards.panels import NEVER, Description, Levels, Panel, board, figure, lines, states
from deploy.dashboards.queries import newest, quantile, rate, share, total

TARGET = ("provider", "model")


LET_THROUGH = '!~"' + "|".join(sorted(REFUSALS)) + '"'  # what was refused on purpose reached no model


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "octant-recovery",
        "Octant: error recovery",
        "Failures of providers, our reaction, and the cost for callers.",
        {"Providers": _providers(), "Our reaction": _done(), "Breakers": _breakers()},
    )


def _providers() -> list[Panel]:
    return [
        lines(
            Description(
                "Failed attempts by provider and model",
                "Share of requests to a model that failed, whatever the reason.",
                "one provider alone: its status page. All of them: our network, our keys, our quota.",
                "provider-outage.md#confirm",
            ),
            "percentunit",
            {"{{provider}} {{model}}": share(rate("attempts", TARGET, outcome='!~"ok|cancelled"'), rate("attempts", TARGET))},
            Levels(doubtful=0.02, bad=0.1),
        ),
        lines(
            Description(
                "Attempts by outcome",
                "Requests to providers per second, by how they ended.",
                "`provider_denied` is our key or quota; `provider_rate_limited` our rate; the rest is theirs or the network's.",
                "provider-outage.md#confirm",
            ),
            "cps",
            {"{{provider}} {{outcome}}": rate("attempts", ("provider", "outcome"))},
        ),
        lines(
            Description(
                "Refused requests by cause",
                "Requests per second that a model refused: for its limits, or as invalid.",
                "`translation`: another model answered, so our translation for this vendor is wrong. `caller`: the request is.",
                "provider-outage.md#a-model-refuses-requests-that-another-one-answers",
            ),
            "cps",
            {"{{provider}} {{model}} {{reason}} {{cause}}": rate("rejections", (*TARGET, "reason", "cause"))},
        ),
        lines(
            Description(
                "Time to first token by model",
                "95th percentile of each model's streams.",
                "slow without failing: no breaker opens. Stop its provider by hand.",
                "provider-outage.md#contain",
            ),
            "s",
            {"{{provider}} {{model}}": quantile(QUANTILES["p95"], "ttft_seconds", TARGET)},
            Levels(doubtful=3, bad=8),
        ),
    ]


def _done() -> list[Panel]:
    return [
        figure(
            Description(
                "Attempts per call",
                "Requests to providers for each call. 1 on a good day; a feature's repairs and retries come on top.",
                "each attempt may cost money and time. Above 2, something fails all the time and retries hide it.",
                "provider-outage.md",
            ),
            "none",
            f"{rate('attempts')} / ({rate('calls', outcome=LET_THROUGH)} > 0)",
            Levels(doubtful=1.2, bad=2),
        ),
        figure(
            Description(
                "Fallback share",
                "Share of calls that another target than their route's first answered.",
                "answers come from the backup: other quality, other price. 'Failed attempts' shows the provider.",
                "provider-outage.md",
            ),
            "percentunit",
            share(rate("calls_fallen_back"), rate("calls", outcome=LET_THROUGH)),
            Levels(doubtful=0.05, bad=0.25),
        ),
        figure(
            Description(
                "Retry share",
                "Share of requests to providers that were made again at the same target.",
                "it hides failures, and each may cost money and time. 'Failed attempts' shows the provider.",
                "provider-outage.md",
            ),
            "percentunit",
            share(rate("retries"), rate("attempts")),
            Levels(doubtful=0.02, bad=0.1),
        ),
        figure(
            Description(
                "Degraded share",
                "Share of calls that were degraded: `octant-degraded` reports it to the caller.",
                "'Degradations' below shows the ways.",
                "README.md#the-first-five-minutes",
            ),
            "percentunit",
            share(rate("calls_degraded"), rate("calls", outcome=LET_THROUGH)),
            Levels(doubtful=0.05, bad=0.25),
        ),
        figure(
            Description(
                "Static answers",
                "Calls that got a feature's last resort, in the time that is shown: every model had failed.",
                "users read a canned text. Bring one provider of the route back, or change the route by a release.",
                "provider-outage.md#fix",
            ),
            "none",
            total("last_resorts"),
            NEVER,
        ),
        figure(
            Description(
                "Repair share",
                "Share of attempts whose answer did not fit the schema.",
                "a model or a prompt changed. Was a release activated just before?",
                "rollback.md#confirm",
            ),
            "percentunit",
            share(rate("repairs", step='="invalid"'), rate("attempts")),
            Levels(doubtful=0.02, bad=0.1),
        ),
        lines(
            Description(
                "Fallbacks by feature",
                "Each second: targets that answered calls did without, static answers, and calls that needed no model.",
                "see 'Failed attempts' for the provider that they leave.",
                "provider-outage.md",
            ),
            "cps",
            {
                "{{feature}}": rate("fallbacks", ("feature",)),
                "static: {{feature}}": rate("last_resorts", ("feature",)),
                "no evidence: {{feature}}": rate("no_evidence", ("feature",)),
                "tokens counted: {{feature}}": rate("token_counts", ("feature",)),
            },
            span=6,
        ),
        lines(
            Description(
                "Repairs by step",
                "Steps taken on invalid output: parsed leniently (`parsed`), requested again, repaired, abandoned.",
                "`gave_up` is what callers see as 502 `output_invalid`.",
                "rollback.md#confirm",
            ),
            "cps",
            {"{{step}}": rate("repairs", ("step",))},
            span=6,
        ),
        lines(
            Description(
                "Degradations",
                "In which ways calls were degraded, per second: the codes of `octant-degraded`.",
                "`context_truncated`, `cheaper_model`, `no_retries`: money is short. `last_resort`: providers. `guard:…`: what"
                " was said.",
                "cost-spike.md",
            ),
            "cps",
            {
                "{{degradation}}": rate("degradations", ("degradation",)),
                "calls of {{feature}}": rate("calls_degraded", ("feature",)),
            },
            span=6,
        ),
        lines(
            Description(
                "Retries",
                "Times per second that the same target was retried, and that the retry budget refused it.",
                "refused: a retry storm is being held back: the provider fails too often for retries to help. It is an outage.",
                "provider-outage.md",
            ),
            "cps",
            {"{{provider}}": rate("retries", ("provider",)), "refused: {{provider}}": rate("retries_refused", ("provider",))},
            span=6,
        ),
    ]


def _breakers() -> list[Panel]:
    return [
        states(
            Description(
                "Breaker state",
                "Each model's circuit over time, the worst of all workers and replicas.",
                "`octant providers` shows the cause and the next probe.",
                "provider-outage.md#confirm",
            ),
            newest("breaker_state", TARGET),
            "{{provider}} {{model}}",
            BREAKER,
        ),
        lines(
            Description(
                "Trips and targets passed over",
                "Circuits that opened, and calls that skipped a model because its circuit was open, per second.",
                "trips again and again: the model comes back and fails again. Stop it by hand until its provider"
                " reports recovery.",
                "provider-outage.md#contain",
            ),
            "cps",
            {
                "trip: {{provider}} {{model}}": rate("breaker_trips", TARGET),
                "passed over: {{provider}} {{model}}": rate("breaker_skips", TARGET),
                "overtaken while silent: {{provider}} {{model}}": rate("overtaken", TARGET),
            },
            span=12,
        ),
    ]
