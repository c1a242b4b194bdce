"""Makes a fork of this tree: renamed, and without the worked example.

All is worked out before anything is written. Files whose content a hash holds stay as they are: releases, their prices, their
results.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kit.names import checked, clash, renaming
from kit.refused import Refused

EXAMPLE = ("app/features/support", "evals/suites/support", "tests/support")
PRODUCTS, LINE = "app/features/installed.py", '    "app.features.support",\n'
PINNED, RESULTS = "releases/released.sha256", "releases/evals/"  # hashes hold their content
KEPT = ("LICENSE",)
# In a manifest: the sections of the example's prompts, its index, and a section that is empty without it.
_PINS = re.compile(r'^\[prompts\."support/[^\n]*\n(?:(?!\[)[^\n]*\n?)*|^support-kb = [^\n]*\n', re.MULTILINE)
_EMPTY = re.compile(r"^\[indexes\]\n\s*(?=\[|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fork changes.

    ``written``: by path, the new text; ``moved``: the new path of files whose path has the name; ``unpinned``: manifests that
    pinned the example beside other products and were never live; ``stuck``: those that were.
    """

    old: str
    new: str
    removed: tuple[str, ...]
    written: Mapping[str, str]
    moved: Mapping[str, str] = field(default_factory=dict)
    unpinned: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """In a sentence."""
        return (
            f"{self.old} becomes {self.new}: {len(self.written)} files are written, {len(self.moved)} of them under a new name; "
            f"{len(self.removed)} of the worked example are removed."
        )


def fork(root: Path, name: str, *, dry_run: bool = False) -> str:
    """Make the fork, and say what to do next. Raises Refused."""
    plan = planned(root, name)
    if dry_run:
        return f"{plan.words} Nothing was changed."
    _apply(root, plan)
    _tidy(root)
    return "\n\n".join((plan.words, *_of_releases(plan), _next(plan.new)))


def planned(root: Path, name: str) -> Plan:
    """Work out what changes. Raises Refused."""
    files = _tracked(root)
    old = str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"])
    if not (root / EXAMPLE[0]).is_dir():
        raise Refused(f"{EXAMPLE[0]} is not there: this tree is a fork already.")
    if changed := _git(root, "status", "--porcelain"):
        raise Refused(f"There are changes that are not committed ({changed.splitlines()[0].strip()} …): commit or stash them.")
    new = checked(name, taken={old, *(path.split("/")[0] for path in files)})
    renamed = renaming(old, new)
    removed = tuple(path for path in files if path.startswith(tuple(f"{folder}/" for folder in EXAMPLE)))
    pinned = {f"releases/{line.split()[-1]}" for line in (root / PINNED).read_text(encoding="utf-8").splitlines() if line.strip()}
    texts = {path: text for path in files if path not in removed and (text := _text(root / path)) is not None}
    if found := clash((text for path, text in texts.items() if path.endswith(".py")), renamed):
        raise Refused(f"{name!r} does not do: {found}, which is there already. Take another name.")
    free = {path: text for path, text in texts.items() if path not in {*pinned, *KEPT, PINNED} and not path.startswith(RESULTS)}
    written = {
        path: after for path, text in free.items() if (after := _after(path, text, renamed)) != text or renamed(path) != path
    }
    written["NOTICE"] = _notice(root, old, new)
    moved = {path: renamed(path) for path in written if renamed(path) != path}
    unpinned = tuple(path for path in free if _is_manifest(path) and _PINS.search(texts[path]))
    stuck = tuple(path for path in pinned & texts.keys() if _PINS.search(texts[path]) and _pins_another(texts[path]))
    return Plan(old, new, removed, written, moved, unpinned, tuple(sorted(stuck)))


def _after(path: str, text: str, renamed: Callable[[str], str]) -> str:
    text = renamed(text)
    if path == PRODUCTS:
        if text.count(LINE) != 1:
            raise Refused(f"{PRODUCTS} does not hold the line of the worked example once: {LINE.strip()}")
        text = text.replace(LINE, "")
    return _EMPTY.sub("", _PINS.sub("", text)) if _is_manifest(path) else text


def _is_manifest(path: str) -> bool:
    return path.startswith("releases/") and path.count("/") == 1 and path.endswith(".toml")


def _pins_another(manifest: str) -> bool:
    """Whether a manifest has a prompt of a product that did not come with this project."""
    return bool(re.search(r'^\[prompts\."(?!support/|extract/)', manifest, re.MULTILINE))


def _of_releases(plan: Plan) -> Iterator[str]:
    """What became of releases that pinned the example."""
    for path in plan.unpinned:
        yield f"{path} pins the worked example no more. Results that it had are of the manifest before: evaluate it again."
    for path in plan.stuck:
        yield f"{path} was live and pins the worked example, so it cannot be live here: write a release without it."


def _notice(root: Path, old: str, new: str) -> str:
    """What the licence asks of changed files (Apache License 2.0, 4b)."""
    commit = _git(root, "rev-parse", "HEAD").strip()
    return (
        f"{new.capitalize()} is a fork of {old.capitalize()} (Apache License 2.0), made on {datetime.now(UTC):%Y-%m-%d} from its "
        f"commit {commit}.\nFiles were changed: the project was renamed, and its worked example was removed.\n"
    )


def _apply(root: Path, plan: Plan) -> None:
    for folder in EXAMPLE:
        shutil.rmtree(root / folder)
    for path, text in plan.written.items():
        target = root / plan.moved.get(path, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = (root / path).stat().st_mode if (root / path).exists() else None
        target.write_text(text, encoding="utf-8", newline="")
        if mode is not None:
            target.chmod(mode)
        if path in plan.moved:
            (root / path).unlink()


def _tidy(root: Path) -> None:
    """Put imports in order, wrap lines anew, and let a longer name make lines longer where only a person could break them."""
    ruff = (sys.executable, "-m", "ruff")
    subprocess.run([*ruff, "check", "--fix-only", "--quiet", "."], cwd=root, check=True)
    subprocess.run([*ruff, "format", "--quiet", "."], cwd=root, check=True)
    too_long = json.loads(_output(root, *ruff, "check", "--select", "E501", "--output-format", "json", "--exit-zero", "."))
    if too_long:
        longest = max(len(_line(Path(one["filename"]), one["location"]["row"])) for one in too_long)
        settings = root / "pyproject.toml"
        text = settings.read_text(encoding="utf-8")
        section = f"[tool.ruff.lint.pycodestyle]\nmax-line-length = {longest}  # the name is longer than the origin's\n\n"
        settings.write_text(text.replace("[tool.ruff.lint]\n", f"{section}[tool.ruff.lint]\n", 1), encoding="utf-8")


def _line(path: Path, number: int) -> str:
    return path.read_text(encoding="utf-8").splitlines()[number - 1]


def _next(new: str) -> str:
    return f"""Next:

    git add -A && git commit -m "{new.capitalize()}"
    make setup check test          # all of it is green
    make demo                      # and shows a console; `{new} readiness` says what is still missing
    make feature NAME=clauses      # your first product: docs/your-own-feature.md

Write your own first lines of README.md. The documents under docs/decisions are the origin's reasons; they hold here too."""


def _tracked(root: Path) -> list[str]:
    try:
        listed = _git(root, "ls-files", "-z")
    except (subprocess.CalledProcessError, FileNotFoundError):
        raise Refused(f"{root} is no git checkout: clone the repository, and run this there.") from None
    return [path for path in listed.split("\0") if path and (root / path).is_file() and not (root / path).is_symlink()]


def _text(path: Path) -> str | None:
    """The text of a file; None for one that is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None


def _git(root: Path, *command: str) -> str:
    return _output(root, "git", *command)


def _output(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
