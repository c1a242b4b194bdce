"""Check an answer's citations: only articles that were shown to the model count as sources."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from app.features.support.retrieval import Passage
from app.features.support.words import stem, words

_ID = r"[a-z0-9][a-z0-9-]{1,63}"
_NAMES = re.compile(rf"{_ID}(?:\s*[,;]\s*{_ID})*")
_CITED = re.compile(rf"\[({_ID})\](?!\()")
_PARTS = re.compile(r"[\[\]]|[^\[\]]+")
_SEPARATOR = re.compile(r"\s*[,;]\s*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Citation:
    """A source. ``quote`` is the article's sentence that is nearest to the answer."""

    article_id: str
    title: str
    quote: str


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer with valid citations only. ``removed`` counts citations of sources that were not shown."""

    text: str
    citations: tuple[Citation, ...]
    removed: int


def check(answer: str, passages: Sequence[Passage]) -> Checked:
    """Remove citations of articles that were not shown, in time linear in the answer.

    A citation covers the words since the one before it; several in a row cover the same words.
    """
    shown = {passage.article_id: passage for passage in passages}
    text, removed = _without_unknown(answer, shown)
    claims: dict[str, list[str]] = {}
    end, claim = 0, ""
    for match in _CITED.finditer(text):
        between = text[end : match.start()]
        claim = between if words(between) else claim
        if match[1] in shown:
            claims.setdefault(match[1], []).append(claim)
        end = match.end()
    sources = (Citation(name, shown[name].title, _quote(shown[name].text, " ".join(said))) for name, said in claims.items())
    return Checked(text, tuple(sources), removed)


def _without_unknown(answer: str, shown: Collection[str]) -> tuple[str, int]:
    """The text without invalid citations, including those that a removal creates."""
    pieces: list[str] = []
    opened: list[int] = []  # where in the pieces brackets stand that may still become citations
    removed = 0
    parts = _PARTS.findall(answer)
    for part, after in zip_longest(parts, parts[1:], fillvalue=""):
        if part == "[":
            opened.append(len(pieces))
        elif part == "]" and opened:
            at = opened.pop()
            inner = "".join(pieces[at + 1 :])
            if _NAMES.fullmatch(inner) and not after.startswith("("):  # what comes before ( is a link's text
                names = dict.fromkeys(_SEPARATOR.split(inner))
                known = [name for name in names if name in shown]
                removed += sum(name not in shown for name in _SEPARATOR.split(inner))
                del pieces[at:]
                if known:
                    pieces += ["".join(f"[{name}]" for name in known)]
                    opened.clear()  # what holds a citation is none
                elif pieces:
                    pieces[-1] = pieces[-1][: len(pieces[-1]) - pieces[-1][-1:].isspace()]
                continue
            opened.clear()
        pieces.append(part)
    return "".join(pieces).strip(), removed


def _quote(text: str, claim: str) -> str:
    """The sentence that shares most with the claim; among equals the shortest, which says little else."""
    said = _stems(claim)
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    return max(sentences, key=lambda s: (len(said & _stems(s)), -len(s)), default="")


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text))
