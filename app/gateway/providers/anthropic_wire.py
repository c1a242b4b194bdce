"""Translate requests to Anthropic's messages (API version 2026-10-21). Pure: no I/O, no SDK. Replies: `anthropic_reading`.

`LACKS` lists features that Anthropic lacks: seed, penalties, and since version 2026-10-21 temperature, top_p and top_k, which
are refused with a 400 whatever their value. A caller's call that asks for them is not sent here; a route's is, without them. An
arbitrary JSON object as output is requested in the system prompt.
"""

import base64
import binascii
import copy
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.domain import json_text
from app.domain.messages import (
    CacheTtl,
    Document,
    Image,
    Message,
    Native,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Vendor,
)
from app.gateway.providers import anthropic_models, dialect
from app.gateway.providers.anthropic_marks import within_limits
from app.gateway.providers.base import ModelRequest, foreign
from app.gateway.providers.reported import MOST

VENDOR: Vendor = "anthropic"
EFFORTS = {"none": "low", "minimal": "low"}  # OpenAI's lowest two have no like here
ANY_OBJECT = "Answer with exactly one JSON object and nothing else: no prose, no code fence."

# Of what a caller may ask for.
LACKS = frozenset({"embeddings", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"})
# Of a request's fields, those that its count does not take.
NOT_COUNTED = frozenset({"max_tokens", "stream", "stop_sequences", "service_tier"})
UNLIMITED = 1 << 20  # output tokens: more than any model gives

Json = dict[str, Any]


def lacks(request: ModelRequest) -> frozenset[str]:
    """The parts of a request that Anthropic's messages cannot express."""
    parts = [part for message in request.messages for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.content]
    unread = {"document"} if any(isinstance(part, Document) and _source(part) is None for part in parts) else set()
    found = (request.requested & LACKS) | foreign(request, VENDOR) | unread
    said = found or any(block for message in request.messages for part in message.parts for block in _blocks(part))
    return found if said else frozenset({"messages"})


def body(request: ModelRequest, *, stream: bool) -> Json:
    """The JSON body of one attempt."""
    request = dialect.fit(request, dialect.ANTHROPIC)
    longest = request.sampling.max_output_tokens or 1
    native = dict(request.native.get(VENDOR, {}))
    system, turns = _turns(request)
    choice, sentence = anthropic_models.choice(request.model, request.tool_choice)
    if sentence and request.tools:
        system.append({"type": "text", "text": sentence})
    thinking, effort = anthropic_models.thinking(request.model, request.sampling.extra, longest)
    native = anthropic_models.managed(request.model, native, thinking)
    optional: Json = {
        "system": system or None,
        "stop_sequences": list(request.sampling.stop) or None,
        "thinking": anthropic_models.unbound(request.model, thinking, turns),
        "output_config": {**_output_config(request, effort), **native.pop("output_config", {})} or None,
        "stream": stream or None,
        **_tools(request.tools, choice),
        **native,
    }
    made = {
        "model": request.model,
        "max_tokens": longest,
        "messages": turns,
        **{k: v for k, v in optional.items() if v is not None},
    }
    within_limits(made)
    return made


def counting(request: ModelRequest) -> Json:
    """The JSON body of a count: nothing is generated, so no limit of the output counts."""
    made = {k: v for k, v in body(request, stream=False).items() if k not in NOT_COUNTED}
    thinking, _ = anthropic_models.thinking(request.model, request.sampling.extra, UNLIMITED)
    thinking = anthropic_models.unbound(request.model, thinking, made["messages"])
    return {**made, "thinking": thinking} if thinking else made


class _Counted(BaseModel):
    input_tokens: Annotated[int, Field(gt=0, le=MOST)]  # servers without a count send zero


def counted(content: bytes) -> int:
    """Read the answer to a count. Raises ValueError where it is none."""
    return _Counted.model_validate_json(content).input_tokens


def _turns(request: ModelRequest) -> tuple[list[Json], list[Json]]:
    """The system prompt, and the turns.

    Instructions before the first turn belong to the system prompt, and so do later ones where the model takes them nowhere else.
    Those of a conversation without any turn, or after the model's last, are what the model has to answer, so they are the user's
    turn: Claude answers nothing else.
    """
    messages = request.messages
    first = next((at for at, message in enumerate(messages) if message.role != "system"), 0)
    system = [block for part in request.system for block in _blocks(part)]
    system += [block for message in messages[:first] for block in _content(message)]
    turns = [{"role": message.role, "content": _content(message)} for message in messages[first:]]
    if all(message.role == "system" for message in messages):
        turns = [{**turn, "role": "user"} for turn in turns]
    late, turns = anthropic_models.instructed(request.model, _merged(turns))
    system += late
    if request.output and not request.output.schema:
        system.append({"type": "text", "text": ANY_OBJECT})
    return system, anthropic_models.continued(request.model, _without_last_blanks(turns))


def _content(message: Message) -> list[Json]:
    return [block for part in message.parts for block in _blocks(part)]


def _merged(turns: Sequence[Json]) -> list[Json]:
    """Join neighbouring turns of one role, as the vendor does, and leave out empty ones.

    The results of tools follow their calls directly, before anything else that the user or the instructions say. Instructions
    follow a turn of the user, and the model's turn follows them: the vendor refuses them in any other place.
    """
    merged: list[Json] = []
    for turn in turns:
        if turn["content"]:
            late = [merged.pop()] if _early(merged, turn["role"]) else []
            _add(merged, turn)
            merged += late
    if merged and merged[-1]["role"] == "system" and [turn["role"] for turn in merged[-2:-1]] != ["user"]:
        merged[-1]["role"] = "user"
    for turn in merged:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return merged


def _early(before: Sequence[Json], role: str) -> bool:
    """Return whether the last turn is of instructions that have to wait until after a turn of ``role``."""
    if not before or before[-1]["role"] != "system" or role == "system":
        return False
    return role == "user" or len(before) < 2 or before[-2]["role"] == "assistant"


def _add(merged: list[Json], turn: Json) -> None:
    if merged and merged[-1]["role"] == turn["role"]:
        merged[-1] = {"role": turn["role"], "content": [*merged[-1]["content"], *turn["content"]]}
    else:
        merged.append(turn)


def _without_last_blanks(turns: list[Json]) -> list[Json]:
    """Cut blanks from the end of a begun answer, which the vendor refuses there."""
    if turns and turns[-1]["role"] == "assistant" and (last := turns[-1]["content"][-1])["type"] == "text":
        last["text"] = last["text"].rstrip()
    return turns


def _output_config(request: ModelRequest, effort: str | None) -> Json:
    config: Json = {}
    if effort:
        config["effort"] = EFFORTS.get(effort, effort)
    if request.output and request.output.schema:
        config["format"] = {"type": "json_schema", "schema": dict(request.output.schema)}
    return config


def _blocks(part: Part) -> Iterator[Json]:  # noqa: C901 - a table
    """One block, or none for what Anthropic would refuse: blank text, reasoning that it did not sign."""
    match part:
        case Text(text=text) | Refusal(text=text):
            if text.strip():
                yield _text(part)
        case Image():
            yield _image(part)
        case Document():
            if source := _source(part):
                title = {"title": part.name} if part.name else {}
                yield {"type": "document", "source": source, **title, **part.options, **_cache(part.cache)}
        case Native(vendor="anthropic", block=block):
            yield copy.deepcopy(dict(block))  # its marks may be taken out
        case ToolUse(id=id_, name=name):
            yield {"type": "tool_use", "id": id_, "name": name, "input": as_object(dialect.arguments(part)), **_cache(part.cache)}
        case ToolResult(tool_use_id=id_, content=content):
            inner = [block for p in content for block in _blocks(p)]
            failed = {"is_error": True} if part.is_error else {}
            yield {"type": "tool_result", "tool_use_id": id_, "content": inner, **failed, **_cache(part.cache)}
        case Thinking(redacted=str(sealed)) if sealed:
            yield {"type": "redacted_thinking", "data": sealed}
        case Thinking(text=text, signature=str(signature)) if signature:
            yield {"type": "thinking", "thinking": text, "signature": signature}


def as_object(arguments: str) -> Json:
    """Tool arguments as an object, for Anthropic; invalid JSON as text under a name of its own."""
    try:
        value = json_text.read(arguments)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _text(part: Text | Refusal) -> Json:
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text}
    cited = {"citations": [dict(citation) for citation in part.citations]} if part.citations else {}
    return {"type": "text", "text": part.text, **cited, **_cache(part.cache)}


def _cache(ttl: CacheTtl | None) -> Json:
    """A cache mark; five minutes are the vendor's default."""
    if ttl is None:
        return {}
    return {"cache_control": {"type": "ephemeral", **({} if ttl == "5m" else {"ttl": ttl})}}


def _image(part: Image) -> Json:
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}, **_cache(part.cache)}
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source, **_cache(part.cache)}


def _source(part: Document) -> Json | None:
    """A document's source; None for a kind of file that Claude does not read."""
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.url:
        return {"type": "url", "url": part.url}
    media_type = (part.media_type or "").partition(";")[0].strip().lower()
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": part.data}
    if not media_type.startswith("text/"):
        return None
    try:
        text = base64.b64decode(part.data or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _tools(tools: tuple[ToolSpec, ...], choice: ToolChoice) -> Json:
    if not tools:
        return {}
    wire: Json = {"type": choice.mode}
    if choice.name:
        wire["name"] = choice.name
    if not choice.parallel and choice.mode != "none":
        wire["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": wire if wire != {"type": "auto"} else None}


def _tool(tool: ToolSpec) -> Json:
    """One tool; with a ``type`` of the vendor's, its schema is known there."""
    wire: Json = {"name": tool.name, **tool.options, **_cache(tool.cache)}
    if tool.options.get("type"):
        return wire
    wire["input_schema"] = dict(tool.schema) or {"type": "object", "properties": {}}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict:
        wire["strict"] = True
    return wire
