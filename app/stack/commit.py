"""The commit of the code that runs, for results that are kept."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("git", "describe", "--always", "--dirty")


def commit() -> str:
    """Its short hash, with ``-dirty`` where a file differs from it; empty where git knows of none, as in an image."""
    try:
        return subprocess.run(COMMAND, cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
