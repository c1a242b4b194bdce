"""Check an answer's citations: only articles that were shown to the model count as sources."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from app.features.support.retrieval import Passage
from app.features.support.words import stem, words

_ID = r"[a-z0-9][a-z0-9-]{1,63}"
_COMMA = r"[,;\u060c\u3001\uff0c\uff1b]"
_NAMES = re.compile(rf"{_ID}(?:\s*{_COMMA}\s*{_ID})*")
_CITED = re.compile(rf"\[({_ID})\](?!\()")
# Of Chinese and Japanese, too; OpenAI's models write 【】.
_OPENING, _CLOSING = "[\uff3b\u3010\u3014\u3016", "]\uff3d\u3011\u3015\u3017"
_PARTS = re.compile(rf"[{re.escape(_OPENING + _CLOSING)}]|[^{re.escape(_OPENING + _CLOSING)}]+")
_SEPARATOR = re.compile(rf"\s*{_COMMA}\s*")
_PLACE = "\u2020"  # before a place in a source, as OpenAI's models write it: 【shipping-times†L1-L3】, or 【4:0†source】
_NUMBER = re.compile(r"\d+(?::\d+)?")
_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\uff0d", "-"))
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。\uff01\uff1f؟।။።\u0589])\s*|\n+")


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
        if part in _OPENING:
            opened.append(len(pieces))
        elif part in _CLOSING and opened:
            at = opened.pop()
            named = _named("".join(pieces[at + 1 :]))
            if named and not after.startswith("("):  # what comes before ( is a link's text
                known = [name for name in dict.fromkeys(named) if name in shown]
                removed += sum(name not in shown for name in named)
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


def _named(inner: str) -> list[str]:
    """The sources that brackets name; none where they hold anything else."""
    names, place, _ = inner.translate(_HYPHENS).strip().partition(_PLACE)
    return _SEPARATOR.split(names) if _NAMES.fullmatch(names) or (place and _NUMBER.fullmatch(names)) else []


def _quote(text: str, claim: str) -> str:
    """The sentence that shares most with the claim; among equals the shortest, which says little else."""
    said = _stems(claim)
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    return max(sentences, key=lambda s: (len(said & _stems(s)), -len(s)), default="")


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text))
