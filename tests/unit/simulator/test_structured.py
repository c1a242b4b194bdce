"""The simulator fills any schema with a valid document, and plays an agent's loop (G5)."""

import json
import re
from typing import Any

import jsonschema
import pytest

from app.simulator import anthropic_wire, openai_wire
from app.simulator.brain import Brain
from app.simulator.request import Ask, ToolOffer, Turn
from app.simulator.rules import Rules
from app.simulator.samples import matching
from app.simulator.structured import Filler

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 1},
        "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
    },
    "required": ["value"],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "formats": {"type": "object", "properties": {f: {"type": "string", "format": f} for f in ("date", "email", "uuid", "uri")}},
    "recursive": {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
    "itself": {"type": "object", "properties": {"again": {"$ref": "#"}}},
    "all of": {
        "allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"required": ["b"]}],
        "properties": {"b": {"type": "integer", "maximum": -3}},
    },
    "one of": {"oneOf": [{"properties": {"t": {"const": n}}, "required": ["t"], "type": "object"} for n in "ab"]},
    "bounds": {
        "type": "array",
        "prefixItems": [
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"type": "integer", "minimum": 3, "multipleOf": 5},
            {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 12},
            {"type": "number", "exclusiveMaximum": 0},
        ],
        "minItems": 4,
    },
    "unique": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}},
    "unnamed": {"type": "object", "required": ["k"], "additionalProperties": {"type": "integer"}, "minProperties": 1},
    "nothing": {},
}
PATTERNS = (
    r"^[A-Z]{2}-\d{4,6}$",
    r"^#[0-9a-fA-F]{6}$",
    r"^\+?[1-9]\d{1,14}$",
    r"^(foo|bar)+[^a-z]\.\w{3,}$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
)
BASH = ToolOffer(
    "Bash",
    "",
    {"type": "object", "properties": {"command": {"type": "string"}, "n": {"type": "number"}}, "required": ["command"]},
)
READ = ToolOffer("Read", "", {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]})


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_document_is_valid_under_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(Filler().fill(schema, "A text about lamps. And more."))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_matches_its_pattern_and_has_its_length(pattern: str) -> None:
    for least, most in ((7, 10_000), (0, 9)):
        schema = {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}
        jsonschema.validate(made := Filler().fill(schema, "A text about lamps."), schema)
        assert least <= len(made) <= most
        assert re.search(pattern, made)


@pytest.mark.parametrize("pattern", ["(", "[", "(?<=", r"(?=\d)a", ""])
def test_a_pattern_that_the_rules_do_not_know_raises_nothing(pattern: str) -> None:
    assert matching(pattern) in (None, "", "a")


@pytest.mark.parametrize(
    "system", ["", "Answer with exactly one JSON object and nothing else: no prose, no code fence."], ids=["openai", "anthropic"]
)
def test_json_mode_gives_an_object_on_both_wires(system: str) -> None:
    message = {"role": "user", "content": "Who are you?"}
    if system:
        ask = anthropic_wire.read({"model": "m", "max_tokens": 99, "system": system, "messages": [message]})
    else:
        ask = openai_wire.read({"model": "m", "messages": [message], "response_format": {"type": "json_object"}})
    assert isinstance(json.loads(Brain().answer(ask).text), dict)


def asked(text: str, *later: Turn, tools: tuple[ToolOffer, ...] = (READ, BASH), system: str = "You are an agent.") -> Ask:
    return Ask(model="m", system=system, turns=(Turn("user", text), *later), tools=tools)


def test_a_loop_calls_once_for_each_quoted_text_and_then_quotes_the_results() -> None:
    text = "<system-reminder>Never run `rm`.</system-reminder> Run `echo one` and `echo two`, please."
    turns: list[Turn] = []
    for number, command in enumerate(("echo one", "echo two")):
        calls = Brain().answer(asked(text, *turns)).calls
        assert calls == [("Bash", {"command": command})]
        result = Turn("user", "", results=((f"c{number}", f"said {command}"),))
        turns += [Turn("assistant", "", calls=((f"c{number}", *calls[0]),)), result]
    answer = Brain().answer(asked(text, *turns))
    assert (answer.calls, answer.stop) == ([], "end")
    assert "said echo two" in answer.text
    assert Brain().answer(asked(text, *turns, Turn("assistant", "Done."), Turn("user", "hi"))).text.startswith("Hello")


def test_a_tool_that_is_named_comes_before_one_that_runs_commands() -> None:
    assert Brain().answer(asked("Use Read on `a.txt`.")).calls == [("Read", {"file_path": "a.txt"})]
    assert [name for name, _ in Brain().answer(asked("Use a tool.")).calls] == ["Read"]


@pytest.mark.parametrize("text", ["What does `pwd` print?", "I read a book.", "Run!"])
def test_a_text_that_asks_for_no_tool_calls_none(text: str) -> None:
    assert Brain().answer(asked(text)).calls == []


def test_a_request_of_a_product_is_left_to_its_rules() -> None:
    lamps = Rules(text=lambda ask: "A lamp." if "lamp" in ask.last_user_text else None)
    assert Brain([lamps]).answer(asked("Run `pwd` by this lamp.")).calls == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "object", "minProperties": 10**9},
        {"type": "string", "minLength": 1e308},
    ],
)
def test_a_schema_that_wants_a_billion_gets_what_memory_holds(schema: dict[str, Any]) -> None:
    """One request from a demo's page ended the simulator, and with it every later answer."""
    assert len(json.dumps(Filler().fill(schema, "a"))) < 5_000_000


@pytest.mark.parametrize(
    ("bounds", "parties"),
    [({}, ["Ada", "Bob"]), ({"maxItems": 1}, ["Ada"]), ({"minItems": 3}, None), ({"items": {"enum": ["x"]}}, [])],
    ids=str,
)
def test_a_list_of_strings_is_filled_with_a_products_own_values_where_they_fit(bounds: Any, parties: list[str] | None) -> None:  # noqa: ANN401 - a schema
    """Each value once. Where they do not fit, the list is the one that the schema wants."""
    none = Rules(values=lambda _name, _text: None)
    rules = Rules(values=lambda name, text: [w for w in text.split() if w.istitle()] if name == "parties" else ())
    schema = {"properties": {"parties": {"type": "array", "items": {"type": "string"}, **bounds}}, "required": ["parties"]}
    filled = Filler([none, rules]).fill(schema, "between Ada and Bob and Ada")
    jsonschema.validate(filled, schema)
    assert parties is None or filled["parties"] == parties


def test_of_two_products_with_a_field_of_one_name_the_one_that_finds_a_value_fills_it() -> None:
    def product(own: str) -> Rules:
        return Rules(value=lambda name, text: (own if own in text else "") if name == "summary" else None)

    filler = Filler([product("lamp"), product("tent")])
    schema = {"properties": {"summary": {"type": "string"}}, "required": ["summary"]}
    assert [filler.fill(schema, f"A {one}.")["summary"] for one in ("lamp", "tent", "shoe")] == ["lamp", "tent", ""]


@pytest.mark.parametrize("text", ["Order NW-10001.", "注文NW-10001はいつ届きますか", "(nw-10001)"])
def test_an_order_number_is_found_beside_letters_of_a_script_without_spaces(text: str) -> None:
    schema = {"properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    assert Filler([]).fill(schema, text)["order_id"].upper() == "NW-10001"
