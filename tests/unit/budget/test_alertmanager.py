"""The alerts that Alertmanager receives (C5)."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.budget.alerts import _for_alertmanager, _in_force, _with_ends

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def row(**values: object) -> Any:  # noqa: ANN401 - a row
    common = {
        "id": 1, "scope": "user-day", "tenant": "acme", "subject": "ada", "window": "2026-11-24", "share": 95, "limit": 1000,
        "spent": 960, "note": "", "at": NOW, "ends_at": NOW + timedelta(hours=1),
    }  # fmt: skip
    return SimpleNamespace(**common | values)


def test_of_the_thresholds_that_one_user_passed_the_highest_alone_is_open() -> None:
    """Also beside another user of the tenant, whose alerts have the same labels."""
    later = NOW + timedelta(minutes=5)
    rows = [row(share=50), row(share=80), row(share=95, at=later), row(subject="bob", share=80), row(subject="bob", share=50)]
    sent = _in_force(_with_ends(rows), "https://runbook.example/")
    ends = {one["labels"]["share"]: datetime.fromisoformat(one["endsAt"]) for one in sent}
    assert ends == {"50": NOW, "80": NOW + timedelta(hours=1), "95": NOW + timedelta(hours=1)}
    assert {ends.isoformat() for one, ends in _with_ends(rows[:3]) if one.share == 80} == {later.isoformat()}


@pytest.mark.parametrize("ends_at", [NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=1)])
def test_no_alert_ends_before_it_starts(ends_at: datetime) -> None:
    """Alertmanager refuses such an alert, and the whole request with it (400)."""
    alert = _for_alertmanager(row(ends_at=ends_at), ends_at, "https://runbook.example/", 1)
    assert alert["startsAt"] <= alert["endsAt"] == ends_at.isoformat()
