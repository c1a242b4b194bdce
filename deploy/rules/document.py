"""`docs/metrics.md`: every metric with who looks at it, every objective, every alert."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.telemetry.catalogue import CATALOGUE, Declared, Label
from deploy.rules.build import alerts_of
from deploy.rules.promql import declared, named
from deploy.rules.slos import Book

FEW = 8  # values that are listed; of more only their number is told
HEAD = """\
# Metrics, objectives and alerts

Made by `make generate` from `app/telemetry/catalogue.py`, `deploy/slo/*.toml` and `deploy/grafana/*.json`; change those.

Metrics are on a listener of their own (`OCTANT_METRICS_PORT`), summed over all worker processes. No tenant and no user is a
label. A label has the values listed, or at most so many in each process; anything beyond counts as `other`.
"""


def document(book: Book, dashboards: Path) -> str:
    """The whole page."""
    panels, alerts = panels_by_metric(dashboards), alerts_by_metric(book)
    parts = [HEAD, "## Metrics\n", _table(("metric", "type", "unit", "labels", "what", "panels", "alerts"))]
    for entry in CATALOGUE:
        told = (_code(entry.name), entry.kind, entry.unit, _labels(entry), entry.help)
        parts.append(_row(*told, _list(panels.get(entry.name, [])), _list([_code(a) for a in alerts.get(entry.name, [])])))
    parts += ["\n## Objectives\n", _table(("objective", "of what", "target", "window", "runbook"))]
    for name, slo in book.objectives.items():
        parts.append(_row(name, slo.says, f"{slo.objective * 100:g} %", slo.window, _runbook(slo.runbook)))
    parts += ["\n## Alerts\n", _table(("alert", "severity", "why", "runbook"))]
    for alert in alerts_of(book):
        parts.append(_row(_code(alert.name), alert.severity, alert.description, _runbook(alert.runbook)))
    return "\n".join(parts) + "\n"


def alerts_by_metric(book: Book) -> dict[str, list[str]]:
    """The alerts that look at each metric, through recording rules too."""
    recorded = {r.record: r.expr for r in book.recordings}
    found: dict[str, list[str]] = {}
    for alert in alerts_of(book):
        expressions = [alert.expr, *(recorded.get(one.metric, "") for one in named(alert.expr))]
        slo_names = [value for one in named(alert.expr) for label, _, value in one.matchers if label == "slo"]
        expressions += [book.objectives[name].bad_ratio("5m") for name in slo_names]
        for metric in _metrics(expressions):
            found.setdefault(metric, []).append(alert.name)
    return found


def panels_by_metric(dashboards: Path) -> dict[str, list[str]]:
    """The panels that show each metric, as ``dashboard: panel``; none where there are no dashboards."""
    found: dict[str, list[str]] = {}
    for path in sorted(dashboards.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in _panels(board.get("panels", [])):
            for metric in _metrics([target.get("expr", "") for target in panel.get("targets", [])]):
                title = f"{board['title'].removeprefix('Octant: ')}: {panel.get('title', '')}"
                if title not in found.setdefault(metric, []):
                    found[metric].append(title)
    return found


def _panels(panels: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


def _metrics(expressions: list[str]) -> list[str]:
    entries = (declared(one.metric) for expression in expressions for one in named(expression))
    return sorted({entry.name for entry in entries if entry})


def _labels(entry: Declared) -> str:
    return _list([_label(label) for label in entry.bounded])


def _label(label: Label) -> str:
    if not label.values:
        return f"{_code(label.name)} (at most {label.most})"
    if len(label.values) > FEW:
        return f"{_code(label.name)} ({len(label.values)} known)"
    return f"{_code(label.name)} ({', '.join(sorted(label.values))})"


def _runbook(page: str) -> str:
    return f"[{page}](../runbook/{page})"


def _code(text: str) -> str:
    return f"`{text}`"


def _list(texts: list[str]) -> str:
    return "<br>".join(texts) or "-"


def _table(titles: tuple[str, ...]) -> str:
    return _row(*titles) + "\n" + _row(*("---" for _ in titles))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
