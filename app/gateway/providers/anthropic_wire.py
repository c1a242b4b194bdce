"""Translate requests and replies to Anthropic's messages and back (API version 2026-10-21). Pure: no I/O, no SDK.

`LACKS` lists features that Anthropic lacks: seed, penalties, and since version 2026-10-21 temperature, top_p and top_k, which
are refused with a 400 whatever their value. A caller's call that asks for them is not sent here; a route's is, without them. An
arbitrary JSON object as output is requested in the system prompt.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, TypeAdapter

from app.domain import json_text
from app.domain.calls import Delta, Reply, Usage
from app.domain.messages import (
    CacheTtl,
    Image,
    Message,
    Part,
    StopReason,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.gateway.providers import dialect
from app.gateway.providers.assembly import Assembly
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.reported import UNUSABLE, Count, Optional, grown

STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "pause_turn": "end",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
EFFORTS = {"none": "low", "minimal": "low"}  # OpenAI's lowest two have no like here
ANY_OBJECT = "Answer with exactly one JSON object and nothing else: no prose, no code fence."

# Of what a caller may ask for.
LACKS = frozenset({"temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"})


def body(request: ModelRequest, *, stream: bool) -> dict[str, Any]:
    """The JSON body of one attempt."""
    request = dialect.fit(request, dialect.ANTHROPIC)
    longest = request.sampling.max_output_tokens or 1
    optional: dict[str, Any] = {
        "system": _system(request) or None,
        "stop_sequences": list(request.sampling.stop) or None,
        "thinking": _thinking(request, longest),
        "output_config": _output_config(request) or None,
        "stream": stream or None,
        **_tools(request.tools, request.tool_choice),
    }
    return {
        "model": request.model,
        "max_tokens": longest,
        "messages": [_message(message) for message in request.messages],
        **{k: v for k, v in optional.items() if v is not None},
    }


NOT_COUNTED = frozenset({"max_tokens", "stream", "stop_sequences"})


class _Counted(BaseModel):
    input_tokens: int


def counted(content: bytes) -> int:
    """Read the answer to a count. Raises ValueError where it is none."""
    return _Counted.model_validate_json(content).input_tokens


def _system(request: ModelRequest) -> list[dict[str, Any]]:
    blocks = [_text(part) for part in request.system if part.text]
    if request.output and not request.output.schema:
        blocks.append({"type": "text", "text": ANY_OBJECT})
    return blocks


def _thinking(request: ModelRequest, longest: int) -> dict[str, Any] | None:
    """As the caller configured it; the budget must stay below the output limit, which the route may have lowered."""
    configured = request.sampling.extra.get("thinking")
    if configured is None:
        return None
    budget = configured.get("budget_tokens")
    return {**configured, "budget_tokens": min(budget, longest - 1)} if budget else dict(configured)


def _output_config(request: ModelRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    effort = request.sampling.extra.get("effort")
    if effort:
        config["effort"] = EFFORTS.get(effort, effort)
    if request.output and request.output.schema:
        config["format"] = {"type": "json_schema", "schema": dict(request.output.schema)}
    return config


def _message(message: Message) -> dict[str, Any]:
    """Tool results come first in a user's turn: anything before them is refused."""
    parts = sorted(message.parts, key=lambda part: not isinstance(part, ToolResult)) if message.role == "user" else message.parts
    return {"role": message.role, "content": [block for part in parts for block in _blocks(part)]}


def _blocks(part: Part) -> Iterator[dict[str, Any]]:
    """One block, or none for what Anthropic would refuse: empty text, reasoning that another vendor did not sign."""
    match part:
        case Text(text=text):
            if text:
                yield _text(part)
        case Image():
            yield _image(part)
        case ToolUse(id=id_, name=name, arguments=arguments):
            yield {"type": "tool_use", "id": id_, "name": name, "input": as_object(arguments)}
        case ToolResult(tool_use_id=id_, content=content, is_error=failed):
            inner = [block for p in content for block in _blocks(p)]
            yield {"type": "tool_result", "tool_use_id": id_, "content": inner, **({"is_error": True} if failed else {})}
        case Thinking(redacted=str(sealed)):
            yield {"type": "redacted_thinking", "data": sealed}
        case Thinking(text=text, signature=str(signature)):
            yield {"type": "thinking", "thinking": text, "signature": signature}


def as_object(arguments: str) -> dict[str, Any]:
    """Tool arguments as an object, for Anthropic; invalid JSON as text under a name of its own."""
    try:
        value = json_text.read(arguments or "{}")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text, **_cache(part.cache)}


def _cache(ttl: CacheTtl | None) -> dict[str, Any]:
    """A cache mark; five minutes are the vendor's default."""
    if ttl is None:
        return {}
    return {"cache_control": {"type": "ephemeral", **({} if ttl == "5m" else {"ttl": ttl})}}


def _image(part: Image) -> dict[str, Any]:
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def _tools(tools: tuple[ToolSpec, ...], choice: ToolChoice) -> dict[str, Any]:
    if not tools:
        return {}
    wire: dict[str, Any] = {"type": choice.mode}
    if choice.name:
        wire["name"] = choice.name
    if not choice.parallel and choice.mode != "none":
        wire["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": wire if wire != {"type": "auto"} else None}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": tool.name, "input_schema": dict(tool.schema) or {"type": "object", "properties": {}}}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict:
        wire["strict"] = True
    return wire


class _OutputDetails(BaseModel):
    thinking_tokens: Count = None


class _Usage(BaseModel):
    """A reply's usage, or a stream's growing one."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    output_tokens_details: Annotated[_OutputDetails | None, Optional] = None


class _Block(BaseModel):
    """Any content block. Kinds we never ask for (server tools) are skipped."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _Message(BaseModel):
    type: Literal["message"]
    model: str | None = None
    content: list[_Block]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Annotated[_Usage | None, Optional] = None


class _Delta(BaseModel):
    type: str | None = None
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(BaseModel):
    type: str
    message: _Message | None = None
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Annotated[_Usage | None, Optional] = None


_MESSAGE = TypeAdapter(_Message)
_EVENT = TypeAdapter(_Event)


class Reading:
    """One reply as it is read, whole or event by event. Everything raises ValueError where it is not the protocol."""

    def __init__(self, request: ModelRequest, provider: str) -> None:
        """``request`` names the model where the reply does not."""
        self._request = request
        self._provider = provider
        self._names = dialect.names_back(request, dialect.ANTHROPIC)
        self._assembly = Assembly()
        self._model: str | None = None
        self._stop: str | None = None
        self._stop_sequence: str | None = None
        self._usage = _Usage()
        self._counted = False  # the output's figure came with the stop reason or later, and no output after it
        self.complete = False

    def whole(self, content: bytes, request_id: str | None) -> Reply:
        """Read an answer that came in one piece."""
        message = _MESSAGE.validate_json(content)
        self._start(message)
        for index, block in enumerate(message.content):
            self._open(index, block)
            self._assembly.close(index)
        self._stop, self._stop_sequence = message.stop_reason or "end_turn", message.stop_sequence
        self._counted = self.complete = True
        return self.reply(request_id)

    def deltas(self, event: object) -> list[Delta]:
        """Read one event of a stream."""
        read = _EVENT.validate_python(event)
        match read:
            case _Event(type="content_block_delta", delta=_Delta() as delta):
                return self._grow(read.index, delta)
            case _Event(type="content_block_start", content_block=_Block() as block):
                return self._open(read.index, block)
            case _Event(type="content_block_stop"):
                closing = self._assembly.close(read.index)
                return [closing] if closing else []
            case _Event(type="message_start", message=_Message() as message):
                self._start(message)
            case _Event(type="message_delta", delta=_Delta() as delta):
                self._stop, self._stop_sequence = delta.stop_reason or self._stop, delta.stop_sequence
                self._usage = grown(self._usage, read.usage, output="output_tokens")
                if self._stop and read.usage and read.usage.output_tokens is not None:
                    self._counted = True
            case _Event(type="message_stop"):
                self.complete = True
        return []

    def reply(self, request_id: str | None) -> Reply:
        """The whole. Raises ProtocolError where the stream ended early, or without a word on why the model stopped."""
        if not self.complete:
            raise ProtocolError("The stream ended before its end.")
        if self._stop is None:
            raise ProtocolError("The stream ended without a stop reason.")
        return Reply(
            parts=self._assembly.parts(),
            stop=STOPS.get(self._stop or "", "end"),
            stop_sequence=self._stop_sequence,
            usage=self.usage(),
            provider=self._provider,
            model=self._model or self._request.model,
            provider_request_id=request_id,
        )

    def usage(self) -> Usage:
        """As reported so far. Zero: not known. ``estimated`` unless the output's figure is the final one.

        `message_start` reports the whole input, and of the output only what was made by then: never taken for the bill.
        """
        reported = self._usage
        inputs = [reported.input_tokens, reported.cache_read_input_tokens or 0, reported.cache_creation_input_tokens or 0]
        fresh, read, written = (0, 0, 0) if None in inputs or UNUSABLE in inputs else (n or 0 for n in inputs)
        output = reported.output_tokens
        final = self._counted and output is not None and output != UNUSABLE
        thought = reported.output_tokens_details.thinking_tokens if reported.output_tokens_details else None
        known = output or 0 if final else 0
        return Usage(
            input=fresh,
            output=known,
            cached_input=read,
            cache_write=written,
            reasoning=min(max(0, thought or 0), known),
            estimated=not final,
        )

    def _start(self, message: _Message) -> None:
        self._model = message.model
        self._usage = grown(self._usage, message.usage, output="output_tokens")

    def _open(self, key: int, block: _Block) -> list[Delta]:
        self._counted = False
        match block.type:
            case "text":
                return [self._assembly.text(key, block.text)] if block.text else []
            case "thinking":
                return [self._assembly.thinking(key, block.thinking, signature=block.signature or None)]
            case "redacted_thinking":
                return [self._assembly.thinking(key, redacted=block.data)]
            case "tool_use":
                if not block.id or not block.name:
                    raise ProtocolError("A tool call without id or name.")
                started = [self._assembly.tool(key, block.id, self._names.get(block.name, block.name))]
                return [*started, self._assembly.arguments(key, json.dumps(block.input))] if block.input else started
        return []

    def _grow(self, key: int, delta: _Delta) -> list[Delta]:
        self._counted = False
        match delta.type:
            case "text_delta":
                return [self._assembly.text(key, delta.text)] if delta.text else []
            case "thinking_delta":
                return [self._assembly.thinking(key, delta.thinking)]
            case "signature_delta":
                return [self._assembly.thinking(key, signature=delta.signature)]
            case "input_json_delta":
                return [self._assembly.arguments(key, delta.partial_json)] if delta.partial_json else []
        return []
