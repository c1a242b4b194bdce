"""Chunks of a stream that differ from an earlier one in their text alone, as nearly all do: read without parsing each.

A chunk is known by the JSON before and after its text. Between them may stand what JSON writes as it is: no quote, backslash or
control character. So the chunk is the same document with another text, and what was found of the first holds for it. A piece of
the stream's bytes that is one such chunk in its server-sent event, as most are, is known before it is decoded.
"""

from collections.abc import Callable

from app.domain.json_text import loads

Frame = tuple[bytes, bytes]  # what stands before and after the data of an event, as nearly all servers write it
MARKS = ("a", "b")  # one of them is not the text
MOST_TRIES = 3  # some servers put something new into each chunk, such as OpenAI's ``obfuscation``


class SameShape:
    """The shape of one stream's chunks of text."""

    def __init__(self, frame: Frame) -> None:
        """No shape is known."""
        self._frame = frame
        self._before = self._after = ""
        self._framed: Frame = b"", b""
        self._tries = MOST_TRIES

    def text(self, data: str) -> str | None:
        """The text of a chunk of the known shape; None for any other."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return None
        text = data[len(before) : -len(after)]
        return text if text and text.isprintable() and '"' not in text and "\\" not in text else None  # `_plain`, once a chunk

    def text_of(self, piece: bytes) -> str | None:
        """The text of a piece, between two events, that is one event with a chunk of the known shape; None for any other."""
        before, after = self._framed
        if not before or not piece.startswith(before) or not piece.endswith(after):
            return None
        try:
            text = piece[len(before) : -len(after)].decode()
        except UnicodeDecodeError:
            return None
        return text if text and text.isprintable() and '"' not in text and "\\" not in text else None  # as above

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
        self._framed = self._frame[0] + self._before.encode(), self._after.encode() + self._frame[1]
        return True

    def forget(self) -> None:
        """Another kind of chunk came: what was found before need not hold."""
        self._before, self._framed = "", (b"", b"")


def _plain(text: str) -> bool:
    return text.isprintable() and '"' not in text and "\\" not in text
