"""The operator's name in the log: also that of a user number without a name, as containers have."""

import os
import pwd

import pytest

from app.cli.operator import actor, user_name


def test_no_variable_gives_an_operator_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    own = pwd.getpwuid(os.getuid()).pw_name
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "mallory")
    assert user_name() == own
    assert actor().startswith(f"os:{own}@")


def test_an_operator_whose_number_has_no_name_is_named_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that changes something, and the kill switch too, ended with a KeyError before it had begun."""

    def unknown(number: int) -> object:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert user_name() == f"uid-{os.getuid()}"
    assert actor().startswith(f"os:uid-{os.getuid()}@")
