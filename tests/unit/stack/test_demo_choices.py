"""The demo chooses vendors and ports before it starts anything, and quickly."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import ROOT

from app.releases.eval_results import recorded
from app.settings import load
from app.stack.demo import _ports
from app.stack.port_claims import PortClaims
from app.stack.setup import lacking_words
from app.stack.traffic import _gist, samples
from app.stack.vendors import label_of, simulated


@pytest.fixture(autouse=True)
def _no_vendor_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OCTANT_OPENAI__API_KEY", "OCTANT_OPENAI__BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_simulator_stands_in_for_a_vendor_without_a_key_or_address() -> None:
    """G5."""
    assert "openai" in simulated(load())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-anything"),
        ("OCTANT_OPENAI__API_KEY", "sk-anything"),
        ("OCTANT_OPENAI__BASE_URL", "http://127.0.0.1:11434/v1"),
    ],
)
def test_a_key_or_an_address_of_ones_own_is_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """G6: a local server wants no key."""
    monkeypatch.setenv(name, value)
    assert "openai" not in simulated(load())


def test_a_key_in_a_secret_file_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "octant_openai__api_key").write_text("sk-anything")
    monkeypatch.setenv("OCTANT_SECRETS_DIR", str(tmp_path))
    assert simulated(load()) == ["anthropic"]


def test_an_env_file_copied_from_the_example_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_OPENAI__BASE_URL", "https://api.openai.com/v1")
    assert "openai" in simulated(load())


@pytest.mark.parametrize(
    ("stood_in_for", "label"),
    [(["openai", "anthropic"], "simulator"), ([], "real models"), (["anthropic"], "simulator for anthropic")],
)
def test_what_answered_is_named_as_what_it_is(stood_in_for: list[str], label: str) -> None:
    """As in E10, the simulator's figures never pass for a model's."""
    assert label_of(stood_in_for) == label


def test_a_port_that_is_taken_gives_the_next_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as held:
        wanted = taken.getsockname()[1]
        given = _ports(PortClaims(held), load(port=wanted, metrics_port=wanted, worker_metrics_port=0))
    assert len(set(given.values())) == 3
    assert int(given["OCTANT_PORT"]) > wanted
    assert f"Port {wanted} is taken: using {given['OCTANT_PORT']} (OCTANT_PORT)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "fields", "gist"),
    [
        ('{"choices": [{"message": {"content": null, "tool_calls": []}}]}', (), "(no text)"),
        ('{"error": null, "output": [{"summary": []}, {"content": [{"text": "Hi."}]}]}', (), "Hi."),
        ('{"error": null, "output": []}', (), "(no text)"),
        ('{"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}]}', (), "Hello"),
        ('{"answer": null, "referral": {"reason": "not ours"}}', ("answer", "referral.reason"), "not ours"),
        ('{"answer": "ours", "referral": null}', ("answer", "referral.reason"), "ours"),
        ('{"answer": null, "referral": null}', ("answer", "referral.reason"), "(no text)"),
        ('{"error": {"message": "No model."}}', (), "No model."),
        ("data: {}\n\ndata: [DONE]\n\n", (), "2 events"),
    ],
)
def test_an_answer_of_any_form_has_a_gist(body: str, fields: tuple[str, ...], gist: str) -> None:
    """Real models send thinking blocks and replies without words."""
    assert _gist(body, fields) == gist


def test_the_samples_show_a_refusal_of_each_kind() -> None:
    assert {sample.status for sample in samples()} == {200, 401, 404, 429}


def test_the_supervisor_loads_no_sdk_no_framework_and_no_database() -> None:
    """Loading them costs seconds, and the processes that it starts load them anyway."""
    program = "import app.stack.demo, app.cli.stack, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {"openai", "anthropic", "fastapi", "sqlalchemy", "redis", "aiohttp", "alembic", "opentelemetry"} & set(loaded) == set()


def test_a_run_that_makes_eval_results_is_not_said_to_lack_them(tmp_path: Path) -> None:
    """Just before it passed, `make eval` printed that no suite had a result for its manifest."""
    lacks = ["prompt p: no suite's result for this manifest.", "another"]
    assert not recorded(tmp_path)
    assert "no suite" not in lacking_words("r", lacks, recorded=False)
    (tmp_path / "evals").mkdir()
    assert recorded(tmp_path)
    assert lacking_words("r", lacks, recorded=True) == f"release r: {lacks[0]} 1 more: `octant release verify r`"
