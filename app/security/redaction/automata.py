"""RE2's automata for the table in `entity_types`: each pattern by itself, and many at once to know which can match at all."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import re2

from app.security.redaction.entity_types import ENTITY_TYPES, SECTIONS

# Many texts hold these: a row that needs no other words would be searched for by itself in each of them.
EVERYDAY = (
    b"the token is a secret and your code or key is one two three: user name, login and password of the client, address of the "
    b"phone and the car, a place and a course, any text, a network call for each pattern; uno due tre, url?token=1&auth=2 "
)
EVERYDAY_AT_ONCE = 17  # rows of one automaton
PROBE = "octant redaction probe"
_MEMORY = 16 << 20  # bytes that one may grow to


@dataclass(frozen=True, slots=True)
class Compiled:
    """The table's patterns row by row, those of the words before a candidate, and what finds in few passes which rows may occur.

    ``words``: of the rows that need certain words, with the rows; ``signs``: automata of the others, with theirs.
    """

    patterns: Sequence[Any]
    after: Sequence[Any]
    unless: Sequence[Any]
    words: tuple[Sequence[int], Any]
    signs: Sequence[tuple[Sequence[int], Any]]


@cache
def compiled_table() -> Compiled:
    """The table, compiled once in a process: it takes 70 ms and some megabytes. What workers are forked from hands it on."""
    signs, everyday = _without_words()
    rows = [row for row in range(len(ENTITY_TYPES)) if row not in signs and row not in everyday]
    words = filtered(rows)
    of_words = {row: words.re(number) for number, row in enumerate(rows)}
    return Compiled(
        patterns=[of_words.get(row) or compiled(kind.pattern) for row, kind in enumerate(ENTITY_TYPES)],
        after=[context(kind.after) for kind in ENTITY_TYPES],
        unless=[context(kind.unless) for kind in ENTITY_TYPES],
        words=(rows, words),
        signs=[
            (part, at_once((ENTITY_TYPES[row].pattern for row in part), _options()))
            for part in (*by_section(signs), *_chunks(sorted(everyday), EVERYDAY_AT_ONCE))
        ],
    )


def compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern that searches bytes."""
    return re2.compile(pattern, options=_options())


def context(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile a pattern for the words before a candidate; None where a kind has none."""
    return compiled(pattern) if pattern else None


def filtered(rows: Sequence[int]) -> Any:  # noqa: ANN401 - re2 is not typed
    """Numbers its patterns as ``rows`` does, and matches those alone whose words the text holds: one small automaton of words.

    One of whole patterns grows with the texts that it reads, to megabytes that no processor's cache holds. The last pattern is a
    probe, since RE2 does not tell a failure from nothing found: an automaton of words fails at its first text or never. Raises
    MemoryError then.
    """
    words = re2.Filter()
    for row in rows:
        words.Add(ENTITY_TYPES[row].pattern, _options())
    words.Add(PROBE)
    words.Compile()
    if words.Match(PROBE) != [len(rows)]:
        raise MemoryError("RE2 has no memory for the words that redaction looks for.")
    return words


def by_section(rows: Collection[int]) -> list[Sequence[int]]:
    """The rows of each section: one automaton finds in one pass which of them may occur; most texts have none.

    One of all rows grows to so many states on mixed text that RE2 throws them away and begins again.
    """
    numbers = iter(range(len(ENTITY_TYPES)))
    return [[number for number in islice(numbers, len(section)) if number in rows] for section in SECTIONS]


def _chunks(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _without_words() -> tuple[set[int], set[int]]:
    """By RE2's own reading of the patterns: rows that can match without any of certain words, and more with everyday ones."""
    words = re2.Filter()
    for kind in ENTITY_TYPES:
        words.Add(kind.pattern, _options())
    words.Compile()
    without, everyday = (set(words.Match(text, potential=True) or ()) for text in (b"", EVERYDAY))
    return without, everyday - without


def at_once(patterns: Iterable[str], options: Any) -> Any:  # noqa: ANN401 - re2 is not typed
    """An automaton of patterns; one more behind them, which matches each text, tells nothing found from a failure.

    It matches at the beginning alone: RE2 notes each place of a match, and one at every byte costs more than all others.
    """
    automaton = re2.Set.SearchSet(options)
    for pattern in patterns:
        automaton.Add(pattern)
    automaton.Add(r"\A")
    automaton.Compile()
    return automaton


def _options() -> Any:  # noqa: ANN401 - re2 is not typed
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False  # it would write to standard error, past our logs
    return options
