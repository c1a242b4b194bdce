"""Sample texts that fit a JSON Schema's ``format`` or ``pattern``, made by rule."""

import re
import string
from collections.abc import Mapping

FORMATS: Mapping[str, str] = {
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "date-time": "2026-01-15T09:30:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_CANDIDATES = string.ascii_lowercase + string.digits + string.ascii_uppercase + string.punctuation + " äß日"
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_NOTHING = frozenset("bBAZz")
_LONGEST = 64  # times that a part is repeated to reach a length


def matching(pattern: str, *, shortest: int = 0, longest: int = 10_000) -> str | None:
    """A text that the pattern finds a match in, of a length within the bounds; None where these rules find none."""
    for repeats in (0, 1, shortest, _LONGEST):
        try:
            text = _Maker(pattern, min(repeats, _LONGEST)).make()
            if re.search(pattern, text) and shortest <= len(text) <= longest:
                return text
        except (re.error, IndexError, StopIteration, RecursionError):
            return None
    return None


class _Maker:
    """Walks a pattern once and writes the first text that comes to it."""

    def __init__(self, pattern: str, repeats: int) -> None:
        self._pattern = pattern
        self._repeats = repeats
        self._at = 0

    def make(self) -> str:
        """The text of the pattern's first alternative."""
        return self._alternatives()

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        made = ""
        while (mark := self._peek()) and mark not in "|)":
            made += self._quantified(self._atom())
        return made

    def _atom(self) -> str:
        mark = self._pattern[self._at]
        self._at += 1
        if mark == "(":
            return self._group()
        if mark == "[":
            return self._class()
        if mark == "\\":
            escaped = self._pattern[self._at]
            self._at += 1
            return "" if escaped in _NOTHING else _CLASSES.get(escaped, escaped)
        return "" if mark in "^$" else "a" if mark == "." else mark

    def _group(self) -> str:
        lead = re.compile(r"\?(?:P?<[A-Za-z_]\w*>|:|=|!|<=|<!)").match(self._pattern, self._at)
        self._at = lead.end() if lead else self._at
        inner = self._alternatives()
        self._at += 1
        return "" if lead and lead[0] in ("?=", "?!", "?<=", "?<!") else inner

    def _class(self) -> str:
        end = self._at + (1 if self._pattern[self._at] == "^" else 0)
        end += 1  # a bracket in the first place is itself
        while self._pattern[end] != "]":
            end += 2 if self._pattern[end] == "\\" else 1
        members = re.compile(f"[{self._pattern[self._at : end]}]")
        self._at = end + 1
        return next(candidate for candidate in _CANDIDATES if members.fullmatch(candidate))

    def _quantified(self, atom: str) -> str:
        found = re.compile(r"(?:\{(\d+)(?:(,)(\d*))?\}|([*+?]))[?+]?").match(self._pattern, self._at)
        if not found:
            return atom
        self._at = found.end()
        if found[4]:
            least, most = (1 if found[4] == "+" else 0), (1 if found[4] == "?" else _LONGEST)
        else:
            least = int(found[1])
            most = least if not found[2] else int(found[3] or max(least, _LONGEST))
        return atom * min(max(least, self._repeats), most)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]
