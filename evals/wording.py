"""Compares words as a reader would.

Words and figures count as a whole; case, spaces and the style of quotes do not matter.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2011": "-"})


def states(text: str, fact: str | Sequence[str]) -> bool:
    """Whether a text states a fact in one of its forms.

    ``$75`` is neither in ``$750`` nor in ``$75.50``.
    """
    forms = (fact,) if isinstance(fact, str) else fact
    return any(_whole(plain(form)).search(plain(text)) for form in forms)


def figures(text: str) -> frozenset[str]:
    """Every number in a text, without separators of thousands."""
    return frozenset(found.replace(",", "") for found in _FIGURE.findall(text))


@cache
def _whole(form: str) -> re.Pattern[str]:
    start = r"(?<!\w)(?<!\d[.,])" if form[:1].isalnum() else ""
    end = r"(?!\w)(?![.,]\d)" if form[-1:].isalnum() else ""
    return re.compile(start + re.escape(form) + end)


def plain(text: str) -> str:
    """A text as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold().split())
