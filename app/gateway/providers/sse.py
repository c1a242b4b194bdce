"""Server-sent events, read as servers write them (html.spec.whatwg.org, 9.2).

A byte order mark, any of the three line ends, comments, fields without a value and a last event without its blank line are read.
Pieces may end anywhere, in the middle of a character too. Bytes that are no UTF-8 become U+FFFD: half a character from a server
that streams tokens is no reason to lose the answer.

Two forms that the standard passes over are read as error events, because the answer ends with them: the field `error` of
llama.cpp before its build of autumn 2025, and an error's JSON without a field, on one line or several, as Gemini writes it and
servers that pass on another's body.
"""

import re
from dataclasses import dataclass

from app.gateway.providers.errors import ProtocolError

BOM = b"\xef\xbb\xbf"
MOST_EVENT = 32 * 2**20  # bytes
_ERROR = re.compile(rb'\s*(?:\[\s*)?\{\s*"error"\s*:')


@dataclass(slots=True)
class Event:
    """One event; ``name`` is empty where the server gave none."""

    name: str
    data: str


class Decoder:
    """Pieces of bytes in, whole events out. Events without data are passed over: they are signs of life."""

    def __init__(self) -> None:
        """At the start of a stream. ``between``: all events that began have ended, so a next one begins with the next piece."""
        self.between = False
        self._begun = False
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._held = 0
        self._skip_newline = False
        self._name = ""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []  # lines of JSON without a field

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that end in ``piece``. Raises ProtocolError for an endless one."""
        if not self._begun:
            piece = b"".join((*self._pieces, piece))
            if len(piece) < len(BOM) and BOM.startswith(piece):
                self._pieces = [piece]
                return []
            self._begun, self._pieces = True, []
            piece = piece.removeprefix(BOM)
        if self._skip_newline:  # the other half of a line end that two pieces share
            piece = piece.removeprefix(b"\n")
            self._skip_newline = not piece
        if b"\r" in piece:
            self._skip_newline = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._held += len(piece)
        if self._held > MOST_EVENT:
            raise ProtocolError("An event of the stream is too large.")
        if b"\n" not in piece:
            self._pieces.append(piece)
            self.between = False
            return []
        *lines, rest = piece.split(b"\n")
        lines[0] = b"".join((*self._pieces, lines[0]))
        self._pieces = [rest]
        found = self._events(lines)
        self.between = not (rest or self._data or self._bare or self._name or self._skip_newline)
        return found

    def end(self) -> list[Event]:
        """Return the event that the end of the stream ends, if any."""
        last, self._pieces = b"".join(self._pieces), []
        return self._events([last, b""])

    def _events(self, lines: list[bytes]) -> list[Event]:
        found = []
        for line in lines:
            field, _, value = line.partition(b":")
            if self._bare and (not line or field == b"data"):
                found += self._bare_error()
            if not line:
                if self._data:
                    found.append(Event(self._name, b"\n".join(self._data).decode(errors="replace")))
                self._name, self._data = "", []
                self._held = len(self._pieces[0]) if self._pieces else 0
            elif field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.removeprefix(b" ").decode(errors="replace")
            elif field == b"error" and value.lstrip().startswith(b"{"):
                self._bare = [b'{"error":', value, b"}"]
            elif self._bare or line.lstrip().startswith((b"{", b"[")):
                self._bare.append(line)
        return found

    def _bare_error(self) -> list[Event]:
        """The error that lines without a field hold; nothing where they hold another thing."""
        text, self._bare = b"\n".join(self._bare), []
        return [Event("error", text.decode(errors="replace"))] if _ERROR.match(text) else []


def is_stream(content: bytes) -> bool:
    """Whether a body that came whole is events, and not one document."""
    return content.lstrip(BOM + b" \r\n").startswith((b"data:", b"event:", b":"))


def events_of(content: bytes) -> list[Event]:
    """The events of a body that came whole. Raises as `Decoder.feed`."""
    decoder = Decoder()
    return [*decoder.feed(content.lstrip(b" \r\n")), *decoder.end()]
