"""Eval results of releases: each one that is shipped has them, and they are written only as a run made them (B3)."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from manifests import results_of, write
from unit.evals.test_baseline import CASES
from unit.evals.tiny import result

from app.releases.eval_gate import lacking
from app.releases.eval_history import filed
from app.releases.eval_results import from_file
from app.releases.manifest import Places, parse
from app.stack.fitting import fitting
from evals import proving
from evals.cases import InvalidSuite
from evals.options import Pace, Source
from evals.scoring import Finding

RELEASES = ROOT / "releases"
PLACES = Places(directory=RELEASES, prompts=ROOT, indexes=ROOT, providers=frozenset())


@pytest.mark.parametrize("release", fitting(RELEASES)[-2:])
def test_a_shipped_release_may_be_live_where_the_simulator_answers(release: str) -> None:
    """Those that a first start activates. `python -m evals release ID` writes the file.

    CI runs the newest release again and compares (`gate --exact`).
    """
    content = (RELEASES / f"{release}.toml").read_bytes()
    found, wrong = from_file(PLACES, release, hashlib.sha256(content).hexdigest())
    assert wrong == []
    assert lacking(parse(content.decode(), release), found, simulated={"openai", "anthropic"}) == []


@pytest.mark.parametrize("path", sorted((RELEASES / "evals").glob("*.json")), ids=lambda path: path.stem)
def test_every_file_of_results_is_as_its_run_wrote_it(path: Path) -> None:
    found, wrong = from_file(PLACES, path.stem, hashlib.sha256((RELEASES / f"{path.stem}.toml").read_bytes()).hexdigest())
    assert wrong == []
    assert found


def test_a_run_that_differs_from_the_kept_result_names_the_cases(tmp_path: Path) -> None:
    write(tmp_path, "a", PROMPT)
    run = [result(case) for case in CASES]
    kept = results_of(tmp_path, "a", cases=proving.cases_digest(CASES), failed=(CASES[0].id,))
    assert proving.unfit(kept, run) == [f"{CASES[0].id}: failed in the release's eval results"]
    assert "the cases, or their form, are others" in proving.unfit(kept, run[1:])[0]


def test_results_of_another_manifest_are_replaced_and_those_of_other_models_stay(tmp_path: Path) -> None:
    write(tmp_path, "a", PROMPT)
    real, simulated = results_of(tmp_path, "a"), results_of(tmp_path, "a", simulated=("openai",))
    proving.write("a", "1" * 64, [real], tmp_path)
    path = proving.write("a", "1" * 64, [simulated], tmp_path)
    assert {one.simulated for one in proving.read("a", tmp_path)} == {(), ("openai",)}
    found, wrong = from_file(Places(directory=tmp_path, prompts=ROOT, indexes=ROOT, providers=frozenset()), "a", "1" * 64)
    assert (len(found), wrong) == (2, [])
    proving.write("a", "2" * 64, [real], tmp_path)
    assert json.loads(path.read_text())["manifest"] == "2" * 64
    assert [one.simulated for one in proving.read("a", tmp_path)] == [()]


def test_findings_of_failed_cases_stay_with_their_models_and_hold_no_personal_data(tmp_path: Path) -> None:
    write(tmp_path, "a", PROMPT)
    real, simulated = results_of(tmp_path, "a"), results_of(tmp_path, "a", simulated=("openai",), label="simulator")
    found = proving.findings_of(
        [replace(result(CASES[0]), findings=(Finding("summary", "says ada@example.com"),)), result(CASES[1])]
    )
    assert list(found) == [CASES[0].id]
    assert "ada@" not in str(found)
    for one in (real, simulated):
        proving.write("a", "1" * 64, [one], tmp_path, {one.suite: found})
    kept = {one.result.label: {name: list(lines) for name, lines in one.findings.items()} for one in filed(tmp_path)[0]}
    assert kept == {real.label: found, simulated.label: found}
    places = Places(directory=tmp_path, prompts=ROOT, indexes=ROOT, providers=frozenset())
    assert from_file(places, "a", "1" * 64)[1] == [], "signed with the rest"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source(base_url="http://127.0.0.1:1", label="theirs"), "needs? a service that is started for the run"),
        (Source(replay=Path("replies.jsonl")), "needs? a service that is started for the run"),
        (Source(provider="openai"), "needs? a service that is started for the run"),
        (Source(label="simulator, really"), "the label must not begin with simulator"),
    ],
)
def test_results_that_cannot_be_vouched_for_are_not_made(source: Source, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_OPENAI__API_KEY", "a key of its own")
    with pytest.raises(InvalidSuite, match=said):
        proving.prove(fitting(RELEASES)[-1], source, Pace())


PROMPT = """
[prompts."shop/answer"]
version = "v1"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
route = "smart"
"""
