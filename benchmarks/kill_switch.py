"""How long until every worker has seen a stop: Valkey up, gone, and frozen. Postgres is up.

Each flip goes through the stores as a stop does, for a scope that stops no call; `octant kill self-test` times it. Exit code 1 if
a worker took longer than two seconds.

    python -m benchmarks.kill_switch --flips 100 --workers 4
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.stack.embedded import embedded_valkey
from benchmarks.service import serving, set_up, stores_and_simulator

COMMAND = (sys.executable, "-m", "app.cli", "kill", "self-test", "--flips")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory(prefix="octant-valkey-") as folder, embedded_valkey(Path(folder)) as url:
        valkey = int((Path(folder) / "valkey.pid").read_text())
        with stores_and_simulator(url) as (env, _):
            env["OCTANT_WORKERS"] = str(arguments.workers)
            set_up(env)
            with serving(env):
                kept &= _measured("Valkey up", env, arguments.flips)
                os.kill(valkey, signal.SIGSTOP)
                kept &= _measured("Valkey frozen", env, arguments.flips)
                os.kill(valkey, signal.SIGCONT)
                os.kill(valkey, signal.SIGKILL)
                kept &= _measured("Valkey gone", env, arguments.flips)
    sys.exit(0 if kept else 1)


def _measured(title: str, env: Mapping[str, str], flips: int) -> bool:
    """Run the test and print its figures. Returns whether every worker kept the promise."""
    done = subprocess.run([*COMMAND, str(flips)], env=env, capture_output=True, text=True, check=False)
    print(f"{title}: {done.stdout.strip()}", flush=True)
    if done.returncode:
        print(done.stderr.strip(), flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
