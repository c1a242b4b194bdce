"""A stream in the events of the Responses API. Shapes: platform.openai.com/docs/api-reference/responses-streaming.

Items follow each other, as at the vendor: one is open at a time. Pieces of another item wait until the open one is whole, so
interleaved tool calls come out one after the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.api.responses.answer import COMPLETED, INCOMPLETE, Frame, status_of
from app.api.responses.output_items import DONE, Event, Item, MessageItem, ReasoningItem, items_of
from app.domain.calls import Delta, Receipt, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.errors import OctantError, ProvidersRateLimited, RateLimited
from app.domain.messages import Refusal
from app.edge.answers import less, summary
from app.edge.sse import event

Json = dict[str, Any]


@dataclass(slots=True)
class _Growing:
    """An item in its place: begun, waiting with its pieces, or ended."""

    item: Item
    waiting: list[str] = field(default_factory=list)
    ended: bool = False


class EventWriter:
    """Writes one stream. Every event has a sequence number; the last one carries the whole response."""

    def __init__(self, frame: Frame) -> None:
        """Nothing is open yet."""
        self._frame = frame
        self._making = frame.numbering()
        self._sequence = 0
        self._by_index: dict[int, _Growing] = {}
        self._open: _Growing | None = None
        self._announced = False
        self._next: list[_Growing] = []
        self._output: list[Json] = []

    def begin(self, degraded: Sequence[str] = ()) -> bytes:
        """The response as it begins, twice, as the vendor sends it."""
        response = self._frame.response("in_progress", [], **less(degraded))
        return self._event("response.created", response=response) + self._event("response.in_progress", response=response)

    def write(self, chunk: Delta) -> bytes:
        """One of our chunks as theirs; empty for a kind that their API does not have."""
        kind: object = chunk
        match kind:
            case ToolUseStart(index=index, id=identity, name=name):
                self._by_index[index] = growing = _Growing(self._making.call(identity, name))
                return self._add(growing, "")
            case ToolUseDelta(index=index, arguments=piece):
                return self._add(self._by_index[index], piece)
            case TextDelta(index=index, text=piece):
                return self._add(self._text_at(index), piece)
            case ThinkingDelta(index=index, text=piece, signature=signature, redacted=redacted):
                growing = self._thought_at(index)
                if isinstance(growing.item, ReasoningItem):
                    growing.item.signature = signature or growing.item.signature
                    growing.item.redacted = redacted or growing.item.redacted
                return self._add(growing, piece)
        return b""

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """Close what is open, add a refusal that came at the end, and send the whole response with its cost."""
        status = status_of(reply)
        written = self._drain(status)
        if not any(isinstance(item, MessageItem) and item.refusal for item in self._items()):
            for refused in items_of([part for part in reply.parts if isinstance(part, Refusal)], self._making):
                written += self._one(refused)
        response = self._frame.ended(reply, self._output, **summary(receipt))
        return written + self._event(f"response.{status}", response=response)

    def error(self, error: OctantError) -> bytes:
        """A failure after the first token: the response has failed, and there is nothing more (R6)."""
        code = "rate_limit_exceeded" if isinstance(error, RateLimited | ProvidersRateLimited) else "server_error"
        facts = summary(error.receipt)["octant"] if error.receipt else {}
        response = self._frame.response(
            "failed", self._output, error={"code": code, "message": error.message}, octant={**facts, "code": error.code}
        )
        return self._event("response.failed", response=response)

    def _items(self) -> list[Item]:
        return [growing.item for growing in self._by_index.values()]

    def _text_at(self, index: int) -> _Growing:
        """The message at ``index``: the open one, if the text before it is still growing; a new one, if that has ended."""
        growing = self._by_index.get(index)
        if growing is None and self._open and isinstance(self._open.item, MessageItem) and not self._next:
            growing = self._open
        if growing is None or growing.ended:
            growing = _Growing(self._making.message())
        self._by_index[index] = growing
        return growing

    def _thought_at(self, index: int) -> _Growing:
        growing = self._by_index.get(index)
        if growing is None or growing.ended:
            self._by_index[index] = growing = _Growing(self._making.reasoning())
        return growing

    def _add(self, growing: _Growing, piece: str) -> bytes:
        """Show a piece of the open item; keep one of another until it is that item's turn."""
        if growing is self._open:
            return self._grown(growing, piece)
        if not growing.waiting:  # else it has its place already
            self._next.append(growing)
        growing.waiting.append(piece)
        return self._advanced()

    def _advanced(self, status: str = "") -> bytes:
        """End the open item if it is whole and another one waits. With ``status``: everything ends."""
        written: list[bytes] = []
        while self._next and (self._open is None or status or self._open.item.whole):
            written.append(self._closed(COMPLETED))
            self._open = opened = self._next.pop(0)
            pieces, opened.waiting = opened.waiting, []
            written += [self._grown(opened, piece) for piece in pieces]
        return b"".join(written)

    def _drain(self, status: str) -> bytes:
        """End every item. The last one of a cut answer is incomplete."""
        return self._advanced(status) + self._closed(status if status == INCOMPLETE else COMPLETED)

    def _grown(self, growing: _Growing, piece: str) -> bytes:
        """Show a piece, and the item's beginning before the first. Reasoning that may stay hidden is kept until its end."""
        if self._announced:
            return self._placed(growing.item, growing.item.grow(piece))
        if isinstance(growing.item, ReasoningItem) and not (growing.item.summary and piece):
            growing.item.pieces.append(piece)
            return b""
        self._announced = True
        begun = self._placed(growing.item, growing.item.begin())
        return begun + (self._placed(growing.item, growing.item.grow(piece)) if piece else b"")

    def _closed(self, status: str) -> bytes:
        """End the open item, unless it has nothing to show."""
        growing, self._open = self._open, None
        if growing is None:
            return b""
        growing.ended = True
        written = b""
        if not self._announced and growing.item.shown:
            written = self._placed(growing.item, growing.item.begin())
        elif not self._announced:
            return b""
        self._announced = False
        return written + self._placed(growing.item, growing.item.end(status))

    def _one(self, item: Item) -> bytes:
        """An item that came whole."""
        text = "".join(item.pieces) if isinstance(item, MessageItem) else ""
        if isinstance(item, MessageItem):
            item.pieces = []
        events = [*item.begin(), *item.grow(text), *item.end(COMPLETED)]
        return self._placed(item, events)

    def _placed(self, item: Item, events: Iterable[Event]) -> bytes:
        """Events of the item that is next in the output."""
        return b"".join(self._written(item, events))

    def _written(self, item: Item, events: Iterable[Event]) -> Iterator[bytes]:
        for name, fields in events:
            place: Json = {"output_index": len(self._output)}
            if "item" not in fields:
                place = {"item_id": item.id, **place}
            if name == DONE:
                self._output.append(fields["item"])
            yield self._event(f"response.{name}", **place, **fields)

    def _event(self, name: str, /, **fields: Any) -> bytes:  # noqa: ANN401 - any JSON
        data = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return event(data, name=name)
