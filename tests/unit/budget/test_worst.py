"""`octant budget worst-case`: its figures, and the code and tests that it names (C8)."""

import ast
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from conftest import ROOT

from app.budget import exposure as worst
from app.budget.budget import BudgetPolicy
from app.budget.scopes import scopes_of
from app.domain.calls import Tenant
from app.domain.money import MicroUSD

POLICY = BudgetPolicy(global_daily_cap=MicroUSD(1000))


def tenant(**caps: MicroUSD | None) -> Tenant:
    return Tenant("t", "t", MicroUSD(100), MicroUSD(10), **caps)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [*worst.ENFORCED_BY, *worst.PROVEN_BY])
def test_the_code_and_tests_that_it_names_exist(place: str) -> None:
    path, _, name = place.partition("::")
    file = ROOT / path
    assert file.is_file()
    if name:
        wanted = name.split(".")[-1]
        found = {node.name for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "name")}
        assert wanted in found


def test_the_lowest_cap_is_the_worst_case() -> None:
    exposure = worst.of(tenant(), POLICY, None, workers=2)
    assert (exposure.user, exposure.why_user, exposure.tenant, exposure.why_tenant) == (10, "user-day cap", 100, "tenant-day cap")
    assert (exposure.call, exposure.why_call) == (10, "no lower cap of its own")
    capped = [worst.of(tenant(request_cap=MicroUSD(cap)), POLICY, None, workers=2) for cap in (3, 30)]
    assert [(one.call, one.why_call) for one in capped] == [(3, "request cap"), (10, "no lower cap of its own")]
    assert worst.of(tenant(monthly_cap=MicroUSD(7)), POLICY, None, workers=2).user == 7
    assert worst.of(tenant(), BudgetPolicy(global_daily_cap=MicroUSD(3)), None, workers=2).tenant == 3


def test_a_night_has_a_part_of_two_days_and_a_month_ends_at_its_cap() -> None:
    exposure = worst.of(tenant(), POLICY, None, workers=2)
    assert (exposure.user_night, exposure.user_month, exposure.tenant_month) == (20, 310, 3100)
    exposure = worst.of(tenant(user_monthly_cap=MicroUSD(45)), POLICY, None, workers=2)
    assert (exposure.user_night, exposure.user_month) == (20, 45)
    exposure = worst.of(tenant(monthly_cap=MicroUSD(7)), POLICY, None, workers=2)
    assert (exposure.user_night, exposure.user_month, exposure.tenant_month) == (14, 7, 7), "two months may meet in a night"


def test_a_user_with_a_higher_cap_of_their_own_is_the_rogue() -> None:
    assert worst.of(tenant(), POLICY, MicroUSD(60), workers=2).user == 60
    assert worst.of(tenant(), POLICY, MicroUSD(5), workers=2).user == 10


def test_the_allowance_for_outages_is_in_the_figure() -> None:
    policy = BudgetPolicy(global_daily_cap=MicroUSD(1000), outage_allowance=MicroUSD(50))
    exposure = worst.of(tenant(), policy, None, workers=3)
    assert (exposure.user, exposure.call) == (10 + 150, 50), "one call is served by one worker"
    assert "3 workers" in exposure.why_user


def test_what_the_caps_still_allow_counts_a_window_that_begins_before_then_anew() -> None:
    """Of a day's cap of 100, 30 are spent, and it ends before the time; of a month's of 120, 40 are."""
    at = datetime(2026, 3, 3, 12, tzinfo=UTC)
    berlin = replace(tenant(monthly_cap=MicroUSD(120)), time_zone="Europe/Berlin")
    until = datetime(2026, 3, 4, tzinfo=UTC)
    assert worst.left_of(scopes_of(berlin, "", at, (None, None))[:2], (30, 40), until) == 80
    assert worst.left_of(scopes_of(replace(berlin, monthly_cap=None), "", at, (None, None))[:2], (30, 40), until) == 170
    assert worst.left_of(scopes_of(tenant(), "", at, (None, None))[:2], (30, 40), until) == 70
    assert worst.left_of(scopes_of(tenant(), "", at, (None, None))[:2], (130, 130), until) == 0


def test_all_tenants_together_spend_the_sum_of_their_caps_or_the_global_cap() -> None:
    both = [tenant(), tenant(monthly_cap=MicroUSD(7))]
    assert worst.of_everyone(both, POLICY, workers=2) == (100 + 7, 3100 + 7)
    assert worst.of_everyone([tenant()] * 20, POLICY, workers=2) == (1000, 31 * 1000)
    away = BudgetPolicy(global_daily_cap=MicroUSD(1000), outage_allowance=MicroUSD(50))
    assert worst.of_everyone(both, away, workers=3) == (107 + 150, 3107 + 150), "the workers share the allowance"
