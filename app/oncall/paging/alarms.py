"""An alarm: one group of alerts as Alertmanager reports it, checked, and in our own form.

The payload is Alertmanager's webhook, version 4 (prometheus.io/docs/alerting/latest/configuration/#webhook_config). Known fields
are checked strictly; unknown ones are passed over, because the vendor may add some.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LONGEST_KEY, LONGEST_SUMMARY, LONGEST_NAME = 512, 1024, 200
MOST_ALERTS = 1000
NUL = "\x00"  # JSON may hold it, Postgres cannot
WATCHDOG = "OctantWatchdog"
TEST_KEY = "octant:test"
NO_RECEIVER = "OCTANT_PAGING__RECEIVERS is empty: no page is sent. See docs/paging.md."
SEVERITY = "page"  # of an alert without one

Name = Annotated[str, StringConstraints(max_length=1024)]
Labels = dict[Name, str]


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class AlertmanagerAlert(_Payload):
    """One alert of a group."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels
    startsAt: datetime  # noqa: N815 - the vendor's name
    endsAt: datetime  # noqa: N815
    generatorURL: str = ""  # noqa: N815
    fingerprint: str = Field(min_length=1, max_length=64)


class AlertmanagerMessage(_Payload):
    """The body that Alertmanager posts."""

    version: Literal["4"]
    groupKey: str = Field(min_length=1)  # noqa: N815
    truncatedAlerts: int = Field(default=0, ge=0)  # noqa: N815
    status: Literal["firing", "resolved"]
    receiver: str
    groupLabels: Labels  # noqa: N815
    commonLabels: Labels  # noqa: N815
    commonAnnotations: Labels  # noqa: N815
    externalURL: str = ""  # noqa: N815
    alerts: list[AlertmanagerAlert] = Field(min_length=1, max_length=MOST_ALERTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One group of alerts. ``key`` finds its page; ``links`` are addresses by name: runbook, dashboard, source."""

    key: str
    alert: str
    summary: str
    firing: bool = True
    severity: str = SEVERITY
    labels: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    fingerprints: tuple[str, ...] = ()
    left_out: int = 0
    test: bool = False

    @property
    def is_watchdog(self) -> bool:
        """Whether it is the alert that always fires."""
        return self.alert == WATCHDOG


def alarm_for_test(by: str) -> Alarm:
    """An alarm that pages as a real one does, and is marked as a test. ``by``: the person or key that asked for it."""
    summary = f"A test of paging by {by}: acknowledge it, nothing is broken."
    return Alarm(key=f"{TEST_KEY}:{time.time_ns()}", alert="OctantPageTest", summary=summary, test=True)


def alarm_of(message: AlertmanagerMessage) -> Alarm:
    """A payload in our own form: one page for a group, as Alertmanager groups it."""
    firing = [alert for alert in message.alerts if alert.status == "firing"]
    first = (firing or message.alerts)[0]
    labels = {name: _storable(value) for name, value in message.commonLabels.items() if NUL not in name}
    annotations = {**first.annotations, **message.commonAnnotations}
    alert = _storable(first.labels.get("alertname") or message.groupLabels.get("alertname") or "unnamed")[:LONGEST_NAME]
    more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
    summary = _storable(annotations.get("summary") or alert)
    links = {
        "runbook": annotations.get("runbook_url", ""),
        "dashboard": annotations.get("dashboard", ""),
        "source": message.externalURL,
    }
    return Alarm(
        key=_key(_storable(message.groupKey)),
        alert=alert,
        summary=summary[: LONGEST_SUMMARY - len(more)] + more,
        firing=message.status == "firing",
        severity=_storable(labels.get("severity", first.labels.get("severity", SEVERITY)))[:LONGEST_NAME],
        labels=labels,
        links={name: _storable(address) for name, address in links.items() if address},
        fingerprints=tuple(_storable(alert.fingerprint) for alert in firing),
        left_out=message.truncatedAlerts,
    )


def as_json(alarm: Alarm) -> dict[str, Any]:
    """An alarm for a file."""
    return {name: getattr(alarm, name) for name in Alarm.__dataclass_fields__}


def from_json(stored: Mapping[str, Any]) -> Alarm:
    """An alarm from a file. Raises TypeError or KeyError for what is none."""
    return Alarm(**{**stored, "fingerprints": tuple(stored["fingerprints"])})


def _key(group: str) -> str:
    """A group's key in a length that an index takes."""
    if len(group) <= LONGEST_KEY:
        return group
    return f"{group[: LONGEST_KEY - 65]}~{hashlib.sha256(group.encode()).hexdigest()}"


def _storable(text: str) -> str:
    return text.replace(NUL, "\N{REPLACEMENT CHARACTER}")
