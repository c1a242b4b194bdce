"""Check replies against their schemas. Violations never quote the value: it may hold personal data.

A reply has as many schemas as it has documents: its text where the call has an output schema, and the arguments of each call of a
strict tool. Only what was promised is judged. The call of a tool that is not strict goes to the caller as it came, because the
vendors do not check it and clients answer it with an error. A reply that was cut, paused or refused is none that could be valid:
a client of a vendor's API gets it as that vendor would give it, and a product of this service, which could not use it, does not.

A call that the request wants is promised too: some models are only asked for it in words (`providers.anthropic_models`).
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.calls import Call, Reply
from app.domain.errors import InvalidRequest, OutputUnchecked, ProviderOutputInvalid
from app.domain.json_text import canonical, refuse, too_deep
from app.domain.messages import OutputSchema, Part, Refusal, Text, ToolChoice, ToolSpec, ToolUse
from app.domain.quick import quick
from app.domain.routes import Target
from app.gateway.recovery.lenient_json import document_in
from app.gateway.recovery.schema import MOST_VIOLATIONS, NotASchema, OutOfSteps, Run, Schema, SchemaRefused
from app.gateway.recovery.schema_compiler import LONGEST, MOST_SCHEMAS, Cache

PATTERN_UNCHECKED = "pattern_unchecked"  # a code of the header octant-degraded
NOT_OFFERED = "name: not a tool that was offered"
NOT_CALLED = "tool_choice: the tool that it wants was not called"
CUT_OFF = "$: the answer was cut off before its end"
NO_CHOICE = ToolChoice()
CUT = frozenset({"max_tokens", "context_window"})
UNJUDGED = CUT | {"refusal", "pause_turn"}  # stops of a reply that is not whole


@quick
@dataclass(frozen=True, slots=True)
class OutputCheck:
    """``reply``: as it came, or with its JSON parsed leniently (``parsed``). Valid if there are no violations."""

    reply: Reply
    violations: tuple[str, ...] = ()
    parsed: bool = False

    def error(self, target: Target) -> ProviderOutputInvalid:
        """The verdict as ``target``'s failure."""
        error = ProviderOutputInvalid("Output is not valid under its schema.", provider=target.provider, model=target.model)
        error.violations, error.reply = self.violations, self.reply
        return error


_cache = Cache()


def check_schemas(call: Call) -> bool:
    """Refuse a promised schema that cannot be checked against, before any money is held. Raises InvalidRequest.

    Of a tool that is not strict only what no vendor takes is refused: what is no JSON Schema at all. So many of these are read as
    one promised schema may hold; the rest is left to the vendor. Returns whether a promised one holds a ``pattern`` that is not
    checked (`schema_patterns`).
    """
    if call.output is None and not call.tools:
        return False
    named = [("response schema", call.output.schema)] if call.output else []
    named += [(f"schema of tool {number}", tool.schema) for number, tool in enumerate(call.tools) if tool.strict]
    letters = schemas = 0
    unmatched = False
    for name, schema in named:
        try:
            text = canonical(schema)
            letters += len(text)
            if letters > LONGEST:
                raise _too_large(f"{LONGEST:,} characters")
            found = _cache.schema(text)
        except SchemaRefused as refused:
            raise InvalidRequest(f"The {name} {refused}", param="schema") from None
        except (ValueError, RecursionError):
            raise InvalidRequest(f"The {name} is not JSON that can be read.", param="schema") from None
        schemas += found.schemas
        if schemas > MOST_SCHEMAS:
            raise _too_large(f"{MOST_SCHEMAS:,} schemas within each other")
        unmatched = unmatched or found.unmatched
    left = MOST_SCHEMAS
    for number, tool in enumerate(call.tools):
        if not tool.strict and left > 0:
            left -= _refuse_malformed(f"schema of tool {number}", tool.schema)
    return unmatched


def _refuse_malformed(name: str, schema: Mapping[str, Any]) -> int:
    """Raise InvalidRequest for what is no schema. Returns the number of schemas that were read."""
    try:
        text = canonical(schema)
        if len(text) <= LONGEST:
            return _cache.schema(text).schemas
    except NotASchema as refused:
        raise InvalidRequest(f"The {name} {refused}", param="schema") from None
    except SchemaRefused:
        pass  # larger than we would check, and nothing is checked
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {name} is not JSON that can be read.", param="schema") from None
    return MOST_SCHEMAS


def _too_large(limit: str) -> InvalidRequest:
    return InvalidRequest(f"The schemas of the answer and of all tools are over {limit} together.", param="schema")


def judge(
    reply: Reply, output: OutputSchema | None, tools: tuple[ToolSpec, ...], choice: ToolChoice = NO_CHOICE, *, whole: bool = False
) -> OutputCheck:
    """Check a reply; parse leniently where that makes it valid, without guessing (see `lenient_json`).

    ``whole``: a document that was cut off is invalid, unless it is one all the same.
    Raises OutputUnchecked where the check takes more steps than it may (`schema.MOST_STEPS`).
    """
    if tools and not _called(reply, choice):
        return OutputCheck(reply, (NOT_CALLED,))
    if output is None and not any(tool.strict for tool in tools):  # nothing else is promised
        return OutputCheck(reply)
    run = Run()
    if whole and output and reply.stop in CUT and violations(replace(reply, stop="end"), output, tools, run):
        return OutputCheck(reply, (CUT_OFF,))
    found = violations(reply, output, tools, run)
    if not found:
        return OutputCheck(reply)
    read = _read_tolerantly(reply, output, {tool.name for tool in tools if tool.strict})
    if read is not None and not violations(read, output, tools, run):
        return OutputCheck(read, parsed=True)
    return OutputCheck(reply, found)


def _called(reply: Reply, choice: ToolChoice) -> bool:
    """Return whether a reply has the call that the request wants, as far as it could have one."""
    if choice.mode not in ("any", "tool") or _unfinished(reply):
        return True
    return any(choice.name in (None, use.name) for use in reply.tool_uses)


def _unfinished(reply: Reply) -> bool:
    return reply.stop in UNJUDGED or any(isinstance(part, Refusal) for part in reply.parts)


def violations(
    reply: Reply, output: OutputSchema | None, tools: tuple[ToolSpec, ...] = (), run: Run | None = None
) -> tuple[str, ...]:
    """Return the first ten violations. Text beside tool calls needs no schema.

    A call of a tool that was not offered is one only where every tool is strict. Raises OutputUnchecked as `judge`.
    """
    run = run or Run()
    if _unfinished(reply):
        return ()
    found: list[str] = []
    if output is not None and not reply.tool_uses:
        found += _violations(reply.text, output.schema, "$", run)
    strict = {tool.name: tool for tool in tools if tool.strict}
    only_strict = bool(strict) and len(strict) == len(tools)
    for number, use in enumerate(reply.tool_uses if strict else ()):
        where = f"tool call {number}: $"
        tool = strict.get(use.name)
        if len(found) >= MOST_VIOLATIONS:
            break
        if tool:
            found += _violations(use.arguments or "{}", tool.schema, where, run)
        elif only_strict:
            found.append(f"{where}.{NOT_OFFERED}")
    return tuple(found[:MOST_VIOLATIONS])


def _violations(text: str, schema: Mapping[str, Any], where: str, run: Run) -> list[str]:
    if too_deep(text):
        return [f"{where}: nested too deeply"]
    try:
        document = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return [f"{where}: not JSON: {error.args[0] if text else 'empty'}"]
    if not schema:
        return [] if isinstance(document, dict) else [f"{where}: not an object"]
    try:
        run.forget()  # parts of the document before are gone, and others may have their identity
        return [where + found for found in _ready(schema).violations(document, run)]
    except SchemaRefused as refused:
        return [f"{where}: the schema {refused}"]
    except (OutOfSteps, RecursionError):
        message = "The answer was paid for and cannot be checked: its schema takes too much work for an answer of this size."
        raise OutputUnchecked(f"{message} Use a simpler schema, or ask for a shorter answer.", param="schema") from None


def _ready(schema: Mapping[str, Any]) -> Schema:
    return _cache.schema(canonical(schema))


def _read_tolerantly(reply: Reply, output: OutputSchema | None, strict: Collection[str]) -> Reply | None:
    """The same reply with each of its judged documents as plain JSON; None where one cannot be read."""
    if output is not None and not reply.tool_uses:
        text = document_in(reply.text)
        others = tuple(part for part in reply.parts if not isinstance(part, Text))
        return None if text is None else replace(reply, parts=(*others, Text(text)))
    parts: list[Part] = []
    for part in reply.parts:
        if isinstance(part, ToolUse) and part.name in strict:
            arguments = document_in(part.arguments)
            if arguments is None:
                return None
            parts.append(replace(part, arguments=arguments))
        else:
            parts.append(part)
    return replace(reply, parts=tuple(parts))
