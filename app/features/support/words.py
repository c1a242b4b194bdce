"""The words of a text that carry meaning, for searching and for finding the sentence behind a citation.

In scripts that put no blanks between words, each two or three neighbouring letters count as a word. Accents, vowel points and
the forms of a letter do not count, as people leave them out when they type.
"""

import re
import unicodedata
from collections.abc import Iterator

from app.domain.spelling import ascii_digits, composed

_WORD = re.compile(r"[^\W_]+")
_CONTRACTION = re.compile(r"(?<=\w)['\u2019](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)
_GRAMMAR = """
a about after again all also am an and any anything are as at be because been before being but by can could did do does doing
don done else for from get gets getting give go going got had has have having he hello help her here hey hi him his how i if in
into is isn it its just know let like may me might mine much my need no not now of off on one or our ours out over please re
she should so some still such take tell than thank thanks that the their them then there these they thing this those to too try
up us use very want was wasn we well were what when where which while who whom whose why will with won would yes yet you your
yours
"""
STOP_WORDS = frozenset(_GRAMMAR.split())
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y")
_OTHER_LETTER = re.compile(r"[^\W\x00-\x7f]|[\u0300-\u036f]")
_POINTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
# Of Turkish, Arabic and Persian, too.
_FORMS = str.maketrans("\u0131đłøς\u0629\u0649\u06cc\u06a9", "idlo\u03c3\u0647\u064a\u064a\u0643")
_EASTERN = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"  # by two letters, as Lucene does for these languages
_SOUTHERN = "\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u103f\u1780-\u17d3"  # by three: Thai, Lao, Burmese, Khmer
_UNSPACED = re.compile(rf"[{_EASTERN}]+|[{_SOUTHERN}]+")
_SIGNED = rf"\u0900-\u0963\u0966-\u0dff\u0f00-\u0fbc{_SOUTHERN}"  # whose vowels are signs, no letters to a pattern
_OTHER_WORD = re.compile(rf"[^\W_{_SIGNED}]+|[{_SIGNED}]+")
_GRAMMAR_IN_KANA = re.compile(r"[\u3040-\u309f]+")


def words(text: str) -> list[str]:
    """Every word and number in lower case, in order, without function words."""
    plain = _CONTRACTION.sub("", text)
    if plain.isascii():
        return [word for word in (found.lower() for found in _WORD.findall(plain)) if word not in STOP_WORDS]
    found = _OTHER_WORD.findall(_parted(plain))
    return [word for word in found if word not in STOP_WORDS and not _GRAMMAR_IN_KANA.fullmatch(word)]


def searchable(text: str) -> str:
    """A text as the index holds it: itself where it has only English letters, else in the forms that `words` gives."""
    return _parted(text) if _OTHER_LETTER.search(text) else text


def stem(word: str) -> str:
    """A rough stem, enough to let "returns" meet "returned"; the index has its own, finer one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _parted(text: str) -> str:
    """Letters in one form each, and blanks where a script has none."""
    bare = _POINTS.sub("", unicodedata.normalize("NFKD", composed(text).casefold()))
    plain = ascii_digits(unicodedata.normalize("NFKC", bare))
    return _UNSPACED.sub(_pieces, plain.translate(_FORMS))


def _pieces(run: re.Match[str]) -> str:
    letters = run[0]
    size = 3 if "\u0e00" < letters[0] < "\u1800" else 2
    return f" {' '.join(_windows(letters, size))} "


def _windows(letters: str, size: int) -> Iterator[str]:
    return (letters[at : at + size] for at in range(max(1, len(letters) - size + 1)))
