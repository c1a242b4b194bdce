"""Files of records and of a user's data, as commands write them (O8)."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import sentence_of
from app.cli.files import private_file
from app.domain.errors import InvalidRequest


@pytest.fixture(autouse=True)
def _generous() -> Iterator[None]:
    """A machine where new files are for all to write."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_of_records_is_its_owners_alone_while_it_is_written_and_after(tmp_path: Path) -> None:
    out = tmp_path / "calls.jsonl"
    out.touch(mode=0o666)
    with private_file(out) as file:
        file.write(b"{}\n")
        assert [path.stat().st_mode & 0o077 for path in tmp_path.glob(".calls*")] == [0]
    assert (out.read_bytes(), out.stat().st_mode & 0o077) == (b"{}\n", 0)
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_that_fails_leaves_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "calls.jsonl"
    out.write_text("before")
    with pytest.raises(TypeError), private_file(out) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert (out.read_text(), list(tmp_path.iterdir())) == ("before", [out])


def test_a_link_where_the_file_shall_be_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "calls.jsonl"
    victim.write_text("kept")
    out.symlink_to(victim)
    (tmp_path / "calls.jsonl.part").symlink_to(victim)
    with private_file(out) as file:
        file.write(b"{}\n")
    assert (victim.read_text(), out.is_symlink(), out.read_text()) == ("kept", False, "{}\n")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="nowhere"), private_file(tmp_path / "nowhere" / "calls.jsonl"):
        pass


def test_a_full_disk_is_one_sentence() -> None:
    """A write that fails names no file; SQLite has an error of its own."""
    words = "No space is left where this writes: free some, and repeat it."
    assert sentence_of(OSError(errno.ENOSPC, "No space left on device")) == words
    assert sentence_of(_full_index()) == words
    assert sentence_of(OSError("of another kind")) is None


def test_a_disk_that_fills_up_under_a_file_is_the_files_and_no_stores(tmp_path: Path) -> None:
    """Commands take an OSError for a store's absence."""
    with pytest.raises(InvalidRequest, match="No space left"), private_file(tmp_path / "calls.jsonl"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def _full_index() -> sqlite3.Error:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError, match="full") as full:
        database.execute("CREATE TABLE articles (text TEXT)")
    database.close()
    return full.value
