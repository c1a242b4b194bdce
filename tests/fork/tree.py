"""A copy of the tracked files as they are now, and the environment to run it in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from conftest import ROOT

BIN = Path(sys.executable).parent
WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "fork"), ("EMAIL", "f@example.com"))
}


def copied(folder: Path) -> Path:
    """Copy every tracked file, with its time, and what is compiled of it: both are keyed by time and size.

    What mypy knows of the files is copied, too: it is keyed by content. So are hypothesis' tables of Python's Unicode.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
            _copy_compiled(ROOT / name, folder / name)
    for known in (".mypy_cache", ".hypothesis/unicode_data"):
        if (ROOT / known).is_dir():
            shutil.copytree(ROOT / known, folder / known)
    return folder


def _copy_compiled(source: Path, copy: Path) -> None:
    """Copy the bytecode of a file, Python's own and pytest's: most of what a first run of a fresh copy would compute."""
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc") if source.suffix == ".py" else ():
        (copy.parent / "__pycache__").mkdir(exist_ok=True)
        shutil.copy2(compiled, copy.parent / "__pycache__" / compiled.name)


def committed(folder: Path) -> None:
    """Make the folder a git checkout of its own."""
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "As it is"]):
        subprocess.run(["git", *command], cwd=folder, env={**os.environ, **WHO}, check=True)


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of this process without any setting of ours or of pytest's; the copy's code goes before what is installed."""
    ours = ("OCTANT_", "OPENAI_", "ANTHROPIC_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONPATH": str(folder), **(extra or {})}
