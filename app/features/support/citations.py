"""Checking what an answer cites: only articles that were shown to the model count as sources."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.features.support.retrieval import Passage

_CITED = re.compile(r"\s?\[([a-z0-9][a-z0-9-]{1,63})\]")
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Citation:
    """A source. ``quote`` is the sentence of the article that says most nearly what the answer says."""

    article_id: str
    title: str
    quote: str


def check(answer: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """Return the answer without citations of articles that were not shown, and the citations that hold."""
    shown = {p.article_id: p for p in passages}
    cited = dict.fromkeys(name for name in _CITED.findall(answer) if name in shown)
    clean = _CITED.sub(lambda m: m.group(0) if m.group(1) in shown else "", answer).strip()
    citations = tuple(Citation(name, shown[name].title, _quote(shown[name].text, clean)) for name in cited)
    return clean, citations


def _quote(text: str, answer: str) -> str:
    said = _words(answer)
    sentences = [s.strip() for s in _SENTENCE.split(text) if s.strip()]
    return max(sentences, key=lambda s: len(said & _words(s)) / (1 + len(_words(s))), default="")


def _words(text: str) -> frozenset[str]:
    return frozenset(w.lower() for w in _WORD.findall(text) if len(w) > 2)
