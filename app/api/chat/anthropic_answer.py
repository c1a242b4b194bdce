"""Our replies as Anthropic's messages, whole and as events. Shapes: docs.anthropic.com/en/api/messages-streaming."""

from collections.abc import Sequence
from typing import Any

from app.domain import json_text
from app.domain.calls import Delta, Receipt, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.errors import OctantError
from app.domain.messages import Part, StopReason, Text, Thinking, ToolUse
from app.edge import errors
from app.edge.answers import less, summary
from app.edge.sse import event

STOP: dict[StopReason, str] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "tool_use": "tool_use",
    "refusal": "refusal",
}


def message(reply: Reply, *, request_id: str, alias: str, degraded: Sequence[str] = ()) -> dict[str, Any]:
    """A whole message. ``degraded``: the codes of the header."""
    return {
        **_envelope(request_id, alias),
        "content": [_block(part) for part in reply.parts],
        "stop_reason": STOP[reply.stop],
        "stop_sequence": reply.stop_sequence,
        "usage": usage(reply.usage),
        **less(degraded),
    }


class EventWriter:
    """Writes one stream. Blocks are numbered from 0 as they come, whatever the provider's numbers were."""

    def __init__(self, *, request_id: str, alias: str) -> None:
        """Nothing is open yet."""
        self._request_id = request_id
        self._alias = alias
        self._open: int | None = None
        self._count = 0

    def begin(self, degraded: Sequence[str] = ()) -> bytes:
        """The message as it begins: empty. The usage is known at the end."""
        start = {
            **_envelope(self._request_id, self._alias),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(Usage()),
            **less(degraded),
        }
        return event({"type": "message_start", "message": start}, name="message_start")

    def write(self, chunk: Delta) -> bytes:
        """One of our chunks as theirs."""
        match chunk:
            case TextDelta(index=index, text=text):
                return self._delta(index, {"type": "text", "text": ""}, {"type": "text_delta", "text": text})
            case ThinkingDelta(index=index, redacted=str(data)):
                return self._start(index, {"type": "redacted_thinking", "data": data})
            case ThinkingDelta(index=index, signature=str(signature)):
                return self._delta(index, _THINKING, {"type": "signature_delta", "signature": signature})
            case ThinkingDelta(index=index, text=text):
                return self._delta(index, _THINKING, {"type": "thinking_delta", "thinking": text})
            case ToolUseStart(index=index, id=identity, name=name):
                return self._start(index, {"type": "tool_use", "id": identity, "name": name, "input": {}})
            case ToolUseDelta(index=index, arguments=arguments):
                return self._delta(index, {}, {"type": "input_json_delta", "partial_json": arguments})

    def error(self, error: OctantError) -> bytes:
        """A failure after the first token: an error event, and then no message_stop (R6)."""
        return event(errors.last_event(error, "anthropic", self._request_id), name="error")

    def _start(self, index: int, block: dict[str, Any]) -> bytes:
        before = self._stop()
        self._open, self._count = index, self._count + 1
        started = {"type": "content_block_start", "index": self._count - 1, "content_block": block}
        return before + event(started, name="content_block_start")

    def _delta(self, index: int, block: dict[str, Any], delta: dict[str, Any]) -> bytes:
        before = b"" if self._open == index else self._start(index, block)
        data = {"type": "content_block_delta", "index": self._count - 1, "delta": delta}
        return before + event(data, name="content_block_delta")

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return event({"type": "content_block_stop", "index": self._count - 1}, name="content_block_stop")

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """The last events; `message_delta` carries what the stream cost."""
        delta = {"stop_reason": STOP[reply.stop], "stop_sequence": reply.stop_sequence}
        ending = {"type": "message_delta", "delta": delta, "usage": usage(reply.usage), **summary(receipt)}
        return self._stop() + event(ending, name="message_delta") + event({"type": "message_stop"}, name="message_stop")


_THINKING: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}


def usage(used: Usage) -> dict[str, Any]:
    """Their input excludes cached tokens, as ours does."""
    return {
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cached_input,
        "output_tokens": used.output,
    }


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text, "citations": None}
        case ToolUse(id=identity, name=name, arguments=arguments):
            return {"type": "tool_use", "id": identity, "name": name, "input": _input(arguments)}
        case Thinking(redacted=str(data)):
            return {"type": "redacted_thinking", "data": data}
        case Thinking(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
    raise TypeError(type(part).__name__)


def _input(arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """The arguments as the object that the wire wants; invalid JSON goes as text, under a name of its own."""
    try:
        return json_text.read(arguments or "{}")
    except ValueError:
        return {"invalid_arguments": arguments}


def _envelope(request_id: str, alias: str) -> dict[str, Any]:
    return {"id": "msg_" + request_id.removeprefix("req_"), "type": "message", "role": "assistant", "model": alias}
