"""A tenant whose time zone this machine does not know still has days, months and caps."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.budget.scopes import scopes_of
from app.security.keys.rows import tenant_of

NOW = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
ROW = {
    "id": "acme", "name": "Acme", "daily_cap": 10, "user_daily_cap": 1, "monthly_cap": None, "user_monthly_cap": None,
    "request_cap": None, "requests_per_minute": None, "tokens_per_minute": None, "concurrency": None, "created_at": NOW,
}  # fmt: skip


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "Europe/Berlin\n"])
def test_the_days_of_an_unknown_time_zone_are_those_of_utc(zone: str, caplog: pytest.LogCaptureFixture) -> None:
    """A row may come from a machine with newer zones, or from SQL. Each call of the tenant, and the page of budgets, failed."""
    tenant = tenant_of(cast("Any", SimpleNamespace(**ROW, time_zone=zone)))
    assert {scope.window for scope in scopes_of(tenant, "ada", NOW, (None, None))} >= {"2026-11-27"}
    assert "time zone is not known here" in caplog.text


def test_a_known_time_zone_stays(caplog: pytest.LogCaptureFixture) -> None:
    assert tenant_of(cast("Any", SimpleNamespace(**ROW, time_zone="Pacific/Auckland"))).time_zone == "Pacific/Auckland"
    assert not caplog.text
