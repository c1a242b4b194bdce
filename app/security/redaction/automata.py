"""RE2's automata for the table in `entity_types`: each pattern by itself, and many at once to know which can match at all."""

from typing import Any

import re2

from app.security.redaction.entity_types import ENTITY_TYPES

AT_ONCE = 12  # patterns of one automaton
_MEMORY = 16 << 20  # bytes that one may grow to


def compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern that searches bytes."""
    return re2.compile(pattern, options=_options())


def context(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern for the words before a candidate; None where a kind has none."""
    return compiled(pattern) if pattern else None


def automata() -> list[tuple[int, Any]]:
    """Automata that find in one pass which kinds may occur; most texts have none, and need no second search.

    `AT_ONCE` patterns each: one of all grows to so many states on mixed text that RE2 throws them away and begins again.
    """
    found = []
    for first in range(0, len(ENTITY_TYPES), AT_ONCE):
        patterns = re2.Set.SearchSet(_options())
        for kind in ENTITY_TYPES[first : first + AT_ONCE]:
            patterns.Add(kind.pattern)
        patterns.Add("")
        patterns.Compile()
        found.append((first, patterns))
    return found


def _options() -> Any:  # noqa: ANN401 - re2 is not typed
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False  # it would write to standard error, past our logs
    return options
