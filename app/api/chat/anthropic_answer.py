"""Our replies as Anthropic's messages, whole and as events. Shapes: docs.anthropic.com/en/api/messages-streaming.

A stream in this form has one block open at a time, while other vendors' models write several tool calls at once. A call that is
under way when another one grows stays open until its arguments are whole; the other one waits for that, or for the end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain import json_text
from app.domain.calls import (
    CitationDelta,
    Delta,
    NativeDelta,
    Receipt,
    Reply,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from app.domain.errors import OctantError
from app.domain.messages import Native, Part, Refusal, StopReason, Text, Thinking, ToolUse
from app.edge import errors
from app.edge.answers import less, summary
from app.edge.sse import event

Json = dict[str, Any]
TEXT: Json = {"type": "text", "text": ""}
THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}

STOP: dict[StopReason, str] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "context_window": "model_context_window_exceeded",
    "pause_turn": "pause_turn",
}


def message(reply: Reply, *, request_id: str, alias: str, degraded: Sequence[str] = ()) -> dict[str, Any]:
    """A whole message. ``degraded``: the codes of the header."""
    return {
        **_envelope(request_id, alias),
        "content": [block for part in reply.parts for block in _blocks(part)],
        **_ending(reply),
        "usage": usage(reply.usage),
        **_own(reply),
        **less(degraded),
    }


def _envelope(request_id: str, alias: str) -> dict[str, Any]:
    """The beginning of every message."""
    return {"id": "msg_" + request_id.removeprefix("req_"), "type": "message", "role": "assistant", "model": alias}


def _ending(reply: Reply) -> dict[str, Any]:
    """Why the message ended. Details only where there are any: some clients take no null."""
    details = {"stop_details": dict(reply.stop_details)} if reply.stop_details else {}
    return {"stop_reason": STOP[reply.stop], "stop_sequence": reply.stop_sequence, **details}


def _own(reply: Reply) -> dict[str, Any]:
    """Fields that Claude alone gives."""
    return dict(reply.native.get("anthropic", {}))


def usage(used: Usage) -> dict[str, Any]:
    """Their input excludes cached tokens, as ours does."""
    thought = {"output_tokens_details": {"thinking_tokens": used.reasoning}} if used.reasoning else {}
    return {
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cached_input,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write - used.cache_write_1h,
            "ephemeral_1h_input_tokens": used.cache_write_1h,
        },
        "output_tokens": used.output,
        **thought,
    }


def _blocks(part: Part) -> Iterator[Mapping[str, Any]]:
    """One block; none for what is empty, and for reasoning without a signature: Claude would not take it back."""
    match part:
        case Text(text=text, citations=citations):
            if text or citations:
                yield {"type": "text", "text": text, **({"citations": [dict(c) for c in citations]} if citations else {})}
        case Refusal(text=text):
            if text:
                yield {"type": "text", "text": text}
        case ToolUse(id=identity, name=name, arguments=arguments):
            yield {"type": "tool_use", "id": identity, "name": name, "input": _input(arguments)}
        case Thinking(redacted=str(data)):
            yield {"type": "redacted_thinking", "data": data}
        case Thinking(text=text, signature=signature):
            if signature:
                yield {"type": "thinking", "thinking": text, "signature": signature}
        case Native(vendor="anthropic", block=block):
            yield block


def _input(arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """The arguments as the object that the wire wants; invalid JSON goes as text, under a name of its own."""
    try:
        return json_text.read(arguments or "{}")
    except ValueError:
        return {"invalid_arguments": arguments}


@dataclass(slots=True)
class _Open:
    """The block that is open. ``arguments``: what came of a tool call's, None for other blocks."""

    index: int
    arguments: list[str] | None = None
    growing: json_text.GrowingObject = field(default_factory=json_text.GrowingObject)

    @property
    def whole(self) -> bool:
        """Whether nothing more has to come: a text may be continued in a block of its own, a tool call may not."""
        if self.arguments is None:
            return True
        return self.growing.is_whole(self.arguments)


@dataclass(slots=True)
class EventWriter:
    """Writes one stream. Blocks are numbered from 0 as they come, whatever the provider's numbers were."""

    request_id: str
    alias: str
    _input: Usage = field(default=Usage(), init=False)
    _open: _Open | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _calls: set[int] = field(default_factory=set, init=False)  # tool calls that were opened: none is opened twice
    _signed: set[int] = field(default_factory=set, init=False)  # reasoning that leaves
    _waiting: dict[int, list[Delta]] = field(default_factory=dict, init=False)

    def note_input(self, used: Usage) -> None:
        """Take the input's tokens, as far as they are known before the first event."""
        self._input = used

    def begin(self, degraded: Sequence[str] = ()) -> bytes:
        """The message as it begins: empty, with the input's tokens. The whole usage is known at the end."""
        start = {
            **_envelope(self.request_id, self.alias),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(self._input),
            **less(degraded),
        }
        return event({"type": "message_start", "message": start}, name="message_start")

    def write(self, chunk: Delta) -> bytes:
        """One of our chunks as theirs; empty while it has to wait."""
        if not self._leaves(chunk):
            return b""
        if self._open and self._open.index != chunk.index and (self._waiting or not self._open.whole):
            self._waiting.setdefault(chunk.index, []).append(chunk)
            return b""
        return self._now(chunk) + self._released()

    def error(self, error: OctantError) -> bytes:
        """A failure after the first token: an error event, and then no message_stop (R6)."""
        return event(errors.last_event(error, "anthropic", self.request_id), name="error")

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """The last events; `message_delta` carries what the stream cost."""
        written = b"".join(self._now(chunk) for waiting in self._waiting.values() for chunk in waiting)
        for part in reply.parts:
            if isinstance(part, Refusal):  # it is known with the whole reply only
                for block in _blocks(part):
                    written += self._start(len(reply.parts), TEXT) + self._delta({"type": "text_delta", "text": block["text"]})
        written += self._stop()
        last = {"type": "message_delta", "delta": _ending(reply), "usage": usage(reply.usage), **_own(reply), **summary(receipt)}
        return written + event(last, name="message_delta") + event({"type": "message_stop"}, name="message_stop")

    def _leaves(self, chunk: Delta) -> bool:
        """Return whether a chunk leaves: reasoning that no vendor signs does not, nor what follows a whole call."""
        match chunk:
            case ThinkingDelta(index=index):
                if chunk.signed or chunk.signature or chunk.redacted is not None:
                    self._signed.add(index)
                return index in self._signed
            case ToolUseDelta(index=index, arguments=text):
                closed = index in self._calls and not (self._open and self._open.index == index)
                return bool(text) and not closed
            case TextDelta(text=text):
                return bool(text)
        return True

    def _released(self) -> bytes:
        """What waited for the open block, if that is whole now."""
        written = b""
        while self._waiting and (self._open is None or self._open.whole):
            index = next(iter(self._waiting))
            written += b"".join(self._now(chunk) for chunk in self._waiting.pop(index))
        return written

    def _now(self, chunk: Delta) -> bytes:  # noqa: PLR0911 - a table
        """Write a chunk, opening its block where it is not open."""
        match chunk:
            case TextDelta(index=index, text=text):
                return self._into(index, TEXT) + self._delta({"type": "text_delta", "text": text})
            case CitationDelta(index=index, citation=citation):
                return self._into(index, TEXT) + self._delta({"type": "citations_delta", "citation": dict(citation)})
            case ThinkingDelta(index=index, redacted=str(data)):
                return self._start(index, {"type": "redacted_thinking", "data": data})
            case ThinkingDelta(index=index, text=text, signature=signature):
                thought = self._delta({"type": "thinking_delta", "thinking": text}) if text else b""
                signed = self._delta({"type": "signature_delta", "signature": signature}) if signature else b""
                return self._into(index, THINKING) + thought + signed
            case ToolUseStart(index=index, id=identity, name=name):
                self._calls.add(index)
                return self._start(index, {"type": "tool_use", "id": identity, "name": name, "input": {}}, [])
            case ToolUseDelta(arguments=arguments):
                if self._open and self._open.arguments is not None:
                    self._open.arguments.append(arguments)
                return self._delta({"type": "input_json_delta", "partial_json": arguments})
            case NativeDelta(index=index, part=part):
                return self._start(index, part.block) if part.vendor == "anthropic" else b""

    def _into(self, index: int, block: Mapping[str, Any]) -> bytes:
        return b"" if self._open and self._open.index == index else self._start(index, block)

    def _start(self, index: int, block: Mapping[str, Any], arguments: list[str] | None = None) -> bytes:
        before = self._stop()
        self._open, self._count = _Open(index, arguments), self._count + 1
        started = {"type": "content_block_start", "index": self._count - 1, "content_block": block}
        return before + event(started, name="content_block_start")

    def _delta(self, delta: Json) -> bytes:
        data = {"type": "content_block_delta", "index": self._count - 1, "delta": delta}
        return event(data, name="content_block_delta")

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return event({"type": "content_block_stop", "index": self._count - 1}, name="content_block_stop")
