"""The budget pages' sentences, sums and windows (C1, C4, C8)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.audit.figures import Capped
from app.budget import change as changing
from app.budget import exposure
from app.budget.budget import BudgetPolicy
from app.budget.scopes import scopes_of
from app.budget.standing import Everything, Spending
from app.console.budget_actions import change_of
from app.console.caps import Cap, Window, began, caps_of, window
from app.console.console import templates
from app.console.known import Known
from app.console.pages.budgets import (
    Line,
    Money,
    TopSpending,
    answer,
    aways_of,
    chart,
    parallel_of,
    times_of,
    top_lines,
)
from app.console.ranges import Range
from app.domain.calls import RateLimits, Tenant
from app.domain.errors import InvalidRequest
from app.domain.money import MicroUSD

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
POLICY = BudgetPolicy(global_daily_cap=MicroUSD(1_000_000))


def a_window(spent: int, held: int | None = 0, cap: int | None = 100) -> Window:
    return Window("tenant-day", spent, held, cap, NOW, NOW + timedelta(hours=12))


def a_line(name: str, spent: int, cap: int = 100) -> Line:
    tenant = Tenant(name, name, MicroUSD(cap), MicroUSD(10))
    return Line(tenant, a_window(spent, cap=cap), a_window(spent, cap=None), exposure.of(tenant, POLICY, None, workers=1))


def money(*lines: Line, spent: int = 0, away: str = "", users: Sequence[Cap] = ()) -> Money:
    total = Known(Everything(spent, 0, spent, 1_000_000, NOW), NOW, away)
    nothing = TopSpending([], Spending({}, {}, {}))
    return Money(
        tenants=Known([line.tenant for line in lines], NOW), lines=list(lines), everything=total, alerts=Known(([], 0), NOW),
        spending=Known(nothing, NOW), users=Known(list(users), NOW), from_ledger=False, aways=[total] if away else [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "held", "cap", "share", "state"),
    [
        (50, 20, 100, 0.7, ("good", "within")),
        (50, 30, 100, 0.8, ("warn", "near the cap")),
        (95, 0, 100, 0.95, ("bad", "nearly used up")),
        (60, 40, 100, 1.0, ("bad", "used up")),
        (60, None, 100, 0.6, ("good", "within")),
        (60, 0, None, None, ("none", "no cap")),
        (1, 0, 0, 1.0, ("bad", "used up")),
    ],
)
def test_held_money_counts_towards_a_cap(
    spent: int, held: int | None, cap: int | None, share: float | None, state: tuple[str, str]
) -> None:
    one = a_window(spent, held, cap)
    assert (one.share, one.state) == (pytest.approx(share) if share is not None else None, state)
    assert one.left == (None if cap is None else max(0, cap - spent - (held or 0)))


def test_calls_at_once_fit_under_the_fullest_cap_and_the_limit() -> None:
    """Each holds its worst case: what is spent and held already, and a lower cap of the month, leave room for fewer."""
    tenant = Tenant(id="t", name="t", daily_cap=MicroUSD(100), user_daily_cap=MicroUSD(30), limits=RateLimits(concurrency=8))
    found = parallel_of(tenant, [a_window(20, held=10), a_window(0, cap=None)], (5, 12))
    assert found
    assert (found.left, found.fit, found.one_user) == (70, (8, 5), 2)
    month = parallel_of(tenant, [a_window(20, held=10), a_window(95)], (5, 12))
    assert month
    assert (month.left, month.fit, month.one_user) == (5, (1, 0), 0)
    assert parallel_of(tenant, [a_window(0)], None) is None


def test_the_ledger_says_what_was_spent_while_counters_are_old() -> None:
    tenant = Tenant("t", "t", MicroUSD(100), MicroUSD(10))
    scope = scopes_of(tenant, "", NOW, (None, None))[0]
    assert (window(scope, tenant, (40, 5), 70).spent, window(scope, tenant, None, 70).held) == (70, None)
    assert window(scope, tenant, (40, 5)).spent == 40


def test_a_day_begins_in_the_tenants_own_time_zone() -> None:
    assert began("2026-11-27", "Europe/Berlin") == datetime(2026, 11, 26, 23, tzinfo=UTC)
    assert began("2026-07", "Europe/Berlin") == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert began("2026-11-27", "UTC") == datetime(2026, 11, 27, tzinfo=UTC)


def test_a_cap_that_is_too_small_for_a_call_is_not_well_although_it_is_empty() -> None:
    tiny = replace(a_line("tiny", 0), capped=Capped(61, {"mallory": 40, "ada": 21}))
    once = replace(a_line("once", 0), capped=Capped(1, {"": 1}))
    assert (tiny.state, once.state) == (("warn", "refused 61 in 1 h"), ("none", "refused 1 in 1 h"))
    kind, words = answer(money(a_line("calm", 10), tiny, once), [])
    assert kind == "warn"
    of_tiny = "A cap refused 61 calls of tiny in the last hour, 40 of them of mallory."
    assert words.startswith(f"{of_tiny} Calls of 1 more tenant were refused, too. 3 tenants are within their caps")
    kind, words = answer(money(once), [])
    assert (kind, words.partition(".")[0]) == ("good", "A cap refused 1 call of once in the last hour")


def test_the_sentence_names_the_worst_first() -> None:
    calm, near, full = a_line("calm", 10), a_line("near", 85), a_line("full", 120)
    assert answer(money(calm, near, full), []) == (
        "bad",
        "full has used up a cap: further calls are refused. The global cap has $1.00 of $1.00 left.",
    )
    assert answer(money(calm, near), [])[0] == "warn"
    assert "near is near a cap: near has used 85 %" in answer(money(calm, near), [])[1]
    assert answer(money(calm), []) == (
        "good",
        "1 tenant is within its caps: $0 spent today, $0 held. The global cap has $1.00 of $1.00 left.",
    )
    assert answer(money(calm), ["everything"])[1].startswith("An operator has stopped everything.")
    assert "every call is refused" in answer(money(calm, spent=1_000_000), [])[1]
    assert answer(money(calm, away="Valkey does not answer"), [])[0] == "warn"
    assert answer(money(), [])[0] == "none"


def of_user(name: str, spent: int, window: str = "user-day") -> Cap:
    return Cap("acme", name, replace(a_window(spent), name=window))


def test_the_fullest_cap_is_that_of_all_tenants_users_and_everyone_and_says_whose() -> None:
    tenants = {"acme": (a_window(19), a_window(0, cap=None)), "globex": (a_window(3), replace(a_window(40), name="tenant-month"))}
    everything = Everything(300_000, 10_000, 310_000, 1_000_000, NOW)
    found = caps_of(tenants, [of_user("mallory", 82), of_user("-", 20, "user-month")], everything, NOW)
    assert [(one.share, one.whose) for one in found] == [
        (0.82, "mallory of acme, the user's cap a day"), (0.4, "globex, its cap a month"), (0.31, "the global cap a day"),
        (0.2, "no user of acme, the user's cap a month"), (0.19, "acme, its cap a day"), (0.03, "globex, its cap a day"),
    ]  # fmt: skip
    assert [one.address for one in found[:3]] == ["/console/budgets/acme/user?id=mallory", "/console/budgets/globex", ""]


def test_a_user_near_a_cap_is_named_beside_tenants_that_are_within_theirs() -> None:
    kind, words = answer(money(a_line("acme", 19), users=[of_user("mallory", 82), of_user("ada", 80), of_user("bob", 79)]), [])
    assert kind == "warn"
    assert words == (
        "1 tenant is within its caps: $0 spent today, $0 held. mallory of acme has used 82 % of the user's cap a day; "
        "1 more cap of a user is near. The global cap has $1.00 of $1.00 left."
    )
    [_, words] = answer(money(a_line("acme", 85), users=[of_user("mallory", 100)]), [])
    assert "mallory of acme has used up the user's cap a day, and its calls are refused. The global" in words


def some_spending() -> tuple[TopSpending, Range]:
    range_ = Range(NOW - timedelta(minutes=15), NOW, "15m")
    steps = {
        (range_.since + n * range_.width, name): amount
        for n in range(5)
        for name, amount in (("a", 50), ("b", 30), ("c", 9), ("d", 8), ("e", 7), (None, 20))
    }
    names = {name for _, name in steps}
    sums = {name: sum(amount for (_, other), amount in steps.items() if other == name) for name in names}
    entries = dict.fromkeys(names, 5)
    top = [(name, sums[name], 5) for name in ("a", "b", "c", "d", "e")]
    return TopSpending(top, Spending(steps, sums, entries)), range_


def test_the_largest_spenders_and_all_others_add_up_to_the_sum() -> None:
    found, _ = some_spending()
    lines = top_lines(found)
    assert lines["rest"][:2] == (100, 5)
    assert sum(spent for _, spent, _, _ in lines["lines"]) + lines["rest"][0] == lines["amount"] == 620
    assert sum(calls for _, _, calls, _ in lines["lines"]) + lines["rest"][1] == lines["entries"] == 30


def test_the_chart_of_spending_shows_every_micro_dollar() -> None:
    found, range_ = some_spending()
    drawn = chart(found, range_)
    assert drawn is not None
    assert [one["label"] for one in drawn["series"]] == ["a", "b", "c", "d", "others"]
    assert sum(sum(one["values"]) for one in drawn["series"]) * 1e6 == pytest.approx(620)
    assert chart(TopSpending([], Spending({}, {}, {})), range_) is None


def test_a_chart_of_a_moment_ago_shows_every_micro_dollar_too() -> None:
    found, range_ = some_spending()
    later = Range(range_.since + timedelta(seconds=7), range_.until + timedelta(seconds=7), "15m")
    drawn = chart(found, later)
    assert drawn is not None
    assert sum(sum(one["values"]) for one in drawn["series"]) * 1e6 == pytest.approx(620)
    assert times_of(range_, []) == times_of(range_, [range_.since])


def test_the_ledger_and_its_postgres_are_one_store_that_is_away() -> None:
    known = [Known(1, NOW, why) for why in ("", "Postgres does not answer", "The ledger cannot be read right now")]
    assert len(aways_of(*known)) == 1
    assert len(aways_of(*known, Known(1, NOW, "Valkey does not answer"))) == 2


def test_an_empty_field_of_the_form_stays_as_it_is() -> None:
    change = change_of({"tenant": "t", "day": "$5.50", "month": "none", "user_day": "", "concurrency": "7", "time_zone": ""})
    assert change == changing.Change({"day": MicroUSD(5_500_000), "month": None}, {"concurrency": 7})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Nothing to set"),
        ({"day": "-5"}, "--day"),
        ({"day": "1e3"}, "--day"),
        ({"day": "9999999999999"}, r"--day: .9999999999999. is not below"),
        ({"concurrency": "0"}, "--concurrency"),
        ({"concurrency": "٣"}, "--concurrency"),
        ({"time_zone": "Mars/Olympus"}, "--time-zone"),
        ({"time_zone": "../../etc/passwd"}, "--time-zone"),
    ],
)
def test_a_value_that_is_no_cap_names_its_option(values: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        change_of(values)


def test_a_user_and_a_key_and_a_tenant_each_take_their_own_caps() -> None:
    with pytest.raises(InvalidRequest, match="A user has caps of their own"):
        changing.check(change_of({"user_day": "1"}), user="ada")
    with pytest.raises(InvalidRequest, match="A key has rate limits only"):
        changing.check(change_of({"day": "1"}), key="k")
    with pytest.raises(InvalidRequest, match="always has a cap for the day"):
        changing.check(change_of({"day": "none"}))
    changing.check(change_of({"day": "none"}), user="ada")


def test_an_open_alert_says_that_its_user_is_stopped() -> None:
    """It asked for a stop until midnight, after the stop."""
    row = {"scope": "user-day", "tenant": "acme", "subject": "mallory", "share": 95, "spent": 5, "limit": 5, "note": "",
           "at": NOW, "ends_at": NOW}  # fmt: skip
    template = templates().from_string("{% import 'parts/money.html' as money %}{{ money.alerts(rows, 2, stopped) }}")
    shown = template.render(rows=[row, row | {"subject": "ada"}], stopped=lambda tenant, user: (tenant, user) == ("acme", "ada"))
    first, _, second = shown.partition(">ada</a>")
    assert ("user is stopped" in first, "user is stopped" in second) == (False, True)
