"""Our replies as OpenAI's chat completions, whole and as chunks. Shapes: platform.openai.com/docs/api-reference/chat.

``model`` is the alias of the request, as clients compare it with their request; which model answered is in the headers.
"""

import time
from collections.abc import Sequence
from typing import Any

from app.domain.calls import Delta, Receipt, Reply, TextDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.errors import OctantError
from app.domain.messages import StopReason
from app.edge import errors
from app.edge.answers import less, summary
from app.edge.sse import event

FINISH: dict[StopReason, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def completion(reply: Reply, *, request_id: str, alias: str, release: str, degraded: Sequence[str] = ()) -> dict[str, Any]:
    """A whole chat completion. ``degraded``: the codes of the header."""
    calls = [{"id": u.id, "type": "function", "function": {"name": u.name, "arguments": u.arguments}} for u in reply.tool_uses]
    message = {
        "role": "assistant",
        "content": reply.text or None,
        "refusal": None,
        "annotations": [],
        **({"tool_calls": calls} if calls else {}),
    }
    return {
        **_envelope("chat.completion", request_id, alias, release),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[reply.stop]}],
        "usage": usage(reply.usage),
        **less(degraded),
    }


class ChunkWriter:
    """Writes one stream. The usage chunk comes only on request, as at the vendor."""

    def __init__(self, *, request_id: str, alias: str, release: str, include_usage: bool) -> None:
        """The envelope is the same in every chunk."""
        self._envelope = _envelope("chat.completion.chunk", request_id, alias, release)
        self._request_id = request_id
        self._include_usage = include_usage
        self._tools: dict[int, int] = {}

    def begin(self, degraded: Sequence[str] = ()) -> bytes:
        """The first chunk: the role and the degradations."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, **less(degraded))

    def write(self, chunk: Delta) -> bytes:
        """One of our chunks as theirs; empty where theirs has no such thing (reasoning is not shown)."""
        match chunk:
            case TextDelta(text=text):
                return self._chunk({"content": text})
            case ToolUseStart(index=index, id=identity, name=name):
                number = self._tools.setdefault(index, len(self._tools))
                function = {"name": name, "arguments": ""}
                return self._chunk({"tool_calls": [{"index": number, "id": identity, "type": "function", "function": function}]})
            case ToolUseDelta(index=index, arguments=arguments):
                return self._chunk({"tool_calls": [{"index": self._tools[index], "function": {"arguments": arguments}}]})
        return b""

    def error(self, error: OctantError) -> bytes:
        """A failure after the first token: an event, and then no [DONE] (R6)."""
        return event(errors.last_event(error, "openai", self._request_id))

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """The last chunks; the very last carries what the stream cost."""
        if not self._include_usage:
            return self._chunk({}, FINISH[reply.stop], **summary(receipt)) + event("[DONE]")
        last = {**self._envelope, "choices": [], "usage": usage(reply.usage), **summary(receipt)}
        return self._chunk({}, FINISH[reply.stop]) + event(last) + event("[DONE]")

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:  # noqa: ANN401 - any JSON
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**self._envelope, "choices": [choice], **({"usage": None} if self._include_usage else {}), **more})


def usage(used: Usage) -> dict[str, Any]:
    """Theirs counts cached tokens as part of the prompt."""
    prompt = used.input + used.cached_input + used.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": used.output,
        "total_tokens": prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached_input, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _envelope(kind: str, request_id: str, alias: str, release: str) -> dict[str, Any]:
    identity = "chatcmpl-" + request_id.removeprefix("req_")
    return {"id": identity, "object": kind, "created": int(time.time()), "model": alias, "system_fingerprint": release}
