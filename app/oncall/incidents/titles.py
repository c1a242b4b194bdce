"""The title of an incident, short enough for a heading: the rest stands in the page that opened it."""

import re

LONGEST = 72  # characters: two lines of a phone
SHORTEST = 36  # of a sentence that is cut at the end of a clause
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def short_title(title: str) -> str:
    """The first sentence without its end; where it is longer than two lines of a phone, its first clauses or words."""
    first = _SENTENCE.split(" ".join(title.split()))[0].rstrip(".")
    if len(first) <= LONGEST:
        return first
    clause = max(first[: LONGEST + 1].rfind(mark) for mark in (": ", "; "))
    if clause >= SHORTEST:
        return first[:clause]
    return first[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:- ") + " …"
