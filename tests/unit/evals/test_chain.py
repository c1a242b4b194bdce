"""Fallback chains: no release ships with a model that was not evaluated (E6)."""

import tomllib
from datetime import date
from pathlib import Path

import pytest
from unit.evals.tiny import TinySuite, case

from app.releases.manifest import parse
from evals.baseline import Baseline, PinnedModel
from evals.cases import InvalidSuite
from evals.chain import Chain, chain_of, check_claimed, cut_down, newest, pinned_models, unshippable
from evals.client import Trail
from evals.gate import Threshold, Thresholds
from evals.harness import Result

TODAY = date(2026, 11, 24)
LIVE = newest()[1]
CHAIN = chain_of(LIVE, set(LIVE.prompts))
MODEL = CHAIN.models[-1]
HIGH = Threshold(least=0.8, goal=0.9, metric="Deflection rate, for instance.")
THRESHOLDS = Thresholds(overall=HIGH, modes={}, models=dict.fromkeys(CHAIN.models, HIGH))


def pinned(passed: int = 9, pins: str = CHAIN.pins) -> PinnedModel:
    return PinnedModel(accepted=TODAY, pins=pins, passed=passed, cases=10)


def baseline() -> Baseline:
    return Baseline(cases={}, models={"simulator": {model: pinned() for model in CHAIN.models}})


def test_the_newest_release_has_a_fallback_for_each_prompt() -> None:
    assert set(CHAIN.prompts) == set(LIVE.prompts)
    assert min(map(len, CHAIN.prompts.values())) >= 2


def test_a_suites_chain_is_of_its_own_prompts_and_a_missing_one_is_refused() -> None:
    name = min(LIVE.prompts)
    assert list(chain_of(LIVE, {name}).prompts) == [name]
    with pytest.raises(InvalidSuite, match="has no prompt tiny/answer"):
        chain_of(LIVE, {"tiny/answer"})


def test_a_prompt_of_a_release_that_no_suite_evaluates_is_refused() -> None:
    """E6: its models would go live unevaluated."""
    with pytest.raises(InvalidSuite, match=r"no suite evaluates .* of the release"):
        check_claimed(LIVE, [TinySuite(Path("tiny"))])


def test_a_chain_whose_every_model_is_above_its_threshold_ships() -> None:
    assert list(unshippable(CHAIN, baseline(), THRESHOLDS, "simulator")) == []


def test_a_fallback_that_was_never_evaluated_does_not_ship() -> None:
    kept = baseline()
    del kept.models["simulator"][MODEL]
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert reason.startswith(f"{MODEL}: in a chain of {LIVE.id} and never evaluated")


def test_a_run_of_the_simulator_evaluates_no_real_model() -> None:
    assert len(list(unshippable(CHAIN, baseline(), THRESHOLDS, "real models"))) == len(CHAIN.models)


def test_a_model_that_was_evaluated_with_other_prompts_is_to_be_run_again() -> None:
    kept = baseline()
    kept.models["simulator"][MODEL] = pinned(pins="others")
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert "with other prompts or articles" in reason


def test_a_fallback_below_its_own_threshold_does_not_ship() -> None:
    kept = baseline()
    kept.models["simulator"][MODEL] = pinned(passed=7)
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert reason.startswith(f"{MODEL}: 70.0% passed, at least 80% must")


def test_a_model_without_a_threshold_of_its_own_does_not_ship() -> None:
    bare = THRESHOLDS.model_copy(update={"models": {m: HIGH for m in CHAIN.models if m != MODEL}})
    assert list(unshippable(CHAIN, baseline(), bare, "simulator")) == [f"{MODEL}: no threshold of its own"]


def test_a_changed_prompt_changes_the_pins() -> None:
    path, manifest = newest()
    digest = next(iter(manifest.prompts.values())).sha256
    changed = chain_of(parse(path.read_text().replace(digest, "0" * 64), "changed"), set(manifest.prompts))
    assert changed.pins != CHAIN.pins
    assert changed.prompts == CHAIN.prompts


@pytest.mark.parametrize("position", [0, 1, 5])
def test_a_release_made_for_a_run_asks_one_model_for_each_route(tmp_path: Path, position: int) -> None:
    cut_down(tmp_path, position=position)
    made = parse((tmp_path / newest()[0].name).read_text(), "made")
    for name, route in LIVE.routes.items():
        assert made.routes[name].targets == (route.targets[min(position, len(route.targets) - 1)],)
    assert (made.prompts, made.indexes, made.prices) == (LIVE.prompts, LIVE.indexes, LIVE.prices)
    assert (tmp_path / made.prices.file).is_file()


def test_a_provider_can_be_chosen_and_timeouts_stretched(tmp_path: Path) -> None:
    cut_down(tmp_path, provider="openai", patience=10)
    made = tomllib.loads((tmp_path / newest()[0].name).read_text())["routes"]
    for name, route in LIVE.routes.items():
        assert {target["provider"] for target in made[name]["targets"]} == {"openai"}
        assert made[name]["first_token_timeout"] == 10 * route.first_token_timeout


def test_a_provider_that_no_route_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="has no target of groq"):
        cut_down(tmp_path, provider="groq")


TWO = Chain("r", {"tiny/answer": ("anthropic/first", "openai/second")}, "pins")


def results(provider: str) -> list[Result]:
    return [Result(case(f"c{n}"), (), None, Trail(provider=provider, model="m")) for n in range(10)]


def test_a_models_own_cases_are_pinned_as_its_own() -> None:
    found = pinned_models(TWO, 1, results("openai"), TinySuite.prompts, TODAY)
    assert found == {"openai/second": PinnedModel(accepted=TODAY, pins="pins", passed=10, cases=10)}


def test_an_answer_of_another_provider_counts_for_no_model() -> None:
    with pytest.raises(InvalidSuite, match="answered by anthropic, not by openai/second"):
        pinned_models(TWO, 1, results("anthropic"), TinySuite.prompts, TODAY)


def test_chains_of_different_lengths_end_with_their_last_model() -> None:
    uneven = Chain("r", {"a/b": ("x/1", "y/2", "z/3"), "c/d": ("x/1",)}, "pins")
    assert (uneven.depth, uneven.at(2, "a/b"), uneven.at(2, "c/d")) == (3, "z/3", "x/1")
