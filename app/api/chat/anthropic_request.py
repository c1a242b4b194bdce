"""Anthropic's messages request: what of it we honour, what we may leave out, what we refuse.

Every field of the API is known by name (docs.anthropic.com/en/api/messages). See `openai_request` for the rule.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.chat.parsing import Many, Wire, as_object, parse
from app.domain.calls import Call
from app.domain.errors import UnsupportedParameter
from app.domain.messages import (
    CacheTtl,
    Image,
    Message,
    OutputSchema,
    Part,
    Sampling,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.edge.requests import CallContext

UNKNOWN = "{}: Extra inputs are not permitted"

Json = dict[str, Any]


class CacheControl(Wire):
    """Marks the end of a prefix worth caching."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class TextBlock(Wire):
    """Text."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl | None = None
    citations: Many[Json] | None = None


class Base64Source(Wire):
    """An image in the request."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Wire):
    """An image elsewhere."""

    type: Literal["url"]
    url: str = Field(pattern=r"^https?://")


class ImageBlock(Wire):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]
    cache_control: CacheControl | None = None


class ToolUseBlock(Wire):
    """A tool call of the assistant."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Json
    cache_control: CacheControl | None = None
    caller: Json | None = None


class ToolResultBlock(Wire):
    """A tool's result."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | Many[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]] = ""
    is_error: bool = False
    cache_control: CacheControl | None = None


class ThinkingBlock(Wire):
    """Reasoning, returned unchanged."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Wire):
    """Sealed reasoning, returned unchanged."""

    type: Literal["redacted_thinking"]
    data: str


Block = Annotated[
    TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock, Field(discriminator="type")
]


class WireMessage(Wire):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str | Many[Block]


class ToolParam(Wire):
    """A tool offered. The vendor's own server tools have another ``type`` and are refused."""

    type: Literal["custom"] | None = None
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    description: str = ""
    input_schema: Json
    strict: bool | None = None
    cache_control: CacheControl | None = None


class WireToolChoice(Wire):
    """The tools that may or must be called."""

    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class ThinkingConfig(Wire):
    """Reasoning: ``budget_tokens`` where enabled."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = Field(default=None, ge=1024)
    display: str | None = None


class Metadata(Wire):
    """The end user."""

    user_id: str | None = Field(default=None, max_length=128)


class OutputFormat(Wire):
    """A schema for the answer."""

    type: Literal["json_schema"]
    schema_: Json = Field(alias="schema")


class OutputConfig(Wire):
    """The required form of the answer."""

    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class MessagesRequest(Wire):
    """The body."""

    model: str
    max_tokens: int = Field(ge=1)
    messages: Many[WireMessage] = Field(min_length=1, max_length=2048)  # ours, as for the other vendor; Anthropic takes 100,000
    system: str | Many[TextBlock] | None = None
    stream: bool = False
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    stop_sequences: Many[str] | None = None
    tools: Many[ToolParam] | None = Field(default=None, max_length=128)
    tool_choice: WireToolChoice | None = None
    thinking: ThinkingConfig | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None

    # Of the vendor's own service: nothing in the answer depends on them.
    cache_control: CacheControl | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    diagnostics: Json | None = None

    # Known, and refused when they ask for something.
    container: Any = None
    inference_geo: str | None = None
    speed: str | None = None
    mcp_servers: Many[Json] | None = None
    context_management: Json | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


# Of the vendor's own service: accepted, and without effect on the answer.
HARMLESS = frozenset({"service_tier", "diagnostics", "cache_control"})
# Field -> the values that ask for nothing. Any other value is refused.
REFUSED: dict[str, tuple[Any, ...]] = {
    "container": (None,),
    "inference_geo": (None,),
    "speed": (None, "standard"),
    "mcp_servers": (None, []),
    "context_management": (None,),
    "user_profile_id": (None,),
    "workspace_id": (None,),
}


class CountRequest(MessagesRequest):
    """The body of a request to count tokens: nothing will be generated."""

    max_tokens: int = 1


def read(body: bytes, context: CallContext, form: type[MessagesRequest] = MessagesRequest) -> tuple[MessagesRequest, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(form, body, unknown=UNKNOWN)
    for name, harmless in REFUSED.items():
        if getattr(request, name) not in harmless:
            raise UnsupportedParameter(f"{name}: not supported by this service", param=name)
    call = Call(
        id=context.request_id,
        identity=context.identity_for(request.metadata.user_id if request.metadata else None),
        feature="chat",
        form="anthropic",
        target=request.model,
        deadline=context.deadline,
        system=_system(request.system),
        messages=tuple(_message(m) for m in request.messages),
        tools=tuple(ToolSpec(t.name, t.description, t.input_schema, strict=bool(t.strict)) for t in request.tools or ()),
        tool_choice=_tool_choice(request.tool_choice),
        output=_output(request.output_config),
        sampling=Sampling(
            max_output_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            stop=tuple(request.stop_sequences or ()),
            extra=_extra(request),
        ),
        stream=request.stream,
    )
    return request, call


def _extra(request: MessagesRequest) -> Json:
    """Pass on Anthropic's own forms unchanged."""
    extra: Json = {}
    if request.thinking:
        extra["thinking"] = request.thinking.model_dump(exclude_none=True)
    if request.output_config and request.output_config.effort:
        extra["effort"] = request.output_config.effort
    return extra


def _system(system: str | list[TextBlock] | None) -> tuple[Text, ...]:
    if not system:
        return ()
    if isinstance(system, str):
        return (Text(system),)
    return tuple(Text(block.text, cache=_ttl(block.cache_control)) for block in system)


def _ttl(mark: CacheControl | None) -> CacheTtl | None:
    return (mark.ttl or "5m") if mark else None


def _message(message: WireMessage) -> Message:
    if isinstance(message.content, str):
        return Message(message.role, (Text(message.content),))
    return Message(message.role, tuple(_part(block) for block in message.content))


def _part(block: Block) -> Part:  # noqa: PLR0911 - a table
    match block:
        case TextBlock(text=text, cache_control=cache):
            return Text(text, cache=_ttl(cache))
        case ImageBlock(source=UrlSource(url=url)):
            return Image(url=url)
        case ImageBlock(source=Base64Source(data=data, media_type=media_type)):
            return Image(data=data, media_type=media_type)
        case ToolUseBlock(id=identity, name=name, input=arguments):
            return ToolUse(identity, name, as_object(arguments))
        case ToolResultBlock(tool_use_id=identity, content=content, is_error=is_error):
            return ToolResult(identity, _result(content), is_error)
        case ThinkingBlock(thinking=text, signature=signature):
            return Thinking(text, signature)
        case RedactedThinkingBlock(data=data):
            return Thinking("", redacted=data)
    raise TypeError(type(block).__name__)


def _result(content: str | list[TextBlock | ImageBlock]) -> tuple[Text | Image, ...]:
    if isinstance(content, str):
        return (Text(content),)
    parts = (_part(block) for block in content)
    return tuple(part for part in parts if isinstance(part, Text | Image))


def _tool_choice(choice: WireToolChoice | None) -> ToolChoice:
    if choice is None:
        return ToolChoice()
    return ToolChoice(choice.type, choice.name, not choice.disable_parallel_tool_use)


def _output(config: OutputConfig | None) -> OutputSchema | None:
    return OutputSchema("answer", config.format.schema_) if config and config.format else None
