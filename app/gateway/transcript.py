"""Requests and replies as JSON text for the record. Images and binary documents are named by size, not stored."""

from typing import Any

from app.domain.calls import Reply
from app.domain.embeddings import FLOAT_BYTES
from app.domain.json_text import spaced
from app.domain.messages import Document, Image, Message, Native, Part, Refusal, Text, Thinking, ToolResult, ToolUse
from app.gateway.providers.base import ModelRequest


def request_text(request: ModelRequest) -> str:
    """The whole request as sent, without the canary and parameters that the release pins.

    Token ids are counted, not stored: they spell text that no redaction can read.
    """
    if embed := request.embed:
        inputs = [*embed.texts, *({"token_ids": len(ids)} for ids in embed.token_ids)]
        return spaced({"input": inputs, "dimensions": embed.dimensions})
    document: dict[str, Any] = {
        "system": request.shown_system,
        "messages": [_message(m) for m in request.messages],
    }
    if request.tools:
        document["tools"] = [t.name for t in request.tools]
    if request.output:
        document["output"] = request.output.name
    return spaced(document)


def reply_text(reply: Reply) -> str:
    """The whole reply; of vectors only their number and length."""
    if reply.vectors:
        return spaced({"vectors": len(reply.vectors), "dimensions": len(reply.vectors[0]) // FLOAT_BYTES})
    return spaced({"parts": [_part(p) for p in reply.parts], "stop": reply.stop})


def partial_text(text: str) -> str:
    """The part of a broken reply that arrived: its text, its reasoning and its tools' arguments, in their order."""
    return spaced({"parts": [{"text": text}], "stop": None})


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(p) for p in message.parts]}


def _part(part: Part) -> dict[str, Any]:  # noqa: PLR0911 - a table
    match part:
        case Text(text=text):
            return {"text": text}
        case Image(url=url, data=data, media_type=kind):
            return {"image": "url" if url else kind, "bytes": len(data or "") * 3 // 4}
        case Document(text=str(text), name=name):
            return {"document": name, "text": text}
        case Document(url=url, data=data, media_type=kind):
            return {"document": "url" if url else kind, "bytes": len(data or "") * 3 // 4}
        case Native() as native:
            return {str(native.block.get("type")): native.text}
        case Refusal(text=text):
            return {"refusal": text}
        case ToolUse(name=name, arguments=arguments):
            return {"tool_use": name, "arguments": arguments}
        case ToolResult(content=content, is_error=failed):
            return {"tool_result": [_part(p) for p in content], "is_error": failed}
        case Thinking(text=text):
            return {"thinking": text}
