"""The example of a mended case: where its two runs are stored, and by which thresholds a part of a suite is judged."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from app.releases.eval_example import Example
from evals import example, store
from evals.cases import InvalidSuite
from evals.options import Pace


def test_without_a_database_the_runs_are_stored_with_the_demo_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness prints the command without one."""
    stored: list[str] = []

    def passed(_found: Example, _release: str, database: str, _pace: Pace) -> set[str]:
        stored.append(database)
        return set()

    monkeypatch.setattr(store, "service_settings", lambda: SimpleNamespace(database_url="the demo's"))
    monkeypatch.setattr(example, "example", lambda _: Example("made", "wrong_tool", "1", "2", ("a",), ("a",)))
    monkeypatch.setattr(example, "_passed", passed)
    example.run_example("", Pace())
    example.run_example("a named one", Pace())
    assert stored == ["the demo's", "the demo's", "a named one", "a named one"]


def test_without_a_database_or_a_demo_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OCTANT_DATABASE_URL", "OCTANT_VALKEY_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidSuite, match="Start a demo with `make demo`"):
        store.service_settings()
