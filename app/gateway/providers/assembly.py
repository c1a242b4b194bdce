"""A reply assembled from deltas, part by part."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from app.domain.calls import Delta, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.messages import Part, Text, Thinking, ToolUse
from app.gateway.providers.errors import ProtocolError


@dataclass(slots=True)
class _Growing:
    """One part under way. Text is kept in pieces: joining at each delta would cost the square of the length."""

    kind: Literal["text", "thinking", "tool"]
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    redacted: str | None = None

    def part(self) -> Part:
        text = "".join(self.pieces)
        if self.kind == "text":
            return Text(text)
        if self.kind == "thinking":
            return Thinking(text, signature=self.signature, redacted=self.redacted)
        return ToolUse(self.id, self.name, text or "{}")


class Assembly:
    """``key`` is the vendor's name for a part (a block index, a tool call's index); positions are given in order of arrival."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}
        self._parts: list[_Growing] = []

    def text(self, key: Hashable, text: str) -> Delta:
        """More text."""
        index, part = self._place(key, "text")
        self._grow(part, text)
        return TextDelta(index, text)

    def thinking(self, key: Hashable, text: str = "", *, signature: str | None = None, redacted: str | None = None) -> Delta:
        """More reasoning, its signature, or a sealed block."""
        index, part = self._place(key, "thinking")
        self._grow(part, text)
        part.signature = signature or part.signature
        part.redacted = redacted or part.redacted
        return ThinkingDelta(index, text, signature=signature, redacted=redacted)

    def tool(self, key: Hashable, id: str, name: str) -> Delta:  # noqa: A002 - the domain's word
        """A tool call begins."""
        index, part = self._place(key, "tool")
        part.id, part.name = id, name
        return ToolUseStart(index, id, name)

    def arguments(self, key: Hashable, text: str) -> Delta:
        """More of a tool call's JSON. Raises ProtocolError for a call that never began."""
        if key not in self._places:
            raise ProtocolError("Arguments for a tool call that did not begin.")
        index, part = self._place(key, "tool")
        self._grow(part, text)
        return ToolUseDelta(index, text)

    def close(self, key: Hashable) -> Delta | None:
        """The part at ``key`` is whole. A tool call without arguments gets the empty object that it means."""
        index = self._places.get(key)
        if index is None or self._parts[index].kind != "tool" or self._parts[index].pieces:
            return None
        return self.arguments(key, "{}")

    def close_all(self) -> list[Delta]:
        """Every part is whole."""
        return [delta for key in self._places if (delta := self.close(key))]

    def parts(self) -> tuple[Part, ...]:
        """The parts as they are now."""
        return tuple(part.part() for part in self._parts)

    def __contains__(self, key: Hashable) -> bool:
        """Whether a part of that name has begun."""
        return key in self._places

    def _place(self, key: Hashable, kind: Literal["text", "thinking", "tool"]) -> tuple[int, _Growing]:
        index = self._places.get(key)
        if index is None:
            index = self._places[key] = len(self._parts)
            self._parts.append(_Growing(kind))
        part = self._parts[index]
        if part.kind != kind:
            raise ProtocolError("A part that changed its kind.")
        return index, part

    @staticmethod
    def _grow(part: _Growing, text: str) -> None:
        if text:
            part.pieces.append(text)
