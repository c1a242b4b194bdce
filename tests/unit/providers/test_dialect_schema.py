"""Schemas of one vendor, made fit for the other."""

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
import vendor_rules
from growth import calls_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from app.gateway.providers.dialect import ANTHROPIC, OPENAI, Dialect
from app.gateway.providers.dialect_schema import Subset, fitted
from app.gateway.providers.dialect_tools import parameters
from app.gateway.recovery.schema import Run
from app.gateway.recovery.schema_compiler import Compiler

Json = dict[str, Any]
Value = Any  # any JSON
N: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Person(BaseModel):
    """A person, as extraction examples have them."""

    name: str = Field(min_length=1, max_length=80, description="Full name")
    age: int = Field(gt=0)
    email: str = Field(pattern=r"^\S+@\S+$")
    score: float = Field(ge=0, le=1, multiple_of=0.1)
    born: datetime
    color: Color
    tags: list[str] = Field(min_length=2, max_length=5)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Optional(BaseModel):
    name: str
    nick: str | None = None
    friends: list[Person] = []


class Node(BaseModel):
    value: int
    children: list["Node"]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    place: tuple[float, float]


class Money(BaseModel):
    amount: Decimal


class Map(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    value: Any


ZOD: Json = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "shape": {
            "oneOf": [
                {"type": "object", "properties": {"type": {"type": "string", "const": "circle"}, "r": {"type": "number"}},
                 "required": ["type", "r"], "additionalProperties": False},
                {"type": "object", "properties": {"type": {"type": "string", "const": "square"}, "a": {"type": "number"}},
                 "required": ["type", "a"], "additionalProperties": False},
            ]
        },
        "again": {"$ref": "#/properties/shape"},
        "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                           {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}]},
        "mail": {"type": "string", "format": "email", "pattern": "^(?!\\.)(?!.*\\.\\.)[a-z]+@x\\.org$"},
        "maybe": {"type": ["string", "null"]},
    },
    "required": ["shape", "again", "both", "mail", "maybe"],
    "additionalProperties": False,
}  # fmt: skip
DEFINITIONS: Json = {
    "definitions": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
    "$ref": "#/definitions/Point",
}
BASE_AND_BRANCHES: Json = {
    "type": "object",
    "properties": {"action": {"type": "string"}},
    "required": ["action"],
    "anyOf": [
        {"properties": {"path": {"type": "string"}}, "required": ["path"]},
        {"properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
    ],
}

# The schema, and whether OpenAI and Anthropic can enforce it.
CASES: list[tuple[str, Json, bool, bool]] = [
    ("open object", N, True, True),
    ("closed object", {**N, "additionalProperties": False}, True, True),
    ("optional property", {**N, "required": []}, False, True),
    ("pydantic", Person.model_json_schema(), True, True),
    ("pydantic optional", Optional.model_json_schema(), False, True),
    ("pydantic recursive", Node.model_json_schema(), True, False),
    ("pydantic tuple", Closed.model_json_schema(), True, True),
    ("pydantic decimal", Money.model_json_schema(), True, True),
    ("pydantic map", Map.model_json_schema(), False, False),
    ("pydantic any", Anything.model_json_schema(), False, False),
    ("zod", ZOD, True, True),
    ("definitions with a reference at the top", DEFINITIONS, True, True),
    ("alternatives beside properties", {"type": "object", "properties": {"x": BASE_AND_BRANCHES}, "required": ["x"]}, True, True),
    ("alternatives at the top", BASE_AND_BRANCHES, False, True),
    ("an array at the top", {"type": "array", "items": {"type": "string"}}, False, True),
    ("any object", {"type": "object"}, False, False),
    ("an object without properties", {"type": "object", "properties": {}, "additionalProperties": False}, True, True),
    ("a condition of known properties", {**N, "if": {"properties": {"n": {"const": 1}}}}, True, True),
    ("a condition of an unknown property", {**N, "then": {"properties": {"m": {"type": "string"}}}}, False, False),
    ("patterned names", {"type": "object", "properties": {}, "patternProperties": {"^x": {"type": "string"}}}, False, False),
    ("typed further properties", {**N, "additionalProperties": {"type": "string"}}, False, False),
    ("a bare array", {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]}, False, False),
    ("enum of mixed types", {"type": "object", "properties": {"a": {"enum": ["x", 1, None]}}, "required": ["a"]}, True, True),
    ("const object", {"type": "object", "properties": {"a": {"const": {"x": 1}}}, "required": ["a"]}, False, False),
    ("a required name that is not declared", {**N, "required": ["n", "m"]}, False, False),
    ("a reference outside", {"type": "object", "properties": {"a": {"$ref": "https://x.org/a"}}}, False, False),
    ("nothing is valid", {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"type": "null"}]}},
                          "required": ["a"]}, False, False),
    ("over ten levels", json.loads('{"type":"object","required":["a"],"properties":{"a":' * 12 + '{"type":"null"}' + "}}" * 12),
     False, False),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "openai", "anthropic"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_schema_made_fit_is_one_that_the_vendor_takes(schema: Json, openai: bool, anthropic: bool) -> None:
    before = json.dumps(schema)
    for dialect, possible, rules in (
        (OPENAI, openai, vendor_rules.openai_strict),
        (ANTHROPIC, anthropic, vendor_rules.anthropic_strict),
    ):
        made = fitted(schema, dialect.subset)
        assert (made is not None) == possible, dialect.vendor
        assert made is None or rules(made.schema) == [], dialect.vendor
    assert json.dumps(schema) == before, "the caller's schema is never changed"


PERSON = {
    "name": "Ada", "age": 36, "email": "ada@x.org", "score": 0.5, "born": "1815-12-10T00:00:00", "color": "red",
    "tags": ["a", "b"], "pet": {"kind": "cat", "lives": 9},
}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        (Person.model_json_schema(), PERSON),
        (Optional.model_json_schema(), {"name": "a", "friends": [PERSON]}),
        (ZOD, {"shape": {"type": "circle", "r": 1}, "again": {"type": "square", "a": 2}, "both": {"a": "", "b": ""},
               "mail": "a@x.org", "maybe": None}),
        (DEFINITIONS, {"x": 1.5}),
        (BASE_AND_BRANCHES, {"action": "open", "path": "/"}),
        (BASE_AND_BRANCHES, {"action": "open", "url": "http://x"}),
        (Closed.model_json_schema(), {"id": "a", "place": [1.5, 2]}),
    ],
)  # fmt: skip
def test_what_is_valid_under_the_caller_s_schema_stays_possible(schema: Json, document: Json) -> None:
    jsonschema.validate(document, schema)
    made = [fitted(schema, dialect.subset) for dialect in (ANTHROPIC, OPENAI)]
    assert made[0], "Anthropic has a form for each of them, OpenAI for most"
    for one in filter(None, made):
        jsonschema.validate(document, one.schema)


def test_what_the_vendor_does_not_enforce_stands_in_the_description() -> None:
    made = fitted(
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "description": "Count"}}}, ANTHROPIC.subset
    )
    assert made is not None
    assert made.schema["properties"]["n"] == {"type": "integer", "description": 'Count (It must also satisfy {"minimum": 1})'}


scalars = st.one_of(
    st.just({"type": "string"}),
    st.builds(lambda n: {"type": "string", "minLength": n}, st.integers(0, 3)),
    st.just({"type": "integer"}),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.integers(-3, 3)),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.lists(st.sampled_from(["a", "b", 1, None, True]), min_size=1, max_size=3, unique_by=repr).map(lambda v: {"enum": v}),
    st.sampled_from(["x", 2]).map(lambda v: {"const": v}),
)


def objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    def made(properties: Json, required: list[str], extra: Json) -> Json:
        return {"type": "object", "properties": properties, "required": [r for r in required if r in properties], **extra}

    return st.builds(
        made,
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
        st.lists(st.sampled_from("abcd"), unique=True, max_size=4),
        st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": True}, {"minProperties": 1}]),
    )


schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda b: {"anyOf": b}),
        st.lists(inner, min_size=1, max_size=2).map(lambda b: {"oneOf": b}),
        st.lists(objects(inner), min_size=1, max_size=2).map(lambda b: {"allOf": b}),
        st.builds(lambda a, b: {**a, "anyOf": [b, {"type": "object"}]}, objects(inner), objects(inner)),
    ),
    max_leaves=6,
)
documents = st.recursive(
    st.sampled_from(["a", "", "x", 1, 2, -2.5, None, True]),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=6,
)


def valid(schema: Value, document: Value) -> bool:
    """The verdict of the judge that answers are held to."""
    return not Compiler(json.loads(json.dumps(schema))).compiled().violations(document, Run())


@given(objects(schemas), st.sampled_from([OPENAI, ANTHROPIC]))
@settings(max_examples=300, deadline=None)
def test_whatever_is_made_fit_the_vendor_takes(schema: Json, dialect: Dialect) -> None:
    made = fitted(schema, dialect.subset)
    rules = vendor_rules.openai_strict if dialect is OPENAI else vendor_rules.anthropic_strict
    assert made is None or rules(made.schema) == []


@given(objects(schemas), st.data())
@settings(max_examples=300, deadline=None)
def test_what_the_fitted_schema_allows_is_judged_by_the_caller_s_and_nothing_named_is_lost(
    schema: Json, data: st.DataObject
) -> None:
    """What is valid for the judge is possible at the vendor, but for properties that the schema does not name."""
    assume(not closes_a_branch(schema) and not names_in_vain(schema))
    document = data.draw(instances(schema))
    named = Draft202012Validator(sealed(schema)).is_valid(document)
    for dialect in (OPENAI, ANTHROPIC):
        made = fitted(schema, dialect.subset)
        if made and named and valid(schema, document):
            assert valid(made.schema, document), (made.schema, document)


def sealed(schema: Value, *, whole: bool = True) -> Json:
    """The schema without properties that none of the branches names by which a document is valid.

    ``whole``: it stands for a value, and is no branch of such a schema.
    """
    assert isinstance(schema, dict)
    made: Json = {k: v for k, v in schema.items() if k != "additionalProperties" or v is False}
    if "properties" in made:
        made["properties"] = {name: sealed(inner) for name, inner in made["properties"].items()}
    if "items" in made:
        made["items"] = sealed(made["items"])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in made:
            made[word] = [sealed(branch, whole=False) for branch in made[word]]
    return {**made, "unevaluatedProperties": False} if whole else made


def names_in_vain(schema: Value) -> bool:
    """Whether a branch contradicts the object that it stands in: what it alone names, no instance of it can have."""
    if isinstance(schema, list):
        return any(map(names_in_vain, schema))
    if not isinstance(schema, dict):
        return False
    own: Json = schema.get("properties") or {}
    branches = [branch for key in ("anyOf", "oneOf", "allOf") for branch in schema.get(key) or []]
    vain = any(
        theirs.get("type") != own[name].get("type")
        for branch in branches
        for name, theirs in (branch.get("properties") or {}).items()
        if name in (schema.get("required") or []) and name in own
    )
    return vain or any(map(names_in_vain, schema.values()))


def test_what_only_an_impossible_branch_names_is_left_to_what_is_unnamed() -> None:
    """Found by the search below: the first branch wants a number where the object has a text."""
    text, number = {"type": "string"}, {"type": "integer"}
    branch = {"type": "object", "properties": {"b": number, "d": text}, "required": []}
    inner: Json = {"type": "object", "properties": {"b": text}, "required": ["b"], "anyOf": [branch, {"type": "object"}]}
    schema: Json = {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    made = fitted(schema, OPENAI.subset)
    assert made is not None
    assert valid(made.schema, {"a": {"b": "x"}})
    assert names_in_vain(schema)


def closes_a_branch(schema: Value) -> bool:
    """Whether a branch allows no property but its own, beside others': a property that it names is then named by it alone."""
    if isinstance(schema, list):
        return any(map(closes_a_branch, schema))
    if not isinstance(schema, dict):
        return False
    branches = [b for word in ("anyOf", "oneOf", "allOf") for b in schema.get(word, ()) if isinstance(b, dict)]
    closed = any(branch.get("additionalProperties") is False for branch in branches)
    return (closed and ("properties" in schema or len(branches) > 1)) or any(map(closes_a_branch, schema.values()))


KEPT_EXACTLY = {"string", "integer", "boolean"}


@given(objects(st.recursive(
    st.sampled_from(sorted(KEPT_EXACTLY)).map(lambda t: {"type": t})
    | st.lists(st.sampled_from("ab"), min_size=1, unique=True).map(lambda v: {"enum": v}),
    lambda inner: objects(inner) | st.lists(inner, min_size=1, max_size=2).map(lambda b: {"anyOf": b}), max_leaves=5,
)), documents)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_where_no_keyword_is_left_out_all_that_the_vendor_allows_is_valid(schema: Json, document: Value) -> None:
    for dialect in (OPENAI, ANTHROPIC):
        made = fitted(schema, dialect.subset)
        if made and "must also satisfy" not in json.dumps(made.schema) and valid(made.schema, document):
            assert valid(schema, document)


def instances(schema: Value) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a table
    """Documents that may be valid under a schema, with declared properties only."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            base = instances({k: v for k, v in schema.items() if k != word}) if "type" in schema else None
            branches = st.one_of(*(instances(branch) for branch in schema[word]))
            return branches if base is None else st.builds(_joined, base, branches)
    if "allOf" in schema:
        return st.tuples(*(instances(part) for part in schema["allOf"])).map(lambda parts: _joined(*parts))
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of(*(instances({**schema, "type": kind}) for kind in kinds))
    if kinds == "object":
        required = {k: instances(v) for k, v in schema.get("properties", {}).items() if k in schema.get("required", ())}
        optional = {k: instances(v) for k, v in schema.get("properties", {}).items() if k not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if kinds == "array":
        return st.lists(instances(schema["items"]), min_size=1, max_size=2)
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        "string": st.sampled_from(["abc", "", "abcd"]), "integer": st.integers(-5, 5), "boolean": st.booleans(),
        "number": st.sampled_from([-3, 0.5, 4]), "null": st.none(),
    }  # fmt: skip
    return scalars[kinds]


def _joined(*parts: Value) -> Value:
    if all(isinstance(part, dict) for part in parts):
        return {key: value for part in parts for key, value in part.items()}
    return parts[0]


MCP: list[tuple[str, Json]] = [
    ("nothing", {}),
    ("type alone", {"type": "object"}),
    ("no type", {"properties": {"a": {"type": "string"}}}),
    ("properties null", {"type": "object", "properties": None}),
    ("a list of types", {"type": ["object", "null"], "properties": {"a": {}}}),
    ("bare array", {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": ["array", "null"]}}}),
    ("bare array within", {"type": "object", "properties": {"a": {"anyOf": [{"type": "array"}, {"type": "null"}]}}}),
    ("union at the top", BASE_AND_BRANCHES),
    ("union of objects", {"oneOf": [N, {"type": "object", "properties": {"m": {}}, "required": ["m"]}]}),
    ("discriminated union", {"anyOf": [Cat.model_json_schema(), Dog.model_json_schema()]}),
    ("intersection at the top", {"allOf": [N, {"type": "object", "properties": {"m": {}}, "required": ["m"]}]}),
    ("reference at the top", DEFINITIONS),
    ("a circle at the top", {"$ref": "#"}),
    ("no object", {"type": "string"}),
    ("not at the top", {"type": "object", "properties": {"a": {}}, "not": {"required": ["a"]}}),
    ("a broken reference", {"type": "object", "$ref": "#/nowhere"}),
    ("pydantic", Person.model_json_schema()),
    ("zod", ZOD),
    ("a map", Map.model_json_schema()),
]


@pytest.mark.parametrize("schema", [case[1] for case in MCP], ids=[case[0] for case in MCP])
def test_the_schema_of_a_tool_that_is_not_strict_takes_the_form_that_both_vendors_want(schema: Json) -> None:
    before = json.dumps(schema)
    made = parameters(schema, items=True, any_root=True)
    assert vendor_rules.openai_tool({"name": "f", "parameters": made}) == []
    assert vendor_rules.anthropic_tool({"name": "f", "input_schema": parameters(schema, items=False, any_root=True)}) == []
    assert json.dumps(schema) == before


def test_a_union_at_the_top_becomes_one_object_with_all_properties() -> None:
    union = {"anyOf": [Cat.model_json_schema(), Dog.model_json_schema()]}
    made = parameters(union, items=True, any_root=True)
    assert made is not None
    assert made["properties"].keys() == {"kind", "lives", "good"}
    assert made["required"] == ["kind"]
    assert made["properties"]["kind"]["anyOf"][1]["const"] == "dog"


def test_a_schema_that_needs_no_mending_stays_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {}}}, "x-own": 1}
    assert parameters(schema, items=True) == schema


def test_schemas_that_multiply_are_worked_on_in_bounds() -> None:
    """A caller's schema must not cost more than its length."""
    defs: Json = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 40} for n in range(30)}
    doubling: Json = {"$defs": {**defs, "d30": N}, "type": "object", "allOf": [{"$ref": "#/$defs/d0"}]}
    assert fitted(doubling, ANTHROPIC.subset) is None
    assert parameters(doubling, items=True, any_root=True)
    wide: Json = {"type": "object", "allOf": [{"anyOf": [N] * 90}] * 2, "properties": {}}
    fitted(wide, OPENAI.subset)
    deep: Json = json.loads('{"type":"object","properties":{"a":' * 90 + "{}" + "}}" * 90)
    assert parameters(deep, items=True) == deep


REFERRED: Json = {
    "$defs": {
        "Money": {
            "type": "object",
            "description": "An amount",
            "properties": {"cents": {"type": "integer"}},
            "required": ["cents"],
            "additionalProperties": False,
        },
        "Color": {"type": "string", "enum": ["red", "blue"]},
    },
    "type": "object",
    "properties": {
        "net": {"$ref": "#/$defs/Money", "description": "Without tax"},
        "gross": {"$ref": "#/$defs/Money"},
        "color": {"$ref": "#/$defs/Color", "description": "Of the frame", "default": "red"},
    },
    "required": ["net", "gross", "color"],
    "additionalProperties": False,
}


# pydantic/pydantic-ai#6591, langchain-ai/langchain#32483, openai/openai-python#1637: pydantic writes a field's description beside
# the reference to its model, and OpenAI refuses it there ("$ref cannot have keywords").
@pytest.mark.parametrize("subset", [OPENAI.subset, ANTHROPIC.subset], ids=["openai", "anthropic"])
def test_a_description_beside_a_reference_reaches_the_model(subset: Subset) -> None:
    made = fitted(REFERRED, subset)
    assert made
    properties = made.schema["properties"]
    assert properties["net"]["description"] == "Without tax"
    assert properties["net"]["properties"] == {"cents": {"type": "integer"}}
    assert properties["color"] == {"type": "string", "enum": ["red", "blue"], "description": "Of the frame"}
    assert properties["gross"] == {"$ref": "#/$defs/Money"}
    assert "$ref" not in json.dumps(properties["net"])


def test_a_description_in_a_circle_of_references_leaves_it_one() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node", "description": "The next one"}, {"type": "null"}]}},
        "required": ["next"],
        "additionalProperties": False,
    }
    made = fitted({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}, OPENAI.subset)
    assert made
    assert made.schema["properties"]["next"]["anyOf"][0]["description"] == "The next one"
    assert fitted({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}, ANTHROPIC.subset) is None


@pytest.mark.parametrize("subset", [OPENAI.subset, ANTHROPIC.subset], ids=["openai", "anthropic"])
def test_a_description_does_not_cost_the_enforcement_of_the_schema(subset: Subset) -> None:
    """Written out often, a large model would outgrow what a caller's schema may become, or the unions that Anthropic counts."""
    place = {"anyOf": [{"type": "string", "enum": [f"place {n}" for n in range(40)]}, {"type": "integer"}]}
    large = {"type": "object", "properties": {"p": place}, "required": ["p"], "additionalProperties": False}
    names = [f"n{n}" for n in range(12)]
    schema = {
        "$defs": {"Large": large},
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/Large", "description": name} for name in names},
        "required": names,
        "additionalProperties": False,
    }
    made = fitted(schema, subset)
    assert made
    assert made.unions == 1
    assert made.schema["properties"]["n1"] == {"$ref": "#/$defs/Large"}


def test_a_schema_that_lists_many_values_costs_no_step_for_each_of_them() -> None:
    """V3: 290,000 numbers took 480 ms of a core, on the event loop."""

    def calls(size: int) -> int:
        schema = {"type": "object", "properties": {"a": {"enum": list(range(size))}}}
        return calls_of(lambda: parameters(schema, items=True))

    assert calls(20_000) < calls(10) + 100
