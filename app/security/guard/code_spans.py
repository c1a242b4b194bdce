"""Where a Markdown text shows code: fenced blocks and spans between backticks, followed line by line.

The reading is rough on purpose and nothing rests on it: it decides only whether a tag that can do nothing, such as the ``<int>``
of ``vector<int>``, stays as it is written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"[\s>*+-]*(?:[0-9]{1,9}[.)]\s+)?(`{3,}|~{3,})")
_CLOSED = re.compile(r"[\s>]*(`{3,}|~{3,})\s*\Z")
_TICKS = re.compile(r"`+")
_LONGEST_LINE = 2000  # characters of a line under way that are remembered


@dataclass(slots=True)
class CodeSpans:
    """Reads a text piece by piece. ``fence`` is the fence that is open, ``line`` the line under way."""

    fence: str = ""
    line: str = ""

    def read(self, text: str) -> list[tuple[int, int]]:
        """The next piece of the text; returns the stretches of it that are code, in order."""
        return list(self._read(text))

    def _read(self, text: str) -> Iterator[tuple[int, int]]:
        start = 0
        for part in text.splitlines(keepends=True):
            whole, end = self.line + part, start + len(part)
            opened = _FENCE.match(whole) if not self.fence and ("`" in whole or "~" in whole) else None
            if self.fence or opened:
                yield start, end
            elif "`" in whole:
                before = len(self.line)
                yield from ((start + max(a, before) - before, start + b - before) for a, b in _spans(whole) if b > before)
            if part.endswith(("\n", "\r")):
                self._line_ends(whole, opened)
                self.line = ""
            else:
                self.line = whole[-_LONGEST_LINE:]
            start = end

    def _line_ends(self, line: str, opened: re.Match[str] | None) -> None:
        if opened:
            self.fence = opened[1]
        elif self.fence and (closed := _CLOSED.match(line)) and closed[1].startswith(self.fence):
            self.fence = ""


def _spans(line: str) -> Iterator[tuple[int, int]]:
    """Between runs of as many backticks; one that is not closed lasts to the end of the line."""
    opened: re.Match[str] | None = None
    for ticks in _TICKS.finditer(line):
        if opened is None:
            opened = ticks
        elif len(opened[0]) == len(ticks[0]):
            yield opened.start(), ticks.end()
            opened = None
    if opened:
        yield opened.start(), len(line)
