"""The fields of OpenAI's chat completion request, down to the last nested one.

Source: the SDK's own request types (`openai.types.chat`), which `tests/docs/test_api.py` compares with these. Beside them stand
the fields that clients send in practice: an SDK's message object sent back as history, and a cache mark in a part.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.chat.openai_part_fields import (
    AssistantPart,
    CacheControl,
    OfMessage,
    ResultPart,
    TextPart,
    UserPart,
)
from app.api.chat.parsing import Many, Wire

Json = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Said(Wire):
    """A message of any role. A cache mark stands for one on its last part; VS Code has a name of its own for it."""

    name: str | None = None
    cache_control: CacheControl | None = None
    copilot_cache_control: CacheControl | None = None

    @property
    def mark(self) -> CacheControl | None:
        """The mark by either name."""
        return self.cache_control or self.copilot_cache_control


class NotAssistant(Said):
    """The fields of an assistant's message: clients with one form for all roles send them as null."""

    tool_calls: None = None
    function_call: None = None
    refusal: None = None
    audio: None = None


class SystemMessage(NotAssistant):
    """Instructions; ``developer`` is the newer name."""

    role: Literal["system", "developer"]
    content: str | Many[TextPart]
    tool_call_id: None = None


class UserMessage(NotAssistant):
    """A user's message."""

    role: Literal["user"]
    content: str | Many[UserPart]
    tool_call_id: None = None


class FunctionCall(Wire):
    """A function and its arguments as JSON text. ``parsed_arguments``: of an SDK's object, ``description`` of Hugging Face's."""

    name: str
    arguments: str
    parsed_arguments: Any = None
    description: str | None = None


class CustomCall(Wire):
    """A custom tool and its input."""

    name: str
    input: str


class ToolCall(Wire):
    """A tool call of the assistant. ``index`` comes from the deltas of a stream."""

    id: str
    type: Literal["function", "custom"] | None = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    index: int | None = None
    extra_content: Json | None = None
    provider_specific_fields: Json | None = None
    cache_control: CacheControl | None = None


class AudioReference(Wire):
    """An earlier spoken answer."""

    id: str


class AssistantMessage(Said, OfMessage):
    """An earlier message of the assistant."""

    role: Literal["assistant"]
    content: str | Many[AssistantPart] | None = None
    refusal: str | None = None
    tool_calls: Many[ToolCall] | None = None
    audio: AudioReference | None = None
    function_call: FunctionCall | None = None
    tool_call_id: None = None


class ToolMessage(NotAssistant):
    """A tool's result. ``name`` is of older clients; images and files are taken by compatible servers."""

    role: Literal["tool"]
    content: str | Many[ResultPart] | None = None
    tool_call_id: str


class FunctionMessage(Wire):
    """A function's result, as before there were tools."""

    role: Literal["function"]
    content: str | None
    name: str


AnyMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class Function(Wire):
    """A function offered, as before there were tools."""

    name: Name
    description: str | None = None
    parameters: Json | None = None


class FunctionSpec(Function):
    """A function offered. The last three fields are the Agno framework's notes to itself, which OpenAI's API takes."""

    strict: bool | None = None
    cache_control: CacheControl | None = None
    requires_confirmation: Any = None
    external_execution: Any = None
    approval_type: Any = None


class Grammar(Wire):
    """The grammar of a custom tool's input."""

    definition: str
    syntax: Literal["lark", "regex"]


class CustomFormat(Wire):
    """The form of a custom tool's input."""

    type: Literal["text", "grammar"]
    grammar: Grammar | None = None


class CustomSpec(Wire):
    """A custom tool: its input is free text."""

    name: str
    description: str | None = None
    format: CustomFormat | None = None


class FunctionTool(Wire):
    """A tool offered: a function. GitHub's Copilot notes the MCP server that it is of (github/copilot-sdk#1129)."""

    type: Literal["function"]
    function: FunctionSpec
    cache_control: CacheControl | None = None
    copilot_mcp_server_name: Any = None


class CustomTool(Wire):
    """A tool offered: a custom one."""

    type: Literal["custom"]
    custom: CustomSpec


AnyTool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class Named(Wire):
    """A name."""

    name: str


class NamedFunction(Wire):
    """The function that must be called."""

    type: Literal["function"]
    function: Named


class NamedCustom(Wire):
    """The custom tool that must be called."""

    type: Literal["custom"]
    custom: Named


class AllowedTools(Wire):
    """The tools that may be called, of those offered."""

    mode: Literal["auto", "required"]
    tools: Many[Json]


class AllowedChoice(Wire):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


AnyChoice = Annotated[NamedFunction | NamedCustom | AllowedChoice, Field(discriminator="type")]


class JsonSchema(Wire):
    """A named schema."""

    name: Name
    description: str | None = None
    schema_: Json | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """The required form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Wire):
    """``include_usage`` asks for a last chunk with the usage; obfuscation is the vendor's padding, which we do not add."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CacheOptions(Wire):
    """How the vendor caches the prompt."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class Prediction(Wire):
    """A text that the answer will mostly repeat."""

    type: Literal["content"]
    content: str | Many[TextPart]


class ChatCompletionRequest(Wire):
    """The body."""

    model: str
    messages: Many[AnyMessage] = Field(max_length=2048)
    prompt: Json | None = None  # ours: see `app.edge.prompts`
    max_completion_tokens: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | Annotated[Many[str], Field(max_length=4)] | None = None
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: Many[AnyTool] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | AnyChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Many[Function] | None = Field(default=None, max_length=128)
    function_call: Literal["none", "auto"] | Named | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    user: str | None = None
    safety_identifier: str | None = None

    # Passed on to OpenAI's models: see `openai_request.NATIVE` and `CACHING`.
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    logit_bias: dict[str, Annotated[int, Field(ge=-100, le=100)]] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None

    # Of the vendor's own service, or only about speed: nothing in the answer depends on them.
    store: bool | None = None
    metadata: (
        Annotated[dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None
    ) = None
    prediction: Prediction | None = None

    # Refused when they ask for something: see `openai_request.REFUSED`.
    n: int | None = Field(default=None, ge=1, le=128)
    service_tier: str | None = None
    audio: Json | None = None
    modalities: Many[Literal["text", "audio"]] | None = None
    moderation: Json | None = None
    web_search_options: Json | None = None
