"""Checking what an answer cites: only articles that were shown to the model count as sources."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.features.support.retrieval import Passage
from app.features.support.words import stem, words

_ID = r"[a-z0-9][a-z0-9-]{1,63}"
_CITED = re.compile(rf"(?P<space>\s?)\[(?P<names>{_ID}(?:\s*[,;]\s*{_ID})*)\](?!\()")  # what comes before ( is a link's text
_SEPARATOR = re.compile(r"\s*[,;]\s*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Citation:
    """A source. ``quote`` is the sentence of the article that says most nearly what the answer says."""

    article_id: str
    title: str
    quote: str


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer whose every citation holds. ``removed`` counts those that named nothing that was shown."""

    text: str
    citations: tuple[Citation, ...]
    removed: int


def check(answer: str, passages: Sequence[Passage]) -> Checked:
    """Keep the citations of articles that were shown, take the others out of the text.

    A citation stands for the words since the one before it; several in a row stand for the same words.
    """
    shown = {passage.article_id: passage for passage in passages}
    claims: dict[str, list[str]] = {}
    pieces: list[str] = []
    removed, end, claim = 0, 0, ""
    for match in _CITED.finditer(answer):
        between = answer[end : match.start()]
        claim = between if words(between) else claim
        names = _SEPARATOR.split(match["names"])
        known = [name for name in dict.fromkeys(names) if name in shown]
        removed += sum(name not in shown for name in names)
        for name in known:
            claims.setdefault(name, []).append(claim)
        pieces += [between, match["space"] if known else "", *(f"[{name}]" for name in known)]
        end = match.end()
    text = "".join([*pieces, answer[end:]]).strip()
    if removed:  # what is left may have closed up to another bracket
        again = check(text, passages)
        return Checked(again.text, again.citations, removed + again.removed)
    sources = (Citation(name, shown[name].title, _quote(shown[name].text, " ".join(said))) for name, said in claims.items())
    return Checked(text, tuple(sources), removed)


def _quote(text: str, claim: str) -> str:
    """The sentence that shares most with the claim; of equals the shortest, since it says little else."""
    said = _stems(claim)
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    return max(sentences, key=lambda s: (len(said & _stems(s)), -len(s)), default="")


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text))
