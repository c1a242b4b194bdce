"""A local copy of a Postgres value counts while it is ours and young."""

import time
from pathlib import Path

import pytest

from app.security.remembered import Remembered

SECRET = b"a secret for the tests of remembered files"


def file(path: Path, *, secret: bytes = SECRET, seconds: float = 60.0) -> Remembered:
    return Remembered(path / "sub" / "value.json", secret=secret, seconds=seconds)


def test_a_value_is_read_by_another_process_of_this_user_and_by_no_other_user(tmp_path: Path) -> None:
    file(tmp_path).write(["a", None, 1])
    assert file(tmp_path).read() == ["a", None, 1]
    assert (tmp_path / "sub" / "value.json").stat().st_mode & 0o077 == 0
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["value.json"]


@pytest.mark.parametrize("torn", [b"", b"x", b"\xff" * 64 + b"\n{}", b"0" * 64 + b'\n{"at": 1, "value": "1"}'])
def test_what_is_not_ours_is_as_good_as_none(tmp_path: Path, torn: bytes) -> None:
    assert file(tmp_path).read() is None
    file(tmp_path).write("mine")
    assert file(tmp_path, secret=b"another secret").read() is None
    (tmp_path / "sub" / "value.json").write_bytes(torn)
    assert file(tmp_path).read() is None


def test_a_value_is_believed_for_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tmp_path).write("then")
    now = time.time()
    for later, value in ((59.0, "then"), (61.0, None), (-3600.0, None)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        assert file(tmp_path).read() == value


def test_a_folder_that_takes_nothing_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").touch()
    file(tmp_path).write("lost")
    assert file(tmp_path).read() is None
