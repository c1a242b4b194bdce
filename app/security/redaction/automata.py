"""RE2's automata for the table in `entity_types`: each pattern by itself, and many at once to know which can match at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2

from app.security.redaction.entity_types import ENTITY_TYPES

WORDS_AT_ONCE, SIGNS_AT_ONCE = 50, 16  # rows of one automaton: of those that need certain words, and of the others
_MEMORY = 16 << 20  # bytes that one may grow to


@dataclass(frozen=True, slots=True)
class Compiled:
    """The table's patterns row by row, those of the words before a candidate, and `automata`."""

    patterns: Sequence[Any]
    after: Sequence[Any]
    unless: Sequence[Any]
    any: Sequence[tuple[Sequence[int], Any]]


@cache
def compiled_table() -> Compiled:
    """The table, compiled once in a process: it takes 70 ms and some megabytes. What workers are forked from hands it on."""
    return Compiled(
        patterns=[compiled(kind.pattern) for kind in ENTITY_TYPES],
        after=[context(kind.after) for kind in ENTITY_TYPES],
        unless=[context(kind.unless) for kind in ENTITY_TYPES],
        any=automata(),
    )


def compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern that searches bytes."""
    return re2.compile(pattern, options=_options())


def context(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern for the words before a candidate; None where a kind has none."""
    return compiled(pattern) if pattern else None


def automata() -> list[tuple[Sequence[int], Any]]:
    """Automata that find in one pass which rows may occur, with their rows; most texts have none, and need no second search.

    One of all rows grows to so many states on mixed text that RE2 throws them away and begins again. Rows that need certain
    words share most states, so many fit into one.
    """
    signs = _without_words()
    words = [row for row in range(len(ENTITY_TYPES)) if row not in signs]
    return [(rows, _automaton(rows)) for rows in (*_parts(sorted(signs), SIGNS_AT_ONCE), *_parts(words, WORDS_AT_ONCE))]


def _without_words() -> set[int]:
    """The rows that can match without any of certain words, by RE2's own reading of their patterns."""
    words = re2.Filter()
    for kind in ENTITY_TYPES:
        words.Add(kind.pattern, _options())
    words.Compile()
    return set(words.Match(b"", potential=True) or ())


def _parts(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _automaton(rows: Sequence[int]) -> Any:  # noqa: ANN401 - re2 is not typed
    """Numbers its patterns as ``rows`` does; the last one, which matches everything, tells nothing found from a failure."""
    patterns = re2.Set.SearchSet(_options())
    for row in rows:
        patterns.Add(ENTITY_TYPES[row].pattern)
    patterns.Add("")
    patterns.Compile()
    return patterns


def _options() -> Any:  # noqa: ANN401 - re2 is not typed
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False  # it would write to standard error, past our logs
    return options
