"""Stops the stores of a test process that is gone, and removes its temporary files: `python sweeper.py FOLDER`.

A run that is killed leaves Valkey and Postgres, which run in sessions of their own. The end is seen by the standard input, which
closes with the test process.
"""

import os
import shutil
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Leave the parent, wait for its end, and sweep."""
    if os.fork():
        os._exit(0)
    sys.stdin.buffer.read()
    from app.stack.embedded import stop_left_overs

    for note in (*folder.rglob("valkey.pid"), *folder.rglob("postmaster.pid")):
        stop_left_overs(note.parent, note.parent)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
