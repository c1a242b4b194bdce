"""The parts of a hand-over message that are rows of one table each: title, statement, and the line of a row."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Line = Callable[[Any], str]  # of a row


@dataclass(frozen=True, slots=True)
class Part:
    """One part. The statement may use ``:at``, the time of the message."""

    title: str
    table: str
    statement: str
    line: Line


def utc(at: datetime) -> str:
    """A time to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _incident(row: Any) -> str:  # noqa: ANN401 - a row
    return f"{row.number} ({row.severity}, commander {row.commander or 'not assigned'}) {row.title}, since {utc(row.opened_at)}"


def _page(row: Any) -> str:  # noqa: ANN401 - a row
    return f"{row.alert}, {row.status}, {row.person or 'no person'}, since {utc(row.triggered_at)}"


def _silence(row: Any) -> str:  # noqa: ANN401 - a row
    pairs = row.matchers.items() if isinstance(row.matchers, dict) else ()
    matched = ", ".join(f"{name}={value}" for name, value in pairs) or (str(row.matchers) if row.matchers else "every alert")
    return f"{matched} from {utc(row.begins_at)} until {utc(row.ends_at)}, by {row.by}: {row.reason}"


def _stop(row: Any) -> str:  # noqa: ANN401 - a row
    return f"{row.scope} {row.name}".strip() + f", since {utc(row.at)}, by {row.by}: {row.reason}"


def _release(row: Any) -> str:  # noqa: ANN401 - a row
    return f"{row.release}, since {utc(row.at)} ({row.kind} by {row.by}): {row.reason}"


def _canary(row: Any) -> str:  # noqa: ANN401 - a row
    return f"{row.release} beside {row.against} at {row.shares[-1]:.4g}, by {row.by}; decide by {utc(row.deadline)}"


PARTS = (
    Part(
        "Open incidents",
        "incidents",
        "SELECT number, severity, title, commander, opened_at FROM incidents WHERE status = 'open' ORDER BY number",
        _incident,
    ),
    Part(
        "Open pages",
        "pages",
        "SELECT alert, status, person, triggered_at FROM pages WHERE status <> 'resolved' AND NOT test ORDER BY triggered_at",
        _page,
    ),
    Part(
        "Silences",
        "maintenance_windows",
        'SELECT matchers, begins_at, ends_at, "by", reason FROM maintenance_windows WHERE ends_at > :at ORDER BY ends_at',
        _silence,
    ),
    Part(
        "Stopped by the kill switch",
        "stops",
        'SELECT scope, name, "by", reason, at FROM stops WHERE stopped ORDER BY at',
        _stop,
    ),
    Part(
        "Live release",
        "activations",
        'SELECT release, kind, "by", reason, at FROM activations ORDER BY number DESC LIMIT 1',
        _release,
    ),
    Part(
        "Canary",
        "canaries",
        "SELECT release, against, shares, \"by\", deadline FROM canaries WHERE state = 'running'",
        _canary,
    ),
)
