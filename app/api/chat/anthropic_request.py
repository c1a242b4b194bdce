"""Anthropic's messages request as a call: fields honoured, passed on, left out and refused.

Every field of the API is known by name (`anthropic_fields`). One that would change the answer is honoured, passed on to the
models that have it (the others are passed over), or refused as `UnsupportedParameter`. A value that asks for nothing is taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from app.api.chat.anthropic_blocks import CACHED, part_of, texts_of, ttl_of, unsupported
from app.api.chat.anthropic_fields import (
    CountRequest,
    MessagesRequest,
    WireMessage,
    WireToolChoice,
)
from app.api.chat.anthropic_options import ContextManagement, Edit, OutputConfig, ThinkingConfig
from app.api.chat.anthropic_tools import tools_of
from app.api.chat.anthropic_user import user_of
from app.api.chat.parsing import parse
from app.domain.calls import Call
from app.domain.errors import InvalidRequest
from app.domain.messages import Message, OutputSchema, Sampling, Text, ToolChoice, Vendor, merged
from app.edge import prompts
from app.edge.requests import CallContext
from app.edge.tool_choice import offered

__all__ = ["CountRequest", "MessagesRequest", "read"]

UNKNOWN = "{}: Extra inputs are not permitted"
VENDOR: Vendor = "anthropic"

Json = dict[str, Any]
Number = TypeVar("Number", int, float)

# Passed on to Claude where they ask for something; the models of others are passed over.
NATIVE = frozenset({"context_management", "output_config.task_budget"})
# Passed on to Claude, and without effect elsewhere: caching, the capacity that answers, how a tool's arguments arrive.
PASSED = frozenset({"cache_control", "service_tier", "tools[].eager_input_streaming"})
# Of the vendor's own service: accepted, and without effect on the answer.
HARMLESS = frozenset({"diagnostics"})
# Field -> the values that ask for nothing. Any other value is refused.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "billing_policy": (None,),
    "compaction": (None,),
    "container": (None,),
    "fallback_credit_token": (None,),
    "fallbacks": (None, []),
    "inference_geo": (None,),
    "mcp_servers": (None, []),
    "speed": (None, "standard"),
    "thread": (None,),
    "user_profile_id": (None,),
    "workspace_id": (None,),
}
# Refused wherever they hold something.
REFUSED_WITHIN = frozenset(
    {
        "context_management.edits[].pause_after_compaction",
        "messages[].content[].content[].source.file_id",
        "messages[].content[].source.file_id",
        "messages[].content[].toolset_name",
    }
)
REASONS = {
    "billing_policy": "the tenant of the API key pays",
    "compaction": "send the summary as a message instead",
    "container": "nothing runs at the vendor",
    "fallback_credit_token": "the route falls back by itself",
    "fallbacks": "the route falls back by itself",
    "inference_geo": "the operator chooses the region",
    "mcp_servers": "connect to the server yourself and offer its tools",
    "speed": "it has another price",
    "user_profile_id": "name the user in metadata.user_id",
    "workspace_id": "the API key names the tenant",
}
# In the vendor's form: the SDKs' tool runners read it, and go on without a thread.
NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
CONTEXT_BETA, COMPACT_BETA = "context-management-2025-06-27", "compact-2026-01-12"


def read(
    body: bytes, context: CallContext, form: type[MessagesRequest] = MessagesRequest, betas: Sequence[str] = ()
) -> tuple[MessagesRequest, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest or UnsupportedParameter."""
    request = parse(form, body, unknown=UNKNOWN)
    _refuse(request)
    named = prompts.read(request.prompt, request.model)
    if not request.messages and request.prompt is None:
        raise InvalidRequest("messages: at least one message is required", param="messages")
    native, tools = dict(_native(request)), tools_of(request)
    call = Call(
        id=context.request_id,
        identity=context.identity_for(user_of(request.metadata.user_id if request.metadata else None)),
        feature="chat",
        form="anthropic",
        size=len(body),
        target=named.target,
        variables=named.variables,
        prompt_version=named.version,
        deadline=context.deadline,
        system=texts_of(request.system, "system"),
        messages=merged(_messages(request.messages)),
        tools=tools,
        tool_choice=offered(_tool_choice(request.tool_choice), tools),
        output=_output(request),
        sampling=Sampling(
            max_output_tokens=request.max_tokens or 1,
            temperature=request.temperature,
            top_p=_unless_off(request.top_p),
            top_k=_unless_off(request.top_k),
            stop=tuple(request.stop_sequences or ()),
            extra=_extra(request),
        ),
        stream=bool(request.stream),
        native={VENDOR: native} if native else {},
        needs=frozenset(native) - _harmless(request),
        betas=_with_needed(betas, request.context_management),
    )
    return request, call


def _unless_off(value: Number | None) -> Number | None:
    """None for the -1 by which LangChain.js switched a parameter off, and sent it by default, before its version 1."""
    return None if value == -1 else value


def _refuse(request: MessagesRequest) -> None:
    if request.thread:
        refusal = unsupported("thread", "conversations are not stored; send all messages")
        refusal.details = NO_THREADS
        raise refusal
    for name, harmless in REFUSED.items():
        value = getattr(request, name)
        if name == "billing_policy" and value and value.bill_to in (None, "self"):
            continue
        if value not in harmless:
            raise unsupported(name, REASONS[name])
    if request.output_format and request.output_config and request.output_config.format:
        raise InvalidRequest("output_format and output_config.format say the same: send one of them.", param="output_format")


def _native(request: MessagesRequest) -> Iterator[tuple[str, Any]]:
    """Fields of the body that only Claude has, as they go to it."""
    if request.cache_control:
        yield "cache_control", CACHED[ttl_of(request) or "5m"]
    if request.service_tier == "standard_only":
        yield "service_tier", request.service_tier
    if request.max_tokens == 0:  # only fills the prompt cache
        yield "max_tokens", 0
    if request.context_management and request.context_management.edits:
        for at, edit in enumerate(request.context_management.edits):
            if edit.pause_after_compaction:
                where = f"context_management.edits[{at}].pause_after_compaction"
                raise unsupported(where, "the answer goes on after compaction")
        yield "context_management", request.context_management.model_dump(exclude_unset=True)
    if request.output_config and request.output_config.task_budget:
        yield "output_config", {"task_budget": request.output_config.task_budget.model_dump(exclude_none=True)}


def _harmless(request: MessagesRequest) -> frozenset[str]:
    """Native fields that ask no other vendor's model for anything."""
    edits = (request.context_management.edits if request.context_management else None) or ()
    idle = {"context_management"} if all(_asks_nothing(edit) for edit in edits) else set()
    return frozenset({"cache_control", "service_tier"} | idle)


def _asks_nothing(edit: Edit) -> bool:
    """Return whether an edit keeps all there is, as every model does by itself."""
    return edit.type == "clear_thinking_20251015" and edit.keep in ("all", {"type": "all"})


def _with_needed(betas: Sequence[str], rules: ContextManagement | None) -> tuple[str, ...]:
    """The allowed betas, and those without which Claude does not know the rules for long conversations."""
    kinds = {edit.type for edit in (rules.edits if rules else None) or ()}
    needed = [CONTEXT_BETA] if kinds else []
    needed += [COMPACT_BETA] if "compact_20260112" in kinds else []
    return tuple(dict.fromkeys([*betas, *needed]))


def _extra(request: MessagesRequest) -> Json:
    """Pass on Anthropic's own forms unchanged."""
    extra: Json = {}
    if request.thinking:
        extra["thinking"] = _thinking(request.thinking)
    if effort := _effort(request):
        extra["effort"] = effort
    return extra


def _effort(request: MessagesRequest) -> str | None:
    """The effort of the answer: the last that a system message sets, or else the request's.

    Source: platform.claude.com/docs/en/build-with-claude/effort-per-message.
    """
    configs = (message.output_config for message in reversed(request.messages))
    return next((config.effort for config in (*configs, request.output_config) if config and config.effort), None)


def _thinking(wanted: ThinkingConfig) -> Json:
    if wanted.type == "enabled" and not wanted.budget_tokens:
        raise InvalidRequest("thinking.budget_tokens: at least 1024 where thinking is enabled", param="thinking.budget_tokens")
    return {name: value for name, value in wanted.model_dump(exclude_none=True).items() if value != 0}


def _messages(wire: Sequence[WireMessage]) -> Iterator[Message]:
    last_user = max((at for at, message in enumerate(wire) if message.role == "user"), default=-1)
    for at, message in enumerate(wire):
        where = f"messages[{at}]"
        for name in ("clear_at", "output_config"):
            if getattr(message, name) and message.role != "system":
                raise InvalidRequest(f"{where}.{name}: only a system message has it.", param=f"{where}.{name}")
        if message.clear_at == "next_user_message" and at < last_user:
            continue  # the model no longer sees it
        if message.role == "system":
            if texts := texts_of(message.content, f"{where}.content"):  # else it only sets the effort
                yield Message("system", texts)
        elif message.content is None or isinstance(message.content, str):
            yield Message(message.role, (Text(message.content or ""),))
        else:
            blocks = enumerate(message.content)
            yield Message(message.role, tuple(part_of(block, f"{where}.content[{number}]") for number, block in blocks))


def _tool_choice(choice: WireToolChoice | None) -> ToolChoice:
    if choice is None:
        return ToolChoice()
    if choice.type == "tool" and not choice.name:
        raise InvalidRequest("Missing required parameter: 'tool_choice.name'.", param="tool_choice.name")
    return ToolChoice(choice.type, choice.name, not choice.disable_parallel_tool_use)


def _output(request: MessagesRequest) -> OutputSchema | None:
    config = request.output_config or OutputConfig()
    wanted = config.format or request.output_format
    return OutputSchema("answer", wanted.schema_) if wanted else None
