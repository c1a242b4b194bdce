"""Finds where a growing text may be cut: the part before the seam holds whole links and tags, or none (S4).

As little as may still become a link is held back: the word under way, and a bracket or tag that is open. A form that never ends
is not waited for; a mark at the cut keeps its two ends apart. Each search takes time by the held part: some thousand characters.
"""

import re
from dataclasses import dataclass

from app.security.guard.link_addresses import DOTS
from app.security.guard.link_forms import IN_TAG, LABEL, TAG, TARGET

LONGEST_FORM = 2000  # characters: an address, destination or tag that is longer is broken up instead of being waited for
LONGEST_LABEL = 300  # of a link's text
LONGEST_NAME = 64  # of a host name's part, where words have no blanks between them
_BLANKS = " \t\n\r\f\v"
_OPEN = re.compile(rf"\[|{TAG}")
_LABEL = re.compile(rf"\[{LABEL}+")
_TAG = re.compile(rf"<{IN_TAG}+")
_WHOLE_LINK = re.compile(r"\]\((?:[^()]|\([^()]*\))*+\)")
_WHOLE_DEFINITION = re.compile(r"\]:[\s>]*[^\s>]\S*\s")
_TARGET_BEGUN = re.compile(rf"{TARGET}[\s>]*(?:<[^>]*)?\Z")
_IN_ADDRESS = re.compile(rf"[:/\\{DOTS}@<>\[\]()&`]")


@dataclass(frozen=True, slots=True)
class Seam:
    """``at``: how much of the text may be checked alone. ``mend`` goes between it and the rest, where a form is cut through."""

    at: int
    mend: str = ""


def seam(text: str) -> Seam:
    """Find the seam of a text that goes on."""
    cut = _word_begins(text, len(text))  # an address has no blanks
    begun = _TARGET_BEGUN.search(text) or _TARGET_BEGUN.search(text, 0, cut)  # its address may still come, or is there
    if begun:
        word = _word_begins(text, begun.start())
        at = cut if begun.end() <= cut else len(text)
        return Seam(at, "# ") if len(text) - word > LONGEST_FORM else Seam(_before_open_forms(text, word))
    if len(text) - cut > LONGEST_NAME and not _IN_ADDRESS.search(text, cut):
        cut = len(text) - LONGEST_NAME
    if len(text) - cut > LONGEST_FORM:
        return Seam(len(text), " ")
    return Seam(_before_open_forms(text, cut))


def _word_begins(text: str, at: int) -> int:
    return max(text.rfind(blank, 0, at) for blank in _BLANKS) + 1


def _before_open_forms(text: str, cut: int) -> int:
    at = max(0, cut - LONGEST_FORM)
    while (opened := _OPEN.search(text, at, cut)) is not None:
        end = _end_of_tag(text, opened.start()) if opened[0] == "<" else _end_of_link(text, opened.start())
        if end is None or end > cut:
            return _word_begins(text, opened.start())
        at = max(end, opened.end())
    return cut


def _end_of_tag(text: str, at: int) -> int | None:
    """Where the tag that begins at ``at`` ends; None if its end may still come."""
    inner = _TAG.match(text, at)
    end = inner.end() if inner else at
    return end + 1 if end < len(text) or end - at > LONGEST_FORM else None


def _end_of_link(text: str, at: int) -> int | None:
    """The same of a link whose text holds no further brackets; others are read without it."""
    label = _LABEL.match(text, at)
    close = label.end() if label else at
    if close >= len(text):
        return None if close - at <= LONGEST_LABEL else at + 1
    if text[close] == "[" or (close + 1 < len(text) and text[close + 1] not in "(:"):
        return close
    whole = (_WHOLE_LINK if text.startswith("](", close) else _WHOLE_DEFINITION).match(text, close)
    if whole:
        return whole.end()
    return None if len(text) - close <= LONGEST_FORM else close
