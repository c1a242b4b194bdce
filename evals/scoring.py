"""Scorers: small functions that list the faults of an answer (E11).

A scorer takes a case and its answer, and yields a sentence for each thing that is wrong; no sentence is a pass.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

C = TypeVar("C")
A = TypeVar("A")
Scorer = Callable[[C, A], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the scorer that found it, and its sentence."""

    scorer: str
    words: str

    def __str__(self) -> str:
        """As reports print it."""
        return f"{self.scorer}: {self.words}"


def findings(scorers: Mapping[str, Scorer[C, A]], case: C, answer: A) -> tuple[Finding, ...]:
    """The findings of all these scorers; reports use their names in the table."""
    return tuple(Finding(name, words) for name, scorer in scorers.items() for words in scorer(case, answer))
