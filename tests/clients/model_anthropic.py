"""The scripted model in Anthropic's form: messages, with thinking that is signed and a prompt cache that counts."""

import json
import re
from collections.abc import Iterator
from typing import Any

from clients.script import Body, Conversation, half, pieces, thumb, tokens

# The model does as its instructions say: this is how a call is required of a model that cannot be forced.
_WANTED = re.compile(r"Answer with a call of (?:one or more of your tools|the tool `([^`]+)`)")
_CACHED: set[str] = set()


def read(body: Body) -> Conversation:
    """The conversation of a request."""
    saw: list[str] = []
    system, turns = [_text(body.get("system"), saw)], []
    for message in body["messages"]:
        if message["role"] == "system":
            system.append(_text(message["content"], saw))
            continue
        blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]
        turns += [("tool", _text(b.get("content"), saw)) for b in blocks if b["type"] == "tool_result"]
        text = _text([b for b in blocks if b["type"] != "tool_result"], saw)
        if text or all(b["type"] != "tool_result" for b in blocks):
            turns.append((message["role"], text))
    choice = body.get("tool_choice") or {}
    names = [t["name"] for t in body.get("tools") or ()]
    must = next((found[1] or "*" for text in system if (found := _WANTED.search(text))), None)
    must = must or ("*" if choice.get("type") == "any" else choice.get("name") if choice.get("type") == "tool" else None)
    return Conversation("\n".join(filter(None, system)), turns, saw, names, must)


def _text(content: Any, saw: list[str]) -> str:  # noqa: ANN401 - any JSON
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for block in content:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] in {"image", "document"}:
            source = block["source"]
            saw.append(f"{block['type']} {thumb(source.get('data') or source.get('url') or '')}")
    return "\n".join(texts)


def whole(step: dict[str, Any], body: Body, identity: str) -> dict[str, Any]:
    """A whole message."""
    ending = {"stop_reason": _stop(step), "stop_sequence": None, "usage": _usage(step, body)}
    return {**_envelope(body, identity), "content": _blocks(step, body, identity), **ending}


def events(step: dict[str, Any], body: Body, identity: str) -> Iterator[bytes]:
    """A streamed message."""
    usage = _usage(step, body)
    begun = {**_envelope(body, identity), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message={**begun, "usage": {**usage, "output_tokens": 1}})
    yield _event("ping")
    for index, block in enumerate(_blocks(step, body, identity)):
        yield from _streamed(index, block, step)
    ending = {"stop_reason": _stop(step), "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]})
    yield _event("message_stop")


def _streamed(index: int, block: dict[str, Any], step: dict[str, Any]) -> Iterator[bytes]:
    def delta(**fields: object) -> bytes:
        return _event("content_block_delta", index=index, delta=fields)

    begun = {
        "thinking": {"type": "thinking", "thinking": "", "signature": ""},
        "text": {"type": "text", "text": ""},
        "tool_use": {**block, "input": {}},
    }[block["type"]]
    yield _event("content_block_start", index=index, content_block=begun)
    if block["type"] == "thinking":
        for piece in pieces(block["thinking"]):
            yield delta(type="thinking_delta", thinking=piece)
        yield delta(type="signature_delta", signature=block["signature"])
    elif block["type"] == "text":
        for piece in pieces(block["text"]):
            yield delta(type="text_delta", text=piece)
    else:
        for piece in pieces(half(json.dumps(block["input"]), step)):
            yield delta(type="input_json_delta", partial_json=piece)
    yield _event("content_block_stop", index=index)


def _blocks(step: dict[str, Any], body: Body, identity: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if "think" in step and (body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}:
        blocks.append({"type": "thinking", "thinking": step["think"], "signature": signature(step["think"])})
    if "say" in step:
        blocks.append({"type": "text", "text": half(step["say"], step)})
    for n, (name, value) in enumerate(step.get("call", ())):
        blocks.append({"type": "tool_use", "id": f"toolu_{identity}_{n}", "name": name, "input": value})
    return blocks


def signature(thinking: str) -> str:
    """The signature of a thought, by which the model knows its own."""
    return f"signed-{thumb(thinking)}"


def error(status: int, code: str, message: str) -> dict[str, Any]:
    """An error in the vendor's envelope."""
    kinds = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": f"{code}: {message}"}}


def _stop(step: dict[str, Any]) -> str:
    return "max_tokens" if step.get("cut") else "tool_use" if "call" in step else "end_turn"


def _usage(step: dict[str, Any], body: Body) -> dict[str, Any]:
    """Usage with the prompt cache: every mark stores what stands before it, and the longest stored beginning is read."""
    read, written, long = 0, 0, False
    before = ""
    for block in _in_order(body):
        mark = block.pop("cache_control", None)
        before += json.dumps(block, sort_keys=True)
        if mark is None:
            continue
        size = tokens(before)
        if before in _CACHED:
            read, written = size, 0
        else:
            written, long = size - read, mark.get("ttl") == "1h"
            _CACHED.add(before)
    times = {"ephemeral_5m_input_tokens": 0 if long else written, "ephemeral_1h_input_tokens": written if long else 0}
    got = tokens(step.get("say", "")) + tokens(step.get("call", "")) + tokens(step.get("think", ""))
    return {
        "input_tokens": max(1, tokens(before) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": times,
        "output_tokens": got,
        "service_tier": "standard",
    }


def _in_order(body: Body) -> list[dict[str, Any]]:
    """Everything that can be cached, in the order of the cache: tools, system, messages."""
    blocks = [dict(tool) for tool in body.get("tools") or ()]
    parts = [body.get("system") or [], *(message["content"] for message in body["messages"])]
    for content in parts:
        blocks += [{"text": content}] if isinstance(content, str) else [dict(block) for block in content]
    if blocks and body.get("cache_control"):
        blocks[-1].setdefault("cache_control", body["cache_control"])
    return blocks


def _envelope(body: Body, identity: str) -> dict[str, Any]:
    return {"id": f"msg_{identity}", "type": "message", "role": "assistant", "model": body["model"]}


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
