"""Builds Prometheus' rule files from the definitions.

Burn rates and windows are those of Google's "The Site Reliability Workbook" (2018), chapter 5, table 5-8: at the rate of a page,
two per cent of a month's errors are gone in an hour, five in six hours; at that of a ticket, ten in a day or three.

``scale`` makes every duration so many times shorter, for a test that cannot wait for days; names stay as they are.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from deploy.rules.promql import faults, grouped_by
from deploy.rules.slos import Alert, Definitions, Objective, Severity

BURNS: Mapping[Severity, tuple[tuple[str, str, float], ...]] = {
    "page": (("5m", "1h", 14.4), ("30m", "6h", 6)),
    "ticket": (("2h", "1d", 3), ("6h", "3d", 1)),
}
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
SPEED: Mapping[Severity, str] = {"page": "Fast", "ticket": "Slowly"}
SPAN: Mapping[Severity, str] = {"page": "minutes", "ticket": "hours"}  # the short windows of both pairs
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])\b")
HEAD = "# Made by `make generate` from deploy/slo/*.toml; change those.\n"
BUDGET_EVERY = "5m"

Rule = dict[str, Any]


class Unfit(Exception):  # noqa: N818 - named for what is wrong with a rule
    """A rule names a metric or label that no process emits."""


def rule_files(definitions: Definitions, *, scale: float = 1, least: float = 0) -> dict[str, str]:
    """File name to content, of all rule files. A rule that waits does so for ``least`` seconds at least. Raises Unfit."""
    slo: list[dict[str, Any]] = [
        {"name": "octant-slo", "rules": [*_recordings(definitions), *_burns(definitions)]},
        {"name": "octant-slo-month", "interval": BUDGET_EVERY, "rules": list(_left(definitions))},
    ]
    axes: list[dict[str, Any]] = [
        {
            "name": "octant-axes",
            "rules": [*({"record": r.record, "expr": r.expr} for r in definitions.recordings), *_axes(definitions)],
        }
    ]
    watchdog: list[dict[str, Any]] = [{"name": "octant-watchdog", "rules": [_watchdog(definitions)]}]
    for group in (*slo, *axes):
        _check(group["rules"], recorded_labels(definitions))
    return {
        name: HEAD
        + yaml.dump({"groups": [_scaled(g, scale, least) for g in groups]}, Dumper=_Readable, sort_keys=False, width=1000)
        for name, groups in (("slo.yml", slo), ("axes.yml", axes), ("watchdog.yml", watchdog))
    }


def alerts_of(definitions: Definitions) -> list[Alert]:
    """All alerts, those of objectives included."""
    return [
        *(_burn(name, slo, severity) for name, slo in definitions.objectives.items() for severity in BURNS),
        *definitions.alerts,
    ]


def recorded_labels(definitions: Definitions) -> dict[str, frozenset[str]]:
    """The labels of everything that recording rules make."""
    by_window = {f"slo:bad_ratio:rate{window}": frozenset({"slo"}) for window in WINDOWS}
    others = {name: frozenset({"slo"}) for name in ("slo:budget_left:ratio", "slo:objective:ratio")}
    return by_window | others | {r.record: frozenset(grouped_by(r.expr) - {"le"}) for r in definitions.recordings}


def _recordings(definitions: Definitions) -> list[Rule]:
    return [
        {"record": f"slo:bad_ratio:rate{window}", "expr": slo.bad_ratio(window), "labels": {"slo": name}}
        for name, slo in definitions.objectives.items()
        for window in WINDOWS
    ]


def _left(definitions: Definitions) -> list[Rule]:
    """For dashboards: the objective, and how much of the errors that it allows is left. Below 0, it is missed."""
    rules: list[Rule] = []
    for name, slo in definitions.objectives.items():
        left = f"1 - ({slo.bad_ratio(slo.window)}) / {_figure(slo.budget)}"
        rules.append({"record": "slo:objective:ratio", "expr": f"vector({slo.objective})", "labels": {"slo": name}})
        rules.append({"record": "slo:budget_left:ratio", "expr": left, "labels": {"slo": name}})
    return rules


def _burns(definitions: Definitions) -> list[Rule]:
    return [_rule(_burn(name, slo, severity), definitions) for name, slo in definitions.objectives.items() for severity in BURNS]


def _axes(definitions: Definitions) -> list[Rule]:
    return [_rule(alert, definitions) for alert in definitions.alerts]


def _burn(name: str, slo: Objective, severity: Severity) -> Alert:
    """One alert for one severity: either pair of windows is enough."""

    def pair(short: str, long: str, factor: float) -> str:
        limit = _figure(factor * slo.budget)
        ratios = (f'slo:bad_ratio:rate{window}{{slo="{name}"}} > {limit}' for window in (short, long))
        both = "\n  and ".join(ratios)
        return f"({both}\n  and on() sum(increase({slo.events}[{long}])) >= {slo.least})"

    title = name.replace("_", " ")
    allowed = f"in the last {SPAN[severity]} ({_figure(slo.budget * 100)}% is allowed)"
    return Alert(
        name=f"Octant{title.title().replace(' ', '')}Burns{SPEED[severity]}",
        severity=severity,
        expr="\nor ".join(pair(*windows) for windows in BURNS[severity]),
        runbook=slo.runbook,
        dashboard=slo.dashboard,
        summary=f"{{{{ $value | humanizePercentage }}}} of {slo.fails} {allowed}.",
        description=f"{slo.objective * 100:g} % over {slo.window}: {slo.says}. The errors that this allows are used up too soon.",
        why=slo.why,
        often=slo.often,
        a_month=slo.pages_a_month if severity == "page" else slo.tickets_a_month,
    )


def burns_in_words(severity: Severity) -> str:
    """The share of a month's errors that is gone when an alert of an objective fires, for each of its pairs of windows."""
    hours = [(int(long[:-1]) * UNITS[long[-1]] / UNITS["h"], factor) for _, long, factor in BURNS[severity]]
    pairs = [
        f"{factor:g} times the allowed rate for {h:g} hours ({factor * h / 720:.0%} of a month's errors)" for h, factor in hours
    ]
    return " or ".join(pairs)


def _rule(alert: Alert, definitions: Definitions) -> Rule:
    rule: Rule = {"alert": alert.name, "expr": alert.expr}
    if alert.for_ != "0s":
        rule["for"] = alert.for_
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": definitions.runbook + alert.runbook,
        "dashboard": definitions.dashboards + alert.dashboard,
    }
    return rule | {"labels": {"severity": alert.severity}, "annotations": annotations}


def _watchdog(definitions: Definitions) -> Rule:
    """An alert that always fires: the service pages when it does not come (`app/oncall/paging/deadman.py`)."""
    annotations = {
        "summary": "It fires all the time: this is no fault.",
        "runbook_url": definitions.runbook + "paging.md#the-watchdog-is-missing",
    }
    return {"alert": "OctantWatchdog", "expr": "vector(1)", "labels": {"severity": "none"}, "annotations": annotations}


def _check(rules: list[Rule], recorded: Mapping[str, frozenset[str]]) -> None:
    for rule in rules:
        wrong = list(faults(rule["expr"], recorded))
        if wrong:
            raise Unfit(f"{rule.get('alert') or rule.get('record')}: {'; '.join(wrong)}")


def _scaled(group: dict[str, Any], scale: float, least: float) -> dict[str, Any]:
    if scale == 1:
        return group
    kept = {k: v for k, v in group.items() if k != "interval"}  # the test's own
    rules = [
        {**rule, "expr": scaled(rule["expr"], scale), **({"for": shorter(rule["for"], scale, least)} if "for" in rule else {})}
        for rule in group["rules"]
    ]
    return kept | {"rules": rules}


def scaled(expression: str, scale: float) -> str:
    """The expression with its windows and offsets ``scale`` times shorter."""
    return DURATION.sub(lambda m: shorter("".join(g for g in m.groups() if g), scale), expression)


def shorter(duration: str, scale: float, least: float = 0.001) -> str:
    """A duration as Prometheus writes it, such as ``5m``, ``scale`` times shorter: at least ``least`` seconds."""
    return f"{max(round(least * 1000), 1, round(int(duration[:-1]) * UNITS[duration[-1]] * 1000 / scale))}ms"


def _figure(number: float) -> str:
    """Format a number without the error of binary fractions."""
    return f"{number:.6g}"


class _Readable(yaml.SafeDumper):
    """Expressions of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
