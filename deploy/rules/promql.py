"""Checks the metrics and labels of a PromQL expression against the catalogue.

Not a parser: `promtool check rules` says whether an expression is one. This module finds what promtool cannot know: an
alert on a metric that no process emits never fires, which looks the same as peace.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.telemetry.catalogue import CATALOGUE, OTHER, Declared

OURS = re.compile(r"\b(?:octant|llm|slo)(?::\w+)*\w*(?::\w+)*")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^{}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*(?:\"([^\"]*)\"|'([^']*)')")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
OF_TARGETS = frozenset({"job", "instance"})
FROM_PROMETHEUS: Mapping[str, frozenset[str]] = {"up": OF_TARGETS}
PARTS = ("_bucket", "_sum", "_count")
_BY_NAME = {declared.name: declared for declared in CATALOGUE}


@dataclass(frozen=True, slots=True)
class Named:
    """A metric that an expression names, with its matchers: ``(label, operator, value)``."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()


def named(expression: str) -> list[Named]:
    """The metrics of an expression."""
    found = []
    for name, inner in SELECTOR.findall(expression):
        matchers = tuple((label, how, one or other) for label, how, one, other in MATCHER.findall(inner))
        found.append(Named(name, matchers))
    rest = QUOTED.sub("", GROUPING.sub("", SELECTOR.sub("", expression)))
    return found + [Named(name) for name in OURS.findall(rest)]


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups or matches by."""
    return {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",") if label.strip()}


def declared(metric: str) -> Declared | None:
    """The catalogue's entry for a series, a histogram's parts included."""
    if metric in _BY_NAME:
        return _BY_NAME[metric]
    base, part = next(((metric.removesuffix(p), p) for p in PARTS if metric.endswith(p)), (metric, ""))
    found = _BY_NAME.get(base)
    return found if found and part and found.kind == "histogram" else None


def labels_of(metric: str, recorded: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """The labels of a series; None where no process emits it. ``recorded``: labels of the recording rules' results."""
    if metric in recorded:
        return recorded[metric]
    if metric in FROM_PROMETHEUS:
        return FROM_PROMETHEUS[metric]
    entry = declared(metric)
    if entry is None:
        return None
    return frozenset(entry.labels) | OF_TARGETS | ({"le"} if metric.endswith("_bucket") else set())


def faults(expression: str, recorded: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield a sentence for each metric, label or value of an expression that does not exist."""
    there: set[str] = set()
    for one in named(expression):
        labels = labels_of(one.metric, recorded)
        if labels is None:
            yield f"no process emits {one.metric}"
            continue
        there |= labels
        for label, how, value in one.matchers:
            if label not in labels:
                yield f"{one.metric} has no label {label}"
            elif how in {"=", "=~"}:
                yield from _values(one.metric, label, value)
    for label in sorted(grouped_by(expression) - there):
        yield f"no metric of the expression has the label {label}"


def _values(metric: str, label: str, wanted: str) -> Iterator[str]:
    """Values that the label never has: a spelling mistake in a matcher."""
    entry = declared(metric)
    if entry is None:
        return
    if label == "le":
        if float(wanted) not in entry.buckets:
            yield f"{metric} has no bucket {wanted}"
        return
    bound = next((b for b in entry.bounded if b.name == label), None)
    if bound and bound.values and not set(wanted.split("|")) <= bound.values | {OTHER}:
        yield f"{metric}: {label} is never {wanted}"
