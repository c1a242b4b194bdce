"""The goals of an eval suite: what the business needs of each share, and what counts. Thresholds only hold what is reached.

They stand in the suite's `thresholds.toml`. A service that is installed without its evals has none to show.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.releases.eval_history import OVERALL


@cache  # what is installed stays as it is, and a page asks for each result
def goals(suite: str) -> Mapping[str, float]:
    """The goal of each score by its name, as a share; empty where the suite's file is not here or cannot be read."""
    goal_of = {name: section.get("goal") for name, section in _sections(suite).items()}
    return {name: float(goal) for name, goal in goal_of.items() if isinstance(goal, int | float)}


@cache
def meanings(suite: str) -> Mapping[str, str]:
    """What a score counts, in a sentence by its name, of the scores whose names may mislead."""
    counts = {name: section.get("counts") for name, section in _sections(suite).items()}
    return {name: words for name, words in counts.items() if isinstance(words, str)}


@cache
def harms(suite: str) -> Mapping[str, str]:
    """What an attack that a case lost comes to, by the scorer that found it."""
    return {name: words for name, words in _read(suite).get("harms", {}).items() if isinstance(words, str)}


def _sections(suite: str) -> Mapping[str, dict[str, Any]]:
    read = _read(suite)
    sections: dict[str, Any] = {OVERALL: read.get(OVERALL)}
    sections |= {name: one for part in ("modes", "measures", "models") for name, one in read.get(part, {}).items()}
    return {name: section for name, section in sections.items() if isinstance(section, dict)}


def _read(suite: str) -> dict[str, Any]:
    folder = folder_of(suite)
    try:
        return tomllib.loads((folder / "thresholds.toml").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        return {}


def folder_of(suite: str) -> Path | None:
    """The folder of a suite; None where no evals are installed, or where the name cannot be one."""
    found = find_spec("evals")
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / "suites" / suite if folders and suite.isidentifier() else None
