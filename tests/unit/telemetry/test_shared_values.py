"""Counting in files on a disk that is full: no worker ends by it, and what was counted shows once there is room."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from app.telemetry import shared_values
from app.telemetry.shared_values import Reserved, Unshared

shared_values.install()
LIBRARY: Any = values  # without types
READ: Any = MmapedDict.read_all_values_from_file


class Disk:
    """Blocks that `posix_fallocate` finds; beyond them it fails as on a full disk."""

    def __init__(self) -> None:
        self.blocks = 0

    def reserve(self, number: int, offset: int, size: int) -> None:
        if size > self.blocks:
            raise OSError(errno.ENOSPC, "No space left on device")
        os.ftruncate(number, max(size, os.fstat(number).st_size))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("os.posix_fallocate", disk.reserve)
    return disk


def test_a_file_without_blocks_is_not_mapped(tmp_path: Path, disk: Disk) -> None:
    """The library maps holes: a write to one ends the process where the disk is full."""
    found = LIBRARY.MmapedDict(str(tmp_path / "counter_1.db"))
    assert isinstance(found, Unshared)
    found.write_value("a", 2.0, 0.0)
    assert found.read_value("a") == (2.0, 0.0)
    assert isinstance(LIBRARY.MmapedDict(str(tmp_path / "gone" / "counter_1.db")), Unshared)


def test_values_beyond_the_room_wait_in_the_process(tmp_path: Path, disk: Disk) -> None:
    disk.blocks = shared_values.SIZE
    path = tmp_path / "counter_1.db"
    found: Any = LIBRARY.MmapedDict(str(path))
    assert Reserved in type(found).__mro__
    names = [f"{number}{'x' * 1000}" for number in range(100)]
    for name in names:
        found.write_value(name, 1.0, 0.0)
    assert {found.read_value(name)[0] for name in names} == {1.0}
    shown = {key for key, *_ in READ(str(path))}
    assert 50 < len(shown) < 70
    disk.blocks *= 4
    for name in names:
        found.write_value(name, 3.0, 0.0)
    assert {(key, value) for key, value, *_ in READ(str(path))} == {(name, 3.0) for name in names}
    found.close()


def test_blocks_are_there_before_the_file_is_mapped(tmp_path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("this system reserves no blocks")
    path = tmp_path / "counter_1.db"
    LIBRARY.MmapedDict(str(path)).close()
    assert path.stat().st_blocks * 512 >= shared_values.SIZE


def test_a_file_that_is_removed_is_made_again_with_what_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleaner of temporary folders removes it under the worker; its parent reads what has a name."""
    monkeypatch.setattr(shared_values, "CHECK_EVERY", 0.0)
    file = tmp_path / "metrics" / "counter_1.db"
    file.parent.mkdir()
    counted = LIBRARY.MmapedDict(str(file))
    counted.write_value("calls", 7.0, 0.0)
    for number in range(2000):  # more than fits into the first blocks
        counted.write_value(f"a value with a long name {number}", 1.0, 0.0)
    shutil.rmtree(file.parent)
    counted.write_value("calls", 8.0, 0.0)
    read = {key: value for key, value, _, _ in READ(str(file))}
    assert read["calls"] == 8.0
    assert len(read) == 2001
    counted.write_value("calls", 9.0, 0.0)
    assert {key: value for key, value, _, _ in READ(str(file))}["calls"] == 9.0
    counted.close()


def test_a_removed_file_that_cannot_be_opened_again_fails_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a process has no descriptor left."""
    monkeypatch.setattr(shared_values, "CHECK_EVERY", 0.0)
    path, opens, full = tmp_path / "counter_1.db", os.open, [True]
    found: Any = LIBRARY.MmapedDict(str(path))
    found.write_value("a", 1.0, 0.0)
    path.unlink()

    def no_descriptor(name: str, flags: int, mode: int = 0o777) -> int:
        if full and name == str(path):
            raise OSError(errno.EMFILE, "Too many open files")
        return opens(name, flags, mode)

    monkeypatch.setattr(os, "open", no_descriptor)
    for value in (2.0, 3.0):
        path.unlink(missing_ok=True)
        found.write_value("a", value, 0.0)
    path.unlink()
    full.clear()
    found.write_value("a", 4.0, 0.0)
    assert found.read_value("a") == (4.0, 0.0)
    assert [(key, value) for key, value, *_ in READ(str(path))] == [("a", 4.0)]
    found.close()
