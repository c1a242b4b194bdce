"""Compares words as a reader would.

Words and figures count as a whole, where a script has spaces between words; case, spaces and the style of quotes do not matter.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache

from app.domain import spelling

# Groups of a thousand are parted by a comma, a point, a blank or an apostrophe; in India the larger ones have two digits.
_FIGURE = re.compile(r"[0-9]+(?:[.,'][0-9]+| (?=[0-9]{3}(?![0-9]))[0-9]{3})*")
_GROUPED = re.compile(r"[0-9]+|[0-9]{1,3}(?:([.,' ])[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
# Those of Arabic digits, of Switzerland, of double width, and the blanks that no line is broken at.
_SEPARATORS = str.maketrans("\u066b\u066c\u2019\uff0e\uff0c\xa0\u2009\u202f", ".,'.,   ")
LONGEST_FIGURE = 40  # digits: no source has more
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


def unsupported(text: str, sources: str) -> list[str]:
    """The figures of a text that its sources have in no spelling, as the text writes them."""
    known = frozenset(number for figure in _figures(sources) for reading in _readings(figure) for number in reading)
    return [figure[:LONGEST_FIGURE] for figure in _figures(text) if not any(reading <= known for reading in _readings(figure))]


def _figures(text: str) -> list[str]:
    """Each figure of a text once, in digits of ASCII and with its separators."""
    return list(dict.fromkeys(_FIGURE.findall(spelling.ascii_digits(text.translate(_SEPARATORS)))))


def _readings(figure: str) -> Iterator[frozenset[Decimal]]:
    """The numbers that a figure may stand for: ``1.234`` is a thousand in German, ``3.12.2026`` a day, ``1 234`` perhaps two."""
    parts = re.split(r"[.,' ]", figure)
    separators = re.findall(r"[.,' ]", figure)
    if _GROUPED.fullmatch(figure) and len(set(separators)) <= 1:
        yield frozenset({_number("".join(parts))})
    if (
        separators
        and separators[-1] in ".,"
        and separators.count(separators[-1]) == 1
        and _GROUPED.fullmatch(figure[: -len(parts[-1]) - 1])
    ):
        yield frozenset({_number("".join(parts[:-1]) + "." + parts[-1])})
    if len(parts) != 2 or separators[0] in " '":  # a day, an address, a list
        yield frozenset(map(_number, parts))


def _number(digits: str) -> Decimal:
    return Decimal(digits[:LONGEST_FIGURE])


@cache
def _whole(form: str) -> re.Pattern[str]:
    """The form between the bounds of words; a script without spaces between words has none."""
    start = rf"(?<!{_LETTER})(?<!\d[.,])" if re.match(_LETTER, form) else ""
    end = rf"(?!{_LETTER})(?![.,]\d)" if re.match(_LETTER, form[-1:]) else ""
    return re.compile(start + re.escape(form) + end)


def plain(text: str) -> str:
    """A text as it is compared."""
    return spelling.plain(text.translate(_QUOTES))
