"""Requests that the vendors refuse, as far as their documents and their error messages say.

A gateway that translates between the two forms meets these first. Each function returns the vendor's message, or None.
"""

import re
from collections.abc import Iterator
from typing import Any

from vendor_rules import anthropic_by_model

from clients.model_anthropic import signature
from clients.script import Body

_NAME = {"openai": re.compile(r"^[a-zA-Z0-9_-]{1,64}$"), "anthropic": re.compile(r"^[a-zA-Z0-9_-]{1,128}$")}
_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp"}


def of_openai(body: Body) -> str | None:
    """The reason for which OpenAI refuses a request."""
    return next(_openai(body), None)


def of_anthropic(body: Body) -> str | None:
    """The reason for which Anthropic refuses a request."""
    return next(_anthropic(body), None)


def _openai(body: Body) -> Iterator[str]:
    for tool in body.get("tools") or ():
        yield from _function(tool["function"])
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and form["json_schema"].get("strict"):
        yield from _not_strict(form["json_schema"]["schema"])
    if form.get("type") == "json_object" and "json" not in str(body["messages"]).lower():
        yield "'messages' must contain the word 'json' in some form"
    waiting: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            waiting.discard(message["tool_call_id"])
        elif waiting:
            yield f"tool_call_ids did not have response messages: {', '.join(waiting)}"
        waiting |= {call["id"] for call in message.get("tool_calls") or ()}


def _function(function: dict[str, Any]) -> Iterator[str]:
    if not _NAME["openai"].match(function["name"]):
        yield f"tools[].function.name {function['name']!r} does not match the pattern"
    schema = function.get("parameters")
    if schema is not None and schema.get("type") == "object" and "properties" not in schema:
        yield "object schema missing properties"
    if function.get("strict") and schema:
        yield from _not_strict(schema)


def _not_strict(schema: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and to be false"
        if set(schema.get("properties", {})) - set(schema.get("required", ())):
            yield "'required' is required to be supplied and to be an array including every key in properties"
    for key in ("properties", "$defs"):
        for inner in schema.get(key, {}).values():
            yield from _not_strict(inner)
    yield from _not_strict(schema.get("items"))


def _anthropic(body: Body) -> Iterator[str]:
    yield from anthropic_by_model(body)
    if any(not stop.strip() for stop in body.get("stop_sequences") or ()):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        yield "max_tokens must be greater than thinking.budget_tokens, which is at least 1024"
    for tool in body.get("tools") or ():
        if not _NAME["anthropic"].match(tool["name"]):
            yield f"tools.name: {tool['name']!r} does not match the pattern"
    form = (body.get("output_config") or {}).get("format")
    if form and _open(form["schema"]):
        yield "output_config.format.schema: for 'object' type, 'additionalProperties' must be explicitly set to false"
    marks = sum(1 for _ in _marks(body))
    if marks > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    yield from _turns(body["messages"])
    if thinking.get("type") == "enabled":
        yield from _unsigned(body["messages"])


def _turns(messages: list[dict[str, Any]]) -> Iterator[str]:
    if messages[0]["role"] == "assistant":
        yield "messages: first message must use the user role"
    waiting: set[str] = set()
    for message in messages:
        blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]
        yield from _blocks(blocks)
        answered = {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"}
        if waiting - answered:
            yield f"tool_use ids were found without tool_result blocks immediately after: {', '.join(waiting - answered)}"
        if answered - waiting:
            yield f"unexpected tool_use_id found in tool_result blocks: {', '.join(answered - waiting)}"
        waiting = {b["id"] for b in blocks if b["type"] == "tool_use"}


def _blocks(blocks: list[dict[str, Any]]) -> Iterator[str]:
    for block in blocks:
        if block["type"] == "text" and not block["text"].strip():
            yield "messages: text content blocks must contain non-whitespace text"
        if block["type"] in {"tool_use", "tool_result"}:
            used = block.get("id") or block.get("tool_use_id")
            if not re.match(r"^[a-zA-Z0-9_-]+$", str(used)):
                yield f"tool_use.id: {used!r} does not match the pattern"
        if block["type"] == "image" and block["source"]["type"] == "base64" and block["source"]["media_type"] not in _TYPES:
            yield f"source.base64.media_type: {block['source']['media_type']!r} is not one of the image types"
        if block["type"] == "thinking" and block["signature"] != signature(block["thinking"]):
            yield "Invalid `signature` in `thinking` block"


def _unsigned(messages: list[dict[str, Any]]) -> Iterator[str]:
    """While a tool's result is open, the assistant's turn must begin with the thinking that led to the call."""
    if len(messages) < 2 or not isinstance(messages[-1]["content"], list) or not isinstance(messages[-2]["content"], list):
        return
    first = messages[-2]["content"][0]["type"]
    if messages[-1]["content"][0]["type"] == "tool_result" and first not in {"thinking", "redacted_thinking"}:
        yield "Expected `thinking` or `redacted_thinking`, but found `tool_use`"


def _open(schema: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether an object in the schema takes further properties."""
    if not isinstance(schema, dict):
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), schema.get("items")]
    return (schema.get("type") == "object" and schema.get("additionalProperties") is not False) or any(map(_open, inner))


def _marks(value: Any) -> Iterator[object]:  # noqa: ANN401 - any JSON
    """Every cache mark of a request."""
    if isinstance(value, list):
        for item in value:
            yield from _marks(item)
    elif isinstance(value, dict):
        if value.get("cache_control") is not None:
            yield value["cache_control"]
        for key in ("content", "messages", "system", "tools"):
            yield from _marks(value.get(key))
