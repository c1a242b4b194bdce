"""The commands say of the order of calls what the pager does: it goes on until a person answers (docs/paging.md)."""

from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.oncall import app
from app.oncall.rota.reading import load_rotation

ROTATION = Path(__file__).parents[3] / "runbook" / "oncall" / "rotation.yaml"


@pytest.mark.parametrize("command", [["now", "--at", "2026-12-01T12:00"], ["handover"]])
def test_no_command_names_an_end_that_an_escalation_does_not_have(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = load_rotation(ROTATION)
    oncall = import_module("app.cli.oncall")  # by its attribute the package has its group of commands
    monkeypatch.setattr(oncall, "loaded", lambda: rotation)
    monkeypatch.setattr(oncall, "covered", lambda **_: rotation)
    out = CliRunner().invoke(app, command).output
    assert "then again from level 1, until a person acknowledges the page or it is over" in out
    assert " times" not in out
