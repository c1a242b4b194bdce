"""Chunks of a stream that differ from an earlier one in their text alone, as nearly all do: read without parsing each.

A chunk is known by the JSON before and after its text. Between them may stand what JSON writes as it is: no quote, backslash or
control character. So the chunk is the same document with another text, and what was found of the first holds for it.
"""

from collections.abc import Callable

from app.domain.json_text import loads

MARKS = ("a", "b")  # one of them is not the text
MOST_TRIES = 3  # some servers put something new into each chunk, such as OpenAI's ``obfuscation``


class SameShape:
    """The shape of one stream's chunks of text."""

    def __init__(self) -> None:
        """No shape is known."""
        self._before = self._after = ""
        self._tries = MOST_TRIES

    def text(self, data: str) -> str | None:
        """The text of a chunk of the known shape; None for any other."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return None
        text = data[len(before) : -len(after)]
        return text if text and text.isprintable() and '"' not in text and "\\" not in text else None  # `_plain`, once a chunk

    def learn(self, data: str, text: str, text_of: Callable[[object], str | None]) -> bool:
        """Take the shape of ``data``, which holds ``text`` and nothing else. Once it has changed often, it is left.

        ``text_of`` gives the text of a document that holds nothing else; None for any other. Returns whether this is the known
        shape now.
        """
        if self._tries == 0 or not _plain(text):
            return False
        self._tries -= 1
        before, found, after = data.rpartition(f'"{text}"')
        mark = next(mark for mark in MARKS if mark != text)
        if not found or text_of(loads(f'{before}"{mark}"{after}')) != mark:  # those words stand elsewhere too
            return False
        self._before, self._after = f'{before}"', f'"{after}'
        return True

    def forget(self) -> None:
        """Another kind of chunk came: what was found before need not hold."""
        self._before = ""


def _plain(text: str) -> bool:
    return text.isprintable() and '"' not in text and "\\" not in text
