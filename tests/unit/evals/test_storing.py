"""Where a run goes: nowhere unless that was chosen, and a release's results beside its manifest only with `--accept` (E4)."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from manifests import results_of, write
from typer.testing import CliRunner
from unit.evals.test_proving import PROMPT

from app.releases.manifest import parse
from evals import __main__ as command
from evals import chain, proving, store
from evals.evaluation import NOT_STORED, shown
from evals.options import Reports
from evals.runs import Head

PRINTED = [
    *ROOT.glob("app/**/*.html"),
    *ROOT.glob("app/**/*.py"),
    *ROOT.glob("runbook/*.md"),
    *ROOT.glob("docs/*.md"),
    ROOT / "README.md",
]


def test_a_run_that_is_not_stored_says_so_and_names_the_ways(capsys: pytest.CaptureFixture[str]) -> None:
    shown(Head(label="simulator"), [], Reports())
    assert capsys.readouterr().err == f"{NOT_STORED}\n"
    assert all(way in NOT_STORED for way in ("--store", "--database", "OCTANT_EVALS_DATABASE_URL"))
    shown(Head(label="simulator"), [], Reports(database="postgresql://there"))
    assert capsys.readouterr().err == ""


def test_a_run_finds_the_services_database_and_keeps_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> Any:  # noqa: ANN401 - as settings
        os.environ["OCTANT_DATABASE_URL"] = "of the demo"
        return SimpleNamespace(database_url="of the demo")

    monkeypatch.setattr(store, "service_settings", found)
    monkeypatch.delenv("OCTANT_DATABASE_URL", raising=False)
    monkeypatch.setenv("OCTANT_PORT", "8123")
    assert [store.chosen("", with_service=False), store.chosen("named", with_service=True)] == ["", "named"]
    assert store.chosen("", with_service=True) == "of the demo"
    assert "OCTANT_DATABASE_URL" not in os.environ, "the run's service would use the demo's stores"
    assert os.environ["OCTANT_PORT"] == "8123"


@pytest.mark.parametrize("accepted", [False, True])
def test_results_go_beside_the_manifest_only_where_they_are_accepted(
    accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases, state = tmp_path / "releases", tmp_path / "state"
    releases.mkdir()
    write(releases, "a", PROMPT)
    manifest = parse((releases / "a.toml").read_text(), "a")
    result = results_of(releases, "a")
    proof = SimpleNamespace(result=result, run=SimpleNamespace(results={result.suite: []}))
    monkeypatch.setenv("OCTANT_STATE_DIR", str(state))
    monkeypatch.setattr(chain, "RELEASES", releases)
    monkeypatch.setattr(proving, "prove", lambda *_: (manifest, "1" * 64, [proof]))
    ran = CliRunner().invoke(command.app, ["release", "a", *(["--accept"] if accepted else [])])
    assert (releases / "evals" / "a.json").exists() == accepted, ran.output
    assert (state / "evals" / "a.json").exists() != accepted
    assert ("--accept" in ran.stdout) != accepted


def test_no_printed_command_needs_a_variable_that_a_demo_does_not_set() -> None:
    """Commands find the stores themselves; a password is the one reason for a variable, and then it is set."""
    bare = {
        (str(path.relative_to(ROOT)), line.strip())
        for path in PRINTED
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\$\{?OCTANT_\w+(?!\w|:-)", line)
    }
    assert {path for path, _ in bare} <= {"app/cli/store_state.py"}, bare
