"""Translate requests and replies to OpenAI's chat completions and back. Pure: no I/O, no SDK.

Replies are read leniently (only what we use, unknown fields and values ignored), because a dozen servers speak this protocol
with accents; what we do use must have its type, or the whole is garbled (pydantic's ValidationError, a ValueError).

`LACKS` lists features that OpenAI does not have: a call that needs one is not sent here. Left out are earlier thinking blocks
(another model's private notes) and cache marks (its caching is automatic). An error flag on a tool's result becomes text.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from app.domain.calls import Delta, Reply, Usage
from app.domain.messages import Image, Message, Part, StopReason, Text, ToolChoice, ToolResult, ToolSpec, ToolUse
from app.gateway.providers import dialect
from app.gateway.providers.assembly import Assembly
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.reported import UNUSABLE, Count, Optional, grown

STOPS: dict[str, StopReason] = {
    "stop": "end",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

LACKS = frozenset({"top_k", "thinking"})  # of what a caller may ask for


def body(request: ModelRequest, *, legacy_max_tokens: bool, stream: bool) -> dict[str, Any]:
    """The JSON body of one attempt. ``legacy_max_tokens``: servers that predate ``max_completion_tokens``."""
    request = dialect.fit(request, dialect.of_openai(request.model))
    sampling = request.sampling
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
        **_tools(request.tools, request.tool_choice),
    }
    messages = [_system(request.system)] if request.system else []
    messages += [wire for message in request.messages for wire in _messages(message)]
    return {"model": request.model, "messages": messages, **{k: v for k, v in optional.items() if v is not None}}


def _system(parts: tuple[Text, ...]) -> dict[str, Any]:
    """One string under the role every server knows; OpenAI reads it as ``developer`` where a model wants that."""
    return {"role": "system", "content": "\n\n".join(part.text for part in parts)}


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "assistant":
        yield _assistant(message.parts)
        return
    shown: list[Text | Image] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield _tool_result(part)
            # a tool message holds text only: its images follow as the user's
            shown += [p for p in part.content if isinstance(p, Image)]
        elif isinstance(part, Text | Image):
            shown.append(part)
    if len(shown) == 1 and isinstance(shown[0], Text):
        yield {"role": "user", "content": shown[0].text}
    elif shown:
        yield {"role": "user", "content": [_content(part) for part in shown]}


def _assistant(parts: tuple[Part, ...]) -> dict[str, Any]:
    calls = [
        {"id": p.id, "type": "function", "function": {"name": p.name, "arguments": p.arguments}}
        for p in parts
        if isinstance(p, ToolUse)
    ]
    text = "".join(p.text for p in parts if isinstance(p, Text))
    wire: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        wire["tool_calls"] = calls
    return wire


def _tool_result(result: ToolResult) -> dict[str, Any]:
    text = "\n".join(p.text for p in result.content if isinstance(p, Text))
    return {"role": "tool", "tool_call_id": result.tool_use_id, "content": f"Error: {text}" if result.is_error else text}


def _content(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
    if part.detail:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _tools(tools: tuple[ToolSpec, ...], choice: ToolChoice) -> dict[str, Any]:
    """Tools with their choice; without tools OpenAI refuses a choice."""
    if not tools:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in tools],
        "tool_choice": {"auto": None, "any": "required", "none": "none", "tool": named}[choice.mode],
        "parallel_tool_calls": None if choice.parallel else False,
    }


def _function(tool: ToolSpec) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    if tool.strict:
        function["strict"] = True
    return function


def _response_format(request: ModelRequest) -> dict[str, Any] | None:
    output = request.output
    if output is None:
        return None
    if not output.schema:
        return {"type": "json_object"}
    schema = {"name": output.name, "schema": dict(output.schema), "strict": output.strict}
    return {"type": "json_schema", "json_schema": schema}


class _InputDetails(BaseModel):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _OutputDetails(BaseModel):
    reasoning_tokens: Count = None


class _Usage(BaseModel):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    prompt_tokens_details: Annotated[_InputDetails | None, Optional] = None
    completion_tokens_details: Annotated[_OutputDetails | None, Optional] = None


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(BaseModel):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Message(BaseModel):
    """A whole message, or its growth. ``reasoning_content`` and ``reasoning`` are what open-model servers add."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Annotated[_Usage | None, Optional] = None


_COMPLETION = TypeAdapter(_Completion)


class Reading:
    """One reply as it is read, whole or in chunks. Everything raises ValueError where it is not the protocol."""

    def __init__(self, request: ModelRequest, provider: str) -> None:
        """``request`` names the model where the reply does not."""
        self._request = request
        self._provider = provider
        self._names = dialect.names_back(request, dialect.OPENAI)
        self._assembly = Assembly()
        self._model: str | None = None
        self._finish: str | None = None
        self._refused = False
        self._usage = _Usage()
        self._counted = False  # the output's figure came with the finish reason or later, and no output after it

    @property
    def complete(self) -> bool:
        """Whether the model's last word has come. Usage and ``[DONE]`` may lack: not every server sends them."""
        return self._finish is not None

    def whole(self, content: bytes, request_id: str | None) -> Reply:
        """Read an answer that came in one piece."""
        completion = _COMPLETION.validate_json(content)
        choice = completion.choices[0] if completion.choices else None
        if choice is None or choice.message is None:
            raise ProtocolError("An answer without a choice.")
        for number, call in enumerate(choice.message.tool_calls or ()):
            call.index = number  # a whole message numbers its calls by their order
        self._grow(choice.message)
        self._finish = choice.finish_reason or "stop"
        self._note(completion)
        self._assembly.close_all()
        return self.reply(request_id)

    def deltas(self, event: object) -> list[Delta]:
        """Read one chunk of a stream."""
        chunk = _COMPLETION.validate_python(event)
        found: list[Delta] = []
        for choice in chunk.choices or ():
            if choice.index == 0:
                found += self._grow(choice.delta or _Message())
                if choice.finish_reason:
                    self._finish = choice.finish_reason
                    found += self._assembly.close_all()
        self._note(chunk)
        return found

    def reply(self, request_id: str | None) -> Reply:
        """The whole. Raises ProtocolError where the stream ended early."""
        if not self.complete:
            raise ProtocolError("The stream ended before its end.")
        parts = self._assembly.parts()
        return Reply(
            parts=parts,
            stop=self._stop(parts),
            usage=self.usage(),
            provider=self._provider,
            model=self._model or self._request.model,
            provider_request_id=request_id,
        )

    def usage(self) -> Usage:
        """As reported so far. Zero: not known. ``estimated`` unless the output's figure is the final one."""
        reported = self._usage
        inputs, outputs = (
            reported.prompt_tokens_details or _InputDetails(),
            reported.completion_tokens_details or _OutputDetails(),
        )
        prompt, cached, written = reported.prompt_tokens or 0, inputs.cached_tokens or 0, inputs.cache_write_tokens or 0
        if UNUSABLE in (prompt, cached, written) or cached + written > prompt:
            prompt = cached = written = 0  # a share that is more than the whole says that neither can be believed
        output = reported.completion_tokens
        final = self._counted and output is not None and output != UNUSABLE
        known = output or 0 if final else 0
        return Usage(
            input=prompt - cached - written,
            output=known,
            cached_input=cached,
            cache_write=written,
            reasoning=min(max(0, outputs.reasoning_tokens or 0), known),
            estimated=not final,
        )

    def _note(self, completion: _Completion) -> None:
        self._model = completion.model or self._model
        self._usage = grown(self._usage, completion.usage, output="completion_tokens")
        if self._finish and completion.usage and completion.usage.completion_tokens is not None:
            self._counted = True

    def _grow(self, message: _Message) -> list[Delta]:
        found = self._grown(message)
        self._counted = self._counted and not found
        return found

    def _grown(self, message: _Message) -> list[Delta]:
        found: list[Delta] = []
        if reasoning := message.reasoning_content or message.reasoning:
            found.append(self._assembly.thinking("thinking", reasoning))
        if message.content:
            found.append(self._assembly.text("text", message.content))
        if message.refusal:
            self._refused = True
            found.append(self._assembly.text("refusal", message.refusal))
        for call in message.tool_calls or ():
            key = ("tool", call.index)
            if key not in self._assembly:
                if not call.id or not call.function.name:
                    raise ProtocolError("A tool call without id or name.")
                found.append(self._assembly.tool(key, call.id, self._names.get(call.function.name, call.function.name)))
            if call.function.arguments:
                found.append(self._assembly.arguments(key, call.function.arguments))
        return found

    def _stop(self, parts: tuple[Part, ...]) -> StopReason:
        stop = STOPS.get(self._finish or "", "end")
        if self._refused:
            return "refusal"
        # a call forced by name finishes with `stop`
        called = any(isinstance(part, ToolUse) for part in parts)
        return "tool_use" if called and stop == "end" else stop
