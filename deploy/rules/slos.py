"""Reads and checks `deploy/slo/*.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from deploy.rules.promql import declared

FOLDER = Path(__file__).resolve().parents[1] / "slo"
FASTEST = 14.4  # the highest burn rate that an alert looks for

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One SLO, with its indicator as one of: bad of total, good of total, observations at most a bucket's bound.

    ``fails``: what its bad events did, in callers' words behind a share: ``calls failed``.
    """

    says: str
    fails: str
    objective: float
    window: str
    runbook: str
    dashboard: str
    least: int
    total: str = ""
    bad: str = ""
    good: str = ""
    histogram: str = ""
    at_most: float = 0.0
    why: str = ""
    often: str = ""
    pages_a_month: int | None = None
    tickets_a_month: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for an objective whose alerts could never fire, or an indicator that is none."""
        if not 0 < self.objective < 1 or FASTEST * self.budget >= 1:
            raise ValueError(f"objective {self.objective}: {FASTEST} times its errors is more than all; it can be 0.931 or more")
        indicators = [bool(self.bad and self.total), bool(self.good and self.total), bool(self.histogram and self.at_most)]
        if sum(indicators) != 1:
            raise ValueError("an indicator is bad and total, or good and total, or histogram and at_most")
        entry = declared(self.histogram) if self.histogram else None
        if self.histogram and (entry is None or self.at_most not in entry.buckets):
            raise ValueError(f"{self.histogram} has no bucket {self.at_most}")

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.objective

    @property
    def events(self) -> str:
        """All events, as a selector."""
        return self.total or f"{self.histogram}_count"

    def bad_ratio(self, window: str) -> str:
        """The share of bad events over a window, such as ``5m``. 0 without a bad one; nothing at all without events."""
        total = f"sum(rate({self.events}[{window}]))"
        counted = self.bad or self.good or f'{self.histogram}_bucket{{le="{self.at_most}"}}'
        share = f"(sum(rate({counted}[{window}])) or 0 * {total}) / ({total} > 0)"
        return share if self.bad else f"1 - {share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as declared. ``for_``: how long its expression must hold.

    ``why``: the reasons for threshold and time. ``often``, ``a_month``: when to expect it, and the most while all is well.
    """

    name: str
    severity: Severity
    expr: str
    runbook: str
    dashboard: str
    summary: str
    description: str
    for_: str = "0s"
    why: str = ""
    often: str = ""
    a_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An alert that the service posts to Alertmanager by itself. ``when``: its condition in words."""

    name: str
    severity: Severity
    when: str
    runbook: str
    why: str = ""
    often: str = ""
    a_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording rule as declared."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Objectives, recordings and alerts as declared. ``runbook`` and ``dashboards`` are addresses that end in a slash."""

    runbook: str
    dashboards: str
    objectives: dict[str, Objective]
    recordings: list[Recording]
    alerts: list[Alert]
    posted: list[Posted]


def read(folder: Path = FOLDER) -> Definitions:
    """Read both files. Raises ValueError (pydantic's included) for a wrong value."""
    slos = tomllib.loads((folder / "slos.toml").read_text())
    axes = tomllib.loads((folder / "alerts.toml").read_text())
    alerts = [{("for_" if key == "for" else key): value for key, value in alert.items()} for alert in axes["alert"]]
    return Definitions(
        runbook=slos["links"]["runbook"],
        dashboards=slos["links"]["dashboards"],
        objectives=TypeAdapter(dict[str, Objective]).validate_python(slos["slo"]),
        recordings=TypeAdapter(list[Recording]).validate_python(axes["recording"]),
        alerts=TypeAdapter(list[Alert]).validate_python(alerts),
        posted=TypeAdapter(list[Posted]).validate_python(axes["posted"]),
    )
