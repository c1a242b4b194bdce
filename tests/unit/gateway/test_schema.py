"""JSON Schema: verdicts follow the standard, and their cost is bounded (V3)."""

import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from app.domain.calls import Call, Deadline, Identity, Reply, Tenant, Usage
from app.domain.errors import InvalidRequest, OutputUnchecked
from app.domain.messages import OutputSchema, Text, ToolSpec, ToolUse
from app.domain.money import MicroUSD
from app.gateway.recovery import schema_patterns
from app.gateway.recovery.output import check_schemas, judge
from app.gateway.recovery.schema import MOST_STEPS, OutOfSteps, Run, Schema, SchemaRefused
from app.gateway.recovery.schema_compiler import Cache, Compiler
from app.gateway.recovery.schema_patterns import Unmatchable, compiled

WHO = Identity(Tenant("t", "T", MicroUSD(1), MicroUSD(1)), "k", "u")
NAMES = ("a", "b", "c", "xa")


def call(output: dict[str, Any] | None = None, *tools: dict[str, Any]) -> Call:
    return Call(
        id="r",
        identity=WHO,
        feature="f",
        target="smart",
        deadline=Deadline.after(5),
        output=OutputSchema("answer", output) if output is not None else None,
        tools=tuple(ToolSpec(f"t{at}", "", schema, strict=True) for at, schema in enumerate(tools)),
    )


def reply_of(text: str) -> Reply:
    return Reply(parts=(Text(text),), stop="end", usage=Usage(), provider="p", model="m")


def branching(levels: int, keyword: str = "anyOf", way: str = "$ref") -> dict[str, Any]:
    """A schema of ``levels`` lines that holds one value to two to the power of ``levels`` schemas."""
    last: dict[str, Any] = {f"a{levels}": {"$anchor": f"a{levels}", "not": {}}}
    inner = {f"a{at}": {"$anchor": f"a{at}", keyword: [{way: f"#a{at + 1}"}, {way: f"#a{at + 1}"}]} for at in range(levels)}
    return {"$ref": "#a0", "$defs": {**inner, **last}}


# Generated schemas


def _document(drawn: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    kind = drawn.random()
    if depth > 3 or kind < 0.45:
        return drawn.choice([None, True, False, 0, 1, 1.0, 2, -1, 3.5, "", "a", "b", "ab", "abc", 10])
    if kind < 0.7:
        return [_document(drawn, depth + 1) for _ in range(drawn.randint(0, 4))]
    return {drawn.choice(NAMES): _document(drawn, depth + 1) for _ in range(drawn.randint(0, 4))}


def _schema(drawn: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - any schema
    if drawn.random() < 0.08:
        return drawn.choice([True, False])
    if depth > 3:
        return drawn.choice([{}, {"type": "string"}, {"type": "object"}, {"type": "array"}, {"$ref": "#/$defs/x"}])

    def inner() -> Any:  # noqa: ANN401 - any schema
        return _schema(drawn, depth + 1)

    makers: dict[str, Callable[[], Any]] = {
        "type": lambda: drawn.choice(["string", "integer", "number", "boolean", "null", "object", "array", ["string", "null"]]),
        "enum": lambda: [_document(drawn, 2) for _ in range(3)],
        "const": lambda: _document(drawn, 2),
        "multipleOf": lambda: drawn.choice([1, 2, 0.5, 3]),
        "pattern": lambda: drawn.choice(["a", "^a", "b$", "^[ab]+$"]),
        "uniqueItems": lambda: drawn.choice([True, False]),
        "contains": inner,
        "items": inner,
        "prefixItems": lambda: [inner() for _ in range(drawn.randint(1, 2))],
        "properties": lambda: {name: inner() for name in drawn.sample(NAMES, 2)},
        "patternProperties": lambda: {"^x": inner()},
        "additionalProperties": inner,
        "propertyNames": inner,
        "required": lambda: drawn.sample(NAMES, 1),
        "dependentRequired": lambda: {"a": ["b"]},
        "dependentSchemas": lambda: {"a": inner()},
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), lambda: [inner(), inner()]),
        **dict.fromkeys(("not", "if", "then", "else"), inner),
        **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), lambda: drawn.choice([False, inner()])),
        **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), lambda: drawn.randint(0, 3)),
        **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems"), lambda: drawn.randint(0, 3)),
        **dict.fromkeys(("maxProperties", "minProperties"), lambda: drawn.randint(0, 3)),
        "$ref": lambda: drawn.choice(["#/$defs/x", "#y"]),
    }
    schema = {keyword: makers[keyword]() for keyword in drawn.sample(sorted(makers), drawn.randint(1, 4))}
    if "contains" in schema:
        schema |= {name: drawn.randint(0, 2) for name in drawn.sample(["minContains", "maxContains"], drawn.randint(0, 2))}
    return schema


def _drawn(seed: int) -> tuple[dict[str, Any], list[Any]]:
    drawn = random.Random(seed)  # noqa: S311 - a test's choice
    own = _schema(drawn)
    shared: dict[str, Any] = {
        "x": drawn.choice([{"type": "string"}, {"properties": {"a": {"$ref": "#/$defs/x"}}}, {"items": {"$ref": "#y"}}]),
        "y": drawn.choice([{"type": "integer"}, {"properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"]}]),
    }
    shared["y"]["$anchor"] = "y"
    return {"allOf": [own], "$defs": shared}, [_document(drawn) for _ in range(4)]


@pytest.mark.parametrize("block", range(8))
def test_verdicts_are_those_of_the_reference_library_on_drawn_schemas_and_documents(block: int) -> None:
    """The library is slow and unbounded, and right."""
    valid = 0
    for seed in range(block * 300, block * 300 + 300):
        schema, documents = _drawn(seed)
        reference, ours = Draft202012Validator(schema), Compiler(schema).compiled()
        for document in documents:
            expected = reference.is_valid(document)
            assert ours.root.is_valid(document, Run()) == expected, (seed, schema, document)
            assert bool(ours.violations(document, Run())) != expected, (seed, schema, document)
            valid += expected
    assert 100 < valid < 1_100  # both verdicts are well tried


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "strin"},
        {"type": []},
        {"type": ["string", "string"]},
        {"properties": []},
        {"properties": {"a": 5}},
        {"items": [{}]},
        {"anyOf": []},
        {"anyOf": {}},
        {"required": "a"},
        {"required": ["a", "a"]},
        {"minLength": -1},
        {"minLength": 1.5},
        {"multipleOf": 0},
        {"exclusiveMinimum": True},
        {"enum": "a"},
        {"pattern": 5},
        {"$ref": 5},
        {"description": 5},
        {"dependentRequired": {"a": "b"}},
        {"$defs": {"a": {"type": 5}}},
        {"not": 1},
        5,
        [],
    ],
    ids=str,
)
def test_what_the_meta_schema_refuses_is_refused(wrong: Any) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(SchemaError):
        Draft202012Validator.check_schema(wrong)
    with pytest.raises(SchemaRefused, match="is not a JSON Schema"):
        Compiler(wrong).compiled()


# Cost


@pytest.mark.parametrize("keyword", ["anyOf", "allOf", "oneOf"])
@pytest.mark.parametrize("way", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("levels", [14, 21, 60])
def test_references_that_branch_without_measure_are_refused_before_money_is_held(keyword: str, way: str, levels: int) -> None:
    with pytest.raises(InvalidRequest, match=r"The response schema .* over (10,000|64) schemas") as refused:
        check_schemas(call(branching(levels, keyword, way)))
    assert refused.value.param == "schema"
    with pytest.raises(InvalidRequest, match="The schema of tool 1 "):
        check_schemas(call(None, {}, branching(levels, keyword, way)))


def _nested(document: Any, depth: int, name: str = "x") -> Any:  # noqa: ANN401 - any JSON
    for _ in range(depth):
        document = {name: document}
    return document


def _both_ways(**keywords: Any) -> dict[str, Any]:  # noqa: ANN401 - any schema
    """Return a schema with two branches a level: without memory, 2 to the depth checks."""
    one = {"type": "object", "properties": {"x": {"$ref": "#"}}, **keywords}
    return {"anyOf": [{**one, "title": "one"}, {**one, "title": "other"}, {"type": "integer"}]}


HOSTILE: dict[str, tuple[dict[str, Any], Any]] = {
    "ways that double at each level": (_both_ways(), _nested("s", 150)),
    "ways that double, unevaluated": (_both_ways(unevaluatedProperties={"$ref": "#"}), _nested("s", 100)),
    "unevaluated in each other": (
        {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"unevaluatedProperties": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}},
        _nested("s", 90),
    ),
    "negations": (_nested({"$ref": "#/$defs/n"}, 60, "not") | {"$defs": {"n": {"type": "string"}}}, "s"),
    "dependent schemas": ({"items": {"dependentSchemas": {f"k{n}": {} for n in range(3_000)}}}, [{}] * 100_000),
    "unique long texts": ({"uniqueItems": True}, [[str(n)] * 10 for n in range(50_000)]),
    "unique numbers with one hash": ({"uniqueItems": True}, [n * ((1 << 61) - 1) for n in range(90_000)]),
    "unique at each level": (
        {"uniqueItems": True, "items": {"$ref": "#"}},
        json.loads("[" * 150 + ",".join(map(str, range(50_000))) + "]" * 150),
    ),
    "an enum of documents": ({"items": {"enum": [list(range(20_000)), list(range(20_001))]}}, [list(range(20_000))] * 50),
    "contains": ({"contains": {"contains": {"contains": {"const": 1}}}}, [[[0] * 100] * 100] * 50),
    "names": ({"propertyNames": {"pattern": "^(a|b|c|d)*$"}}, {f"a{n}": n for n in range(200_000)}),
    "names by many patterns": (
        {"patternProperties": {f"^a{n}.*b$": True for n in range(900)}, "additionalProperties": False},
        {f"a{n}": n for n in range(50_000)},
    ),
    "a pattern that backtracks": ({"pattern": "^(a+)+$"}, "a" * 2_000_000 + "!"),
    "a pattern that backtracks in its lookahead": ({"pattern": "^(?!(a|a)*$)(?=.*!)a*!$"}, "a" * 2_000_000 + "!"),
    "a pattern with many states": ({"pattern": "(a|b)*a(a|b){200}c"}, "ab" * 500_000),
    "a large pattern": ({"pattern": "[a-z]{1,900}!"}, "ab" * 500_000),
    "multiples": ({"items": {"multipleOf": 1e-300}}, [1.7e308] * 100_000),
    "required": ({"items": {"required": [f"k{n}" for n in range(9_000)]}}, [{f"k{n}": 0 for n in range(8_999)}] * 10_000),
    "properties that are not there": (
        {"items": {"allOf": [{"properties": {f"k{n}-{m}": True for n in range(50)}} for m in range(50)]}},
        [{f"x{n}": 0 for n in range(50)} for _ in range(20_000)],
    ),
}


def _counted(schema: dict[str, Any], document: Any) -> tuple[int, str]:  # noqa: ANN401 - any JSON
    run = Run()
    try:
        verdict = "invalid" if Compiler(schema).compiled().violations(document, run) else "valid"
    except OutOfSteps:
        verdict = "too much"
    return MOST_STEPS - run.left, verdict


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_or_document_ends_after_the_same_count_on_every_machine(name: str) -> None:
    steps, verdict = _counted(*HOSTILE[name])
    assert steps <= MOST_STEPS or verdict == "too much"
    assert _counted(*HOSTILE[name]) == (steps, verdict)


def test_work_that_doubles_with_the_depth_of_a_document_is_done_once_for_each_part() -> None:
    steps, verdict = _counted(_both_ways(), _nested("s", 150))
    assert verdict == "invalid"
    assert steps < 5_000


def test_output_that_cannot_be_checked_in_time_is_the_callers_error() -> None:
    schema, document = HOSTILE["names by many patterns"]
    with pytest.raises(OutputUnchecked, match="Use a simpler schema"):
        judge(reply_of(json.dumps(document)), OutputSchema("answer", schema), ())
    use = ToolUse("1", "t", json.dumps(document))
    with pytest.raises(OutputUnchecked):
        judge(
            Reply(parts=(use,) * 30, stop="tool_use", usage=Usage(), provider="p", model="m"),
            None,
            (ToolSpec("t", "", schema, strict=True),),
        )


def test_a_thousand_rows_of_ten_typed_fields_are_well_within_the_limit() -> None:
    field = {"type": "string", "minLength": 1, "pattern": "^[a-z0-9 -]+$"}
    row = {"type": "object", "properties": {f"p{n}": field for n in range(10)}, "required": [f"p{n}" for n in range(10)]}
    steps, verdict = _counted({"type": "array", "items": row}, [{f"p{n}": "some text of a field" for n in range(10)}] * 1_000)
    assert verdict == "valid"
    assert steps < MOST_STEPS / 1.5


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{n}": {"type": "string"} for n in range(7_000)}},
        {"properties": {f"p{n}": {"pattern": f"^[a-z]{{{n % 900}}}$"} for n in range(1_500)}},
        {"properties": {f"p{n}": {"pattern": rf"\pL{{1,100}}{n}"} for n in range(100)}},
        {"enum": list(range(60_000))},
        {"const": [[n] for n in range(30_000)]},
        {"description": "x" * 1_100_000},
    ],
    ids=["many schemas", "many patterns", "patterns too large for RE2", "many constants", "a large constant", "a long text"],
)
def test_a_schema_over_its_size_is_refused_with_the_limit(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"over [0-9,]+ ") as refused:
        check_schemas(call(schema))
    assert refused.value.param == "schema"


def test_of_a_tool_that_is_not_strict_only_what_is_no_schema_is_refused() -> None:
    def free(schema: dict[str, Any]) -> Call:
        made = call(None, schema)
        return replace(made, tools=tuple(replace(tool, strict=False) for tool in made.tools))

    check_schemas(free({"enum": list(range(60_000))}))
    check_schemas(free({"description": "x" * 1_100_000}))
    check_schemas(free({"$ref": "#"}))
    assert not check_schemas(free({"type": "string", "pattern": "(?<=a)b"}))
    for schema in ({"type": "nope"}, {"pattern": "("}, {"properties": {"a": {"required": True}}}):
        with pytest.raises(InvalidRequest, match="not a JSON Schema"):
            check_schemas(free(schema))


def test_of_many_tools_that_are_not_strict_no_more_is_read_than_of_a_promised_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: 128 tools with 190 such patterns each, 600 KB, held a worker for most of a minute."""
    large: list[dict[str, Any]] = [
        {"patternProperties": {rf"\pL{{1,100}}{tool}x{n}": {} for n in range(190)}} for tool in range(20)
    ]
    many = [{"properties": {f"p{n}": {"type": "string"} for n in range(1_000)}, "$comment": f"{tool}"} for tool in range(20)]
    read: list[str] = []

    class Noting(Cache):
        def schema(self, text: str) -> Schema:
            read.append(text)
            return super().schema(text)

    monkeypatch.setattr("app.gateway.recovery.output._cache", Noting())
    for schemas, most in ((large, 1), (many, 6)):
        made = call(None, *schemas)
        read.clear()
        check_schemas(replace(made, tools=tuple(replace(tool, strict=False) for tool in made.tools)))
        assert len(read) == most


def test_the_schemas_of_all_tools_count_together() -> None:
    one = {"properties": {f"p{n}": {"type": "string"} for n in range(1_000)}}
    check_schemas(call(None, *[one] * 5))
    with pytest.raises(InvalidRequest, match="of all tools are over 6,000"):
        check_schemas(call(None, *[one] * 7))


def test_the_cache_is_bounded_by_size() -> None:
    cache = Cache(schemas=50, letters=2_000)
    for number in range(40):
        cache.schema(json.dumps({"title": str(number), "properties": {"a": {}, "b": {}}}))
    assert cache.held[0] <= 50
    assert cache.held[1] <= 2_000
    with pytest.raises(SchemaRefused):
        cache.schema('{"type": 5}')
    with pytest.raises(SchemaRefused):
        cache.schema('{"type": 5}')


# Patterns


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        # zod's e-mail address
        (
            r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
            ["jo.do@example.com"],
            [".jo@example.com", "jo..do@example.com", "jo@example"],
        ),
        (r"^(?=.*[A-Z])(?=.*\d).{8,}$", ["Abcdefg1"], ["abcdefg1", "Abcdefgh", "Ab1"]),
        (r"^(?=[(]*[)])[()]+$", ["()"], ["(("]),
        (r"^[A-Z]{2}-\d+$", ["NW-1"], ["nw-1", "NW-1\n", "NW-\u0661"]),
        (r"^\u00e4\u{1F600}?$", ["ä", "ä😀"], ["a"]),
        (r"b", ["abc"], ["ac"]),
        (r"^\p{Lu}", ["Ärger"], ["ärger"]),
    ],
)
def test_patterns_mean_what_ecma_262_says(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not compiled(pattern).found_in(text)] == []
    assert [text for text in no if compiled(pattern).found_in(text)] == []


@pytest.mark.parametrize("pattern", [r"(a)\1", r"a(?=b)", r"^(?!a)b|c", r"(?<!a)b", "a{2000}", "a" * 3_000, "\ud800"])
def test_a_pattern_without_linear_time_is_unchecked_and_reported_to_the_caller(pattern: str) -> None:
    with pytest.raises(Unmatchable):
        compiled(pattern)
    schema = {"type": "string", "pattern": pattern}
    assert check_schemas(call(schema))
    assert not judge(reply_of('"xyz"'), OutputSchema("answer", schema), ()).violations
    assert judge(reply_of("5"), OutputSchema("answer", schema), ()).violations
    assert not check_schemas(call({"type": "string", "pattern": "^a"}))


def test_a_name_that_an_unchecked_pattern_may_match_is_no_additional_property() -> None:
    schema = {"patternProperties": {r"(a)\1": {}}, "additionalProperties": False}
    assert not judge(reply_of('{"aa": 1}'), OutputSchema("answer", schema), ()).violations


# Messages


def test_violations_name_place_and_rule_and_stay_short_for_large_documents() -> None:
    schema = {"additionalProperties": {"enum": [f"value {n}" for n in range(10_000)]}}
    found = judge(reply_of(json.dumps({"k" * 100_000: "x", "b c": 1})), OutputSchema("answer", schema), ()).violations
    assert len(found) == 2
    assert max(map(len, found)) < 600
    assert '$["b c"]: enum ["value 0", "value 1"' in found[1]


def test_a_large_document_that_fails_at_its_end_still_gets_its_reason() -> None:
    schema = {"items": {"properties": {f"p{n}": {"type": "string"} for n in range(10)}}}
    document = [{f"p{n}": "x" for n in range(10)} for _ in range(1_000)]
    document[-1]["p3"] = 4  # type: ignore[assignment]
    assert judge(reply_of(json.dumps(document)), OutputSchema("answer", schema), ()).violations == ('$[999].p3: type "string"',)


def test_a_price_is_a_multiple_of_a_cent() -> None:
    """19.99 / 0.01 is 1998.9999999999998 in binary."""
    price = OutputSchema("answer", {"multipleOf": 0.01})
    assert not judge(reply_of("19.99"), price, ()).violations
    assert judge(reply_of("19.995"), price, ()).violations
    assert not judge(reply_of("1" + "0" * 400), price, ()).violations


def test_numbers_longer_than_python_reads_are_a_violation() -> None:
    assert judge(reply_of("1" * 1_000_000), OutputSchema("answer", {"type": "integer"}), ()).violations


def test_a_schema_within_that_has_an_id_of_its_own_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"its own '\$id' at '\$defs/a'"):
        check_schemas(call({"$defs": {"a": {"$id": "https://example.com/a"}}}))
    assert not check_schemas(call({"properties": {"$id": {"type": "string"}}, "$id": "https://example.com/root"}))


@pytest.mark.parametrize("reference", ["https://example.com/x", "#nowhere", "#/nowhere", "#/allOf/9", "other.json#/a"])
def test_a_reference_that_leads_outside_is_refused(reference: str) -> None:
    with pytest.raises(InvalidRequest, match="refers to something that it does not hold"):
        check_schemas(call({"allOf": [{"$ref": reference}]}))


@pytest.mark.parametrize("expression", ["(", "a)", "[a-", "(?=a", "a\\", "(a))(b"])
@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_an_expression_in_no_dialect_is_refused(expression: str, keyword: str) -> None:
    schema: dict[str, Any] = {keyword: expression if keyword == "pattern" else {expression: {}}}
    with pytest.raises(InvalidRequest):
        check_schemas(call(schema))


@pytest.mark.parametrize("expression", ["[]", "[^]", "\\(", "[(]", "(a|[)])", "(a)\\1", "(?<=a)b", ""])
def test_an_expression_of_another_dialect_is_not_refused(expression: str) -> None:
    check_schemas(call({"pattern": expression}))


@pytest.mark.parametrize("keyword", ["anyOf", "enum"])
def test_long_integers_are_compared_without_being_written(keyword: str) -> None:
    """Writing an integer takes time square in its digits: this reply of 4,290-digit integers took eleven seconds."""
    schema: dict[str, Any] = (
        {"enum": list(range(5_900))} if keyword == "enum" else {"anyOf": [{"const": n} for n in range(5_900)]}
    )
    reply = reply_of(json.dumps([int("7" * 4_290)] * 8))
    began = time.thread_time()
    with contextlib.suppress(OutputUnchecked):
        judge(reply, OutputSchema("x", {"items": schema}), ())
    assert time.thread_time() - began < 5


class _Address(str):
    """Counts how often it is cut."""

    __slots__ = ()
    cuts: list[str] = []  # noqa: RUF012 - of all

    def rstrip(self, chars: str | None = None) -> str:
        self.cuts.append(self)
        return super().rstrip(chars)


def test_a_schemas_own_address_is_read_once_whatever_refers_to_it() -> None:
    """V3: half a megabyte of ``#`` and 2,900 references took 8 s."""
    references = {f"p{number}": {"$ref": "#/$defs/a"} for number in range(100)}
    Compiler({"$id": _Address("x#"), "properties": references, "$defs": {"a": {}}}).compiled()
    assert len(_Address.cuts) == 1


def test_patterns_of_unicodes_classes_count_by_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: RE2 reads all ranges of each before it says that they are too many: sixty such patterns took 2 s."""
    read: list[str] = []

    def reading(text: str) -> schema_patterns.Pattern:
        read.append(text)
        return compiled(text)

    monkeypatch.setattr(schema_patterns, "compiled", reading)
    many = {f"p{number}": {"pattern": r"\p{L}" * 200 + str(number)} for number in range(60)}
    with pytest.raises(InvalidRequest, match="too large"):
        check_schemas(call({"properties": many}))
    assert len(read) <= 3
