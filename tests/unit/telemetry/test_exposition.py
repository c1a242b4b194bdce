"""The parent's `/metrics` beside the forking of workers."""

import subprocess
import sys
from pathlib import Path

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
