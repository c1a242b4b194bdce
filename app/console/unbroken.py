"""Texts in which no line ends within a date, an option or a name, or before a unit: a phone has narrow lines. Each is escaped."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from markupsafe import Markup, escape

LONGEST_WHOLE = 32  # characters of a word that stays in one piece on a phone
_WHOLE = re.compile(r"(\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)? UTC)?|(?<![^\s\[(\"=])--[a-z][a-z-]*)")
_BEFORE_A_UNIT = re.compile(r"(?<=\d) (?=%|/(?:min|h)\b|[mµ]?s\b|min\b|[hd]\b|[kM]?B\b)")
_REQUEST = re.compile(r"\b(req_[0-9a-f]{32})\b")
NO_BREAK = "\u00a0"


def before_units(text: str) -> str:
    """A text in which no line ends between a number and its unit."""
    return _BEFORE_A_UNIT.sub(NO_BREAK, text)


def measure(written: Callable[..., str]) -> Callable[..., str]:
    """A function of `app.console.formats`, for a page: its number and unit stay in one line."""

    @wraps(written)
    def on_page(*values: Any) -> str:  # noqa: ANN401 - whatever it formats
        return before_units(written(*values))

    return on_page


def path(text: str) -> Markup:
    """A file or a name in code. It breaks after a slash, a colon or an underscore, between `Burns` and `Fast`, nowhere else."""
    return Markup("<wbr>").join(re.split(r"(?<=[/:_])(?![/:_])|(?<=[a-z])(?=[A-Z][a-z])", text))


def words(text: str) -> Markup:
    """A text of ours or of a caller, escaped and unbroken, with what stands in backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that has no partner
        return unbroken(text)
    made = (Markup("<code>{}</code>").format(command(part)) if n % 2 else unbroken(part) for n, part in enumerate(parts))
    return Markup("").join(made)


def unbroken(text: str) -> Markup:
    """A text, escaped, in which no line ends before a unit, or within a date, a moment or an option: these have hyphens."""
    text, whole = before_units(text), Markup('<span class="nowrap">{}</span>')
    return Markup("").join(whole.format(part) if n % 2 else escape(part) for n, part in enumerate(_WHOLE.split(text)))


def requests(text: Markup) -> Markup:
    """The same, with requests' ids of ours as links to their traces."""
    return Markup(_REQUEST.sub(r'<a href="/console/search?q=\1"><code>\1</code></a>', str(text)))  # noqa: S704 - escaped before


def command(text: str) -> Markup:
    """A command, escaped, in which no line ends within a short word that has a hyphen: an option, or a name."""
    made = (
        Markup('<span class="nowrap">{}</span>').format(word) if "-" in word and len(word) <= LONGEST_WHOLE else escape(word)
        for word in re.split(r"(\s+)", text)
    )
    return Markup("").join(made)
