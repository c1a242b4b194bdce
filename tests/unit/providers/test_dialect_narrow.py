"""Tools' schemas for models behind OpenAI's protocol that refuse a request for what they do not know of JSON Schema."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import vendor_rules
from jsonschema import Draft202012Validator

from app.domain.messages import Message, Sampling, Text, ToolSpec
from app.gateway.providers import openai_wire
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.dialect_tools import DEEPEST

Json = dict[str, Any]
LIST: Json = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/List"}}}


def sent(model: str, schema: Json, *, strict: bool = False) -> Json:
    """The schema that a model gets of a tool with this one."""
    request = ModelRequest(
        model=model,
        system=(),
        messages=(Message("user", (Text("hi"),)),),
        sampling=Sampling(max_output_tokens=50),
        timeouts=Timeouts(1, 1, 1, 1),
        tools=(ToolSpec("f", "", schema, strict=strict),),
    )
    found: Json = json.loads(json.dumps(openai_wire.body(request, legacy_max_tokens=False, stream=False)))
    return dict(found["tools"][0]["function"]["parameters"])


def of(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


# A schema, and values that are valid by it.
TOOLS: dict[str, tuple[Json, list[Json]]] = {
    "a type beside anyOf": (  # nicobailon/pi-subagents#127
        of(skill={"type": ["string", "array"], "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
        [{"skill": "a"}, {"skill": ["a"]}, {}],
    ),
    "one beside branches without a type": (  # oOo0oOo/lean-lsp-mcp#213
        of(severity={"anyOf": [{"enum": ["error", "hint"]}, {"type": "null"}], "type": ["string", "null"], "description": "d"}),
        [{"severity": "hint"}, {"severity": None}],
    ),
    "branches that only require": (  # openclaw/openclaw#113130
        of(tasks={"type": "array", "items": {**of(a={"type": "string"}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}),
        [{"tasks": [{"a": "x"}, {"b": 1}]}],
    ),
    "no type": (of(a={}, b={"description": "anything"}), [{"a": 1, "b": [None]}, {"a": "x", "b": {"c": 1}}]),
    "types side by side": (
        of(a={"type": ["array", "null"], "items": {"type": "string"}}, b={"type": ["integer", "null"], "minimum": 3}),
        [{"a": ["x"], "b": 4}, {"a": None, "b": None}],
    ),
    "values that are no texts": (  # esengine/DeepSeek-Reasonix#9005, OmniRoute#760
        of(level={"type": "integer", "enum": [0, 1, 2]}, on={"enum": [True, "auto"]}, n={"const": 3}, word={"enum": ["a", None]}),
        [{"level": 2, "on": "auto", "n": 3, "word": None}],
    ),
    "a constant": (of(kind={"const": "cat"}), [{"kind": "cat"}]),
    "alternatives": (of(a={"oneOf": [{"const": "x"}, {"type": "integer"}]}), [{"a": "x"}, {"a": 4}]),
    "a reference with neighbours": (
        {**of(a={"$ref": "#/definitions/A", "type": "object", "description": "d"}), "definitions": {"A": of(n={"type": "null"})}},
        [{"a": {"n": None}}],
    ),
    "a list of itself": ({**of(first={"$ref": "#/$defs/List"}), "$defs": {"List": LIST}}, [{"first": {"next": {"value": 3}}}]),
    "a map": (
        of(m={"type": "object", "additionalProperties": {"type": ["string", "null"], "minLength": 1}}),
        [{"m": {"a": "b"}}],
    ),
    "a required property that is not declared": ({**of(a={"type": "string"}), "required": ["a", "b"]}, [{"a": "x", "b": 1}]),
    "names like keywords": (of(type={"type": "string"}, const={"enum": ["x"]}, anyOf={"type": "null"}), [{"type": "x"}]),
}


@pytest.mark.parametrize(("model", "rules"), [
    ("kimi-k2.6", vendor_rules.moonshot_schema),
    ("gemini-3.6-flash", vendor_rules.gemini_schema),
])  # fmt: skip
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("schema", "values"), TOOLS.values(), ids=TOOLS)
def test_a_tool_s_schema_is_sent_in_the_form_that_the_model_takes(
    schema: Json, values: list[Json], strict: bool, model: str, rules: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    found = sent(model, schema, strict=strict)
    assert rules(found) == []
    assert found["type"] == "object"
    for value in values:
        assert Draft202012Validator(schema).is_valid(value)
        assert strict or Draft202012Validator(found).is_valid(value), f"narrower than before: {found}"


def test_other_models_get_the_schema_as_it_is() -> None:
    for name in ("no type", "values that are no texts", "a reference with neighbours"):
        assert sent("gpt-6-luna", TOOLS[name][0]) == TOOLS[name][0]


def test_values_that_the_schema_cannot_say_are_in_its_description() -> None:
    assert sent("gemini-2.5-pro", of(level={"type": "integer", "enum": [0, 1], "description": "How much."}))["properties"] == {
        "level": {"type": "integer", "description": "How much. One of [0, 1]."}
    }


def test_a_schema_without_end_is_rewritten_in_bounds() -> None:
    schema: Json = {"type": "string"}
    for _ in range(4 * DEEPEST):
        schema = {"type": "array", "items": schema}
    for model in ("kimi-k2.6", "gemini-2.5-pro"):
        assert sent(model, of(deep=schema))
