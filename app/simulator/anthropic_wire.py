"""Anthropic's messages as the simulator speaks it. Shapes: docs.anthropic.com/en/api/messages and messages-streaming."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from app.simulator import tokens
from app.simulator.caching import prefixes_of
from app.simulator.request import Answer, Ask, ToolOffer, Turn

NAME = "anthropic"
PATH = "/v1/messages"
REQUEST_ID = "request-id"
SHOWN = ("text", "image", "document", "search_result")
REFUSED = {"temperature", "top_p", "top_k"}
# Claude's rules by model, as its server states them.
BUDGETLESS = re.compile(r"claude-[a-z]+-(?:4-[7-9]|5)")
NEVER_OFF = re.compile(r"claude-(?:opus-5-5|sonnet-5-5|fable-5|mythos-5)")
NEVER_FORCED = re.compile(r"claude-(?:opus-5-5|sonnet-5-5|fable-5-[1-9]|mythos-5-[1-9])")
# Its obedience: a sentence of the instructions that wants a call.
WANTED = re.compile(r"Answer with a call of (?:one or more of your tools|the tool `(?P<name>[^`]+)`)")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
HEAD = 3  # events of a stream before its first token
SIGNATURE = "simulated-signature"
STOP = {"end": "end_turn", "stop_sequence": "stop_sequence", "max_tokens": "max_tokens", "tool_use": "tool_use"}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises KeyError, TypeError or ValueError for one that is not of the protocol."""
    refused = REFUSED & body.keys()
    if refused:
        raise ValueError(f"{min(refused)} is not supported by this API version")
    choice = body.get("tool_choice") or {}
    _refuse_for_model(str(body["model"]), choice, body.get("thinking") or {})
    form = (body.get("output_config") or {}).get("format") or {}
    late = [_text(m["content"]) for m in body["messages"] if m["role"] == "system"]
    return Ask(
        model=str(body["model"]),
        system="\n".join([_text(body.get("system")), *late]) if late else _text(body.get("system")),
        turns=tuple(_turn(m) for m in body["messages"] if m["role"] != "system"),
        tools=tuple(
            ToolOffer(t["name"], t.get("description", ""), t["input_schema"])
            for t in body.get("tools") or ()
            if "input_schema" in t
        ),
        must_call=choice["name"] if choice.get("type") == "tool" else "*" if choice.get("type") == "any" else _wanted(body),
        may_call=choice.get("type") != "none",
        schema=form["schema"] if form else None,
        max_tokens=int(body["max_tokens"]),
        stop=tuple(body.get("stop_sequences") or ()),
        stream=bool(body.get("stream")),
        prefixes=prefixes_of(body),
        think=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )


def _refuse_for_model(model: str, choice: Mapping[str, Any], thinking: Mapping[str, Any]) -> None:
    kind = thinking.get("type")
    if choice.get("type") in ("any", "tool") and NEVER_FORCED.search(model):
        raise ValueError(f"tool_choice.type: {choice['type']} is not supported for this model")
    if kind == "enabled" and BUDGETLESS.search(model):
        raise ValueError('"thinking.type.enabled" is not supported for this model')
    if (kind == "disabled" and NEVER_OFF.search(model)) or (kind == "between_tools" and "sonnet-5-5" not in model):
        raise ValueError(f'"thinking.type.{kind}" is not supported for this model')


def _wanted(body: Mapping[str, Any]) -> str | None:
    """The tool that the instructions want called: its name, or * for any."""
    found = WANTED.search(_text(body.get("system")))
    return (found["name"] or "*") if found else None


def whole(answer: Answer, ask: Ask, identity: str) -> dict[str, Any]:
    """A whole message."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking, "signature": SIGNATURE})
    if answer.text:
        content.append({"type": "text", "text": answer.text, "citations": None})
    uses = [{**_use(identity, number, call), "input": dict(call[1])} for number, call in enumerate(answer.calls)]
    ending = {"stop_reason": STOP[answer.stop], "stop_sequence": answer.stop_sequence, "usage": usage(answer)}
    return {**_envelope(ask, identity), "content": [*content, *uses], **ending}


def events(answer: Answer, ask: Ask, identity: str) -> Iterator[bytes]:
    """A streamed message, an event for each token."""
    begun = {**_envelope(ask, identity), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message={**begun, "usage": {**usage(answer), "output_tokens": 1}})
    yield _event("ping")
    number = 0
    if answer.thinking:
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        yield _event("content_block_start", index=number, content_block=thought)
        yield _event("content_block_delta", index=number, delta={"type": "thinking_delta", "thinking": answer.thinking})
        yield _event("content_block_delta", index=number, delta={"type": "signature_delta", "signature": SIGNATURE})
        yield _event("content_block_stop", index=number)
        number += 1
    if answer.text:
        yield _event("content_block_start", index=number, content_block={"type": "text", "text": ""})
        for piece in tokens.split(answer.text):
            yield _event("content_block_delta", index=number, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=number)
        number += 1
    for position, call in enumerate(answer.calls):
        yield _event("content_block_start", index=number, content_block={**_use(identity, position, call), "input": {}})
        for piece in tokens.split(json.dumps(dict(call[1]), ensure_ascii=False)):
            yield _event("content_block_delta", index=number, delta={"type": "input_json_delta", "partial_json": piece})
        yield _event("content_block_stop", index=number)
        number += 1
    delta = {"stop_reason": STOP[answer.stop], "stop_sequence": answer.stop_sequence}
    yield _event("message_delta", delta=delta, usage={"output_tokens": answer.output_tokens})
    yield _event("message_stop")


def usage(answer: Answer) -> dict[str, Any]:
    """Tokens as this vendor counts them: its input excludes what was read from the cache or written to it."""
    written = answer.written_tokens + answer.written_tokens_1h
    return {
        "input_tokens": answer.input_tokens - written - answer.cached_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": answer.written_tokens,
            "ephemeral_1h_input_tokens": answer.written_tokens_1h,
        },
        "output_tokens": answer.output_tokens,
        "service_tier": "standard",
    }


def error(status: int, message: str) -> dict[str, Any]:
    """An error in the envelope of this vendor."""
    return {"type": "error", "error": {"type": ERRORS.get(status, "api_error"), "message": message}, "request_id": None}


def key_of(headers: Mapping[str, str]) -> str:
    """The API key that came."""
    return headers.get("x-api-key", "") or headers.get("authorization", "").removeprefix("Bearer ").strip()


def _turn(message: Mapping[str, Any]) -> Turn:
    content = message["content"]
    if message["role"] not in ("user", "assistant", "system"):
        raise ValueError("role must be user, assistant or system")
    if isinstance(content, str):
        return Turn(message["role"], content)
    if any(b["type"] == "thinking" and b.get("signature") != SIGNATURE for b in content):
        raise ValueError("a thinking block whose signature is not ours")
    if any(later["type"] == "tool_result" and b["type"] != "tool_result" for b, later in pairwise(content)):
        raise ValueError("tool_result blocks come first")
    shown = (b["text"] if b["type"] == "text" else f"[{b['type']}]" for b in content if b["type"] in SHOWN)
    text = "\n".join(shown)
    calls = tuple((b["id"], b["name"], b["input"]) for b in content if b["type"] == "tool_use")
    results = tuple((b["tool_use_id"], _text(b.get("content"))) for b in content if b["type"] == "tool_result")
    return Turn(message["role"], text, calls, results)


def _text(content: Any) -> str:  # noqa: ANN401 - text or blocks
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(b.get("text", "[image]") for b in content)


def _use(identity: str, number: int, call: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{identity[:20]}{number}", "name": call[0]}


def _envelope(ask: Ask, identity: str) -> dict[str, Any]:
    return {"id": f"msg_{identity}", "type": "message", "role": "assistant", "model": ask.model}


def _event(name: str, **data: Any) -> bytes:  # noqa: ANN401 - any JSON
    return f"event: {name}\n".encode() + b"data: " + json.dumps({"type": name, **data}, ensure_ascii=False).encode() + b"\n\n"
