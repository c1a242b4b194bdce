"""The commands of the guide to a product of one's own, run in the order in which they stand, on a copy of the tree.

The copy of the small product is not edited in between: renamed, it is a product too.
"""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from fork.tree import WHO, committed, copied, environment

from kit.fork import EXAMPLE

pytestmark = [pytest.mark.fork, pytest.mark.timeout(1800)]

GUIDE = (ROOT / "docs" / "your-own-feature.md").read_text()
IS_FORK = not (ROOT / EXAMPLE[0]).is_dir()  # a fork is made once: there, the section that makes it has been followed
SECTIONS = [s for s in GUIDE.split("\n## ") if re.match(r"\d", s) and not (IS_FORK and "make fork NAME" in s)]


def commands(section: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_every_command_of_the_guide_works(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    committed(tree)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    said = {command: run(tree, section, command) for section in SECTIONS for command in commands(section)}
    assert len(said) > 12
    assert "/v1/clauses" in said["make demo ARGS=--once"], "the demo shows the new product"
    assert not (tree / "app" / "features" / "support").exists()
    assert (tree / "app" / "features" / "clauses").exists()
    assert IS_FORK or 'name = "meridian"' in (tree / "pyproject.toml").read_text()


def run(tree: Path, section: str, command: str) -> str:
    """Run a line as a reader's shell would. Returns its output; fails the test on a non-zero exit."""
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=tree, env=environment(tree, WHO), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{section.splitlines()[0]}: {command}\n{done.stdout[-6000:]}"
    return done.stdout
