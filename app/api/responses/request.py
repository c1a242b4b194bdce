"""OpenAI's Responses request: fields honoured, left out and refused (platform.openai.com/docs/api-reference/responses/create).

The rule is that of the chat completions: a field that would change the answer is done or refused by name, one that only concerns
the vendor's own service is accepted and left out. Nothing is stored, so a client sends the whole conversation (ADR 0030).
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from app.api.responses.input_items import added_tools, conversation
from app.api.responses.parsing import Json, Many, Wire, parse
from app.api.responses.tools import Tools, read_tools
from app.domain.calls import Call
from app.domain.errors import InvalidRequest, ResponseNotStored, UnsupportedParameter
from app.domain.messages import OutputSchema, Sampling, Text, Vendor
from app.edge import prompts
from app.edge.requests import CallContext

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
ENCRYPTED = "reasoning.encrypted_content"


class Format(Wire):
    """The required form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: Json | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextConfig(Wire):
    """Form and length of the answer's text."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Wire):
    """``generate_summary`` is the older name of ``summary``."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class StreamOptions(Wire):
    """Obfuscation is the vendor's padding, which we do not add."""

    include_obfuscation: bool | None = None


class _Asked(Wire):
    """What a request to count tokens and a request to answer have in common."""

    model: str
    input: str | Many[Json] | None = None
    instructions: str | None = None
    tools: Many[Json] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    truncation: str | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None  # see `app.edge.prompts`


class CountRequest(_Asked):
    """The body of a request to count tokens."""

    personality: str | None = None


class ResponsesRequest(_Asked):
    """The body."""

    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: Many[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Json | None = None
    prompt_cache_retention: str | None = None

    # Of the vendor's own service: nothing in the answer depends on them. Codex sends `client_metadata`.
    store: bool | None = None
    max_tool_calls: int | None = None
    client_metadata: Json | None = None

    # Known, and refused when they ask for something: see `REFUSED`.
    access_programs: Json | None = None
    background: bool | None = None
    background_options: Json | None = None
    context_management: Many[Json] | None = None
    image: Json | None = None
    moderation: Json | None = None
    service_tier: str | None = None
    top_logprobs: int | None = None


# Of the vendor's own service: accepted, and without effect on the answer. ``max_tool_calls`` counts calls of hosted tools only.
HARMLESS = frozenset({"store", "max_tool_calls", "client_metadata", "stream_options", "metadata"})
# Passed on to OpenAI's models. Others answer without them.
CACHING = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
# Field -> the values that ask for nothing beyond what we do anyway. Any other value is refused.
REFUSED: dict[str, tuple[Any, ...]] = {
    "access_programs": (None, {}, {"cyber": "standard"}),
    "background": (None, False),
    "background_options": (None, {}),
    "context_management": (None, []),
    "conversation": (None,),
    "image": (None, {}, {"context_compression": "auto"}, {"context_compression": "disabled"}),
    "moderation": (None,),
    "previous_response_id": (None,),
    "service_tier": (None, "auto", "default"),
    "top_logprobs": (None, 0),
    "truncation": (None, "disabled", "auto"),  # nothing is cut: an input that is too long is refused as such
    "personality": (None,),
}
WHY = {
    "background": "Background responses are not supported: submit the request to /v1/jobs.",
    "conversation": "Conversations are not stored by this service: send the whole conversation as 'input'.",
    "previous_response_id": "Responses are not stored by this service: send the whole conversation as 'input'.",
}
# `include` may name these without effect: outputs of hosted tools, of which there are none, and addresses that the client sent.
NOTHING_TO_INCLUDE = frozenset(
    {
        "file_search_call.results", "web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs",
        "message.input_image.image_url", "computer_call_output.output.image_url",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as read: its body and its tools, which the answer names again."""

    body: ResponsesRequest
    tools: Tools

    @property
    def summaries(self) -> Summary | None:
        """Whether, and how long, a summary of the reasoning is wanted."""
        reasoning = self.body.reasoning
        return (reasoning.summary or reasoning.generate_summary) if reasoning else None


def read(body: bytes, context: CallContext) -> tuple[Wanted, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(ResponsesRequest, body)
    _refuse(request)
    for index, name in enumerate(request.include or ()):
        if name != ENCRYPTED and name not in NOTHING_TO_INCLUDE:
            raise UnsupportedParameter("This value of 'include' is not supported.", param=f"include[{index}]")
    tools = _tools(request)
    return Wanted(request, tools), _call(request, request, tools, context, len(body))


def read_count(body: bytes, context: CallContext) -> Call:
    """Read a request to count tokens. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(CountRequest, body)
    _refuse(request)
    return _call(request, ResponsesRequest(model=request.model), _tools(request), context, len(body))


def _tools(asked: _Asked) -> Tools:
    parallel = asked.parallel_tool_calls is not False
    return read_tools(asked.tools or [], added_tools(asked.input), asked.tool_choice, parallel=parallel)


def _refuse(request: _Asked) -> None:
    """Refuse what is not supported."""
    for name, harmless in REFUSED.items():
        if getattr(request, name, None) not in harmless:
            message = WHY.get(name, f"Unsupported parameter: '{name}' is not supported with this model.")
            raise (ResponseNotStored if name == "previous_response_id" else UnsupportedParameter)(message, param=name)
    if request.reasoning and request.reasoning.mode not in (None, "standard"):
        raise UnsupportedParameter("Unsupported parameter: 'reasoning.mode'.", param="reasoning.mode")


def _call(asked: _Asked, request: ResponsesRequest, tools: Tools, context: CallContext, size: int) -> Call:
    named = prompts.read(asked.prompt, asked.model)
    if asked.input is None and asked.prompt is None:
        raise InvalidRequest("Missing required parameter: 'input'.", param="input")
    reasoning = asked.reasoning or Reasoning()
    this_turn = reasoning.context == "current_turn"
    system, messages = ((), ()) if asked.input is None else conversation(asked.input, this_turn=this_turn)
    native: dict[Vendor, Json] = {}
    ours = request.model_dump(include=set(CACHING), exclude_none=True)
    verbosity = asked.text.verbosity if asked.text else None
    terse = verbosity not in (None, "medium")
    if terse or ours:
        native["openai"] = {**ours, **({"verbosity": verbosity} if terse else {})}
    if request.prompt_cache_key:  # OpenAI caches by itself; Anthropic where it is asked to
        native["anthropic"] = {"cache_control": {"type": "ephemeral"}}
    return Call(
        id=context.request_id,
        identity=context.identity_for(request.user or request.safety_identifier),
        feature="chat",
        form="openai",
        size=size,
        target=named.target,
        variables=named.variables,
        prompt_version=named.version,
        deadline=context.deadline,
        system=(*([Text(asked.instructions)] if asked.instructions else []), *system),
        messages=messages,
        tools=tools.specs,
        tool_choice=tools.choice,
        output=_output(asked.text.format if asked.text else None),
        sampling=Sampling(
            max_output_tokens=request.max_output_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            extra={"effort": reasoning.effort} if reasoning.effort else {},
        ),
        stream=bool(request.stream),
        native=native,
        needs=frozenset({"verbosity"} if terse else ()),
        without=tools.without,
    )


def _output(wanted: Format | None) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputSchema("object", {}, strict=False)
    for name, value in (("name", wanted.name), ("schema", wanted.schema_)):
        if value is None:
            raise InvalidRequest(f"Missing required parameter: 'text.format.{name}'.", param=f"text.format.{name}")
    schema = wanted.schema_ or {}
    if schema and wanted.description and "description" not in schema:
        schema = {**schema, "description": wanted.description}
    return OutputSchema(wanted.name or "", schema, strict=bool(wanted.strict))
