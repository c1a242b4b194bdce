"""The alerts that Alertmanager receives (C5)."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.budget.alerts import _for_alertmanager

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize("ends_at", [NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=1)])
def test_no_alert_ends_before_it_starts(ends_at: datetime) -> None:
    """Alertmanager refuses such an alert, and the whole request with it (400)."""
    row: Any = SimpleNamespace(
        id=1, scope="user-day", tenant="acme", subject="ada", window="2026-11-24", share=95, limit=1000, spent=960, note="",
        at=NOW, ends_at=ends_at,
    )  # fmt: skip
    alert = _for_alertmanager(row, "https://runbook.example/")
    assert alert["startsAt"] <= alert["endsAt"] == ends_at.isoformat()
