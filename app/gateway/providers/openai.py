"""OpenAI's chat completions by the official SDK: OpenAI itself and every server that speaks its wire.

Wire reference: platform.openai.com/docs/api-reference/chat.
"""

import json
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion_usage import CompletionUsage

from app.domain.calls import Chunk, Done, Reply, TextDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.errors import ProviderDenied, ProviderError, ProviderFailed, ProviderGarbled
from app.domain.messages import Image, Message, Part, StopReason, Text, ToolChoice, ToolResult, ToolUse
from app.gateway.providers import failures
from app.gateway.providers.base import ModelRequest

STOP_REASONS: dict[str, StopReason] = {
    "stop": "end",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
NO_KEY = "none"  # local servers take any key; the SDK insists on one


class OpenAIProvider:
    """One OpenAI-compatible endpoint."""

    def __init__(self, name: str, *, base_url: str, api_key: str, legacy_max_tokens: bool = False) -> None:
        """``legacy_max_tokens`` is for servers that do not know ``max_completion_tokens``. Nothing connects yet."""
        self.name = name
        self._legacy_max_tokens = legacy_max_tokens
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=1000, keepalive_expiry=30)),
        )

    async def complete(self, request: ModelRequest) -> Reply:
        """See `Provider`."""
        clock = failures.Clock(request.timeouts, self.name, request.model)
        try:
            async with clock.step("total"):
                completion = await self._client.chat.completions.create(**self._arguments(request), stream=False)
        except Exception as error:
            raise self._translate(error, request) from error
        return self._reply(completion, request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """See `Provider`."""
        clock = failures.Clock(request.timeouts, self.name, request.model)
        gathered = _Gathered()
        try:
            async with clock.step("first_token"):
                events = await self._client.chat.completions.create(
                    **self._arguments(request), stream=True, stream_options={"include_usage": True}
                )
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
        if gathered.finish is None:
            raise self._garbled("the stream ended without a finish reason", request, gathered.owed())
        yield Done(gathered.reply(self.name))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _checked(self, events: object, request: ModelRequest) -> openai.AsyncStream[ChatCompletionChunk]:
        """The SDK hands over whatever came where the content type is not that of events."""
        if not isinstance(events, openai.AsyncStream):
            raise self._garbled("not an event stream", request)
        return events

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        sampling, times = request.sampling, request.timeouts
        limit = "max_tokens" if self._legacy_max_tokens else "max_completion_tokens"
        wanted = {
            limit: sampling.max_output_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop) or None,
            "seed": sampling.seed,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            **_tools(request),
            "response_format": _response_format(request),
            **sampling.extra,
        }
        return {
            "model": request.model,
            "messages": [*_system(request.system), *(m for message in request.messages for m in _messages(message))],
            **{name: value for name, value in wanted.items() if value is not None},
            "extra_headers": dict(request.headers),
            "timeout": httpx2.Timeout(connect=times.connect, read=times.total, write=times.total, pool=times.total),
        }

    def _reply(self, completion: ChatCompletion, request: ModelRequest) -> Reply:
        """Read a whole answer. Any shape but the protocol's is garbled: the SDK does not validate what it parses."""
        try:
            choice = completion.choices[0]
            message = choice.message
            text: list[Part] = [Text(t) for t in (message.content, message.refusal) if t]
            uses = [
                ToolUse(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or () if c.type == "function"
            ]
            return Reply(
                parts=(*text, *uses),
                stop="refusal" if message.refusal else STOP_REASONS[choice.finish_reason],
                usage=_usage(completion.usage),
                provider=self.name,
                model=completion.model,
                provider_request_id=completion._request_id,  # noqa: SLF001 - the SDK's documented name
            )
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise self._garbled("not a chat completion", request) from error

    def _translate(self, error: Exception, request: ModelRequest, usage: Usage | None = None) -> ProviderError:  # noqa: PLR0911 - a table
        """The one place where the SDK's errors become ours."""
        match error:
            case ProviderError():
                return error
            case openai.APIStatusError(status_code=status, response=response):
                translated = failures.from_status(status, response.headers, self.name, request.model, error.request_id)
                if error.code == "insufficient_quota":
                    return ProviderDenied("Out of quota.", provider=self.name, model=request.model)
                return translated
            case openai.APIConnectionError():
                return failures.from_transport(error, self.name, request.model, usage)
            case openai.APIResponseValidationError() | json.JSONDecodeError() | AttributeError() | KeyError() | TypeError():
                return self._garbled(type(error).__name__, request, usage)
            case openai.APIError():
                return ProviderFailed("An error event in the stream.", provider=self.name, model=request.model, usage=usage)
            case _:
                return failures.from_transport(error, self.name, request.model, usage)

    def _garbled(self, message: str, request: ModelRequest, usage: Usage | None = None) -> ProviderGarbled:
        return ProviderGarbled(message, provider=self.name, model=request.model, usage=usage)


class _Gathered:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self.begun = False
        self._text: list[str] = []
        self._refused = False
        self._tools: dict[int, list[str]] = {}
        self._usage: CompletionUsage | None = None
        self._model = ""
        self._bytes = 0

    def take(self, event: ChatCompletionChunk) -> Iterable[Chunk]:
        """Add one event; give back what of it a caller may see. Text is part 0, tool calls follow it."""
        self._model = event.model or self._model
        self._usage = event.usage or self._usage
        for choice in event.choices or ():
            self.finish = choice.finish_reason or self.finish
            delta = choice.delta
            text = delta.content or delta.refusal
            self._refused = self._refused or bool(delta.refusal)
            if text:
                self._text.append(text)
                yield self._seen(TextDelta(0, text), text)
            for call in delta.tool_calls or ():
                index, function = call.index + 1, call.function
                if index not in self._tools:
                    identity = call.id or f"call_{index}"
                    name = (function.name if function else None) or ""
                    self._tools[index] = [identity, name]
                    yield self._seen(ToolUseStart(index, identity, name), name)
                if function and function.arguments:
                    self._tools[index].append(function.arguments)
                    yield self._seen(ToolUseDelta(index, function.arguments), function.arguments)

    def owed(self) -> Usage | None:
        """What a broken stream owes: as reported, else a bound by the bytes received."""
        if self._usage:
            return _usage(self._usage)
        return Usage(output=self._bytes, estimated=True) if self._bytes else None

    def reply(self, provider: str) -> Reply:
        text: list[Part] = [Text("".join(self._text))] if self._text else []
        uses = [ToolUse(t[0], t[1], "".join(t[2:])) for _, t in sorted(self._tools.items())]
        return Reply(
            parts=(*text, *uses),
            stop="refusal" if self._refused else STOP_REASONS.get(self.finish or "", "end"),
            usage=_usage(self._usage) if self._usage else Usage(output=self._bytes, estimated=True),
            provider=provider,
            model=self._model,
        )

    def _seen(self, chunk: Chunk, text: str) -> Chunk:
        self.begun = True
        self._bytes += len(text.encode())
        return chunk


def _system(system: tuple[Text, ...]) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "\n\n".join(t.text for t in system)}] if system else []


def _messages(message: Message) -> Iterable[dict[str, Any]]:
    """One of our turns as one or several of theirs: each tool result is a message of its own, before the user's words."""
    for result in (p for p in message.parts if isinstance(p, ToolResult)):
        text = "\n".join(p.text for p in result.content if isinstance(p, Text))
        told = f"ERROR: {text}" if result.is_error else text
        yield {"role": "tool", "tool_call_id": result.tool_use_id, "content": told}
    if message.role == "user":
        parts = [_content(p) for p in message.parts if isinstance(p, Text | Image)]
        if parts:
            plain = len(parts) == 1 and parts[0]["type"] == "text"
            yield {"role": "user", "content": parts[0]["text"] if plain else parts}
        return
    told_text = "".join(p.text for p in message.parts if isinstance(p, Text))
    calls = [
        {"id": p.id, "type": "function", "function": {"name": p.name, "arguments": p.arguments}}
        for p in message.parts
        if isinstance(p, ToolUse)
    ]
    yield {"role": "assistant", "content": told_text or None, **({"tool_calls": calls} if calls else {})}


def _content(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = part.url or f"data:{part.media_type};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}


def _tools(request: ModelRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    specs = [
        {
            "type": "function",
            "function": {
                "name": t.name,
                "description": t.description,
                "parameters": dict(t.schema),
                **({"strict": True} if t.strict else {}),
            },
        }
        for t in request.tools
    ]
    choice = {"tools": specs, "tool_choice": _tool_choice(request.tool_choice)}
    return choice if request.tool_choice.parallel else {**choice, "parallel_tool_calls": False}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return {"auto": "auto", "any": "required", "none": "none"}[choice.mode]


def _response_format(request: ModelRequest) -> dict[str, Any] | None:
    output = request.output
    if output is None:
        return None
    if not output.schema:
        return {"type": "json_object"}
    schema = {"name": output.name, "schema": dict(output.schema), "strict": output.strict}
    return {"type": "json_schema", "json_schema": schema}


def _usage(usage: CompletionUsage | None) -> Usage:
    """Theirs counts cached tokens as part of the prompt; ours keeps them apart."""
    if usage is None:
        return Usage(estimated=True)
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (prompt.cached_tokens if prompt else 0) or 0
    written = (prompt.cache_write_tokens if prompt else 0) or 0
    return Usage(
        input=max(0, usage.prompt_tokens - cached - written),
        output=usage.completion_tokens,
        cached_input=cached,
        cache_write=written,
        reasoning=(completion.reasoning_tokens if completion else 0) or 0,
    )
