"""The parent's `/metrics` beside the forking of workers."""

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict

from app.telemetry import exposition
from app.telemetry.shared_values import Reserved

READ: Any = MmapedDict.read_all_values_from_file
CLOSE: Any = Reserved.close

FORKS_WHILE_IT_COLLECTS = """
import os, signal, sys, threading, urllib.request
from pathlib import Path
from app.telemetry import exposition

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
collects = exposition.MultiProcessCollector.collect
importing = threading.Event()

def slowly(self):
    importing.set()
    import slow_to_import
    return collects(self)

exposition.MultiProcessCollector.collect = slowly
server, _ = exposition.serve("127.0.0.1", 0, folder)
scrape = threading.Thread(target=lambda: urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics").read())
scrape.start()
importing.wait(10)
worker = os.fork()
if not worker:
    signal.alarm(10)
    import slow_to_import
    os._exit(0)
_, status = os.waitpid(worker, 0)
scrape.join()
print("worker", status)
"""


def test_a_worker_forked_during_a_scrape_inherits_no_held_lock(tmp_path: Path) -> None:
    """Without the lock, the worker waits for ever for the import that a thread of its parent had begun."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(1)\n")
    ran = subprocess.run(
        [sys.executable, "-c", FORKS_WHILE_IT_COLLECTS, str(tmp_path)], check=False, capture_output=True, text=True, timeout=120
    )
    assert ran.stdout == "worker 0\n", ran.stderr


COUNTS = """
from prometheus_client import Counter
Counter("octant_shown", "A count.").inc(3)
"""


def test_a_file_that_cannot_be_read_costs_its_own_numbers_alone(tmp_path: Path) -> None:
    """A disk that was full leaves empty files and halves of some: `/metrics` must go on."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", COUNTS], check=True, env=env, timeout=60)
    (whole,) = tmp_path.glob("counter_*.db")
    (tmp_path / "counter_1.db").write_bytes(b"")
    (tmp_path / "gauge_livesum_2.db").write_bytes(b"\xff" * 100)
    (tmp_path / "histogram_3.db").write_bytes(whole.read_bytes()[:20])
    (tmp_path / "counter_4.db").write_bytes(whole.read_bytes().replace(b"{", b"\xff"))
    server, thread = exposition.serve("127.0.0.1", 0, tmp_path)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=30) as answer:
            assert "octant_shown_total 3.0" in answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def counted_by(pid: str, folder: Path, **values: float) -> None:
    file = Reserved(str(folder / f"counter_{pid}.db"))
    for name, value in values.items():
        file.write_value(name, value, 0.0)
    CLOSE(file)


def test_the_counts_of_all_workers_that_ended_are_in_one_file(tmp_path: Path) -> None:
    """A worker that is replaced every minute must not make the scrape slower for ever."""
    for pid in ("7", "8", "9"):
        counted_by(pid, tmp_path, calls=2.0, **{f"of {pid}": 1.0})
    for ended in (7, 8):
        exposition.forget(ended, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_9.db", "counter_ended.db"]
    found = {key: value for key, value, *_ in READ(str(tmp_path / "counter_ended.db"))}
    assert found == {"calls": 4.0, "of 7": 1.0, "of 8": 1.0}


def test_a_full_disk_leaves_an_ended_workers_counts_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted_by("7", tmp_path, calls=2.0)

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    exposition.forget(7, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == ["counter_7.db"]


def test_an_end_of_a_worker_waits_for_no_scrape(tmp_path: Path) -> None:
    """It may be handled by a signal's handler, between two steps of a fork that holds the lock."""
    counted_by("7", tmp_path, calls=2.0)
    with exposition._NO_FORK:
        exposition.forget(7, tmp_path)
    assert (tmp_path / "counter_7.db").exists()
