"""What an operator reads before a release goes live."""

from dataclasses import replace

import pytest
from conftest import ROOT

from app.budget.pricing import cost
from app.domain.calls import Usage
from app.domain.routes import Price, PriceTable, Target
from app.releases.difference import Traffic, differences
from app.releases.manifest import Places, Release, load

WEEK = {"smart": Traffic(10, Usage(input=10_000, output=2_000)), "gone": Traffic(1, Usage(input=5))}


@pytest.fixture
def release() -> Release:
    where = Places(
        directory=ROOT / "releases", prompts=ROOT / "app/features", indexes=ROOT, providers=frozenset({"openai", "anthropic"})
    )
    return load("1-start", where)


def lines(old: Release, new: Release, traffic: dict[str, Traffic] | None = None) -> list[str]:
    return list(differences(old, new, traffic or {}, cost))


def test_a_release_beside_itself_changes_nothing(release: Release) -> None:
    assert lines(release, release) == ["cost: no answered calls of the last week to compare with"]


def test_a_changed_prompt_is_shown_as_text(release: Release) -> None:
    old = release.prompts["extract/facts"]
    new = replace(old, version="v2", system=old.system + "\nNever guess.", route="smart")
    shown = lines(release, replace(release, prompts={"extract/facts": new, "extract/more": new}))
    assert "prompt extract/facts: v1 -> v2" in shown
    assert "  route: fast -> smart" in shown
    assert "  +Never guess." in shown
    assert "prompt extract/more: added" in shown


def test_a_changed_route_shows_each_changed_field(release: Release) -> None:
    cheap = replace(
        release.routes["smart"], targets=(Target("openai", "gpt-6-luna"),), max_output_tokens=9, ignore=frozenset({"seed"})
    )
    shown = lines(release, replace(release, routes={"smart": cheap}))
    assert "model fast: removed" in shown
    assert "  targets                anthropic/claude-sonnet-5-5, openai/gpt-6-sol -> openai/gpt-6-luna" in shown
    assert "  max_output_tokens      2048 -> 9" in shown
    assert "  ignore                 none -> seed" in shown


def test_the_money_is_last_weeks_average_call_at_both_releases_prices(release: Release) -> None:
    """1,000 tokens in and 200 out at 3 and 15 dollars a million: 6 dollars a thousand calls."""
    key = ("anthropic", "claude-sonnet-5-5")

    def at(dollars: int) -> Release:
        price = Price(dollars * 10**6, 5 * dollars * 10**6, 0, 0)
        return replace(release, prices=PriceTable(f"p{dollars}", {**release.prices.prices, key: (price,)}))

    shown = lines(at(3), at(6), WEEK)
    assert "prices: p3 -> p6 (dollars a million tokens)" in shown
    assert any(
        line.startswith("  anthropic/claude-sonnet-5-5") and "input 3.00" in line and "input 6.00" in line for line in shown
    )
    money = shown[-1].split()
    assert (money[0], float(money[1].strip("$")), float(money[3].strip("$")), money[4]) == ("smart", 6.0, 12.0, "+100.0%")
    assert not any("gone" in line for line in shown)
