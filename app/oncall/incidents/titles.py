"""The title of an incident, short enough for a heading: the rest stands in the page that opened it."""

import re

LONGEST = 72  # characters: two lines of a phone
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def short_title(title: str) -> str:
    """The first sentence without its end; cut at a word where it is longer than two lines of a phone."""
    first = _SENTENCE.split(" ".join(title.split()))[0].rstrip(".")
    if len(first) <= LONGEST:
        return first
    return first[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:- ") + " …"
