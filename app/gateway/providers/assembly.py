"""A reply assembled from deltas, part by part.

A server may cut a text between the two halves of a surrogate pair, as JSON writes an emoji. The first half waits for the second;
a half that stays alone becomes U+FFFD, because no connection and no database takes it.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, get_args

from app.domain.calls import Delta, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.messages import Part, Refusal, Text, Thinking, ToolUse
from app.gateway.providers.errors import ProtocolError

Kind = Literal["text", "refusal", "thinking", "tool"]

KINDS: tuple[Kind, ...] = get_args(Kind)
_HALF = re.compile("[\ud800-\udfff]")
UNKNOWN = "\ufffd"


def encodable(text: str) -> str:
    """Join surrogate pairs; a half without its other becomes U+FFFD."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(slots=True)
class _Growing:
    """One part under way. Text is kept in pieces: joining at each delta would cost the square of the length."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    redacted: str | None = None
    half: str = ""  # the first half of a pair

    def grow(self, text: str) -> str:
        """Take more text; returns what is whole."""
        if text and not self.half and text.isascii():  # nearly every text
            self.pieces.append(text)
            return text
        text, self.half = self.half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        text = encodable(text)
        if text:
            self.pieces.append(text)
        return text

    def part(self) -> Part:
        text = "".join(self.pieces) + (UNKNOWN if self.half else "")
        if self.kind == "text":
            return Text(text)
        if self.kind == "refusal":
            return Refusal(text)
        if self.kind == "thinking":
            return Thinking(text, signature=self.signature, redacted=self.redacted)
        return ToolUse(self.id, self.name, text or "{}", signature=self.signature)


class Assembly:
    """``key`` is the vendor's name for a part (a block index, a tool call's index); positions are given in order of arrival.

    Parts of two kinds may have one name: some servers number them anew for each kind, or put reasoning into a block of text.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Hashable, Kind], int] = {}
        self._parts: list[_Growing] = []
        self._texts: dict[Hashable, tuple[int, _Growing]] = {}

    def text(self, key: Hashable, text: str) -> Delta:
        """More text."""
        place = self._texts.get(key)
        if place is None:
            place = self._texts[key] = self._place(key, "text")
        index, part = place
        if text and not part.half and text.isascii():  # nearly every text, as in `grow`
            part.pieces.append(text)
            return TextDelta(index, text)
        return TextDelta(index, part.grow(text))

    def refusal(self, key: Hashable, text: str) -> None:
        """More of the model's words for why it does not answer. They leave with the whole reply."""
        self._place(key, "refusal")[1].grow(text)

    def thinking(self, key: Hashable, text: str = "", *, signature: str | None = None, redacted: str | None = None) -> Delta:
        """More reasoning, its signature, or a sealed block."""
        index, part = self._place(key, "thinking")
        text = part.grow(text)
        part.signature = signature or part.signature
        part.redacted = redacted or part.redacted
        return ThinkingDelta(index, text, signature=signature, redacted=redacted)

    def tool(self, key: Hashable, id: str, name: str, signature: str | None = None) -> Delta:  # noqa: A002 - the domain's word
        """A tool call begins."""
        index, part = self._place(key, "tool")
        part.id, part.name, part.signature = encodable(id), encodable(name), signature
        return ToolUseStart(index, part.id, part.name, signature)

    def arguments(self, key: Hashable, text: str) -> Delta:
        """More of a tool call's JSON. Raises ProtocolError for a call that never began."""
        if (key, "tool") not in self._places:
            raise ProtocolError("Arguments for a tool call that did not begin.")
        index, part = self._place(key, "tool")
        return ToolUseDelta(index, part.grow(text))

    def close(self, key: Hashable) -> list[Delta]:
        """The parts at ``key`` are whole. A tool call without arguments gets the empty object that it means."""
        places = [(key, kind) for kind in KINDS if (key, kind) in self._places]
        return [delta for place in sorted(places, key=self._places.__getitem__) if (delta := self._close(*place))]

    def close_all(self) -> list[Delta]:
        """Every part is whole."""
        return [delta for place in self._places if (delta := self._close(*place))]

    def _close(self, key: Hashable, kind: Kind) -> Delta | None:
        index = self._places[key, kind]
        part = self._parts[index]
        if part.half:
            part.half = ""
            part.grow(UNKNOWN)
            made = {"text": TextDelta, "thinking": ThinkingDelta, "tool": ToolUseDelta}.get(kind)
            return made(index, UNKNOWN) if made else None
        return self.arguments(key, "{}") if kind == "tool" and not part.pieces else None

    def parts(self) -> tuple[Part, ...]:
        """The parts as they are now."""
        return tuple(part.part() for part in self._parts)

    def has_tool(self, key: Hashable) -> bool:
        """Whether a tool call of that name has begun."""
        return (key, "tool") in self._places

    def _place(self, key: Hashable, kind: Kind) -> tuple[int, _Growing]:
        index = self._places.get((key, kind))
        if index is None:
            index = self._places[key, kind] = len(self._parts)
            self._parts.append(_Growing(kind))
        return index, self._parts[index]
