"""Each CLI option has one name; earlier names still work, hidden from help."""

from typing import Any

import pytest
from typer.main import get_command

from app.cli import app


def command(*path: str) -> Any:  # noqa: ANN401 - click's or typer's
    found: Any = get_command(app)
    for name in path:
        found = found.commands[name]
    return found


def options(*path: str, hidden: bool = False) -> set[str]:
    return {
        name
        for parameter in command(*path).params
        if parameter.param_type_name == "option" and parameter.hidden is hidden
        for name in parameter.opts
    }


def test_a_tenants_caps_have_the_same_names_in_create_and_set() -> None:
    assert options("tenant", "create") - {"--name", "--exist-ok", "--help"} == {"--day", "--user-day"}
    assert {"--day", "--user-day"} <= options("budget", "set")


@pytest.mark.parametrize(
    ("path", "earlier"),
    [
        (("tenant", "create"), {"--daily-cap", "--user-daily-cap"}),
        (("key", "create"), {"--days"}),
        (("key", "rotate"), {"--days"}),
        (("jobs", "status"), {"--tenant"}),
        (("redaction", "list"), {"--tenant"}),
    ],
)
def test_earlier_names_still_work_and_are_not_shown(path: tuple[str, ...], earlier: set[str]) -> None:
    assert earlier <= options(*path, hidden=True)
    assert not earlier & options(*path)
