"""A file that others recognise by its lock is found only once it is locked."""

import errno
import fcntl
from pathlib import Path
from typing import IO

import pytest

from app.domain.locked_files import BEGUN, begin


def test_a_file_gets_its_name_once_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, lock = list[list[str]](), fcntl.flock

    def locking(file: IO[bytes], operation: int) -> None:
        seen.append([path.suffix for path in tmp_path.iterdir()])
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", locking)
    file, path = begin(tmp_path, ".holds")
    monkeypatch.undo()
    assert seen == [[BEGUN]]
    assert list(tmp_path.iterdir()) == [path]
    assert (path.suffix, path.stat().st_mode & 0o777) == (".holds", 0o600)
    with path.open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert file.write(b"a line\n") == 7
    file.close()
    assert path.read_bytes() == b"a line\n"


def test_a_file_that_cannot_be_locked_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match="no locks"):
        begin(tmp_path / "holds", ".holds")
    assert list((tmp_path / "holds").iterdir()) == []
