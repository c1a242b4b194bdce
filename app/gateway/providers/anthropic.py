"""Anthropic's messages by the official SDK. Wire reference: docs.anthropic.com/en/api/messages."""

import json
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message as Answer
from anthropic.types import RawMessageStreamEvent
from anthropic.types import Usage as TheirUsage

from app.domain.calls import Chunk, Done, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.errors import ProviderError, ProviderFailed, ProviderGarbled, ProviderOverloaded
from app.domain.messages import Image, Message, Part, StopReason, Text, Thinking, ToolChoice, ToolResult, ToolUse
from app.gateway.providers import failures
from app.gateway.providers.base import ModelRequest

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
ANY_OBJECT = "Answer with one JSON object and nothing else."


class AnthropicProvider:
    """One endpoint that speaks Anthropic's wire."""

    def __init__(self, name: str, *, base_url: str, api_key: str) -> None:
        """Nothing connects yet."""
        self.name = name
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key or "none",
            base_url=base_url,
            max_retries=0,
            http_client=anthropic.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=1000, keepalive_expiry=30)),
        )

    async def complete(self, request: ModelRequest) -> Reply:
        """See `Provider`."""
        clock = failures.Clock(request.timeouts, self.name, request.model)
        try:
            async with clock.step("total"):
                answer = await self._client.messages.create(**_arguments(request), stream=False)
        except Exception as error:
            raise self._translate(error, request) from error
        return self._reply(answer, request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """See `Provider`."""
        clock = failures.Clock(request.timeouts, self.name, request.model)
        gathered = _Gathered()
        try:
            async with clock.step("first_token"):
                events = await self._client.messages.create(**_arguments(request), stream=True)
            async with self._checked(events, request):
                while True:
                    async with clock.step("idle" if gathered.begun else "first_token", gathered.owed()):
                        event = await anext(events, None)
                    if event is None:
                        break
                    for chunk in gathered.take(event):
                        yield chunk
        except Exception as error:
            raise self._translate(error, request, gathered.owed()) from error
        if not gathered.ended:
            raise self._garbled("the stream ended without message_stop", request, gathered.owed())
        yield Done(gathered.reply(self.name))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _checked(self, events: object, request: ModelRequest) -> anthropic.AsyncStream[RawMessageStreamEvent]:
        """The SDK hands over whatever came where the content type is not that of events."""
        if not isinstance(events, anthropic.AsyncStream):
            raise self._garbled("not an event stream", request)
        return events

    def _reply(self, answer: Answer, request: ModelRequest) -> Reply:
        """Read a whole answer. Any shape but the protocol's is garbled: the SDK does not validate what it parses."""
        try:
            return Reply(
                parts=tuple(_part(block) for block in answer.content),
                stop=STOP_REASONS.get(answer.stop_reason or "", "end"),
                stop_sequence=answer.stop_sequence,
                usage=_usage(answer.usage),
                provider=self.name,
                model=answer.model,
                provider_request_id=answer._request_id,  # noqa: SLF001 - the SDK's documented name
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise self._garbled("not a message", request) from error

    def _translate(self, error: Exception, request: ModelRequest, usage: Usage | None = None) -> ProviderError:  # noqa: PLR0911 - a table
        """The one place where the SDK's errors become ours."""
        match error:
            case ProviderError():
                return error
            case anthropic.APIStatusError() if error.status_code < 400:
                # an `error` event inside a stream that had begun well: its type says what it would have been
                kind = ProviderOverloaded if error.type in ("overloaded_error", "rate_limit_error") else ProviderFailed
                return kind("An error event in the stream.", provider=self.name, model=request.model, usage=usage)
            case anthropic.APIStatusError(status_code=status, response=response):
                return failures.from_status(status, response.headers, self.name, request.model, error.request_id)
            case anthropic.APIConnectionError():
                return failures.from_transport(error, self.name, request.model, usage)
            case anthropic.APIResponseValidationError() | json.JSONDecodeError() | AttributeError() | KeyError() | TypeError():
                return self._garbled(type(error).__name__, request, usage)
            case anthropic.APIError():
                return ProviderFailed("An error event in the stream.", provider=self.name, model=request.model, usage=usage)
            case _:
                return failures.from_transport(error, self.name, request.model, usage)

    def _garbled(self, message: str, request: ModelRequest, usage: Usage | None = None) -> ProviderGarbled:
        return ProviderGarbled(message, provider=self.name, model=request.model, usage=usage)


class _Gathered:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.ended = False
        self.begun = False
        self._blocks: dict[int, Any] = {}
        self._texts: dict[int, list[str]] = {}
        self._signatures: dict[int, str] = {}
        self._usage: dict[str, int] = {}
        self._stop = ""
        self._stop_sequence: str | None = None
        self._model = ""
        self._bytes = 0

    def take(self, event: RawMessageStreamEvent) -> Iterable[Chunk]:
        """Add one event; give back what of it a caller may see."""
        match event.type:
            case "message_start":
                self._model = event.message.model
                self._note(event.message.usage)
            case "content_block_start":
                self._blocks[event.index], self._texts[event.index] = event.content_block, []
                if event.content_block.type == "tool_use":
                    yield self._seen(ToolUseStart(event.index, event.content_block.id, event.content_block.name), "")
            case "content_block_delta":
                yield from self._delta(event.index, event.delta)
            case "message_delta":
                self._stop, self._stop_sequence = event.delta.stop_reason or "", event.delta.stop_sequence
                self._note(event.usage)
            case "message_stop":
                self.ended = True

    def _delta(self, index: int, delta: Any) -> Iterable[Chunk]:  # noqa: ANN401 - a union of the SDK's that grows
        match delta.type:
            case "text_delta":
                self._texts[index].append(delta.text)
                yield self._seen(TextDelta(index, delta.text), delta.text)
            case "input_json_delta":
                self._texts[index].append(delta.partial_json)
                yield self._seen(ToolUseDelta(index, delta.partial_json), delta.partial_json)
            case "thinking_delta":
                self._texts[index].append(delta.thinking)
                yield self._seen(ThinkingDelta(index, delta.thinking), delta.thinking)
            case "signature_delta":
                self._signatures[index] = delta.signature
                yield self._seen(ThinkingDelta(index, signature=delta.signature), "")

    def owed(self) -> Usage | None:
        """What a broken stream owes: the input as told at its start, the output bounded by the bytes received."""
        if not self._usage:
            return None
        output = max(self._usage.get("output_tokens", 0), self._bytes)
        return _usage_of({**self._usage, "output_tokens": output}, estimated=True)

    def reply(self, provider: str) -> Reply:
        return Reply(
            parts=tuple(self._part(index) for index in sorted(self._blocks)),
            stop=STOP_REASONS.get(self._stop, "end"),
            stop_sequence=self._stop_sequence,
            usage=_usage_of(self._usage),
            provider=provider,
            model=self._model,
        )

    def _part(self, index: int) -> Part:
        block, text = self._blocks[index], "".join(self._texts[index])
        if block.type == "tool_use":
            return ToolUse(block.id, block.name, text or "{}")
        if block.type == "thinking":
            return Thinking(text, self._signatures.get(index))
        if block.type == "redacted_thinking":
            return Thinking("", redacted=block.data)
        return Text(text)

    def _note(self, usage: Any) -> None:  # noqa: ANN401 - Usage or MessageDeltaUsage
        """Later figures replace earlier ones: they are cumulative."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            value = getattr(usage, name, None)
            if value is not None:
                self._usage[name] = value

    def _seen(self, chunk: Chunk, text: str) -> Chunk:
        self.begun = True
        self._bytes += len(text.encode())
        return chunk


def _arguments(request: ModelRequest) -> dict[str, Any]:
    sampling, times = request.sampling, request.timeouts
    system = [_text(t) for t in request.system]
    if request.output and not request.output.schema:
        system.append({"type": "text", "text": ANY_OBJECT})
    thinking = {"type": "enabled", "budget_tokens": request.thinking_budget} if request.thinking_budget else None
    wanted = {
        "system": system or None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": list(sampling.stop) or None,
        "thinking": thinking,
        "output_config": _output(request),
        **_tools(request),
    }
    return {
        "model": request.model,
        "max_tokens": sampling.max_output_tokens,
        "messages": [{"role": m.role, "content": [_block(p) for p in _ordered(m)]} for m in request.messages],
        **{name: value for name, value in wanted.items() if value is not None},
        "extra_headers": dict(request.headers),
        "timeout": httpx2.Timeout(connect=times.connect, read=times.total, write=times.total, pool=times.total),
    }


def _ordered(message: Message) -> list[Part]:
    """Anthropic wants a user turn's tool results before its words."""
    return sorted(message.parts, key=lambda p: not isinstance(p, ToolResult))


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text, **({"cache_control": {"type": "ephemeral"}} if part.cache else {})}


def _block(part: Part) -> dict[str, Any]:  # noqa: PLR0911 - a table
    match part:
        case Text():
            return _text(part)
        case Image(url=str(url)):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Image(data=data, media_type=media_type):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case ToolUse(id=identity, name=name, arguments=arguments):
            return {"type": "tool_use", "id": identity, "name": name, "input": _object(arguments)}
        case ToolResult(tool_use_id=identity, content=content, is_error=is_error):
            blocks = [_block(p) for p in content]
            return {"type": "tool_result", "tool_use_id": identity, "content": blocks, "is_error": is_error}
        case Thinking(redacted=str(data)):
            return {"type": "redacted_thinking", "data": data}
        case Thinking(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature or ""}


def _object(arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Their wire wants an object. Arguments that are not one (another model wrote them) are shown as they were."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return {"invalid_arguments": arguments}
    return value if isinstance(value, dict) else {"invalid_arguments": arguments}


def _tools(request: ModelRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    specs = [
        {"name": t.name, "description": t.description, "input_schema": dict(t.schema), **({"strict": True} if t.strict else {})}
        for t in request.tools
    ]
    return {"tools": specs, "tool_choice": _tool_choice(request.tool_choice)}


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "none":
        return {"type": "none"}
    told = {"type": "tool", "name": choice.name} if choice.mode == "tool" else {"type": choice.mode}
    return told if choice.parallel else {**told, "disable_parallel_tool_use": True}


def _output(request: ModelRequest) -> dict[str, Any] | None:
    """Their structured output takes a subset of JSON Schema; the SDK moves the rest into descriptions. We validate it all."""
    if request.output is None or not request.output.schema:
        return None
    return {"format": {"type": "json_schema", "schema": anthropic.transform_schema(dict(request.output.schema))}}


def _part(block: Any) -> Part:  # noqa: ANN401 - a union of the SDK's that grows
    match block.type:
        case "text":
            return Text(block.text)
        case "tool_use":
            return ToolUse(block.id, block.name, json.dumps(block.input, ensure_ascii=False))
        case "thinking":
            return Thinking(block.thinking, block.signature)
        case "redacted_thinking":
            return Thinking("", redacted=block.data)
    raise TypeError(block.type)


def _usage(usage: TheirUsage) -> Usage:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return _usage_of({name: getattr(usage, name) or 0 for name in names})


def _usage_of(counts: dict[str, int], *, estimated: bool = False) -> Usage:
    """Their input excludes both kinds of cached tokens already."""
    return Usage(
        input=counts.get("input_tokens", 0),
        output=counts.get("output_tokens", 0),
        cached_input=counts.get("cache_read_input_tokens", 0),
        cache_write=counts.get("cache_creation_input_tokens", 0),
        estimated=estimated,
    )
