"""The stage of a game day takes nothing from the process that starts it but the machine's own variables (X2)."""

import os
from pathlib import Path

import pytest

from app.stack.gameday import stage


def test_secrets_and_metrics_of_the_process_that_starts_it_are_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    given = {"PROMETHEUS_MULTIPROC_DIR": "/metrics", "DATABASE_URL": "postgres://x", "AZURE_KEY": "x", "OCTANT_VALKEY_URL": "x",
             "OPENAI_API_KEY": "x", "LC_ALL": "C.UTF-8", "OCTANT_RELEASES_DIR": "releases"}  # fmt: skip
    os.environ.update(given)
    stage._own_environment(tmp_path)
    kept = {name for name, value in given.items() if os.environ.get(name) == value}
    assert kept == {"LC_ALL", "OCTANT_RELEASES_DIR"}
    assert os.environ["OCTANT_STATE_DIR"] == str(tmp_path)
    assert os.environ["PATH"]
