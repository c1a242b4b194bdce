"""Suites that nobody here wrote (E1): read from installed packages at run time, never copied into the repository.

A loader yields cases from a package and says where they come from and under which licence. To add one, write it and enter it in
LOADERS. Its cases are run and scored as ours are; they are not part of the pinned suite, since a package's new version changes
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evals.cases import Case, InvalidSuite


@dataclass(frozen=True, slots=True)
class External:
    """Cases of a package: ``source`` names it with its version, ``licence`` as its metadata tells it."""

    source: str
    licence: str
    cases: Sequence[Case]


Loader = Callable[[], External]
LOADERS: Mapping[str, Loader] = {}


def load(name: str) -> External:
    """Load a suite. Raises InvalidSuite: one that was asked for and is not there is no suite without findings."""
    if name not in LOADERS:
        raise InvalidSuite(f"no external suite {name!r}; known: {', '.join(sorted(LOADERS)) or 'none'}")
    try:
        suite = LOADERS[name]()
    except ImportError as error:
        raise InvalidSuite(f"{name}: its package is not installed: {error.name}") from error
    if not suite.cases or not suite.source.strip() or not suite.licence.strip():
        raise InvalidSuite(f"{name}: no cases, or without source or licence")
    return suite
