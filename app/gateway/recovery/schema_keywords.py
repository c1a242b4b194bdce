"""The keywords of JSON Schema 2020-12 that hold further schemas (json-schema.org/draft/2020-12/json-schema-core).

A keyword that is written wrongly refuses the schema, as the meta-schema does; one that is not known says nothing.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from app.gateway.recovery import schema_patterns
from app.gateway.recovery.schema import (
    Check,
    Children,
    Json,
    Node,
    NotASchema,
    Run,
    SchemaRefused,
    Step,
    Test,
    not_a_schema,
    within,
)
from app.gateway.recovery.schema_patterns import Malformed, Pattern, TooLarge, Unmatchable
from app.gateway.recovery.schema_values import LOOKUPS_PER_STEP, TESTS, WRITTEN, indexes_of, is_list, is_object, keys_of, one_of

NESTED_MAPS = ("$defs", "definitions")  # schemas that apply only where something refers to them
PATTERN_COUNTS_AS, TOO_LARGE_COUNTS_AS, INSTRUCTIONS_PER_SCHEMA = 5, 100, 10  # schemas: by the time that making each ready takes
CLASS_COUNTS_AS = 10  # each of Unicode's classes in a pattern that is too large: RE2 reads its hundreds of ranges first
_CLASS = re.compile(r"\\[pP]")
Child = tuple[Step, Node, Json]


class Compiling(Protocol):
    """The compiler of the schemas within (`schema_compiler.Compiler`)."""

    unmatched: bool
    unevaluated: bool

    def node(self, schema: Json, where: str) -> Node:
        """The node of a schema within. Raises SchemaRefused."""
        ...

    def refer(self, node: Node, reference: str, where: str) -> list[Node]:
        """A list that will hold the node that a reference of ``node`` leads to."""
        ...

    def anchor(self, name: str, schema: Json) -> None:
        """Remember the schema that an anchor names."""
        ...

    def constants(self, values: list[Json]) -> frozenset[Any]:
        """The values that an ``enum`` or ``const`` allows. Raises SchemaRefused."""
        ...

    def count(self, schemas: int) -> None:
        """Count work as so many schemas. Raises SchemaRefused."""
        ...


def checks_of(schema: Mapping[str, Json], node: Node, compiler: Compiling, where: str) -> Iterator[Check]:
    """The checks of one schema, what depends on others last. Raises SchemaRefused."""
    one = _One(schema, node, compiler, where)
    one.check_writing()
    one.remember_anchors()
    further = False
    for keyword, value in schema.items():
        if keyword in TESTS:
            yield Check(keyword, value, test=TESTS[keyword](value))
        elif keyword in ("enum", "const"):
            yield Check(keyword, value, test=one_of(compiler.constants(value if keyword == "enum" else [value])))
        elif keyword == "pattern":
            yield from one.pattern(value)
        elif keyword in ("$ref", "$dynamicRef"):
            yield one.reference(keyword)
        else:
            further = further or keyword in _FURTHER
    if further:
        yield from one.logic()
        yield from one.of_arrays()
        yield from one.of_objects()
        yield from one.unevaluated()


class _One:
    """One schema on its way to its checks."""

    def __init__(self, schema: Mapping[str, Json], node: Node, compiler: Compiling, where: str) -> None:
        self._schema = schema
        self._node = node
        self._compiler = compiler
        self._where = where

    def check_writing(self) -> None:
        """Refuse what the meta-schema does. Raises SchemaRefused."""
        for keyword, value in self._schema.items():
            allowed = WRITTEN.get(keyword)
            if allowed is not None and not allowed(value):
                raise NotASchema(not_a_schema(within(self._where, keyword)))
        if "$id" in self._schema and self._where:
            raise SchemaRefused(f"holds another schema with its own '$id' at '{self._where[1:201]}': refer to it without one.")

    def remember_anchors(self) -> None:
        for keyword in ("$anchor", "$dynamicAnchor"):
            if keyword in self._schema:
                self._compiler.anchor(self._schema[keyword], self._schema)

    def pattern(self, value: str) -> Iterator[Check]:
        pattern = self._compiled(value)
        if pattern is None:
            return

        def test(text: Json, run: Run) -> bool:
            if not isinstance(text, str):
                return True
            run.charge(pattern.steps(text))
            return pattern.found_in(text)

        yield Check("pattern", value, test=test)

    def reference(self, keyword: str) -> Check:
        """One resource, so a dynamic reference leads where a plain one does."""
        target = self._compiler.refer(self._node, self._schema[keyword], self._where)
        return self._each(keyword, lambda value, _: ((None, node, value) for node in target))

    def logic(self) -> Iterator[Check]:
        """Keywords that apply further schemas to the same value, and definitions that only references use."""
        for keyword in NESTED_MAPS:
            self._map(keyword)
        if nodes := self._list("allOf"):
            yield self._each("allOf", lambda value, _: ((None, node, value) for node in nodes))
        for keyword, most in (("anyOf", None), ("oneOf", 1)):
            if branches := self._list(keyword):
                test = _some(branches, most)
                yield Check(keyword, self._schema[keyword], test=test, marks=_marks_of_valid(branches))
        if "not" in self._schema:
            unwanted = self._in_place("not")
            yield Check("not", self._schema["not"], test=lambda value, run: not unwanted.is_valid(value, run))
        yield from self._condition()

    def _condition(self) -> Iterator[Check]:
        then, other = (self._in_place(name) if name in self._schema else None for name in ("then", "else"))
        if "if" not in self._schema:
            return
        condition = self._in_place("if")

        def children(value: Json, run: Run) -> Iterator[Child]:
            branch = then if condition.is_valid(value, run) else other
            if branch:
                yield None, branch, value

        def marks(value: Json, run: Run) -> set[Any]:
            found = set(condition.marks(value, run)) if condition.is_valid(value, run) else set()
            return found.union(*(branch.marks(value, run) for _, branch, _ in children(value, run)))

        yield Check("if", self._schema["if"], children=children, marks=marks)

    def of_arrays(self) -> Iterator[Check]:
        first = self._list("prefixItems", in_place=False)
        if first:

            def prefixed(value: Json, _: Run) -> Iterator[Child]:
                return ((at, *pair) for at, pair in enumerate(zip(first, value, strict=False))) if is_list(value) else iter(())

            yield Check(
                "prefixItems",
                self._schema["prefixItems"],
                children=prefixed,
                marks=lambda v, _: set(range(min(len(first), len(v)))) if is_list(v) else set(),
            )
        if "items" in self._schema:
            rest = self._inner("items")

            def items(value: Json, _: Run) -> Iterator[Child]:
                return ((at, rest, value[at]) for at in range(len(first), len(value))) if is_list(value) else iter(())

            yield Check(
                "items", self._schema["items"], children=items, marks=lambda v, _: set(range(len(v))) if is_list(v) else set()
            )
        if "contains" in self._schema:
            yield self._contains(self._inner("contains"))

    def _contains(self, wanted: Node) -> Check:
        least, most = self._schema.get("minContains", 1), self._schema.get("maxContains", math.inf)

        def matching(value: Json, run: Run) -> set[Any]:
            return {at for at, item in enumerate(value) if wanted.is_valid(item, run)} if is_list(value) else set()

        def test(value: Json, run: Run) -> bool:
            return not is_list(value) or least <= len(matching(value, run)) <= most

        return Check("contains", self._schema["contains"], test=test, marks=matching)

    def of_objects(self) -> Iterator[Check]:
        named = self._map("properties")
        matched = [(pattern, node) for text, node in self._map("patternProperties").items() if (pattern := self._compiled(text))]
        if named:
            yield Check(
                "properties",
                self._schema["properties"],
                children=_named(named),
                marks=lambda v, _: set(named.keys() & v.keys()) if is_object(v) else set(),
            )
        if matched:
            yield Check(
                "patternProperties",
                self._schema["patternProperties"],
                children=_matched(matched),
                marks=lambda value, run: {name for name, _, _ in _matched(matched)(value, run)},
            )
        if "additionalProperties" in self._schema and len(matched) == len(self._schema.get("patternProperties", ())):
            yield self._additional(named, matched)  # else a name may match what cannot be matched here
        if "propertyNames" in self._schema:
            names = self._inner("propertyNames")
            yield Check(
                "propertyNames", self._schema["propertyNames"], children=lambda v, _: ((None, names, n) for n in keys_of(v))
            )
        if dependent := self._map("dependentSchemas"):
            self._node.in_place.extend(dependent.values())
            yield self._each(
                "dependentSchemas", lambda v, _: ((None, n, v) for k, n in dependent.items() if k in keys_of(v)), len(dependent)
            )

    def _additional(self, named: Mapping[str, Node], matched: list[tuple[Pattern, Node]]) -> Check:
        node = self._inner("additionalProperties")

        def children(value: Json, run: Run) -> Iterator[Child]:
            for name in keys_of(value):
                if name not in named and not any(_found(pattern, name, run) for pattern, _ in matched):
                    yield (None if node.never else name), node, value[name]

        return Check(
            "additionalProperties",
            self._schema["additionalProperties"],
            children=_once(children, node),
            marks=lambda v, _: set(keys_of(v)),
        )

    def unevaluated(self) -> Iterator[Check]:
        if "unevaluatedItems" in self._schema:
            yield self._unevaluated("unevaluatedItems", indexes_of)
        if "unevaluatedProperties" in self._schema:
            yield self._unevaluated("unevaluatedProperties", keys_of)

    def _unevaluated(self, keyword: str, parts: Callable[[Json], Any]) -> Check:
        node, rest = self._node, self._inner(keyword)
        self._compiler.unevaluated = True

        def children(value: Json, run: Run) -> Iterator[Child]:
            seen: set[Any] = set()
            for check in node.checks:
                if check.marks and check.keyword != keyword:
                    seen |= check.marks(value, run)
                    run.charge(1 + len(seen))
            return ((None if rest.never else step, rest, value[step]) for step in parts(value) if step not in seen)

        return Check(keyword, self._schema[keyword], children=_once(children, rest), marks=lambda value, _: set(parts(value)))

    def _each(self, keyword: str, children: Children, cost: int = 0) -> Check:
        """A keyword all of whose schemas must hold for the same value."""

        def charged(value: Json, run: Run) -> Iterator[Child]:
            run.charge(cost)
            return children(value, run)

        def marks(value: Json, run: Run) -> set[Any]:
            return set().union(*(node.marks(value, run) for _, node, _ in children(value, run)))

        return Check(keyword, self._schema[keyword], children=charged if cost else children, marks=marks)

    def _compiled(self, text: str) -> Pattern | None:
        try:
            pattern = schema_patterns.compiled(text)
        except Malformed:
            raise NotASchema(not_a_schema(self._where)) from None
        except Unmatchable as refused:
            too_large = TOO_LARGE_COUNTS_AS + CLASS_COUNTS_AS * len(_CLASS.findall(text))
            self._compiler.count(too_large if isinstance(refused, TooLarge) else PATTERN_COUNTS_AS)
            self._compiler.unmatched = True
            return None
        self._compiler.count(PATTERN_COUNTS_AS + pattern.size // INSTRUCTIONS_PER_SCHEMA)
        return pattern

    def _inner(self, keyword: str) -> Node:
        return self._compiler.node(self._schema[keyword], within(self._where, keyword))

    def _in_place(self, keyword: str) -> Node:
        node = self._inner(keyword)
        self._node.in_place.append(node)
        return node

    def _list(self, keyword: str, *, in_place: bool = True) -> list[Node]:
        if keyword not in self._schema:
            return []
        where = within(self._where, keyword)
        nodes = [self._compiler.node(inner, within(where, at)) for at, inner in enumerate(self._schema[keyword])]
        if in_place:
            self._node.in_place.extend(nodes)
        return nodes

    def _map(self, keyword: str) -> dict[str, Node]:
        if keyword not in self._schema:
            return {}
        where = within(self._where, keyword)
        return {name: self._compiler.node(inner, within(where, name)) for name, inner in self._schema[keyword].items()}


def _once(children: Children, node: Node) -> Children:
    """If nothing is allowed, report the first that is there."""

    def first(value: Json, run: Run) -> Iterator[Child]:
        for child in children(value, run):
            yield child
            if node.never:
                return

    return first


def _some(branches: list[Node], most: int | None) -> Test:
    def test(value: Json, run: Run) -> bool:
        valid = 0
        for branch in branches:
            if branch.is_valid(value, run):
                valid += 1
                if most is None:
                    return True
                if valid > most:
                    return False
        return valid > 0

    return test


def _marks_of_valid(branches: list[Node]) -> Callable[[Json, Run], set[Any]]:
    return lambda value, run: set().union(*(branch.marks(value, run) for branch in branches if branch.is_valid(value, run)))


def _named(named: Mapping[str, Node]) -> Children:
    def children(value: Json, run: Run) -> Iterator[Child]:
        if not is_object(value):
            return
        run.charge(min(len(value), len(named)) // LOOKUPS_PER_STEP)
        if len(value) < len(named):
            for name in value:
                if name in named:
                    yield name, named[name], value[name]
        else:
            for name, node in named.items():
                if name in value:
                    yield name, node, value[name]

    return children


def _matched(matched: list[tuple[Pattern, Node]]) -> Children:
    def children(value: Json, run: Run) -> Iterator[Child]:
        for name in keys_of(value):
            for pattern, node in matched:
                if _found(pattern, name, run):
                    yield name, node, value[name]

    return children


def _found(pattern: Pattern, text: str, run: Run) -> bool:
    run.charge(pattern.steps(text))
    return pattern.found_in(text)


_FURTHER = frozenset(
    """
    $defs definitions allOf anyOf oneOf not if then else prefixItems items contains properties patternProperties
    additionalProperties propertyNames dependentSchemas unevaluatedItems unevaluatedProperties
    """.split()  # noqa: SIM905 - words read better as a text than as a column of strings
)
