"""Files of the stack are readable by their owner alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stack.private import keep_private


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_what_is_there_and_what_is_written_later_is_closed_to_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for folder in ("logs", "valkey/appendonlydir", "postgres"):
        (state / folder).mkdir(parents=True)
        (state / folder / "file").write_text("x")
    (state / "link").symlink_to(tmp_path)
    before = rights(tmp_path)
    keep_private(state)
    (state / "run").mkdir()
    (state / "run" / "later").write_text("x")
    assert rights(state) == "0o711"
    assert {rights(state / name) for name in ("logs", "valkey", "valkey/appendonlydir", "run")} == {"0o700"}
    assert {rights(state / name) for name in ("logs/file", "valkey/appendonlydir/file", "run/later")} == {"0o600"}
    assert rights(state / "postgres/file") == "0o644"
    assert rights(tmp_path) == before


def test_a_folder_that_is_not_there_yet_is_made_closed(tmp_path: Path) -> None:
    keep_private(tmp_path / "state")
    (tmp_path / "state").mkdir()
    assert rights(tmp_path / "state") == "0o700"
