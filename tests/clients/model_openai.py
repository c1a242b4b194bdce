"""The scripted model in OpenAI's form: chat completions and embeddings."""

import base64
import json
import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from clients.script import Body, Conversation, half, pieces, thumb, tokens

DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}


def read(body: Body) -> Conversation:
    """The conversation of a request."""
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    saw: list[str] = []
    for message in body["messages"]:
        text = _text(message.get("content"), saw)
        role = message["role"]
        if role in {"system", "developer"}:
            system.append(text)
        else:
            turns.append((role, text))
    choice = body.get("tool_choice")
    names = [t["function"]["name"] for t in body.get("tools") or ()]
    must = "*" if choice == "required" else choice["function"]["name"] if isinstance(choice, dict) else None
    return Conversation("\n".join(system), turns, saw, names, must)


def _text(content: Any, saw: list[str]) -> str:  # noqa: ANN401 - any JSON
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
        elif part["type"] == "image_url":
            saw.append(f"image {thumb(part['image_url']['url'].partition(',')[2])}")
        elif part["type"] == "file":
            saw.append(f"document {thumb(part['file'].get('file_data', '').partition(',')[2])}")
    return "\n".join(texts)


def whole(step: dict[str, Any], body: Body, identity: str) -> dict[str, Any]:
    """A whole answer, with as many choices as the request wants."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if "say" in step:
        message["content"] = half(step["say"], step)
    if "call" in step:
        message["tool_calls"] = [
            {"id": f"call_{identity}_{n}", "type": "function", "function": {"name": name, "arguments": _arguments(value, step)}}
            for n, (name, value) in enumerate(step["call"])
        ]
    choices = [
        {"index": n, "message": message, "finish_reason": _finish(step), "logprobs": _logprobs(step, body)}
        for n in range(body.get("n") or 1)
    ]
    return {**_envelope(body, identity, "chat.completion"), "choices": choices, "usage": _usage(step, body)}


def events(step: dict[str, Any], body: Body, identity: str) -> Iterator[bytes]:
    """A stream: the role, the pieces, the reason of the end, and usage where the request wants it."""
    options = body.get("stream_options") or {}
    extra = {"usage": None} if options.get("include_usage") else {}
    envelope = {**_envelope(body, identity, "chat.completion.chunk"), **extra}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _data({**envelope, "choices": [choice]})

    yield chunk({"role": "assistant", "content": "" if "say" in step else None, "refusal": None})
    for piece in pieces(half(step.get("say", ""), step)):
        yield chunk({"content": piece})
    for n, (name, value) in enumerate(step.get("call", ())):
        function = {"name": name, "arguments": ""}
        yield chunk({"tool_calls": [{"index": n, "id": f"call_{identity}_{n}", "type": "function", "function": function}]})
        for piece in pieces(_arguments(value, step)):
            yield chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
    yield chunk({}, _finish(step))
    if extra:
        yield _data({**envelope, "choices": [], "usage": _usage(step, body)})
    yield b"data: [DONE]\n\n"


def embeddings(body: Body) -> dict[str, Any]:
    """Vectors of as many numbers as the model or the request says: equal for equal texts."""
    given = body["input"]
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    data = []
    for n, text in enumerate(inputs):
        digest = sha256(json.dumps(text).encode()).digest()
        vector = [digest[i % 32] / 255 for i in range(body.get("dimensions") or DIMENSIONS.get(body["model"], 8))]
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        given_as = packed if body.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": n, "embedding": given_as})
    used = {"prompt_tokens": tokens(given), "total_tokens": tokens(given)}
    return {"object": "list", "model": body["model"], "data": data, "usage": used}


def error(status: int, code: str, message: str) -> dict[str, Any]:
    """An error in the vendor's envelope."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _arguments(value: object, step: dict[str, Any]) -> str:
    return half(value if isinstance(value, str) else json.dumps(value), step)


def _finish(step: dict[str, Any]) -> str:
    return "length" if step.get("cut") else "tool_calls" if "call" in step else "stop"


def _logprobs(step: dict[str, Any], body: Body) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None
    tops = [{"token": "x", "logprob": -1.5, "bytes": [120]}] * (body.get("top_logprobs") or 0)
    tokens_ = [{"token": p, "logprob": -0.5, "bytes": None, "top_logprobs": tops} for p in pieces(step.get("say", ""))]
    return {"content": tokens_, "refusal": None}


def _usage(step: dict[str, Any], body: Body) -> dict[str, Any]:
    put, got = tokens(body["messages"]), tokens(step.get("say", "")) + tokens(step.get("call", ""))
    thought = tokens(step["think"]) if "think" in step else 0
    details = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": thought}}
    return {"prompt_tokens": put, "completion_tokens": got + thought, "total_tokens": put + got + thought, **details}


def _envelope(body: Body, identity: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{identity}", "object": kind, "created": 1_700_000_000, "model": body["model"]}


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
