"""Translate requests to OpenAI's chat completions. Pure: no I/O, no SDK. Replies are read by `openai_reading`.

`LACKS` lists features that OpenAI does not have: a call that needs one is not sent here. Left out are earlier thinking blocks
(another model's private notes) and cache marks (its caching is automatic, unless the caller wants explicit marks). An error flag
on a tool's result becomes text. `openai_models` has what single models want beside that.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.domain.messages import (
    Document,
    Image,
    Message,
    Native,
    Part,
    Refusal,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Vendor,
    paragraphs,
)
from app.domain.signatures import as_extra_content
from app.gateway.providers import dialect, openai_models
from app.gateway.providers.base import ModelRequest, foreign

VENDOR: Vendor = "openai"
LACKS = frozenset({"top_k", "thinking"})  # of what a caller may ask for

# Of OpenAI's own service: they change nothing in an answer, and servers that only speak its protocol may refuse them.
OWN_SERVICE = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})

Shown = Text | Image | Document | Native
Json = dict[str, Any]


def lacks(request: ModelRequest) -> frozenset[str]:
    """The parts of a request that OpenAI's chat completions cannot express."""
    found = (request.requested & LACKS) | foreign(request, VENDOR)
    documents = [p for p in _all_parts(request) if isinstance(p, Document)]
    return found | {"document_url"} if any(document.url for document in documents) else found


def _all_parts(request: ModelRequest) -> Iterator[Part]:
    for message in request.messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def body(request: ModelRequest, *, legacy_max_tokens: bool, stream: bool) -> Json:
    """The JSON body of one attempt. ``legacy_max_tokens``: servers that predate ``max_completion_tokens``."""
    request = dialect.fit(request, dialect.of_openai(request.model))
    sampling, system = request.sampling, request.system
    choice, sentence = openai_models.choice(request.model, request.tool_choice)
    if sentence and request.tools:
        system = (*system, Text(sentence))
    native = {k: v for k, v in request.native.get(VENDOR, {}).items() if not (legacy_max_tokens and k in OWN_SERVICE)}
    marked = (native.get("prompt_cache_options") or {}).get("mode") == "explicit"
    optional: dict[str, Any] = {
        "max_tokens" if legacy_max_tokens else "max_completion_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "reasoning_effort": sampling.extra.get("effort"),
        "response_format": _response_format(request),
        "stream": stream or None,
        "stream_options": {"include_usage": True} if stream else None,
        **_tools(request.tools, choice),
        **native,
    }
    messages = [_system(system, marked=marked)] if system else []
    to = request.model
    messages += [wire for message in request.messages for wire in _messages(message, to, marked=marked, plain=legacy_max_tokens)]
    messages = openai_models.answered(request.model, _paired(messages))
    return {"model": request.model, "messages": messages, **{k: v for k, v in optional.items() if v is not None}}


def _paired(messages: list[Json]) -> list[Json]:
    """The messages with each result directly after its call, as OpenAI wants them: agents put instructions between."""
    found: list[Json] = []
    called: set[str] = set()
    at = 0
    for message in messages:
        if message["role"] == "tool" and message["tool_call_id"] in called:
            found.insert(at, message)
            at += 1
            continue
        found.append(message)
        if message["role"] == "assistant":
            called, at = {call["id"] for call in message.get("tool_calls", ())}, len(found)
    return found


def _system(parts: tuple[Text, ...], *, marked: bool) -> Json:
    """One string under the role every server knows; OpenAI reads it as ``developer`` where a model wants that."""
    if marked and any(part.cache for part in parts):
        return {"role": "system", "content": [_content(part, marked=True) for part in parts]}
    return {"role": "system", "content": "\n\n".join(part.text for part in parts)}


def _messages(message: Message, model: str, *, marked: bool, plain: bool) -> Iterator[Json]:
    """One turn for ``model``. ``marked``: with the caller's cache marks; ``plain``: for servers that only speak the protocol."""
    name = {"name": message.name} if message.name else {}
    if message.role == "assistant":
        yield {**_assistant(message.parts, model, plain=plain), **name}
        return
    shown: list[Shown] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield _tool_result(part)
            # a tool message holds text only: its images and documents follow as the user's
            shown += [p for p in part.content if isinstance(p, Image | Document)]
        elif isinstance(part, Text | Image | Document) or (isinstance(part, Native) and part.vendor == VENDOR):
            shown.append(part)
    if message.role == "system" and not (marked and any(isinstance(part, Text) and part.cache for part in shown)):
        texts = [part.text for part in shown if isinstance(part, Text)]
        yield {"role": "system", "content": "\n\n".join(texts), **name}
    elif len(shown) == 1 and isinstance(shown[0], Text) and not (marked and shown[0].cache):
        yield {"role": message.role, "content": shown[0].text, **name}
    elif shown and plain and not marked and (text := _one_text(shown)) is not None:
        yield {"role": message.role, "content": text, **name}
    elif shown:
        yield {"role": message.role, "content": [_content(part, marked=marked) for part in shown], **name}


def _one_text(shown: Sequence[Shown]) -> str | None:
    """Parts that are texts alone, as one: some servers take no list (sarvamai/sarvam-ai-cookbook#107)."""
    texts = [part.text for part in shown if isinstance(part, Text)]
    return "\n\n".join(texts) if len(texts) == len(shown) else None


def _assistant(parts: tuple[Part, ...], model: str, *, plain: bool) -> Json:
    uses = [part for part in parts if isinstance(part, ToolUse)]
    calls = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": dialect.arguments(use)},
            **as_extra_content(signature),
        }
        for use, signature in zip(uses, openai_models.signatures(model, uses), strict=True)
    ]
    text = paragraphs(parts)
    refusal = "".join(p.text for p in parts if isinstance(p, Refusal))
    if plain:
        text, refusal = text or refusal, ""
    wire: Json = {"role": "assistant", "content": text or (None if calls or refusal else "")}
    if (reasoning := openai_models.reasoning(model, parts)) is not None:
        wire["reasoning_content"] = reasoning
    if refusal:
        wire["refusal"] = refusal
    if calls:
        wire["tool_calls"] = calls
    return wire


def _tool_result(result: ToolResult) -> Json:
    text = "\n".join(p.text for p in result.content if isinstance(p, Text))
    return {"role": "tool", "tool_call_id": result.tool_use_id, "content": f"Error: {text}" if result.is_error else text}


def _content(part: Shown, *, marked: bool = False) -> Json:
    if isinstance(part, Native):
        return dict(part.block)
    return {**_block(part), **(_mark(part) if marked and part.cache else {})}


def _mark(part: Text | Image | Document) -> Mapping[str, Any]:
    """OpenAI's explicit cache mark. Half an hour is its shortest time; what is kept for an hour elsewhere is kept for twelve."""
    return {"prompt_cache_breakpoint": {"mode": "explicit", **({"ttl": "12h"} if part.cache == "1h" else {})}}


def _block(part: Text | Image | Document) -> Json:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image():
            image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            return {"type": "image_url", "image_url": {**image, **({"detail": part.detail} if part.detail else {})}}
        case Document(text=str(text), name=name):
            return {"type": "text", "text": f"{name}:\n\n{text}" if name else text}
        case Document():
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": data}}


def _tools(tools: tuple[ToolSpec, ...], choice: ToolChoice) -> Json:
    """Tools with their choice; without tools OpenAI refuses a choice."""
    if not tools:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in tools],
        "tool_choice": {"auto": None, "any": "required", "none": "none", "tool": named}[choice.mode],
        "parallel_tool_calls": None if choice.parallel else False,
    }


def _function(tool: ToolSpec) -> Json:
    function: Json = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    if tool.strict:
        function["strict"] = True
    return function


def _response_format(request: ModelRequest) -> Json | None:
    output = request.output
    if output is None:
        return None
    if not output.schema:
        return {"type": "json_object"}
    schema = {"name": output.name, "schema": dict(output.schema), "strict": output.strict}
    return {"type": "json_schema", "json_schema": schema}
