"""Labels of runs: a simulator's score never passes for a model's (E10)."""

from pathlib import Path

import pytest

from evals.cases import InvalidSuite
from evals.options import Source
from evals.session import opened

LABEL = "SmolLM2-135M-Instruct"


@pytest.fixture(autouse=True)
def _no_vendor_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a developer's .env lies in the working directory
    for vendor in ("OPENAI", "ANTHROPIC"):
        for name in (f"{vendor}_API_KEY", f"OCTANT_{vendor}__API_KEY", f"OCTANT_{vendor}__BASE_URL"):
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("source", "simulated"),
    [
        (Source(label=LABEL), "openai and anthropic"),
        (Source(label=LABEL, provider="openai"), "openai"),
        (Source(label=LABEL, record=Path("never-written.jsonl")), "openai and anthropic"),
    ],
)
def test_the_simulator_does_not_answer_under_a_models_name(source: Source, simulated: str) -> None:
    """With the address of the server missing, the simulator would answer under the model's name."""
    with (
        pytest.raises(InvalidSuite, match=rf"the simulator would answer for {simulated}, .*OCTANT_OPENAI__API_KEY"),
        opened(source),
    ):
        pytest.fail("nothing is started")


def test_a_key_and_an_address_of_the_simulators_make_no_model_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the demo and the tests' stacks set them."""
    monkeypatch.setenv("OCTANT_OPENAI__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OCTANT_OPENAI__API_KEY", "simulator")
    source = Source(label="not the simulator", provider="openai")
    with pytest.raises(InvalidSuite, match="the simulator would answer for openai,"), opened(source):
        pytest.fail("nothing is started")


def test_a_vendor_that_the_run_does_not_use_may_be_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local server is set for one; the other keeps its stand-in, which the run's release leaves out."""
    monkeypatch.setenv("OCTANT_OPENAI__BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(InvalidSuite, match=r"answer for anthropic, .*OCTANT_ANTHROPIC__API_KEY"), opened(Source(label=LABEL)):
        pytest.fail("nothing is started")
    with pytest.raises(InvalidSuite, match="has no target of unknown"), opened(Source(label=LABEL, provider="unknown")):
        pytest.fail("nothing is started")


def test_a_recording_has_a_label_of_its_own(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidSuite, match="the recording itself says"),
        opened(Source(label=LABEL, replay=tmp_path / "recording.jsonl")),
    ):
        pytest.fail("nothing is started")
