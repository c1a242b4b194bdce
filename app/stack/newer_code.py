"""A service that has just gone forward to other code, for the rehearsal of the way back: the runner, and two checkouts behind it.

The earlier code is this checkout. The newer one is a copy of it with another version. They run beside the service that is
rehearsed on, on ports of their own and the same stores.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app import __version__
from app.domain.errors import Misconfigured
from app.domain.hosts import authority
from app.settings import PACKAGE, Settings
from app.stack import runner, traffic
from app.stack.embedded import free_port
from app.stack.processes import Watched, child
from app.stack.stop_times import stop_seconds

VERSION = f"{__version__}+rehearsal"
PARTS = ("app", "releases", "runbook", "docs/irreversible.md")
GRACEFUL = 10.0
START_SECONDS = 180.0
TICK = 0.05


@contextmanager
def running(settings: Settings, folder: Path) -> Generator[str, None, None]:
    """Run it until the end of the block. Yields its address. Raises Misconfigured where it does not start.

    Sets the deploy target in this process' environment, for the commands of the rehearsal.
    """
    _copy(folder / "newer")
    runner.switch(folder, PACKAGE.parent)
    os.environ.update(
        OCTANT_DEPLOY__TARGET="process", OCTANT_DEPLOY__FOLDER=str(folder), OCTANT_PORT=str(free_port()), OCTANT_ADMIN_PORT="0",
        OCTANT_METRICS_PORT=str(free_port()), OCTANT_GRACEFUL_TIMEOUT=str(GRACEFUL),
    )  # fmt: skip
    url = f"http://{authority(settings.host, os.environ['OCTANT_PORT'])}"
    with child("runner", [sys.executable, "-m", "app.cli", "run"], folder, stop_seconds=stop_seconds(GRACEFUL) + 5) as process:
        _wait(folder, process, number=1)
        traffic.wait_until_ready(url, process, START_SECONDS)
        runner.switch(folder, folder / "newer")
        os.kill(process.pid, signal.SIGHUP)
        _wait(folder, process, number=2)
        yield url


def _copy(folder: Path) -> None:
    """Copy this checkout, with another version."""
    for part in PARTS:
        source, target = PACKAGE.parent / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".octant"))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    init = folder / "app" / "__init__.py"
    init.write_text(init.read_text().replace(f'"{__version__}"', f'"{VERSION}"'))


def _wait(folder: Path, process: Watched, *, number: int) -> None:
    """Wait until the runner has started so many versions, and the newest serves."""
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and process.alive():
        try:
            state = runner.state_of(folder)
        except Misconfigured:
            state = None
        if state and state.number >= number and not state.error:
            return
        time.sleep(TICK)
    raise Misconfigured(f"The code for the rehearsal does not start. Its runner's log ends:\n{process.last_lines()}")
