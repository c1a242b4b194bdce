"""Attributes of spans for calls and attempts: OpenTelemetry's names, or ours under ``octant.``.

Spans do not name the end user: more people read a tracing backend than the records, and it deletes data later.
"""

from typing import Any

from app.domain.calls import Attempt, Reply
from app.domain.embeddings import FLOAT_BYTES
from app.domain.messages import Document, Image, Message, Native, Part, Refusal, Text, Thinking, ToolResult, ToolUse
from app.domain.money import to_dollars
from app.domain.records import NO_MODEL, CallRecord
from app.gateway.providers.base import ModelRequest
from app.telemetry.spans import AttemptSpan, CallSpan


def describe_call(span: CallSpan, record: CallRecord, request: ModelRequest, reply: Reply | None) -> None:
    """Attributes from the record; texts only if the settings allow them."""
    describe_record(span, record)
    span.content(record.tenant, lambda: _texts(request, reply))


def describe_record(span: CallSpan, record: CallRecord) -> None:
    """Put the record's main facts on the span."""
    span.note(
        {
            "octant.call_id": record.id,
            "octant.tenant": record.tenant,
            "octant.target": record.target,
            "octant.release": record.release,
            "gen_ai.prompt.name": record.prompt,
            "octant.prompt_version": record.prompt_version,
            "octant.outcome": record.outcome,
            "octant.cost_usd": to_dollars(record.cost),
            "octant.fallbacks": record.fallbacks,
            "octant.degraded": record.degraded or None,
            "octant.overhead_ms": record.overhead_ms,
        }
    )
    if record.outcome != "ok" and record.outcome not in NO_MODEL:
        span.fail(record.outcome)


def describe_attempt(span: AttemptSpan, attempt: Attempt, reply: Reply | None, *, tenant: str) -> None:
    """Usage, the model that answered, and times."""
    span.usage(attempt.usage)
    span.quote(tenant, {"gen_ai.response.model": attempt.model_answered, "gen_ai.response.id": attempt.provider_request_id})
    span.note(
        {
            "gen_ai.response.finish_reasons": [reply.stop] if reply and not reply.vectors else None,
            "gen_ai.response.time_to_first_chunk": attempt.ttft_ms / 1000 if attempt.ttft_ms is not None else None,
            "gen_ai.embeddings.dimension.count": len(reply.vectors[0]) // FLOAT_BYTES if reply and reply.vectors else None,
            "octant.outcome": attempt.outcome,
            "octant.cost_usd": to_dollars(attempt.cost),
        }
    )


def _texts(request: ModelRequest, reply: Reply | None) -> dict[str, Any]:
    """Instructions, input and output in the shapes of the conventions' JSON schemas."""
    texts: dict[str, Any] = {"gen_ai.input.messages": [_message(m) for m in request.messages]}
    if request.embed:
        return {"gen_ai.input.messages": [{"role": "user", "parts": [_part(Text(text))]} for text in request.embed.texts]}
    if request.system:
        texts["gen_ai.system_instructions"] = [_part(Text(text)) for text in request.shown_system]
    if reply:
        parts = [_part(part) for part in reply.parts]
        texts["gen_ai.output.messages"] = [{"role": "assistant", "parts": parts, "finish_reason": reply.stop}]
    return texts


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:  # noqa: PLR0911 - a table
    match part:
        case Text(text=text):
            return {"type": "text", "content": text}
        case Thinking(text=text):
            return {"type": "reasoning", "content": text}
        case ToolUse(id=id_, name=name, arguments=arguments):
            return {"type": "tool_call", "id": id_, "name": name, "arguments": arguments}
        case ToolResult(tool_use_id=id_, content=content):
            return {"type": "tool_call_response", "id": id_, "response": [_part(inner) for inner in content]}
        case Refusal(text=text):
            return {"type": "text", "content": text}
        case Document(media_type=kind):
            return {"type": "blob", "modality": "document", "mime_type": kind, "content": ""}
        case Native() as native:
            return {"type": f"{native.vendor}.{native.block.get('type')}", "content": native.text}
        case Image(media_type=kind):
            return {"type": "blob", "modality": "image", "mime_type": kind, "content": ""}  # a picture is not put on a span
