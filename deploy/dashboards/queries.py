"""PromQL from the catalogue: a metric that is not declared, or a label that it does not have, cannot be queried.

Every selector is narrowed by the dashboard's variables where the metric has their label. Rates are over `$__rate_interval`, which
Grafana makes at least four scrapes long, and are summed over workers and replicas before anything else is done with them.
"""

import re

from app.telemetry.catalogue import CATALOGUE, Declared
from app.telemetry.metrics import Undeclared
from deploy.rules import slos
from deploy.rules.build import recorded_labels

VARIABLES = ("feature", "provider")  # labels that are also the dashboards' variables
WINDOW = "$__rate_interval"
MATCHER = re.compile(r'(?:=~|!~|!=|=)"(.*)"')
_BY_ATTRIBUTE = {declared.attribute: declared for declared in CATALOGUE}


def declared(attribute: str) -> Declared:
    """The metric of that attribute. Raises Undeclared."""
    try:
        return _BY_ATTRIBUTE[attribute]
    except KeyError:
        raise Undeclared(f"no metric {attribute!r} in app/telemetry/catalogue.py") from None


def selector(attribute: str, suffix: str = "", **matchers: str) -> str:
    """Its series. A matcher is an operator and a quoted value: ``outcome='!="ok"'``.

    Raises Undeclared for a label that the metric does not have, and for a value that the label never has.
    """
    metric = declared(attribute)
    _has(metric, tuple(matchers))
    for label, matcher in matchers.items():
        _can_be(metric, label, matcher)
    chosen = {label: f'=~"${label}"' for label in VARIABLES if label in metric.labels} | matchers
    inner = ", ".join(f"{label}{matcher}" for label, matcher in chosen.items())
    return f"{metric.name}{suffix}" + (f"{{{inner}}}" if inner else "")


def rate(attribute: str, by: tuple[str, ...] = (), *, suffix: str = "", **matchers: str) -> str:
    """Per second, summed over all but ``by``."""
    _is(attribute, "histogram" if suffix else "counter")
    return _sum(attribute, by, f"rate({selector(attribute, suffix, **matchers)}[{WINDOW}])")


def total(attribute: str, **matchers: str) -> str:
    """How many in the whole of the time that is shown."""
    _is(attribute, "counter")
    return or_none(_sum(attribute, (), f"increase({selector(attribute, **matchers)}[$__range])"))


def or_none(expression: str) -> str:
    """0 where nothing was counted. Nothing where nothing is scraped: a service that is away must not look well."""
    return f"{expression} or 0 * {newest('records_queued')}"


def share(part: str, whole: str) -> str:
    """``part`` of ``whole``: 0 where there is a whole and no part yet, nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def each(parts: str, whole: str) -> str:
    """Each of ``parts`` as a share of one ``whole``."""
    return f"{parts} / on () group_left () ({whole} > 0)"


def quantile(q: float, attribute: str, by: tuple[str, ...] = ()) -> str:
    """The ``q`` quantile of a histogram, over all workers and replicas."""
    _is(attribute, "histogram")
    _has(declared(attribute), by)
    return f"histogram_quantile({q}, sum by ({', '.join(('le', *by))}) (rate({selector(attribute, '_bucket')}[{WINDOW}])))"


def mean(attribute: str) -> str:
    """The mean of a histogram's observations."""
    return f"{rate(attribute, suffix='_sum')} / ({rate(attribute, suffix='_count')} > 0)"


def buckets(attribute: str) -> str:
    """How many observations fell into each bucket, for a heatmap."""
    _is(attribute, "histogram")
    return f"sum by (le) (increase({selector(attribute, '_bucket')}[{WINDOW}]))"


def newest(attribute: str, by: tuple[str, ...] = (), **matchers: str) -> str:
    """A gauge as it is now; over replicas as over workers: summed, or the highest."""
    metric = declared(attribute)
    _is(attribute, "gauge")
    _has(metric, by)
    how = "sum" if metric.over_workers == "livesum" else "max"
    return f"{how}{_by(by)} ({selector(attribute, **matchers)})"


def recorded(name: str, by: tuple[str, ...]) -> str:
    """The present result of a recording rule. Raises Undeclared."""
    labels = recorded_labels(slos.read()).get(name)
    if labels is None or not set(by) <= labels:
        raise Undeclared(f"no rule makes {name} with the labels {', '.join(by)}")
    return f"max{_by(by)} ({name})"


def _sum(attribute: str, by: tuple[str, ...], what: str) -> str:
    _has(declared(attribute), by)
    return f"sum{_by(by)} ({what})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _has(metric: Declared, labels: tuple[str, ...]) -> None:
    unknown = set(labels) - set(metric.labels)
    if unknown:
        raise Undeclared(f"{metric.name} has no label {', '.join(sorted(unknown))}")


def _can_be(metric: Declared, label: str, matcher: str) -> None:
    known = next(bound.values for bound in metric.bounded if bound.name == label)
    found = MATCHER.fullmatch(matcher)
    if found is None:
        raise Undeclared(f"{matcher} is no matcher")
    for wanted in found[1].split("|"):
        if known and not any(re.fullmatch(wanted, value) for value in known):
            raise Undeclared(f"{metric.name}: {label} is never {wanted}")


def _is(attribute: str, kind: str) -> None:
    if declared(attribute).kind != kind:
        raise Undeclared(f"{attribute} is a {declared(attribute).kind}, not a {kind}")
