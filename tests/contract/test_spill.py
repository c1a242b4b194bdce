"""Records while Postgres is away: on disk, back once, counted where they are lost (O7)."""

import asyncio
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
import pytest_asyncio
from client import eventually
from conftest import ROOT
from records import Drops, a_record
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit import recorder as recorder_module
from app.audit import spill as spill_module
from app.audit.query import get_call
from app.audit.recorder import Recorder
from app.audit.spill import Spill, SpillFullError, SpillLease
from app.audit.tables import attempts, calls
from app.domain.periodic import end
from app.domain.records import CallRecord
from app.security.redaction.redactor import Redactor

REDACTOR = Redactor(b"a key for the spill tests")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_FIRST", 0.02)
    monkeypatch.setattr(recorder_module, "RETRY_MOST", 0.1)
    monkeypatch.setattr(recorder_module, "BRING_BACK_EVERY", 0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spill"


@pytest_asyncio.fixture
async def nowhere() -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    yield engine
    await engine.dispose()


async def spilled(nowhere: AsyncEngine, folder: Path, records: list[CallRecord]) -> None:
    """As a worker whose Postgres is away, and which then ends."""
    drops = Drops()
    recorder = Recorder(nowhere, REDACTOR, Spill(folder), on_drop=drops, interval=0.01)
    await recorder.start()
    for record in records:
        recorder.record(record)
    await recorder.aclose()
    assert drops.total == 0


async def stored(engine: AsyncEngine, records: list[CallRecord]) -> tuple[int, int]:
    ids = [record.id for record in records]
    async with engine.connect() as connection:
        of_calls = select(func.count()).select_from(calls).where(calls.c.id.in_(ids))
        of_attempts = select(func.count()).select_from(attempts).where(attempts.c.call_id.in_(ids))
        return (await connection.execute(of_calls)).scalar_one(), (await connection.execute(of_attempts)).scalar_one()


async def test_what_was_spilled_comes_back_whole_and_once(engine: AsyncEngine, nowhere: AsyncEngine, folder: Path) -> None:
    """Another worker stores the records that one left; some had arrived already."""
    records = [a_record(request='{"m": "lone \ud800 surrogate, nul \0"}'), *(a_record() for _ in range(450))]
    await spilled(nowhere, folder, records)
    assert list(folder.iterdir()), "nothing was spilled"
    before = Recorder(engine, REDACTOR, Spill(folder.parent / "other"), on_drop=Drops(), interval=0.01)
    await before.start()
    for record in records[:7]:
        before.record(record)
    await before.flush()
    await before.aclose()

    sizes: list[int] = []
    drops = Drops()
    finder = Recorder(engine, REDACTOR, Spill(folder), on_drop=drops, on_spill=lambda _, size: sizes.append(size))
    await finder.start()

    async def gone() -> bool:
        return not list(folder.iterdir()) and sizes[-1:] == [0]

    await eventually(gone)
    await finder.aclose()
    assert await stored(engine, records) == (451, 902)
    assert (drops.total, sizes[-1]) == (0, 0)
    whole = await get_call(engine, records[-1].id)
    assert whole is not None
    assert (whole["at"], whole["cost"], len(whole["attempts"])) == (records[-1].at, 42, 2)


async def test_nothing_on_disk_is_unredacted_and_no_other_user_may_read_it(nowhere: AsyncEngine, folder: Path) -> None:
    """Shows S5."""
    await spilled(nowhere, folder, [a_record(user="ada@example.com", request='{"m": "ada@example.com"}')])
    (file,) = folder.iterdir()
    assert b"example.com" not in file.read_bytes()
    assert (file.stat().st_mode & 0o077, folder.stat().st_mode & 0o077) == (0, 0)


async def test_a_postgres_that_goes_and_returns_loses_no_record(engine: AsyncEngine, folder: Path) -> None:
    drops, spill = Drops(), Spill(folder)
    recorder = Recorder(engine, REDACTOR, spill, on_drop=drops, interval=0.01, capacity=50)
    await recorder.start()
    records: list[CallRecord] = []
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE calls RENAME TO calls_gone"))
    try:
        for _ in range(20):  # more than the queue holds
            for _ in range(20):
                records.append(a_record())
                recorder.record(records[-1])
            await recorder.flush()
        assert spill.size > 0
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE calls_gone RENAME TO calls"))

    async def all_there() -> bool:
        return await stored(engine, records) == (400, 800)

    await eventually(all_there)
    await recorder.aclose()
    assert drops.total == 0
    assert spill.size == 0


def test_a_file_is_found_by_others_only_once_its_writer_has_locked_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a worker that looks between the two steps takes it for a dead worker's, finds it empty, and removes it."""
    ours, others, lock, claimed = Spill(folder), Spill(folder), fcntl.flock, list[SpillLease | None]()

    def looked_for_before(file: IO[bytes], operation: int) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(fcntl, "flock", lock)
            claimed.append(others.claim())
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", looked_for_before)
    record = a_record()
    ours.append([record])
    monkeypatch.undo()
    assert claimed == [None]
    assert others.claim() is None, "its writer has it"
    ours.close()
    claim = others.claim()
    assert claim is not None
    assert [one.id for one in claim.read()[0]] == [record.id]
    claim.close()


class SlowDisk(Spill):
    """A spill whose disk takes longer than the pauses in which a stop repeats its cancellation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun = threading.Event()

    def append(self, records: Sequence[CallRecord]) -> None:
        self.begun.set()
        time.sleep(1.5)  # in a thread
        super().append(records)


async def test_records_that_a_slow_disk_takes_during_a_stop_are_not_counted_as_lost(nowhere: AsyncEngine, folder: Path) -> None:
    drops, disk = Drops(), SlowDisk(folder)
    recorder = Recorder(nowhere, REDACTOR, disk, on_drop=drops)
    await recorder.start()
    recorder.record(a_record())
    assert await asyncio.to_thread(disk.begun.wait, 30)
    await recorder.aclose(grace=0.01)
    assert drops.total == 0
    (file,) = folder.iterdir()
    assert len(file.read_text().splitlines()) == 1


async def test_a_stop_waits_for_a_disk_longer_than_for_other_tasks(
    nowhere: AsyncEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end, "__kwdefaults__", {"within": 0.05})  # as if the disk took longer than `STOP_SECONDS`
    drops, disk = Drops(), SlowDisk(folder)
    recorder = Recorder(nowhere, REDACTOR, disk, on_drop=drops)
    await recorder.start()
    recorder.record(a_record())
    assert await asyncio.to_thread(disk.begun.wait, 30)
    await recorder.aclose(grace=0.01)
    (file,) = folder.iterdir()
    assert len(file.read_text().splitlines()) == 1
    assert drops.total == 0


class DeadDisk(Spill):
    """A spill whose disk does not answer until it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.released = threading.Event(), threading.Event()

    def _append(self, data: bytes) -> None:
        self.begun.set()
        self.released.wait(120)
        super()._append(data)


async def test_a_disk_that_does_not_answer_holds_up_neither_the_stop_nor_the_loop(
    nowhere: AsyncEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "DISK_SECONDS", 0.05)
    monkeypatch.setattr(recorder_module, "CLOSE_FILE_SECONDS", 0.05)
    drops, disk = Drops(), DeadDisk(folder)
    recorder = Recorder(nowhere, REDACTOR, disk, on_drop=drops)
    await recorder.start()
    recorder.record(a_record())
    assert await asyncio.to_thread(disk.begun.wait, 30)
    try:
        await recorder.aclose(grace=0.01)
        assert not folder.exists()
        assert drops.total == 1
    finally:
        disk.released.set()


async def test_a_full_disk_stops_no_call_and_lost_records_are_counted(nowhere: AsyncEngine, folder: Path) -> None:
    drops = Drops()
    recorder = Recorder(nowhere, REDACTOR, Spill(folder, max_bytes=20_000), on_drop=drops, interval=0.01, capacity=10, batch=5)
    await recorder.start()
    for _ in range(100):
        recorder.record(a_record())
        await asyncio.sleep(0)
    await recorder.aclose(grace=0.2)
    kept = sum(len(file.read_bytes().splitlines()) for file in folder.iterdir())
    assert kept > 0
    assert drops.total == 100 - kept


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux'")  # noqa: PTH110
def test_a_disk_that_takes_half_a_batch_keeps_none_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = Spill(folder)
    spill.append([a_record()])
    (file,) = folder.iterdir()
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            spill.append([a_record()])
    assert file.read_bytes() == before
    spill.append([a_record()])
    spill.close()
    assert len(list(folder.iterdir())) == 2


def test_the_limit_counts_every_workers_files(folder: Path) -> None:
    one = Spill(folder, max_bytes=6_000)
    one.append([a_record()] * 3)
    with pytest.raises(SpillFullError):
        Spill(folder, max_bytes=6_000).append([a_record()] * 3)
    one.close()


async def test_a_file_that_its_writer_holds_is_left_alone(engine: AsyncEngine, folder: Path) -> None:
    """Also when the writer was killed: the lock goes with its process."""
    writing = Spill(folder)
    writing.append([a_record()])
    assert Spill(folder).claim() is None
    writing.close()
    claim = Spill(folder).claim()
    assert claim is not None
    assert Spill(folder).claim() is None, "two bring one file back"
    claim.close()


async def test_a_torn_line_is_counted_and_takes_no_other_with_it(engine: AsyncEngine, folder: Path) -> None:
    """A worker was killed while it wrote."""
    spill, records = Spill(folder), [a_record(), a_record()]
    spill.append(records)
    spill.close()
    (file,) = folder.iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"id": "call_12')
    drops = Drops()
    recorder = Recorder(engine, REDACTOR, Spill(folder), on_drop=drops)
    await recorder.start()

    async def gone() -> bool:
        return not file.exists()

    await eventually(gone)
    await recorder.aclose()
    assert await stored(engine, records) == (2, 4)
    assert drops.total == 1


async def test_the_size_on_disk_is_reported_after_another_worker_stored_the_records(
    engine: AsyncEngine, nowhere: AsyncEngine, folder: Path
) -> None:
    await spilled(nowhere, folder, [a_record()])
    elsewhere = Spill(folder).claim()
    assert elsewhere is not None
    sizes: list[int] = []
    recorder = Recorder(engine, REDACTOR, Spill(folder), on_drop=Drops(), on_spill=lambda _, size: sizes.append(size))
    await recorder.start()

    async def some() -> bool:
        return bool(sizes) and sizes[-1] > 0

    async def none() -> bool:
        return sizes[-1] == 0

    await eventually(some)
    elsewhere.remove()
    elsewhere.close()
    await eventually(none)
    await recorder.aclose()


def worker(*arguments: str) -> "subprocess.Popen[str]":
    """A process of its own (`tests/spilling.py`)."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "spilling.py"), *arguments], env=env, stdout=subprocess.PIPE, text=True
    )


def killed(*arguments: str, when: str) -> None:
    """Run a worker until it prints ``when``, and kill it."""
    with worker(*arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        process.kill()
    assert line == when


def ids_of(folder: Path, count: int) -> list[CallRecord]:
    return [a_record(id=f"call_{folder.name}_{number}") for number in range(count)]


async def test_what_killed_workers_left_comes_back_once(engine: AsyncEngine, database_url: str, tmp_path: Path) -> None:
    """Two workers were killed in a row.

    One while Postgres was away; the next after its COPY was committed, before it could remove the file.
    """
    folder = tmp_path / uuid4().hex
    killed("away", str(folder), "300", when="spilled")
    records = ids_of(folder, 300)
    assert await stored(engine, records) == (0, 0)
    killed("back", str(folder), database_url, when="written, not removed")
    assert await stored(engine, records) == (300, 600)
    assert list(folder.glob("*.jsonl")), "the file is still there"
    drops = Drops()
    finder = Recorder(engine, REDACTOR, Spill(folder), on_drop=drops, interval=0.01)
    await finder.start()

    async def gone() -> bool:
        return not list(folder.iterdir())

    await eventually(gone)
    await finder.aclose()
    assert await stored(engine, records) == (300, 600)
    assert drops.total == 0


def test_on_a_disk_that_takes_no_more_each_record_is_kept_or_counted(tmp_path: Path) -> None:
    """A limit of the kernel's, not of ours: a write ends in the middle of a batch."""
    folder = tmp_path / uuid4().hex
    with worker("full", str(folder), "200") as process:
        assert process.stdout is not None
        dropped = int(process.stdout.readline())
        assert process.wait(timeout=120) == 0
    lines = [line for file in folder.iterdir() for line in file.read_bytes().splitlines(keepends=True)]
    assert all(line.endswith(b"}\n") for line in lines), "a torn line"
    assert len(lines) >= 10
    assert dropped == 200 - len(lines)


async def test_two_workers_bring_one_folder_back_once(engine: AsyncEngine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill_module, "FILE_BYTES", 20_000)
    records, spill = [a_record() for _ in range(300)], Spill(folder)
    for start in range(0, 300, 10):
        spill.append(records[start : start + 10])
    spill.close()
    assert len(list(folder.iterdir())) > 5
    drops = Drops()
    both = [Recorder(engine, REDACTOR, Spill(folder), on_drop=drops, interval=0.01) for _ in range(2)]
    for recorder in both:
        await recorder.start()

    async def gone() -> bool:
        return not list(folder.iterdir())

    await eventually(gone)
    for recorder in both:
        await recorder.aclose()
    assert await stored(engine, records) == (300, 600)
    assert drops.total == 0


def test_a_file_that_is_removed_under_its_writer_is_made_again(folder: Path) -> None:
    """A cleaner of temporary folders removes it: what it held, and what comes later, is in a file that has a name."""
    spill = Spill(folder)
    spill.append([a_record()])
    shutil.rmtree(folder)
    spill.append([a_record()])
    spill.close()
    (file,) = folder.iterdir()
    assert len(file.read_bytes().splitlines()) == 2


def test_a_file_that_is_removed_before_it_is_brought_back_is_made_again(folder: Path) -> None:
    spill = Spill(folder)
    spill.append([a_record()])
    shutil.rmtree(folder)
    spill.close()
    lease = spill.claim()
    assert lease
    assert len(lease.read()[0]) == 1
    lease.close()


def test_a_disk_that_is_full_when_a_file_is_made_again_loses_none_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = Spill(folder)
    spill.append([a_record()])
    shutil.rmtree(folder)
    with monkeypatch.context() as patched:
        patched.setattr(spill_module, "_write_whole", full)
        with pytest.raises(OSError, match="No space"):
            spill.append([a_record()])
        assert not list(folder.iterdir())
    spill.append([a_record()])
    spill.close()
    (file,) = folder.iterdir()
    assert len(file.read_bytes().splitlines()) == 2


def full(_file: object, _data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
