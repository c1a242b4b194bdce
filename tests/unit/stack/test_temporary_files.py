"""Temporary files of the service, where the state folder is all that can be written to."""

import tempfile
from pathlib import Path

import pytest

from app.stack.serve import _make_anew


def test_the_state_takes_temporary_files_where_no_other_folder_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a read-only root without `/tmp` no worker started: gunicorn has a file for each."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
    _make_anew(tmp_path / "metrics", tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)
