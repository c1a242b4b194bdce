"""OpenAI's chat completions as the simulator speaks it. Shapes: platform.openai.com/docs/api-reference/chat."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from app.simulator import embeddings, tokens
from app.simulator.request import Answer, Ask, ToolOffer, Turn

NAME = "openai"
PATH = "/v1/chat/completions"
EMBEDDINGS = embeddings  # this wire has them
REQUEST_ID = "x-request-id"
PING = b": keep-alive\n\n"
HEAD = 1  # events of a stream before its first token
FINISH = {"end": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
ERRORS = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 429: "rate_limit_error"}


def read(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises KeyError, TypeError or ValueError for one that is not of the protocol."""
    turns, system = [], []
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            system.append(_text(message["content"]))
        else:
            turns.append(_turn(message))
    form = body.get("response_format") or {}
    choice = body.get("tool_choice")
    return Ask(
        model=str(body["model"]),
        system="\n".join(system),
        turns=tuple(turns),
        tools=tuple(_tool(t["function"]) for t in body.get("tools") or () if "function" in t),
        must_call=choice["function"]["name"]
        if isinstance(choice, dict) and "function" in choice
        else "*"
        if choice == "required"
        else None,
        may_call=choice != "none",
        schema=_schema(form),
        json_object=form.get("type") == "json_object",
        max_tokens=int(body.get("max_completion_tokens") or body.get("max_tokens") or 4096),
        stop=_stop(body.get("stop")),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def whole(answer: Answer, ask: Ask, identity: str) -> dict[str, Any]:
    """A whole completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(identity, number, call) for number, call in enumerate(answer.calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[answer.stop]}
    return {**_envelope("chat.completion", ask, identity), "choices": [choice], "usage": usage(answer)}


def events(answer: Answer, ask: Ask, identity: str) -> Iterator[bytes]:
    """A streamed completion, an event for each token."""
    envelope = _envelope("chat.completion.chunk", ask, identity)

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**envelope, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in tokens.split(answer.text):
        yield chunk({"content": piece})
    for number, call in enumerate(answer.calls):
        whole_call = _call(identity, number, call)
        arguments = whole_call["function"]["arguments"]
        begun = {**whole_call, "function": {"name": call[0], "arguments": ""}}
        yield chunk({"tool_calls": [{"index": number, **begun}]})
        for piece in tokens.split(arguments):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
    yield chunk({}, FINISH[answer.stop])
    if ask.include_usage:
        yield _event({**envelope, "choices": [], "usage": usage(answer)})
    yield b"data: [DONE]\n\n"


def usage(answer: Answer) -> dict[str, Any]:
    """Tokens as this vendor counts them."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def error(status: int, message: str) -> dict[str, Any]:
    """An error in the envelope of this vendor."""
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}.get(status)
    return {"error": {"message": message, "type": ERRORS.get(status, "server_error"), "param": None, "code": code}}


def key_of(headers: Mapping[str, str]) -> str:
    """The API key that came."""
    return headers.get("authorization", "").removeprefix("Bearer ").strip()


def _turn(message: Mapping[str, Any]) -> Turn:
    role = message["role"]
    if role == "tool":
        return Turn("tool", "", results=((message["tool_call_id"], _text(message["content"])),))
    if role not in ("user", "assistant"):
        raise ValueError(f"unknown role {role!r}")
    calls = tuple(
        (c["id"], c["function"]["name"], _arguments(c["function"]["arguments"])) for c in message.get("tool_calls") or ()
    )
    return Turn(role, _text(message.get("content")), calls=calls)


def _arguments(text: str) -> Mapping[str, Any]:
    """A call's arguments; none where the model wrote no object: its own slip comes back to it, and is no error of the request."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(content: Any) -> str:  # noqa: ANN401 - text or parts
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(p.get("text", "[image]") for p in content)


def _tool(function: Mapping[str, Any]) -> ToolOffer:
    return ToolOffer(function["name"], function.get("description", ""), function.get("parameters") or {})


def _schema(form: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if form.get("type") != "json_schema":
        return None
    schema: Mapping[str, Any] = form["json_schema"].get("schema") or {}
    return schema


def _stop(stop: Any) -> tuple[str, ...]:  # noqa: ANN401 - text or list
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _call(identity: str, number: int, call: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    function = {"name": call[0], "arguments": json.dumps(dict(call[1]), ensure_ascii=False)}
    return {"id": f"call_{identity[:20]}{number}", "type": "function", "function": function}


def _envelope(kind: str, ask: Ask, identity: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{identity}", "object": kind, "created": int(time.time()), "model": ask.model}


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
