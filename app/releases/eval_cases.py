"""The cases of the eval suites as they were written, for a page about one of them.

They stand in the suite's `cases`. A service that is installed without its evals has none to show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.domain.yaml_text import NotYaml, read
from app.releases.eval_goals import folder_of


@dataclass(frozen=True, slots=True)
class Written:
    """A case. ``file``: where it stands, from the folder of the suites; ``content``: its fields."""

    file: str
    content: Mapping[str, Any]


@cache  # what is installed stays as it is
def cases(suite: str) -> Mapping[str, Written]:
    """The cases of a suite by name; empty where its files are not here. A file that cannot be read is left out."""
    folder = folder_of(suite)
    paths = sorted((folder / "cases").rglob("*.yaml")) if folder else []
    return {identity: one for path in paths for identity, one in _of_file(path).items()}


def _of_file(path: Path) -> dict[str, Written]:
    try:
        found, _ = read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, NotYaml):
        return {}
    listed = found if isinstance(found, list) else []
    name = "/".join(path.parts[-4:])
    return {str(one["id"]): Written(name, one) for one in listed if isinstance(one, dict) and "id" in one}
