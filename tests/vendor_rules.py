"""The rules by which the vendors refuse a request, as their documents and servers' messages state them.

Written apart from the service's own rewriting, so that a test of it can fail.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Value = Any  # any JSON
OPENAI_KEYWORDS = frozenset(
    """
    type properties required additionalProperties items enum const anyOf $ref $defs title description format pattern multipleOf
    maximum exclusiveMaximum minimum exclusiveMinimum minItems maxItems
    """.split()  # noqa: SIM905 - words read better as a text than as a column of strings
)
ANTHROPIC_KEYWORDS = frozenset(
    """
    type properties required additionalProperties items enum const anyOf $ref $defs title description format minItems
    """.split()  # noqa: SIM905 - as above
)
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
TOP_LEVEL = frozenset({"oneOf", "anyOf", "allOf", "enum", "not"})


def schemas_in(schema: Value, where: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a strict one, with its place."""
    assert isinstance(schema, dict), f"{where}: {schema!r} is no schema"
    yield where, schema
    for name in ("properties", "$defs"):
        for key, inner in schema.get(name, {}).items():
            yield from schemas_in(inner, f"{where}.{name}.{key}")
    if "items" in schema:
        yield from schemas_in(schema["items"], f"{where}.items")
    for at, inner in enumerate(schema.get("anyOf", ())):
        yield from schemas_in(inner, f"{where}.anyOf[{at}]")


def openai_strict(schema: Mapping[str, Any]) -> list[str]:
    """Why OpenAI refuses a strict schema."""
    found = [] if schema.get("type") == "object" and "anyOf" not in schema else ["$: root must be an object and not anyOf"]
    for where, inner in schemas_in(dict(schema)):
        found += [f"{where}: '{name}' is not permitted" for name in inner.keys() - OPENAI_KEYWORDS]
        if "$ref" in inner and inner.keys() - {"$ref", "$defs"}:
            found.append(f"{where}: $ref cannot have keywords")
        if not inner.keys() & {"type", "anyOf", "$ref"}:
            found.append(f"{where}: schema must have a 'type' key")
        if inner.get("type") == "object":
            if inner.get("additionalProperties") is not False:
                found.append(f"{where}: additionalProperties must be false")
            if set(inner.get("required", ())) != set(inner.get("properties", {})):
                found.append(f"{where}: every property must be required")
        if inner.get("type") == "array" and "items" not in inner:
            found.append(f"{where}: array schema missing items")
        if inner.get("format", "date") not in FORMATS:
            found.append(f"{where}: not a valid format")
    return found


def anthropic_strict(schema: Mapping[str, Any]) -> list[str]:
    """Why Anthropic refuses a schema of a strict tool or of an output."""
    found: list[str] = []
    for where, inner in schemas_in(dict(schema)):
        found += [f"{where}: '{name}' is not supported" for name in inner.keys() - ANTHROPIC_KEYWORDS]
        if inner.get("minItems", 0) not in (0, 1):
            found.append(f"{where}: minItems other than 0 or 1")
        if isinstance(inner.get("type"), list):
            found.append(f"{where}: a list of types")
        if inner.get("type") == "object" and inner.get("additionalProperties") is not False:
            found.append(f"{where}: additionalProperties must be false")
        if inner.get("format", "date") not in FORMATS | {"uri"}:
            found.append(f"{where}: format")
        if not inner.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            found.append(f"{where}: neither type nor anyOf")
    if any(_reaches(schema.get("$defs", {}), name, name, set()) for name in schema.get("$defs", {})):
        found.append("$: recursive schemas are not supported")
    return found


def openai_tool(function: Mapping[str, Any]) -> list[str]:
    """Why OpenAI refuses a function."""
    schema = function["parameters"]
    found = [] if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function["name"]) else ["name"]
    if function.get("strict"):
        return found + openai_strict(schema)
    if schema.get("type") != "object" or schema.keys() & TOP_LEVEL:
        found.append("schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level")
    if "properties" not in schema:
        found.append("object schema missing properties")
    return found + ([] if not _bare_arrays(schema) else ["array schema missing items"])


def anthropic_tool(tool: Mapping[str, Any]) -> list[str]:
    """Why Anthropic refuses a tool."""
    schema = tool["input_schema"]
    found = [] if re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]) else ["name"]
    if schema.get("type") != "object":
        found.append("input_schema.type: Field required")
    if schema.keys() & {"oneOf", "anyOf", "allOf"}:
        found.append("input_schema does not support oneOf, allOf, or anyOf at the top level")
    if not all(re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name) for name in schema.get("properties", {})):
        found.append("Property keys should match pattern")
    return found + (anthropic_strict(schema) if tool.get("strict") else [])


# platform.claude.com/docs: "Troubleshooting thinking", "What's new" of each model.
BUDGETLESS = re.compile(r"claude-(opus-4-[78]|[a-z]+-5)")
ALWAYS_THINKING = re.compile(r"claude-(opus-5-5|fable-5|mythos-5)")
NEVER_FORCED = re.compile(r"claude-(opus-5-5|sonnet-5-5|fable-5-1|mythos-5-1)")
NEVER_LATE = re.compile(r"claude-([a-z]+-4-[0-7]|(sonnet|haiku)-4|sonnet-5(?!-5))")
NEVER_BEGUN = re.compile(r"claude-(opus-4-[678]|sonnet-4-6|[a-z]+-5)")


def anthropic_by_model(body: Mapping[str, Any]) -> list[str]:
    """Why one of Claude's models refuses a body that another takes."""
    model, found = str(body.get("model")), []
    thinking, effort = body.get("thinking") or {}, (body.get("output_config") or {}).get("effort")
    kind = thinking.get("type")
    if kind == "enabled" and BUDGETLESS.search(model):
        found.append('"thinking.type.enabled" is not supported for this model')
    if kind == "disabled" and (ALWAYS_THINKING.search(model) or "sonnet-5-5" in model):
        found.append('"thinking.type.disabled" is not supported for this model')
    if kind == "between_tools" and ("sonnet-5-5" not in model or len(thinking) > 1 or effort in {"xhigh", "max"}):
        found.append('"thinking.type.between_tools" is not supported here')
    if (body.get("tool_choice") or {}).get("type") in {"any", "tool"} and NEVER_FORCED.search(model):
        found.append("tool_choice: forced tool use is not supported for this model")
    if body["messages"] and body["messages"][-1]["role"] == "assistant" and NEVER_BEGUN.search(model):
        found.append("This model does not support assistant message prefill")
    if NEVER_LATE.search(model) and any(message["role"] == "system" for message in body["messages"]):
        found.append("role 'system' is not supported on this model")
    return found


def anthropic_roles(roles: Sequence[str]) -> list[str]:
    """Why Anthropic refuses turns of these roles: platform.claude.com/docs, "Mid-conversation system messages"."""
    found: list[str] = []
    for at, role in enumerate(roles):
        if role == "system" and (at == 0 or roles[at - 1] != "user"):
            found.append(f"messages.{at}: role 'system' must follow a 'user' message")
        if role == "system" and list(roles[at + 1 : at + 2]) not in ([], ["assistant"]):
            found.append(f"messages.{at}: role 'system' must precede an 'assistant' message or end the array")
    return found


def anthropic_messages(body: Mapping[str, Any]) -> list[str]:  # noqa: C901 - a list of rules
    """Why Anthropic refuses a body for its messages, names, ids, images, stops and thinking."""
    found = anthropic_roles([message["role"] for message in body["messages"]])
    uses: list[str] = []
    for at, message in enumerate(body["messages"]):
        if not message["content"]:
            found.append(f"messages.{at}: must have non-empty content")
        for block in message["content"]:
            if block["type"] == "text" and not block["text"].strip():
                found.append(f"messages.{at}: text content blocks must contain non-whitespace text")
            if block["type"] == "tool_use":
                uses.append(block["id"])
            identity = block.get("id") or block.get("tool_use_id")
            if identity is not None and not re.fullmatch(r"[a-zA-Z0-9_-]+", identity):
                found.append(f"messages.{at}: id should match pattern")
            if block["type"] == "tool_result" and block["tool_use_id"] not in uses:
                found.append(f"messages.{at}: unexpected tool_use_id")
            source = block.get("source", {})
            if source.get("type") == "base64" and source["media_type"] not in (
                "image/jpeg", "image/png", "image/gif", "image/webp"
            ):  # fmt: skip
                found.append(f"messages.{at}: media_type")
    if len(set(uses)) != len(uses):
        found.append("tool_use ids must be unique")
    last = body["messages"][-1]
    if last["role"] == "assistant" and last["content"][-1].get("text", "").endswith((" ", "\n")):
        found.append("final assistant content cannot end with trailing whitespace")
    if any(not stop.strip() for stop in body.get("stop_sequences", ())):
        found.append("stop_sequences: each stop sequence must contain non-whitespace")
    budget = body.get("thinking", {}).get("budget_tokens")
    if budget is not None and not 1024 <= budget < body["max_tokens"]:
        found.append("thinking.budget_tokens must be at least 1024 and less than max_tokens")
    found += [problem for tool in body.get("tools", ()) for problem in anthropic_tool(tool)]
    found += anthropic_by_model(body)
    wanted = body.get("output_config", {}).get("format")
    return found + (anthropic_strict(wanted["schema"]) if wanted else [])


def openai_chat(body: Mapping[str, Any]) -> list[str]:
    """Why OpenAI refuses a body for its tools, ids, stops and response format."""
    found = ["tools: at most 128"] if len(body.get("tools", ())) > 128 else []
    found += ["stop: at most 4"] if len(body.get("stop", ())) > 4 else []
    waiting: set[str] = set()
    for at, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                found.append(f"messages.[{at}].role: 'tool' must be a response to a preceeding message with 'tool_calls'")
        else:
            waiting = {call["id"] for call in message.get("tool_calls", ())}
        for call in message.get("tool_calls", ()):
            found += [] if 0 < len(call["id"]) <= 40 else ["tool_calls.id: string too long"]
            found += [] if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"]) else ["function.name"]
    found += [problem for tool in body.get("tools", ()) for problem in openai_tool(tool["function"])]
    wanted = body.get("response_format", {}).get("json_schema")
    if wanted and wanted["strict"]:
        found += openai_strict(wanted["schema"])
    elif wanted and (wanted["schema"].get("type") != "object" or wanted["schema"].keys() & TOP_LEVEL):
        found.append("schema must be an object")
    return found


def gemini_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why Gemini refuses a tool's schema: `enum: only allowed for STRING type`, and a value that is none."""
    inner = [one for _, one in schemas_in(dict(schema))]
    found = ["Unknown name const" for one in inner if "const" in one]
    found += ["enum: only allowed for STRING type" for one in inner if "enum" in one and one.get("type") != "string"]
    return found + ["Invalid value (TYPE_STRING)" for one in inner if not all(isinstance(v, str) for v in one.get("enum", ()))]


def moonshot_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why Moonshot refuses a tool's schema: MoonshotAI/walle, docs/walle.md, "Structural errors"."""
    found = []
    for path, one in schemas_in(dict(schema)):
        joined = next((name for name in ("anyOf", "$ref") if name in one), None)
        if joined and not one.keys() <= {joined, "title", "description", "$defs"}:
            found.append(f"{path}: when using {joined}, type should be defined there instead of the parent schema")
        if not joined and "type" not in one:
            found.append(f"{path}: type is not defined")
        if isinstance(one.get("type"), list) and not one.keys() <= {"type", "title", "description", "enum", "$defs"}:
            found.append(f"{path}: other keywords beside a list of types")
        if not set(one.get("required") or ()) <= set(one.get("properties") or ()):
            found.append(f"{path}: required is not declared in properties")
        if "$ref" in one and not one["$ref"].startswith("#/$defs/") and one["$ref"] != "#":
            found.append(f"{path}: references must start with #/$defs/")
    return found


def _reaches(defs: Mapping[str, Any], start: str, wanted: str, seen: set[str]) -> bool:
    for _, inner in schemas_in(defs[start]):
        target = inner.get("$ref", "").removeprefix("#/$defs/")
        if target == wanted:
            return True
        if target and target not in seen and _reaches(defs, target, wanted, seen | {target}):
            return True
    return False


def _bare_arrays(value: Value) -> bool:
    if isinstance(value, dict):
        return (value.get("type") == "array" and "items" not in value) or any(map(_bare_arrays, value.values()))
    return isinstance(value, list) and any(map(_bare_arrays, value))
