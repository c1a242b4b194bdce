"""The gate of an activation: what a manifest lacks (B3)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from manifests import PRICES, results_of, write

from app.releases.eval_gate import Limit, ModelScore, Score, Unproven, lacking, remedy
from app.releases.manifest import Manifest, parse

CHAIN = """
[prompts."shop/answer"]
version = "v1"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
route = "long"
[routes.long]
targets = [{ provider = "openai", model = "m" }, { provider = "anthropic", model = "n" }]
max_output_tokens = 10
"""
BOTH = {"openai", "anthropic"}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    write(tmp_path, "a", CHAIN)
    return parse((tmp_path / "a.toml").read_text(), "a")


def model(name: str, passed: int = 9, prompt: str = "shop/answer") -> ModelScore:
    return ModelScore(prompt=prompt, model=name, passed=passed, total=10, least=0.8)


def test_results_of_every_model_above_every_threshold_suffice(manifest: Manifest, tmp_path: Path) -> None:
    assert lacking(manifest, [results_of(tmp_path, "a")], simulated=()) == []


def test_a_manifest_without_prompts_needs_no_result(tmp_path: Path) -> None:
    write(tmp_path, "bare")
    assert lacking(parse((tmp_path / "bare.toml").read_text(), "bare"), [], simulated=()) == []


def test_without_a_result_each_prompt_is_listed(manifest: Manifest) -> None:
    assert lacking(manifest, [], simulated=()) == ["prompt shop/answer: no suite's result for this manifest."]


def test_a_fallback_model_that_was_not_evaluated_is_listed_with_its_place(manifest: Manifest, tmp_path: Path) -> None:
    first = results_of(tmp_path, "a", models=(model("openai/m"),))
    assert lacking(manifest, [first], simulated=()) == [
        "anthropic/n, place 2 of long: not evaluated for the prompt shop/answer by the suite made-up."
    ]


def test_missed_thresholds_are_listed_the_worst_first_with_the_points_that_lack(manifest: Manifest, tmp_path: Path) -> None:
    scores = {"overall": Score(passed=9, total=10, least=0.8), "made_up": Score(passed=7, total=10, least=0.76)}
    models = (model("openai/m"), model("anthropic/n", 6))
    limits = {"usd_per_case": Limit(value=0.03, most=0.02), "p95_seconds": Limit(value=1, most=2)}
    low = results_of(tmp_path, "a", scores=scores, models=models, limits=limits)
    assert lacking(manifest, [low], simulated=()) == [
        "made-up: anthropic/n: 60.0% passed, 20.0 points below the threshold of 80%.",
        "made-up: made_up: 70.0% passed, 6.0 points below the threshold of 76%.",
        "made-up: usd_per_case is 0.03, 0.01 over the limit of 0.02.",
    ]


def test_results_that_are_too_low_get_no_advice_to_make_them() -> None:
    low = "support: overall: 35.4% passed, 18.6 points below the threshold of 54%."
    missing = "prompt shop/answer: no suite's result for this manifest."
    assert "another run changes none" in remedy("r", [low])
    refused, lacks = str(Unproven("r", "0" * 64, [low])), str(Unproven("r", "0" * 64, [low, "prompt x has no result"]))
    assert ("--accept" in refused, "misses thresholds" in refused, "lacks eval results" in refused) == (False, True, False)
    assert "lacks eval results" in lacks
    assert remedy("r", [missing]) == (
        "`python -m evals release r --accept` makes the results that are missing and writes them beside the manifest."
    )
    assert "--accept" in remedy("r", [missing, low])
    assert "another run changes none" in remedy("r", [missing, low])


def test_a_model_is_judged_over_all_prompts_that_it_answers(manifest: Manifest, tmp_path: Path) -> None:
    models = (model("openai/m", 7), model("openai/m", 10, prompt="shop/other"), model("anthropic/n"))
    assert lacking(manifest, [results_of(tmp_path, "a", models=models)], simulated=()) == []


def test_a_run_on_the_simulator_does_not_count_where_real_models_answer(manifest: Manifest, tmp_path: Path) -> None:
    simulated = results_of(tmp_path, "a", label="simulator", simulated=("anthropic", "openai"))
    assert lacking(manifest, [simulated], simulated=BOTH) == []
    assert lacking(manifest, [simulated], simulated={"openai"}) == [
        "prompt shop/answer: evaluated on the simulator only; here real models of anthropic answer."
    ]
    assert lacking(manifest, [results_of(tmp_path, "a")], simulated=BOTH) == [], "real models are more than the simulator"


def test_the_newest_result_counts_also_when_it_is_worse(manifest: Manifest, tmp_path: Path) -> None:
    newer = results_of(tmp_path, "a", at=datetime(2026, 11, 2, tzinfo=UTC), models=(model("openai/m", 1), model("anthropic/n")))
    found = lacking(manifest, [newer, results_of(tmp_path, "a")], simulated=())
    assert found == ["made-up: openai/m: 10.0% passed, 70.0 points below the threshold of 80%."]
