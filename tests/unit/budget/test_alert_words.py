"""Budget alerts in Alertmanager: tickets that name the tenant and no user (C5)."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Row

from app.budget.alert_words import LOWERED, reached
from app.budget.alerts import _in_force

NOW = datetime.now(UTC)
ENDS = NOW + timedelta(hours=3)


def row(**values: object) -> Row[Any]:
    base = {
        "id": 1, "scope": "user-day", "tenant": "acme", "subject": "mallory", "window": "2026-11-30", "share": 95,
        "limit": 5_000_000, "spent": 4_800_000, "note": "", "at": NOW,
    }  # fmt: skip
    return SimpleNamespace(**{**base, **values})  # type: ignore[return-value]


@pytest.mark.parametrize("scope", ["user-day", "user-month", "tenant-day", "tenant-month"])
@pytest.mark.parametrize("share", [50, 80, 95])
def test_a_cap_of_one_tenant_or_user_is_a_ticket_at_every_share(scope: str, share: int) -> None:
    (alert,) = _in_force([(row(scope=scope, share=share), ENDS)], "")
    assert alert["labels"]["severity"] == "ticket"
    assert alert["labels"]["tenant"] == "acme"
    assert "mallory" not in str(alert)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "One user of acme has spent 95 % of the cap of $5.00 a day."),
        ({"subject": "-"}, "Calls of acme that name no user have spent 95 % of the cap of $5.00 a day."),
        ({"subject": ""}, "Calls of acme that name no user have spent 95 % of the cap of $5.00 a day."),
        ({"scope": "tenant-month", "subject": ""}, "acme has spent 95 % of the cap of $5.00 a month."),
        (
            {"limit": 10, "spent": 4_910_000, "note": LOWERED},
            "One user of acme has spent $4.91, over the cap of $0.00001 a day; it was lowered.",
        ),
        ({"limit": 10, "spent": 12}, "One user of acme has spent $0.000012, over the cap of $0.00001 a day."),
        (
            {"scope": "cost-drift", "tenant": "", "subject": "chat", "note": "A call of chat costs more."},
            "A call of chat costs more.",
        ),
    ],
)
def test_the_summary_says_whose_money_it_is_without_the_users_name(values: dict[str, Any], words: str) -> None:
    (alert,) = _in_force([(row(**values), ENDS)], "")
    assert alert["annotations"]["summary"] == words


def test_two_users_of_a_tenant_are_one_alert_and_two_tenants_are_two() -> None:
    rows = [row(), row(id=2, subject="trent", limit=9_000_000), row(id=3, tenant="tiny"), row(id=4, subject="old")]
    over = NOW - timedelta(minutes=1)
    found = _in_force([(one, over if one.subject == "old" else ENDS) for one in rows], "")
    assert {alert["annotations"]["summary"] for alert in found} == {
        "2 users of acme have spent 95 % of their caps of a day or more.",
        "One user of tiny has spent 95 % of the cap of $5.00 a day.",
    }


def test_beside_its_subject_an_alert_says_how_far_the_cap_is_used() -> None:
    cap = {"scope": "user-day", "share": 95, "spent": 96, "limit": 100, "note": ""}
    assert reached(cap) == "95 % spent"
    assert reached({**cap, "spent": 120}) == "over its cap"
    assert reached({**cap, "limit": 10, "note": LOWERED}) == "over its cap; it was lowered"
    assert reached({**cap, "scope": "cost-drift", "spent": 0, "limit": 0, "note": "A call costs more."}) == "A call costs more."
