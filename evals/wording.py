"""Compares words as a reader would.

Words and figures count as a whole, where a script has spaces between words; case, spaces and the style of quotes do not matter.
"""

import re
from collections.abc import Sequence
from functools import cache

from app.domain import spelling

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
# A letter or digit of a script with spaces between words. Thai, Lao, Burmese, Khmer, Japanese and Chinese have none.
_LETTER = (
    r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2011": "-", "\u2010": "-"})


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
    """The form between the bounds of words; a script without spaces between words has none."""
    start = rf"(?<!{_LETTER})(?<!\d[.,])" if re.match(_LETTER, form) else ""
    end = rf"(?!{_LETTER})(?![.,]\d)" if re.match(_LETTER, form[-1:]) else ""
    return re.compile(start + re.escape(form) + end)


def plain(text: str) -> str:
    """A text as it is compared."""
    return spelling.plain(text.translate(_QUOTES))
