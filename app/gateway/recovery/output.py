"""Does a reply keep to its schemas? Says where and why not, without ever quoting the value (it may hold personal data).

A reply has as many schemas as it has documents: its text where an output schema was asked for, and each tool call's arguments.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from app.domain.calls import Call, Reply
from app.domain.errors import InvalidRequest, ProviderOutputInvalid
from app.domain.json_text import refuse, too_deep
from app.domain.messages import OutputSchema, Part, Text, ToolSpec, ToolUse
from app.domain.routes import Target
from app.gateway.recovery.tolerant import document_in

MOST_VIOLATIONS = 10
NOT_OFFERED = "name: not a tool that was offered"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reply`` is the one to go on with: as it came, or with its JSON read tolerantly (``parsed``). Valid if no violations."""

    reply: Reply
    violations: tuple[str, ...] = ()
    parsed: bool = False

    def error(self, target: Target) -> ProviderOutputInvalid:
        """The verdict as ``target``'s failure."""
        error = ProviderOutputInvalid("Output is not valid under its schema.", provider=target.provider, model=target.model)
        error.violations, error.reply = self.violations, self.reply
        return error


def check_schemas(call: Call) -> None:
    """Refuse a schema that cannot be checked against, before any money is held. Raises InvalidRequest."""
    if call.output:
        _check_schema(call.output.schema, "response schema")
    for number, tool in enumerate(call.tools):
        _check_schema(tool.schema, f"schema of tool {number}")


def judge(reply: Reply, output: OutputSchema | None, tools: tuple[ToolSpec, ...]) -> Verdict:
    """Check a reply, and read what is not JSON tolerantly where that makes it valid. Nothing is guessed (see `tolerant`)."""
    found = violations(reply, output, tools)
    if not found:
        return Verdict(reply)
    read = _read_tolerantly(reply, output)
    if read is not None and not violations(read, output, tools):
        return Verdict(read, parsed=True)
    return Verdict(reply, found)


def violations(reply: Reply, output: OutputSchema | None, tools: tuple[ToolSpec, ...] = ()) -> tuple[str, ...]:
    """Return what is wrong, the first ten. A refusal is not held to a schema, nor the text beside a tool call."""
    if reply.stop == "refusal":
        return ()
    found: list[str] = []
    if output is not None and not reply.tool_uses:
        found += _violations(reply.text, output.schema, "$")
    offered = {tool.name: tool for tool in tools}
    for number, use in enumerate(reply.tool_uses):
        where = f"tool call {number}: $"
        tool = offered.get(use.name)
        found += [f"{where}.{NOT_OFFERED}"] if tool is None else _violations(use.arguments or "{}", tool.schema, where)
    return tuple(found[:MOST_VIOLATIONS])


def _violations(text: str, schema: Mapping[str, Any], where: str) -> list[str]:
    if too_deep(text):
        return [f"{where}: nested too deeply"]
    try:
        document = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return [f"{where}: not JSON: {error.args[0] if text else 'empty'}"]
    if not schema:
        return [] if isinstance(document, dict) else [f"{where}: not an object"]
    try:
        errors = sorted(_validator(_canonical(schema)).iter_errors(document), key=lambda e: e.json_path)
    except RecursionError:  # a schema that refers to itself without end
        return [f"{where}: nested too deeply"]
    return [_told(error, where) for error in errors]


def _read_tolerantly(reply: Reply, output: OutputSchema | None) -> Reply | None:
    """The same reply with each of its documents as plain JSON; None where one cannot be read."""
    if reply.stop == "max_tokens":
        return None  # cut off: whatever can be read of it is not what was meant
    if output is not None and not reply.tool_uses:
        text = document_in(reply.text)
        others = tuple(part for part in reply.parts if not isinstance(part, Text))
        return None if text is None else replace(reply, parts=(*others, Text(text)))
    parts: list[Part] = []
    for part in reply.parts:
        arguments = document_in(part.arguments) if isinstance(part, ToolUse) else ""
        if arguments is None:
            return None
        parts.append(replace(part, arguments=arguments) if isinstance(part, ToolUse) else part)
    return replace(reply, parts=tuple(parts))


def _told(error: ValidationError, where: str) -> str:
    """Path and rule, for instance ``$.priority: enum ["low", "high"]``; the offending value is left out."""
    rule = json.dumps(error.validator_value, default=str)
    return f"{where}{error.json_path.removeprefix('$')}: {error.validator} {rule[:200]}"


def _check_schema(schema: Mapping[str, Any], where: str) -> None:
    try:
        _checked(_canonical(schema))
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {where} is not JSON that can be read.", param="schema") from None
    except SchemaError as error:
        path = "/".join(str(step) for step in error.absolute_path)
        raise InvalidRequest(f"The {where} is not a JSON Schema (2020-12) at '{path[:200]}'.", param="schema") from None
    except (Unresolvable, _UnresolvableReference):
        raise InvalidRequest(f"The {where} refers to something that it does not hold.", param="schema") from None


class _UnresolvableReference(Exception):  # noqa: N818 - what is wrong, told in one word
    """A ``$ref`` within a schema leads nowhere, or outside."""


def _canonical(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


@lru_cache(maxsize=256)
def _checked(schema: str) -> None:
    """Check a schema against the meta-schema, and that each reference is within it: none is ever fetched."""
    read = json.loads(schema)
    Draft202012Validator.check_schema(read)
    resolver = Registry[Any]().with_resource("", DRAFT202012.create_resource(read)).resolver()
    _each_reference(read, resolver.lookup)


def _each_reference(node: Any, look_up: Callable[[str], Any]) -> None:  # noqa: ANN401 - any JSON
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("$ref", "$dynamicRef") and isinstance(value, str):
                if not value.startswith("#"):
                    raise _UnresolvableReference
                look_up(value)
            else:
                _each_reference(value, look_up)
    elif isinstance(node, list):
        for item in node:
            _each_reference(item, look_up)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))
