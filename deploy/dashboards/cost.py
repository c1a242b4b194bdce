"""Where the money goes, how near the caps are, and whether counters and ledger agree."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards.overview import QUANTILES
from deploy.dashboards.panels import NEVER, Description, Levels, Panel, board, distribution, figure, lines
from deploy.dashboards.queries import buckets, mean, newest, quantile, rate, share, total


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "octant-cost",
        "Octant: cost",
        "Where the money goes, how near the caps are, and whether counters and ledger agree. No tenant and no user is named here:"
        " their number is not bounded. `octant budget top` names them.",
        {"Cost of a call": _call(), "Spending": _spending(), "Caps": _caps(), "Counters and ledger": _counters_and_ledger()},
    )


def _call() -> list[Panel]:
    return [
        distribution(
            Description(
                "Cost per call, distribution",
                "How many calls cost how much. A second band above the first: some calls cost ten times as much.",
                "a new band since a release: longer prompts, or another model. Roll back, then compare the prompts.",
                "cost-spike.md#confirm",
            ),
            "currencyUSD",
            buckets("call_cost"),
        ),
        lines(
            Description(
                "Cost per call",
                "Median, 95th and 99th percentile, and the mean, of calls: attempts without final figures are left out.",
                "the mean far above the median: a few expensive calls. `octant calls` sorted by cost shows them.",
                "objectives.md#cost-of-a-call",
            ),
            "currencyUSD",
            {**{name: quantile(q, "call_cost") for name, q in QUANTILES.items()}, "mean": mean("call_cost")},
            span=12,
        ),
    ]


def _spending() -> list[Panel]:
    return [
        lines(
            Description(
                "Spend by feature",
                "Dollars per hour, by product.",
                "one product alone: its traffic or its prompt. Compare with 'Calls by feature' of the overview.",
                "cost-spike.md",
            ),
            "currencyUSD",
            {"{{feature}}": f"3600 * {rate('cost_dollars', ('feature',))}"},
        ),
        lines(
            Description(
                "Spend by model",
                "Dollars per hour, by model.",
                "the route's first model is cheap and the backup dear: a fallback costs more. See the recovery dashboard.",
                "cost-spike.md",
            ),
            "currencyUSD",
            {"{{provider}} {{model}}": f"3600 * {rate('cost_dollars', ('provider', 'model'))}"},
        ),
        lines(
            Description(
                "Tokens by kind",
                "Tokens billed per second. Cached input is cheap; cache writes cost more than plain input.",
                "cached input fell to nothing: a prompt's beginning changed, and every call pays for it in full.",
                "cost-spike.md",
            ),
            "cps",
            {"{{kind}}": rate("tokens", ("kind",))},
        ),
        lines(
            Description(
                "Input read from the cache",
                "Share of the input that the vendor read from its prompt cache, at about a tenth of the price.",
                "it fell: cache marks no longer arrive, or a prompt's beginning changes from call to call.",
                "cost-spike.md",
            ),
            "percentunit",
            {"{{provider}} {{model}}": share(_tokens('="cached_input"'), _tokens('!="output"'))},
        ),
    ]


def _tokens(kind: str) -> str:
    return rate("tokens", ("provider", "model"), kind=kind)


def _caps() -> list[Panel]:
    return [
        lines(
            Description(
                "Budget use",
                "Share of a cap that is spent today: of everything, and of the tenant that is nearest to its own.",
                "at 1 calls are refused. `octant budget top` names the largest spenders.",
                "cost-spike.md#confirm",
            ),
            "percentunit",
            {"{{scope}}": newest("budget_used", ("scope",))},
            Levels(doubtful=0.8, bad=0.95),
        ),
        lines(
            Description(
                "Refusals by scope",
                "Calls per second refused with 429 `budget_exceeded`, by the cap that refused them.",
                "`global-day`: no tenant is served. `tenant-…`: one tenant is not.",
                "cost-spike.md",
            ),
            "cps",
            {"{{scope}}": rate("budget_refusals", ("scope",))},
        ),
        lines(
            Description(
                "Alerts and drift",
                "Alerts before caps, and features whose calls cost more or less than a week ago (1).",
                "drift without a release: a provider's price or model changed, or callers send other texts.",
                "cost-spike.md#confirm",
            ),
            "none",
            {"drift: {{feature}}": newest("cost_drift", ("feature",)), "alerts/s: {{scope}}": rate("budget_alerts", ("scope",))},
        ),
    ]


def _counters_and_ledger() -> list[Panel]:
    return [
        figure(
            Description(
                "Counters against ledger",
                "Difference between Valkey's counters and Postgres' ledger at the last comparison, before the correction.",
                "counters were lost or touched by hand. The ledger is right; `octant budget reconcile` names the counters.",
                "cost-spike.md",
            ),
            "currencyUSD",
            f"abs({newest('budget_difference')})",
            NEVER,
            span=6,
        ),
        figure(
            Description(
                "Ledger behind",
                "Entries that are in Valkey and not in Postgres yet.",
                "Postgres is away. Money is counted all the same; do not empty Valkey.",
                "cost-spike.md",
            ),
            "none",
            newest("ledger_pending"),
            Levels(doubtful=1000, bad=10000),
            span=6,
        ),
        figure(
            Description(
                "Settlements that failed",
                "Failed attempts to settle a call, in the time that is shown. The hold keeps its worst case until the sweep.",
                "Valkey is away or slow. Nothing is free: caps may refuse too early, never too late.",
                "cost-spike.md",
            ),
            "none",
            total("settle_failures"),
            NEVER,
            span=6,
        ),
        figure(
            Description(
                "Billed above our bound",
                "Attempts that cost more than the worst case that was held for them, in the time that is shown.",
                "the price table or a token bound is wrong for that model. Correct it by a release; lower the cap until then.",
                "cost-spike.md",
            ),
            "none",
            total("over_bound"),
            NEVER,
            span=6,
        ),
        figure(
            Description(
                "Prices out of date",
                "1 while the live release pins a price table that is not in effect yet, or that a newer one has superseded.",
                "calls are counted at prices that vendors do not bill today. Pin the right table in a new release.",
                "cost-spike.md",
            ),
            "none",
            newest("price_table_wrong"),
            NEVER,
            span=6,
        ),
    ]
