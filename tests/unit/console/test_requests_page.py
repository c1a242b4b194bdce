"""The list of requests: its pages are of one moment, and its command has its bounds (X2a)."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from typer.testing import CliRunner

from app.audit.call_filter import SORTS as OF_CALLS
from app.audit.requests import SORTS, sort_of
from app.cli import app
from app.console.console import link
from app.console.pages.requests import _command, _next, wanted_of
from app.console.ranges import range_of

NOW = datetime(2026, 11, 29, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 12, 5, tzinfo=UTC)


def test_the_next_page_is_of_the_same_moments_whenever_it_is_opened() -> None:
    """A request that comes in between would push a row from the first page to the second."""
    first = range_of({"range": "1h"}, now=NOW)
    address = link("/console/requests", {"range": "1h", "sort": "cost", **_next(first, 50)})
    query = dict(parse_qsl(address.partition("?")[2]))
    assert query["sort"] == "cost"
    second = range_of(query, now=LATER)
    assert (second.since, second.until, second.error) == (first.since, NOW, "")
    assert wanted_of(query, second).skip == 50


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, ""), ({"min_cost": "0.001"}, " --at-least 0.001000"), ({"max_cost": "0.1"}, " --at-most 0.100000"),
        ({"sort": "latency_ms", "min_cost": "0", "max_cost": "2"}, " --sort latency_ms --at-most 2.000000"),
        ({"sort": "took_ms"}, " --sort latency_ms"),
    ],
)  # fmt: skip
def test_the_command_asks_for_what_the_page_shows(query: dict[str, str], options: str) -> None:
    range_ = range_of({"range": "1h"}, now=NOW)
    assert _command(wanted_of(query, range_), range_) == f"octant requests --since 1h{options}"


def test_a_sort_has_the_name_that_calls_have_and_its_earlier_one() -> None:
    assert SORTS == OF_CALLS
    for name, order in (("latency_ms", "latency_ms"), ("took_ms", "latency_ms"), ("cost", "cost"), ("price", None)):
        assert sort_of(name) == order
    ended = CliRunner().invoke(app, ["requests", "--sort", "latency"])
    shown = " ".join(ended.output.replace("│", " ").split())
    assert (ended.exit_code, "--sort takes at, latency_ms, cost." in shown) == (2, True)


@pytest.mark.parametrize("wrong", [("--sort", "price"), ("--at-least", "cheap"), ("--at-most", "0.0000001")])
def test_a_wrong_option_is_named_before_any_store_is_asked(wrong: tuple[str, str]) -> None:
    ended = CliRunner().invoke(app, ["requests", *wrong])
    assert ended.exit_code == 2
    assert wrong[0] in ended.output or wrong[1] in ended.output
