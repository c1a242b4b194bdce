"""Retrieval: from a customer's question to the passages of one version of the index.

Paragraphs are searched, articles are returned. BM25 gives a word no weight once half of all texts contain it. In a shop's help,
half of all articles mention orders and returns, but far fewer paragraphs do. The model is shown the whole article, because
conditions are beside the fact that they limit. `tests/support/unit/test_retrieval.py` measures the recall.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from app.domain.errors import DependencyUnavailable
from app.features.support.words import stem, words

MOST_TERMS: Final = 32  # a question's first words decide; a pasted page must not become a query of a thousand terms
MOST_PIECES: Final = 64  # … the same in letters of other scripts, where a term may be two of them
MOST_PARAGRAPHS: Final = 400
TITLE_WEIGHT: Final = 2.0  # measured: 1 to 8 differ by one question in 65
FURTHER: Final = 0.3  # what an article's other paragraphs add to its best; measured: recall@3 60/65 without, 64/65 with
WEAK: Final = 0.2  # an article scoring less than this share of the best one only costs tokens
FLOOR_SHARE: Final = 1 / 3  # share of the question's words that some found article must hold, else nothing was found …
FLOOR_WORDS: Final = 3  # … and the number that is always enough, since a long story names much that no article holds

_PARAGRAPHS = """
SELECT article, -bm25(paragraphs, 0.0, ?, 1.0) AS score FROM paragraphs WHERE paragraphs MATCH ? ORDER BY score DESC LIMIT ?
"""
_ARTICLE = "SELECT title, text FROM articles WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Passage:
    """A found article. ``score`` comes from BM25: higher is better; comparable within one search only."""

    article_id: str
    title: str
    text: str
    score: float


class Retriever:
    """Searches one index file.

    The file is opened for each search: read-only and immutable, that measures 0.04 ms, and in return there is no connection to
    share between tasks, to carry over a fork, or to close.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is a file made by `app.features.support.indexing.build`."""
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"

    def search(self, question: str, limit: int = 4) -> tuple[Passage, ...]:
        """Return at most ``limit`` passages, best first; none if no article holds enough of the question's words.

        Takes any text. Runs on the event loop: it measures about a millisecond, hardly more than handing it to a thread.
        Raises DependencyUnavailable if the file is gone or not an index.
        """
        terms = list(dict.fromkeys(words(question)))[: MOST_TERMS if question.isascii() else MOST_PIECES]
        if not terms:
            return ()
        try:
            with closing(sqlite3.connect(self._uri, uri=True)) as database:
                hits = database.execute(_PARAGRAPHS, (TITLE_WEIGHT, match_any(terms), MOST_PARAGRAPHS)).fetchall()
                best = _by_article(hits)[:limit]
                found = [_read(database, article, score) for article, score in best]
        except sqlite3.Error as error:
            raise DependencyUnavailable("The knowledge base cannot be read right now.") from error
        if not any(_covers(passage, terms) for passage in found):
            return ()
        return tuple(passage for passage in found if passage.score >= WEAK * found[0].score)


def match_any(terms: Sequence[str]) -> str:
    """An FTS5 query for any of ``terms``, each quoted, so that none is an operator."""
    return " OR ".join('"' + term.replace('"', '""') + '"' for term in terms)


def _by_article(hits: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Articles and their scores, best first: the best paragraph's, and a share of the others'."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for article, score in hits:
        scores[article].append(score)
    total = {article: found[0] + FURTHER * sum(found[1:]) for article, found in scores.items()}  # hits come best first
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))


def _read(database: sqlite3.Connection, article: str, score: float) -> Passage:
    title, text = database.execute(_ARTICLE, (article,)).fetchone()
    return Passage(article, title, text, score)


def _covers(passage: Passage, terms: Sequence[str]) -> bool:
    """Whether an article holds enough of the question's words for the search to count as a success."""
    wanted = {stem(term) for term in terms}
    return len(wanted & _stems(f"{passage.title} {passage.text}")) >= min(FLOOR_WORDS, FLOOR_SHARE * len(wanted))


@lru_cache(maxsize=1024)
def _stems(text: str) -> frozenset[str]:
    """Cached, because this is most of a search's time: measured 1.6 ms without, 1.0 ms with."""
    return frozenset(stem(word) for word in words(text))
