"""OpenAI's chat completion request: fields honoured, left out and refused.

Every field of the API is known by name (platform.openai.com/docs/api-reference/chat/create). An unsupported field that
would change the answer is refused as `UnsupportedParameter`; one that only concerns the vendor's own service is accepted and left
out.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.chat.parsing import Many, Wire, parse
from app.domain.calls import Call
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import Image, Message, OutputSchema, Part, Sampling, Text, ToolChoice, ToolResult, ToolSpec, ToolUse
from app.edge.requests import CallContext

UNKNOWN = "Unrecognized request argument supplied: {}"

Json = dict[str, Any]


class TextPart(Wire):
    """A part of text."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: Json | None = None


class RefusalPart(Wire):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Wire):
    """An image's address, or a data URL that holds it."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Wire):
    """A part that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: Json | None = None


class OtherPart(Wire):
    """Parts the vendor knows and we refuse."""

    type: Literal["input_audio", "file"]
    input_audio: Json | None = None
    file: Json | None = None
    prompt_cache_breakpoint: Json | None = None


UserPart = Annotated[TextPart | ImagePart | OtherPart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class SystemMessage(Wire):
    """Instructions; ``developer`` is the newer name."""

    role: Literal["system", "developer"]
    content: str | Many[TextPart]
    name: str | None = None


class UserMessage(Wire):
    """A user's message."""

    role: Literal["user"]
    content: str | Many[UserPart]
    name: str | None = None


class FunctionCall(Wire):
    """A function and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Wire):
    """A tool call of the assistant."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantMessage(Wire):
    """An earlier message of the assistant."""

    role: Literal["assistant"]
    content: str | Many[AssistantPart] | None = None
    refusal: str | None = None
    tool_calls: Many[ToolCall] | None = None
    name: str | None = None
    audio: Json | None = None
    function_call: Json | None = None
    annotations: Many[Json] | None = None


class ToolMessage(Wire):
    """A tool's result."""

    role: Literal["tool"]
    content: str | Many[TextPart]
    tool_call_id: str


AnyMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class FunctionSpec(Wire):
    """A function offered."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str = ""
    parameters: Json = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class ToolParam(Wire):
    """A tool offered."""

    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(Wire):
    """The name of a function."""

    name: str


class NamedTool(Wire):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Wire):
    """A named schema."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: Json = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """The required form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Wire):
    """``include_usage`` asks for a last chunk with the usage; obfuscation is the vendor's padding, which we do not add."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatCompletionRequest(Wire):
    """The body."""

    model: str
    messages: Many[AnyMessage] = Field(min_length=1, max_length=2048)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | Annotated[Many[str], Field(max_length=4)] | None = None
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: Many[ToolParam] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    user: str | None = Field(default=None, max_length=128)
    safety_identifier: str | None = Field(default=None, max_length=128)

    # Of the vendor's own service: nothing in the answer depends on them.
    store: bool | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Json | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None

    # Known, and refused when they ask for something: see `REFUSED`.
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Json | None = None
    audio: Json | None = None
    modalities: Many[str] | None = None
    prediction: Json | None = None
    moderation: Json | None = None
    verbosity: str | None = None
    web_search_options: Json | None = None
    functions: Many[Json] | None = None
    function_call: Any = None


# Of the vendor's own service: accepted, and without effect on the answer.
HARMLESS = frozenset({"store", "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
# Field -> the values that ask for nothing beyond what we do anyway. Any other value is refused.
REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "prediction": (None,),
    "moderation": (None,),
    "verbosity": (None,),
    "web_search_options": (None,),
    "functions": (None,),
    "function_call": (None,),
    "service_tier": (None, "auto", "default"),
}


def read(body: bytes, context: CallContext) -> tuple[ChatCompletionRequest, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(ChatCompletionRequest, body, unknown=UNKNOWN)
    for name, harmless in REFUSED.items():
        if getattr(request, name) not in harmless:
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
    system = [m for m in request.messages if isinstance(m, SystemMessage)]
    turns = [m for m in request.messages if not isinstance(m, SystemMessage)]
    late = next((i for i, m in enumerate(request.messages) if i >= len(system) and isinstance(m, SystemMessage)), None)
    if late is not None:
        message = "A system or developer message after the first turn is not supported: put all of them first."
        raise UnsupportedParameter(message, param=f"messages[{late}].role")
    if not turns:
        raise InvalidRequest("messages must hold at least one user message.", param="messages")
    call = Call(
        id=context.request_id,
        identity=context.identity_for(request.user or request.safety_identifier),
        feature="chat",
        form="openai",
        target=request.model,
        deadline=context.deadline,
        system=tuple(Text(text) for m in system if (text := _plain(m.content))),
        messages=_merged([_message(m, index) for index, m in enumerate(turns)]),
        tools=tuple(_tool(t) for t in request.tools or ()),
        tool_choice=_tool_choice(request),
        output=_output(request.response_format),
        sampling=Sampling(
            max_output_tokens=request.max_completion_tokens or request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
            seed=request.seed,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
            extra={"effort": request.reasoning_effort} if request.reasoning_effort else {},
        ),
        stream=bool(request.stream),
    )
    return request, call


def _message(message: UserMessage | AssistantMessage | ToolMessage, index: int) -> Message:
    if isinstance(message, ToolMessage):
        return Message("user", (ToolResult(message.tool_call_id, (Text(_plain(message.content)),)),))
    if isinstance(message, UserMessage):
        if isinstance(message.content, str):
            return Message("user", (Text(message.content),))
        return Message("user", tuple(_user_part(part, f"messages[{index}].content") for part in message.content))
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' in a message.", param=f"messages[{index}].{name}")
    words = _plain(message.content) or message.refusal or ""
    text: Many[Part] = [Text(words)] if words else []
    uses = [ToolUse(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
    if not text and not uses:
        raise InvalidRequest("An assistant message needs content or tool_calls.", param=f"messages[{index}].content")
    return Message("assistant", (*text, *uses))


def _user_part(part: TextPart | ImagePart | OtherPart, where: str) -> Part:
    match part:
        case TextPart(text=text):
            return Text(text)
        case ImagePart(image_url=image):
            return _image(image, where)
        case OtherPart(type=kind):
            raise UnsupportedParameter(f"Content parts of type '{kind}' are not supported.", param=where)


def _image(image: ImageUrl, where: str) -> Image:
    if image.url.startswith("data:"):
        head, _, data = image.url.removeprefix("data:").partition(",")
        media_type, _, encoding = head.partition(";")
        if encoding != "base64" or not data:
            raise InvalidRequest("A data URL must read data:image/…;base64,….", param=where)
        return Image(data=data, media_type=media_type, detail=image.detail)
    if not image.url.startswith(("https://", "http://")):
        raise InvalidRequest("An image URL must be http, https or data.", param=where)
    return Image(url=image.url, detail=image.detail)


def _merged(messages: list[Message]) -> tuple[Message, ...]:
    """Neighbouring turns of one role become one: several tool results answer one assistant turn together."""
    merged: Many[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1] = Message(message.role, (*merged[-1].parts, *message.parts))
        else:
            merged.append(message)
    return tuple(merged)


def _plain(content: str | list[Any] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(p.text if isinstance(p, TextPart) else p.refusal for p in content)


def _tool(tool: ToolParam) -> ToolSpec:
    f = tool.function
    return ToolSpec(f.name, f.description, f.parameters, strict=bool(f.strict))


def _tool_choice(request: ChatCompletionRequest) -> ToolChoice:
    parallel = request.parallel_tool_calls is not False
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return ToolChoice("tool", choice.function.name, parallel)
    if choice == "required":
        return ToolChoice("any", None, parallel)
    return ToolChoice("none" if choice == "none" else "auto", None, parallel)


def _output(wanted: ResponseFormat | None) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputSchema("object", {}, strict=False)
    if wanted.json_schema is None:
        raise InvalidRequest("Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema")
    return OutputSchema(wanted.json_schema.name, wanted.json_schema.schema_, strict=bool(wanted.json_schema.strict))
