"""Our replies as OpenAI's chat completions, whole and as chunks. Shapes: platform.openai.com/docs/api-reference/chat.

``model`` is the alias of the request, as clients compare it with their request; which model answered is in the headers. A
request with ``functions`` gets its call as ``function_call``, the form from before tools.
"""

import json
import time
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from app.domain.calls import CitationDelta, Delta, Receipt, Reply, TextDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.errors import OctantError
from app.domain.messages import Refusal, StopReason, ToolUse, paragraphs
from app.domain.signatures import as_extra_content
from app.edge import errors
from app.edge.answers import less, summary
from app.edge.sse import event

FINISH: dict[StopReason, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "context_window": "length",
    "pause_turn": "stop",
}
TIER = "default"  # the only one that is used
_NO_TEXT = "\0"  # no text holds it: stands for the place of one


def completion(
    reply: Reply, *, request_id: str, alias: str, release: str, legacy: bool = False, degraded: Sequence[str] = ()
) -> dict[str, Any]:
    """A whole chat completion. ``degraded``: the codes of the header; ``legacy``: the request has ``functions``."""
    calls = [_call(use) for use in reply.tool_uses]
    refusal = _refusal(reply)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": paragraphs(reply.parts) or (None if calls or refusal else ""),
        "refusal": refusal,
        "annotations": [],
    }
    if calls and legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": _logprobs(reply), "finish_reason": _finish(reply, legacy=legacy)}
    return {
        **_envelope("chat.completion", request_id, alias, release),
        "choices": [choice],
        "usage": usage(reply.usage),
        **less(degraded),
    }


class ChunkWriter:
    """Writes one stream. The usage chunk comes only on request, as at the vendor."""

    def __init__(self, *, request_id: str, alias: str, release: str, include_usage: bool, legacy: bool = False) -> None:
        """The envelope is the same in every chunk. ``legacy``: the request has ``functions``."""
        self._envelope = _envelope("chat.completion.chunk", request_id, alias, release)
        self._request_id = request_id
        self._include_usage = include_usage
        self._legacy = legacy
        self._tools: dict[int, int] = {}  # by the part's index; the client counts calls alone, from zero
        self._text_at, self._apart = -1, False  # the part of the latest text, and whether something came after it
        before, _, after = self._chunk({"content": _NO_TEXT}).rpartition(json.dumps(_NO_TEXT).encode())
        self._around_text = before, after  # nearly every chunk is text: all else of it is written once

    def begin(self, degraded: Sequence[str] = ()) -> bytes:
        """The first chunk: the role and the degradations."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, **less(degraded))

    def write(self, chunk: Delta) -> bytes:
        """One of our chunks as theirs; empty where theirs has no such thing (reasoning is not shown)."""
        match chunk:
            case TextDelta(index=index, text=text):
                if index != self._text_at and text:
                    text = self._next_text(index, text)
                before, after = self._around_text
                return before + encode_basestring(text).encode() + after
            case ToolUseStart(index=index, id=identity, name=name, signature=signature):
                about = {"id": identity, "type": "function", **as_extra_content(signature)}
                return self._call(index, {"name": name, "arguments": ""}, about)
            case ToolUseDelta(index=index, arguments=arguments):
                return self._call(index, {"arguments": arguments}, {})
            case CitationDelta():
                return b""  # of a text that goes on behind it
        self._apart = True
        return b""

    def _next_text(self, index: int, text: str) -> str:
        """The begin of another text: a paragraph of its own behind a call or a thought, as in a whole answer (`paragraphs`)."""
        apart = self._apart and self._text_at >= 0
        self._text_at, self._apart = index, False
        return "\n\n" + text if apart else text

    def _call(self, index: int, function: dict[str, Any], more: dict[str, Any]) -> bytes:
        """A piece of a tool call. The old form has place for one call."""
        number = self._tools.setdefault(index, len(self._tools))
        self._apart = True
        if not self._legacy:
            return self._chunk({"tool_calls": [{"index": number, **more, "function": function}]})
        return self._chunk({"function_call": function}) if number == 0 else b""

    def error(self, error: OctantError) -> bytes:
        """A failure after the first token: an event, and then no [DONE] (R6)."""
        return event(errors.last_event(error, "openai", self._request_id))

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """The last chunks: the refusal and the log probabilities, once the guard has seen the whole; last of all the cost."""
        refusal, logprobs = _refusal(reply), _logprobs(reply)
        before = self._chunk({"refusal": refusal}) if refusal else b""
        before += self._chunk({}, logprobs=logprobs) if logprobs else b""
        finish = _finish(reply, legacy=self._legacy)
        if not self._include_usage:
            return before + self._chunk({}, finish, **summary(receipt)) + event("[DONE]")
        last = {**self._envelope, "choices": [], "usage": usage(reply.usage), **summary(receipt)}
        return before + self._chunk({}, finish) + event(last) + event("[DONE]")

    def _chunk(
        self,
        delta: dict[str, Any],
        finish: str | None = None,
        logprobs: Mapping[str, Any] | None = None,
        **more: Any,  # noqa: ANN401 - any JSON
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return event({**self._envelope, "choices": [choice], **({"usage": None} if self._include_usage else {}), **more})


def usage(used: Usage) -> dict[str, Any]:
    """Theirs counts cached tokens as part of the prompt."""
    prompt = used.input + used.cached_input + used.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": used.output,
        "total_tokens": prompt + used.output,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_input,
            "cache_write_tokens": used.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call(use: ToolUse) -> dict[str, Any]:
    function = {"name": use.name, "arguments": use.arguments}
    return {"id": use.id, "type": "function", "function": function, **as_extra_content(use.signature)}


def _refusal(reply: Reply) -> str | None:
    return "".join(part.text for part in reply.parts if isinstance(part, Refusal)) or None


def _finish(reply: Reply, *, legacy: bool) -> str:
    """The model's own refusal ends with ``stop``, as at the vendor; ``content_filter`` is a filter's."""
    if reply.stop == "refusal" and _refusal(reply):
        return "stop"
    return "function_call" if legacy and reply.stop == "tool_use" else FINISH[reply.stop]


def _logprobs(reply: Reply) -> dict[str, Any] | None:
    """The log probabilities, where they are of the text that the caller gets: the guard may have changed it."""
    found = reply.logprobs or {}
    if not found or _spelled(found.get("content")) != reply.text or _spelled(found.get("refusal")) != (_refusal(reply) or ""):
        return None
    return {"content": found.get("content"), "refusal": found.get("refusal")}


def _spelled(tokens: Sequence[Mapping[str, Any]] | None) -> str:
    """The text of tokens. Some are parts of a character, and only their bytes add up."""
    spelled = b""
    for token in tokens or ():
        raw = token.get("bytes")
        usable = isinstance(raw, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw)
        spelled += bytes(raw) if raw and usable else str(token.get("token", "")).encode(errors="replace")
    return spelled.decode(errors="replace")


def _envelope(kind: str, request_id: str, alias: str, release: str) -> dict[str, Any]:
    identity = "chatcmpl-" + request_id.removeprefix("req_")
    about = {"model": alias, "system_fingerprint": release, "service_tier": TIER}
    return {"id": identity, "object": kind, "created": int(time.time()), **about}
