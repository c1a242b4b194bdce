"""Fallback chains: no release ships with a model in it that nobody evaluated (E6)."""

import tomllib
from datetime import date
from pathlib import Path

import pytest

from app.releases.manifest import parse
from evals.baseline import Baseline, PinnedModel
from evals.cases import Case, InvalidSuite, load_cases
from evals.chain import Chain, chain_of, cut_down, newest, pinned_models, unshippable
from evals.gate import PASS, GateResult, Threshold, Thresholds
from evals.harness import Result, Trail
from evals.rates import Rate

TODAY = date(2026, 11, 24)
CHAIN = chain_of(newest()[1])
HIGH = Threshold(least=0.8, goal=0.9, metric="Deflection rate, for instance.")
THRESHOLDS = Thresholds(overall=HIGH, modes={}, models=dict.fromkeys(CHAIN.models, HIGH))
VERDICT = GateResult(PASS, (), Rate(1, 1), {})


def pinned(passed: int = 9, pins: str = CHAIN.pins) -> PinnedModel:
    return PinnedModel(accepted=TODAY, pins=pins, passed=passed, cases=10)


def baseline(**change: PinnedModel) -> Baseline:
    models = {model: pinned() for model in CHAIN.models} | {name.replace("__", "/"): value for name, value in change.items()}
    return Baseline(cases={}, models={"simulator": models})


def test_the_newest_release_has_two_models_for_each_prompt() -> None:
    assert CHAIN.prompts["support/answer"] == ("anthropic/claude-sonnet-5-5", "openai/gpt-6-sol")
    assert (CHAIN.depth, len(CHAIN.models)) == (2, 4)


def test_a_chain_whose_every_model_is_above_its_threshold_ships() -> None:
    assert list(unshippable(CHAIN, baseline(), THRESHOLDS, "simulator")) == []


def test_a_fallback_that_was_never_evaluated_does_not_ship() -> None:
    kept = baseline()
    del kept.models["simulator"]["openai/gpt-6-sol"]
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert reason.startswith("openai/gpt-6-sol: in a chain of 2026-11-22 and never evaluated")


def test_what_the_simulator_did_is_nobody_elses_evaluation() -> None:
    assert len(list(unshippable(CHAIN, baseline(), THRESHOLDS, "real models"))) == 4


def test_a_model_that_was_evaluated_with_other_prompts_is_to_be_run_again() -> None:
    kept = baseline()
    kept.models["simulator"]["openai/gpt-6-sol"] = pinned(pins="others")
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert "with other prompts or articles" in reason


def test_a_fallback_below_its_own_threshold_does_not_ship() -> None:
    kept = baseline()
    kept.models["simulator"]["openai/gpt-6-sol"] = pinned(passed=7)
    (reason,) = unshippable(CHAIN, kept, THRESHOLDS, "simulator")
    assert reason.startswith("openai/gpt-6-sol: 70.0% passed, at least 80% must")


def test_a_model_without_a_threshold_of_its_own_does_not_ship() -> None:
    bare = THRESHOLDS.model_copy(update={"models": {m: HIGH for m in CHAIN.models if m != "openai/gpt-6-sol"}})
    assert list(unshippable(CHAIN, baseline(), bare, "simulator")) == ["openai/gpt-6-sol: no threshold of its own"]


def test_a_changed_prompt_or_article_changes_the_pins() -> None:
    path, manifest = newest()
    digest = manifest.prompts["support/answer"].sha256
    changed = chain_of(parse(path.read_text().replace(digest, "0" * 64), "changed"))
    assert changed.pins != CHAIN.pins
    assert changed.prompts == CHAIN.prompts


@pytest.mark.parametrize(
    ("position", "smart", "fast"), [(0, "anthropic", "openai"), (1, "openai", "anthropic"), (5, "openai", "anthropic")]
)
def test_a_release_made_for_a_run_asks_one_model_for_each_route(tmp_path: Path, position: int, smart: str, fast: str) -> None:
    cut_down(tmp_path, position=position)
    made, live = parse((tmp_path / newest()[0].name).read_text(), "made"), newest()[1]
    assert [target.provider for target in made.routes["smart"].targets] == [smart]
    assert [target.provider for target in made.routes["fast"].targets] == [fast]
    assert (made.prompts, made.indexes, made.prices) == (live.prompts, live.indexes, live.prices)
    assert (tmp_path / made.prices.file).is_file()


def test_a_provider_can_be_chosen_and_timeouts_stretched(tmp_path: Path) -> None:
    cut_down(tmp_path, provider="openai", patience=10)
    told = tomllib.loads((tmp_path / newest()[0].name).read_text())
    assert told["routes"]["smart"]["targets"] == [{"provider": "openai", "model": "gpt-6-sol"}]
    assert told["routes"]["smart"]["first_token_timeout"] == 150.0


def test_a_provider_that_no_route_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="has no target of groq"):
        cut_down(tmp_path, provider="groq")


def results(provider: str) -> list[Result]:
    def one(case: Case) -> Result:
        return Result(case, (), None, Trail(provider=provider, model="m"))

    return [one(case) for case in load_cases() if case.endpoint == "support/tickets"][:10]


def test_a_models_own_cases_are_pinned_as_its_own() -> None:
    found = pinned_models(CHAIN, 1, results("anthropic"), VERDICT, TODAY)
    assert found == {"anthropic/claude-haiku-5-5": PinnedModel(accepted=TODAY, pins=CHAIN.pins, passed=10, cases=10)}


def test_an_answer_of_another_provider_is_nobodys_score() -> None:
    with pytest.raises(InvalidSuite, match="answered by openai, not by anthropic/claude-haiku-5-5"):
        pinned_models(CHAIN, 1, results("openai"), VERDICT, TODAY)


def test_chains_of_different_lengths_end_with_their_last_model() -> None:
    uneven = Chain("r", {"a/b": ("x/1", "y/2", "z/3"), "c/d": ("x/1",)}, "pins")
    assert (uneven.depth, uneven.at(2, "a/b"), uneven.at(2, "c/d")) == (3, "z/3", "x/1")
