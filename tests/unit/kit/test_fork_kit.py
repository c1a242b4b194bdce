"""A fork is made whole, or nothing is changed (X3). `make fork-test` tries it on this tree."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fork.tree import committed

from kit import fork
from kit.refused import Refused

FILES = {
    "pyproject.toml": '[project]\nname = "comet"\n[tool.ruff]\nline-length = 130\n[tool.ruff.lint]\nselect = ["E501", "I"]\n',
    "README.md": "# Comet\n\nRun `comet serve` with COMET_PORT.\n",
    "LICENSE": "The licence names no comet.\n",
    "app/errors.py": "from zlib import crc32\n\nfrom app.comets import CometError\n\nKNOWN = (crc32, CometError)\n",
    "app/comets.py": "class CometError(Exception): ...\n",
    "app/features/installed.py": 'PRODUCTS = (\n    "app.features.support",\n    "app.features.extract",\n)\n',
    "app/features/support/__init__.py": "",
    "evals/suites/support/suite.py": "",
    "tests/support/test_it.py": "",
    "deploy/comet.yaml": "name: comet\n",
    "releases/1.toml": "# of comet\n",
    "releases/evals/1.json": '{"by": "comet"}\n',
    "releases/released.sha256": "0000  1.toml\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "deploy/logo.png").write_bytes(b"\x89PNG comet \xff")
    (tmp_path / "deploy/comet.yaml").chmod(0o755)
    committed(tmp_path)
    return tmp_path


def contents(tree: Path) -> dict[str, bytes]:
    found = (path for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts and ".ruff_cache" not in path.parts)
    return {str(path.relative_to(tree)): path.read_bytes() for path in found}


def test_a_fork_bears_its_name_everywhere_but_where_a_hash_holds_the_content(tree: Path) -> None:
    said = fork.fork(tree, "meridian")
    assert said.startswith("comet becomes meridian")
    found = contents(tree)
    assert found["README.md"] == b"# Meridian\n\nRun `meridian serve` with MERIDIAN_PORT.\n"
    assert found["deploy/meridian.yaml"] == b"name: meridian\n"
    assert os.access(tree / "deploy/meridian.yaml", os.X_OK)
    assert b"MeridianError" in found["app/comets.py".replace("comet", "meridian")]
    for kept in ("LICENSE", "releases/1.toml", "releases/evals/1.json", "releases/released.sha256"):
        assert found[kept].decode() == FILES[kept]
    assert found["deploy/logo.png"] == b"\x89PNG comet \xff"
    assert {name for name in found if "support" in name} == set()
    assert found["app/features/installed.py"] == b'PRODUCTS = ("app.features.extract",)\n'
    assert b"Meridian is a fork of Comet" in found["NOTICE"]
    assert b"comet" not in b"".join(found[name] for name in ("app/errors.py", "pyproject.toml"))


MANIFEST = """id = "{id}"

[indexes]
support-kb = "support-kb-1"

[prompts."support/answer"]
version = "v2"
route = "smart"

[prompts."support/answer".degrade]
steps = ["truncate"]

[prompts."clauses/facts"]
version = "v1"
"""
UNPINNED = 'id = "{id}"\n\n[prompts."clauses/facts"]\nversion = "v1"\n'


def test_a_release_of_ones_own_that_was_never_live_pins_the_example_no_more(tree: Path) -> None:
    """Else the first start after the fork knows no prompt of the product that the guide made before it."""
    for name in ("1", "2"):
        (tree / f"releases/{name}.toml").write_text(MANIFEST.format(id=name))
    (tree / "releases/3.toml").write_text(UNPINNED.format(id="3").replace("\n\n", "\n[indexes]\nclauses-kb = 'k'\n\n"))
    was = (tree / "releases/3.toml").read_text()
    committed(tree)
    said = fork.fork(tree, "meridian")
    assert (tree / "releases/2.toml").read_text() == UNPINNED.format(id="2")
    assert (tree / "releases/1.toml").read_text() == MANIFEST.format(id="1"), "it was live: a hash holds it"
    assert (tree / "releases/3.toml").read_text() == was
    assert "releases/2.toml pins the worked example no more." in said
    assert "releases/1.toml was live and pins the worked example, so it cannot be live here" in said
    assert "releases/3.toml" not in said


def dirty(tree: Path) -> None:
    (tree / "README.md").write_text("mine")


def untracked(tree: Path) -> None:
    (tree / "tests/support/mine.py").write_text("mine")


def forked(tree: Path) -> None:
    fork.fork(tree, "nova")
    committed(tree)


def clashing(tree: Path) -> None:
    (tree / "app/more.py").write_text("class MeridianError(Exception): ...\n")
    committed(tree)


def no_checkout(tree: Path) -> None:
    subprocess.run(["rm", "-rf", ".git"], cwd=tree, check=True)


def without_the_line(tree: Path) -> None:
    (tree / "app/features/installed.py").write_text("PRODUCTS = ()\n")
    committed(tree)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (dirty, "not committed"), (untracked, "not committed"), (forked, "fork already"), (clashing, "MeridianError"),
        (no_checkout, "no git checkout"), (without_the_line, "does not hold the line"),
    ],
)  # fmt: skip
def test_nothing_is_changed_where_a_fork_is_refused(tree: Path, before: Callable[[Path], None], why: str) -> None:
    before(tree)
    was = contents(tree)
    with pytest.raises(Refused, match=why):
        fork.fork(tree, "meridian")
    assert contents(tree) == was


def test_a_dry_run_says_what_would_change_and_changes_nothing(tree: Path) -> None:
    was = contents(tree)
    assert fork.fork(tree, "meridian", dry_run=True).endswith("Nothing was changed.")
    assert contents(tree) == was


def test_a_longer_name_lets_lines_grow_that_only_a_person_could_break(tree: Path) -> None:
    (tree / "app/long.py").write_text(f"# {'x' * 117} comet comet\n")
    committed(tree)
    fork.fork(tree, "meridian")
    assert "max-line-length = 137" in (tree / "pyproject.toml").read_text()
