"""OpenAI's chat completion request as a call: fields honoured, passed on, left out and refused.

Every field of the API is known by name (`openai_fields`). One that would change the answer is honoured, passed on to the models
that have it (the others are passed over), or refused as `UnsupportedParameter`. A value that asks for nothing is always taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.api.chat.openai_fields import (
    AllowedChoice,
    AnyMessage,
    AssistantMessage,
    ChatCompletionRequest,
    CustomTool,
    FunctionMessage,
    FunctionTool,
    NamedCustom,
    NamedFunction,
    ResponseFormat,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from app.api.chat.openai_part_fields import CacheControl, OfMessage, RefusalPart, RestOfMessage, TextPart
from app.api.chat.openai_parts import mark_of, part_of, ttl_of, unsupported
from app.api.chat.parsing import parse
from app.domain.calls import Call
from app.domain.errors import InvalidRequest
from app.domain.messages import (
    Document,
    Image,
    Message,
    OutputSchema,
    Part,
    Refusal,
    Sampling,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Vendor,
    merged,
)
from app.domain.signatures import signature_in
from app.edge import prompts
from app.edge.requests import CallContext
from app.edge.tool_choice import offered

UNKNOWN = "Unrecognized request argument supplied: {}"
VENDOR: Vendor = "openai"

# Field -> the values that ask for nothing. Another value goes to OpenAI's models as it is; the models of others are passed over.
NATIVE: Mapping[str, tuple[Any, ...]] = {
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
}
# Of OpenAI's caching of prompts: passed on to its models, and without effect elsewhere.
CACHING = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
PASSED = CACHING | {"messages[].name", "messages[].tool_calls[].extra_content"}
# Of the vendor's own service, only about its speed, or added by an SDK to a message that comes back: no effect on the answer.
HARMLESS = frozenset(
    {
        *("store", "metadata", "prediction", "stream_options.include_obfuscation"),
        *(f"messages[].{name}" for name in OfMessage.model_fields),
        *(f"messages[].content[].{name}" for name in RestOfMessage.model_fields),
        "messages[].tool_calls[].index",
        *("messages[].tool_calls[].provider_specific_fields", "messages[].tool_calls[].function.parsed_arguments"),
        "messages[].function_call.parsed_arguments",
        *("messages[].tool_calls[].function.description", "messages[].function_call.description"),
        *("messages[].content[].image_url.media_type", "messages[].content[].image_url.format"),
        *(f"tools[].function.{name}" for name in ("requires_confirmation", "external_execution", "approval_type")),
        "tools[].copilot_mcp_server_name",
    }
)
# Field -> the values that ask for nothing beyond what we do anyway. Any other value is refused.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "audio": (None,),
    "modalities": (None, [], ["text"]),
    "moderation": (None,),
    "web_search_options": (None,),
    "service_tier": (None, "auto", "default"),
}
CUSTOM = "Offer a function with one string argument instead"
REASONS = {
    "n": "Each answer is held, checked and recorded on its own: send the request as often as answers are needed",
    "audio": "Speech has no price here",
    "modalities": "Speech has no price here",
    "moderation": "The guard of the route decides",
    "web_search_options": "Searches have no price here",
    "service_tier": "Other tiers have other prices",
}
# Refused wherever they hold something.
REFUSED_WITHIN = frozenset(
    {
        "messages[].audio",
        "messages[].content[].input_audio",
        "messages[].content[].file.file_id",
        "messages[].tool_calls[].custom",
        "tools[].custom",
        "tool_choice.custom",
    }
)


def read(body: bytes, context: CallContext) -> tuple[ChatCompletionRequest, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(ChatCompletionRequest, body, unknown=UNKNOWN)
    for name, harmless in REFUSED.items():
        if getattr(request, name) not in harmless:
            raise unsupported(name, REASONS[name])
    wanted = {name: value for name, harmless in NATIVE.items() if (value := getattr(request, name)) not in harmless}
    if "top_logprobs" in wanted and "logprobs" not in wanted:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    asked = request.model_fields_set & CACHING
    caching = request.model_dump(include=asked, exclude_none=True) if asked else {}
    native = {**wanted, **{name: value for name, value in caching.items() if value}}
    named = prompts.read(request.prompt, request.model)
    if not request.messages and request.prompt is None:
        raise InvalidRequest("messages must hold at least one message.", param="messages")
    system, messages = _conversation(request)
    tools = tuple(_tools(request))
    call = Call(
        id=context.request_id,
        identity=context.identity_for(request.user or request.safety_identifier),
        feature="chat",
        form="openai",
        size=len(body),
        target=named.target,
        variables=named.variables,
        prompt_version=named.version,
        deadline=context.deadline,
        system=system,
        messages=messages,
        tools=tools,
        tool_choice=offered(_tool_choice(request), tools),
        output=_output(request.response_format),
        sampling=_sampling(request),
        stream=bool(request.stream),
        native={VENDOR: native} if native else {},
        needs=frozenset(wanted),
    )
    return request, call


def _sampling(request: ChatCompletionRequest) -> Sampling:
    stop = (request.stop,) if isinstance(request.stop, str) else request.stop or ()
    return Sampling(
        max_output_tokens=request.max_completion_tokens or request.max_tokens or None,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=tuple(filter(None, stop)),
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        extra={"effort": request.reasoning_effort} if request.reasoning_effort else {},
    )


def _conversation(request: ChatCompletionRequest) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The instructions before the first turn, and the turns. Instructions without any turn are the conversation itself."""
    ids = _legacy_ids(request.messages)
    turns = [
        turn for at, message in enumerate(request.messages) for turn in _turns(request.messages, at, message, ids.get(at, ""))
    ]
    first = next((at for at, turn in enumerate(turns) if turn.role != "system"), None)
    if first is None:
        return (), merged(turns)
    system = (part for turn in turns[:first] for part in turn.parts if isinstance(part, Text) and part.text)
    return tuple(system), merged(turns[first:])


def _turns(messages: Sequence[AnyMessage], at: int, message: AnyMessage, legacy_id: str) -> Iterator[Message]:
    """One message as a turn. A call in the form from before tools needs no result, while a tool's does: it gets an empty one."""
    yield _message(message, f"messages[{at}]", legacy_id)
    if isinstance(message, AssistantMessage) and message.function_call:
        following = messages[at + 1] if at + 1 < len(messages) else None
        if not isinstance(following, FunctionMessage):
            yield Message("user", (ToolResult(legacy_id, (Text(""),)),))


def _message(message: AnyMessage, where: str, legacy_id: str) -> Message:
    match message:
        case SystemMessage():
            return Message("system", _marked_last(_texts(message.content), message.mark), message.name)
        case UserMessage():
            said = message.content
            parts = [Text(said)] if isinstance(said, str) else [part_of(p, f"{where}.content[{at}]") for at, p in enumerate(said)]
            return Message("user", _marked_last(parts, message.mark), message.name)
        case ToolMessage():
            return Message("user", (_tool_result(message, where),))
        case FunctionMessage():
            return Message("user", (ToolResult(legacy_id, (Text(message.content or ""),)),))
        case AssistantMessage():
            return _assistant(message, where, legacy_id)


def _tool_result(message: ToolMessage, where: str) -> ToolResult:
    """Its parts as they came: texts of a tool are lines of their own. A mark on a part is one on the whole."""
    said = message.content or ""
    parts = [Text(said)] if isinstance(said, str) else [part_of(p, f"{where}.content[{at}]") for at, p in enumerate(said)]
    cache = ttl_of(message.mark) or next((part.cache for part in reversed(parts) if part.cache), None)
    return ToolResult(message.tool_call_id, tuple(replace(part, cache=None) for part in parts), cache=cache)


def _assistant(message: AssistantMessage, where: str, legacy_id: str) -> Message:
    if message.audio is not None:
        raise unsupported(f"{where}.audio", "Speech has no price here")
    said = [] if isinstance(message.content, str) else message.content or []
    parts: list[Part] = [Refusal(p.refusal) if isinstance(p, RefusalPart) else Text(p.text, mark_of(p)) for p in said]
    if isinstance(message.content, str):
        parts = [Text(message.content)]
    if message.refusal:
        parts.append(Refusal(message.refusal))
    for at, use in enumerate(message.tool_calls or ()):
        if use.function is None:
            if use.custom:
                raise unsupported(f"{where}.tool_calls[{at}].custom", CUSTOM)
            missing = f"{where}.tool_calls[{at}].function"
            raise InvalidRequest(f"Missing required parameter: '{missing}'.", param=missing)
        signature = signature_in(use.extra_content)
        parts.append(ToolUse(use.id, use.function.name, use.function.arguments, ttl_of(use.cache_control), signature))
    if call := message.function_call:
        parts.append(ToolUse(legacy_id, call.name, call.arguments))
    parts = [part for part in parts if not (isinstance(part, Text) and not part.text)]
    return Message("assistant", _marked_last(parts, message.mark), message.name)


def _legacy_ids(messages: Sequence[AnyMessage]) -> Mapping[int, str]:
    """Ids for the calls in the form from before tools, which has none, and for their results, by the message's position."""
    ids: dict[int, str] = {}
    latest = "function"
    for at, message in enumerate(messages):
        if isinstance(message, AssistantMessage) and message.function_call:
            latest = f"function_{at}"
        if isinstance(message, FunctionMessage) or (isinstance(message, AssistantMessage) and message.function_call):
            ids[at] = latest
    return ids


def _texts(content: str | Sequence[TextPart] | None) -> list[Text]:
    return [Text(content)] if isinstance(content, str) else [Text(part.text, mark_of(part)) for part in content or ()]


def _marked_last(parts: Sequence[Part], mark: CacheControl | None) -> tuple[Part, ...]:
    """A mark on the message is one on its last part."""
    *before, last = parts or [Text("")]
    if mark is None or isinstance(last, Refusal):
        return (*before, last)
    return (*before, _replace_cache(last, mark))


def _replace_cache(part: Part, mark: CacheControl) -> Part:
    return replace(part, cache=ttl_of(mark)) if isinstance(part, Text | Image | Document | ToolUse) else part


NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}}


def _tools(request: ChatCompletionRequest) -> Iterator[ToolSpec]:
    """The tools that may be called: all that are offered, or those that the choice allows."""
    allowed = _allowed(request)
    for at, tool in enumerate(request.tools or ()):
        if isinstance(tool, CustomTool):
            raise unsupported(f"tools[{at}].custom", CUSTOM)
        f = tool.function
        if allowed is None or f.name in allowed:
            schema = NOTHING if f.parameters is None else f.parameters
            cache = ttl_of(tool.cache_control or f.cache_control)
            yield ToolSpec(f.name, f.description or "", schema, strict=bool(f.strict), cache=cache)
    for function in request.functions or ():
        schema = NOTHING if function.parameters is None else function.parameters
        yield ToolSpec(function.name, function.description or "", schema)


def _allowed(request: ChatCompletionRequest) -> frozenset[str] | None:
    """The names of the tools that the choice allows; None where it allows all. Raises InvalidRequest for an unknown one."""
    if not isinstance(request.tool_choice, AllowedChoice):
        return None
    where = "tool_choice.allowed_tools.tools"
    offered = {tool.function.name for tool in request.tools or () if isinstance(tool, FunctionTool)}
    names = set()
    for tool in request.tool_choice.allowed_tools.tools:
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else tool.get("name")
        if not isinstance(name, str) or name not in offered:
            raise InvalidRequest(f"Invalid value for '{where}': not the name of a function that 'tools' offers.", param=where)
        names.add(name)
    return frozenset(names)


def _tool_choice(request: ChatCompletionRequest) -> ToolChoice:
    parallel = request.parallel_tool_calls is not False and not request.functions  # the old form has place for one call
    choice: Any = request.tool_choice
    if choice is None and request.function_call is not None:
        named = request.function_call
        choice = named if isinstance(named, str) else NamedFunction(type="function", function=named)
    if isinstance(choice, NamedCustom):
        raise unsupported("tool_choice.custom", CUSTOM)
    if isinstance(choice, NamedFunction):
        return ToolChoice("tool", choice.function.name, parallel)
    if isinstance(choice, AllowedChoice):
        choice = choice.allowed_tools.mode
    if choice == "required":
        return ToolChoice("any", None, parallel)
    return ToolChoice("none" if choice == "none" else "auto", None, parallel)


def _output(wanted: ResponseFormat | None) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputSchema("object", {}, strict=False)
    named = wanted.json_schema
    if named is None:
        raise InvalidRequest("Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema")
    schema = named.schema_ or {}
    if schema and named.description and "description" not in schema:
        schema = {**schema, "description": named.description}
    return OutputSchema(named.name, schema, strict=bool(named.strict))
