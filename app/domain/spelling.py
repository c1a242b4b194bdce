"""Spellings of one text made one: letters composed or not, of full width or half, capital or small."""

import re
import unicodedata

_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_MARKS = re.compile(r"([^\w\s!-~]{30})[^\w\s!-~]+")


def composed(text: str) -> str:
    """A text in Unicode's form NFKC, in time linear in its length.

    Marks in a row are sorted, which takes the square of their number: 0.5 s for 20,000. Thirty of a row stay, as in the
    stream-safe form of Unicode's annex 15; no language has more than a few.
    """
    return text if text.isascii() else unicodedata.normalize("NFKC", _MARKS.sub(r"\1", text))


def ascii_digits(text: str) -> str:
    """A text with the digits of other scripts in those of ASCII."""
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


def plain(text: str) -> str:
    """A text for comparing by its letters: composed, without case, with single blanks."""
    return " ".join(composed(text).casefold().split())
