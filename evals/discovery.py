"""Finds the suites: each is a folder in `evals/suites/`, added or removed with its folder alone."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from evals.cases import InvalidSuite
from evals.suite import Suite

FOLDER = Path(__file__).parent / "suites"


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of all suites."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/suite.py")))


def chosen(wanted: Sequence[str] = ()) -> tuple[Suite, ...]:
    """The suites with these names, all of them if none is named. Raises InvalidSuite."""
    known = names()
    if unknown := sorted(set(wanted) - set(known)):
        raise InvalidSuite(f"no suite {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    if not known:
        raise InvalidSuite(f"no suites in {FOLDER}")
    return tuple(suite(name) for name in known if not wanted or name in wanted)


def suite(name: str) -> Suite:
    """Import a suite."""
    found: Suite = import_module(f"evals.suites.{name}.suite").SUITE
    return found
