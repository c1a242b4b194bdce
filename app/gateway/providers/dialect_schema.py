"""A JSON Schema rewritten in the part of JSON Schema that a vendor enforces (strict tools, structured outputs). Pure.

The vendors close every object (``additionalProperties: false``), know no ``allOf`` or ``not``, and refuse most limits on values.
So

- combinations are written out: ``allOf`` and the neighbours of ``$ref``, ``anyOf`` and ``oneOf`` are merged into each branch;
- keywords that the vendor does not know are left out and stand in the description for the model;
- an object that allows further properties is closed, but never one whose properties are not named (a map);
- a reference with a description of its own is written out too, where that fits: neither vendor takes one beside ``$ref``.

Every document that names only declared properties stays possible, and what is left out is still checked: `recovery.output` judges
the answer by the caller's schema, not by this one. A schema that cannot be rewritten has no fitted form; it is sent as a hint.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from app.gateway.providers.dialect_merge import (
    Combinations,
    Contradiction,
    Schema,
    Unfit,
    named_properties,
    target_of,
    type_names,
)

MOST_SCHEMAS, MOST_PROPERTIES, MOST_VALUES, DEEPEST = 3_000, 5_000, 1_000, 10
CACHED, LONGEST_CACHED = 512, 20_000
GROWTH = 3  # times the schema's own length, and a thousand characters: what the caller's limits were reckoned with
LONGEST_HINT = 500

ANNOTATIONS = ("title", "description")
SILENT = frozenset(
    """
    $schema $id $anchor $comment $defs definitions title description default examples example deprecated readOnly writeOnly
    type properties required additionalProperties items enum const anyOf format contentEncoding contentMediaType
    """.split()  # noqa: SIM905 - words read better as a text than as a column of strings
)  # keywords that are written in another way, or say nothing about which values are valid
SCALARS: Mapping[str, type | tuple[type, ...]] = {"string": str, "number": (int, float), "integer": (int, float), "boolean": bool}
LIMITS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"pattern", "minLength", "maxLength"}),
    "number": frozenset({"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"}),
    "array": frozenset({"minItems", "maxItems", "uniqueItems"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """What a vendor enforces. ``typed``: every schema has a ``type``; ``all_required``: an optional property is not possible.

    ``counted``: it limits the number of optional properties and of unions.
    """

    name: str
    keywords: frozenset[str]
    formats: frozenset[str]
    all_required: bool
    recursion: bool
    object_root: bool
    typed: bool
    counted: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """The rewritten schema, its optional properties and its unions."""

    schema: Mapping[str, Any]
    optional: int
    unions: int


def fitted(schema: Mapping[str, Any], subset: Subset, *, root: Literal["object"] | None = None) -> Fitted | None:
    """Rewrite a schema; None where the subset cannot say it. ``root``: the type that the whole must have."""
    try:
        text = json.dumps(schema)
    except (ValueError, TypeError, RecursionError):
        return None
    make = _cached if len(text) <= LONGEST_CACHED else _fitted
    return make(text, subset, root)


def _fitted(text: str, subset: Subset, root: str | None) -> Fitted | None:
    made, written_out = _written(text, subset, root, describe=True)
    if not written_out:
        return made
    plain, _ = _written(text, subset, root, describe=False)
    more = made is None or plain is None or (made.optional, made.unions) != (plain.optional, plain.unions)
    return plain if made is None or (subset.counted and more) else made


def _written(text: str, subset: Subset, root: str | None, *, describe: bool) -> tuple[Fitted | None, bool]:
    """The rewritten schema, and whether a reference was written out for its description."""
    rewriting = _Rewriting(json.loads(text), subset, describe=describe)
    try:
        made = rewriting.whole(root)
        fits = len(json.dumps(made.schema)) <= GROWTH * len(text) + 1_000
    except (Unfit, Contradiction, RecursionError, ValueError):
        return None, rewriting.written_out
    return made if fits else None, rewriting.written_out


_cached = lru_cache(maxsize=CACHED)(_fitted)


class _Rewriting:
    """One schema on its way."""

    def __init__(self, root: Schema, subset: Subset, *, describe: bool) -> None:
        self._root, self._subset, self._combinations = root, subset, Combinations(root)
        self._describe, self._within = describe, list[str]()  # the references that are being written out
        self.written_out = False
        self._defs: dict[str, Schema | None] = {}  # None: under way, so a reference to it is a circle
        self._names: dict[str, str] = {}
        self._schemas = self._properties = self._values = self._optional = self._unions = 0

    def whole(self, root: str | None) -> Fitted:
        """Raises Unfit, Contradiction."""
        top = self._combinations.flat(self._root, follow=True)
        if (root or self._subset.object_root) and (type_names(top) != ["object"] or "anyOf" in top):
            raise Unfit
        made = self._node(top, 0)
        if self._defs:
            made["$defs"] = self._defs
        return Fitted(made, self._optional, self._unions)

    def _node(self, schema: object, depth: int) -> Schema:
        self._schemas += 1
        if not isinstance(schema, dict) or self._schemas > MOST_SCHEMAS or depth > DEEPEST:
            raise Unfit
        schema = self._combinations.flat(schema)
        if "$ref" in schema:
            return self._described(schema, depth) or self._reference(str(schema["$ref"]))
        if "anyOf" in schema:
            return self._union(schema["anyOf"], schema, depth)
        if "enum" in schema:
            return self._values_of(schema)
        kinds = type_names(schema)
        if not kinds:
            raise Unfit  # any value
        if len(kinds) == 1:
            return self._of_kind(kinds[0], schema, depth)
        if self._subset.typed and not {"object", "array"} & set(kinds):
            return self._scalars(kinds, schema)
        return self._union([{**schema, "type": kind} for kind in kinds], {}, depth)

    def _described(self, schema: Schema, depth: int) -> Schema | None:
        """The schema that a reference with a description leads to; None where it has none, or leads in a circle."""
        pointer = str(schema["$ref"])
        under_way = pointer in self._names and self._defs[self._names[pointer]] is None
        if not self._describe or "description" not in schema or under_way or pointer in self._within:
            return None
        self.written_out = True
        self._within.append(pointer)
        try:
            return self._node(self._combinations.flat(schema, follow=True), depth)
        finally:
            self._within.pop()

    def _reference(self, pointer: str) -> Schema:
        if pointer not in self._names:
            last = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in pointer.rpartition("/")[2])
            name = next(n for at in range(len(self._names) + 1) if (n := f"{last or 'root'}{at or ''}") not in self._defs)
            self._names[pointer], self._defs[name] = name, None
            self._defs[name] = self._node(target_of(pointer, self._root), 1)
        elif self._defs[self._names[pointer]] is None and not self._subset.recursion:
            raise Unfit
        return {"$ref": f"#/$defs/{self._names[pointer]}"}

    def _union(self, branches: Iterable[object], schema: Schema, depth: int) -> Schema:
        made: list[Schema] = []
        for branch in branches:
            try:
                written = self._node(branch, depth + 1)
            except Contradiction:
                continue  # nothing can satisfy it
            if written not in made:
                made.append(written)
        if not made:
            raise Contradiction
        self._unions += len(made) > 1
        return made[0] if len(made) == 1 else {"anyOf": made, **_annotations(schema)}

    def _values_of(self, schema: Schema) -> Schema:
        kinds = type_names(schema)
        values = [value for value in schema["enum"] if not kinds or any(_is(value, kind) for kind in kinds)]
        self._values += len(values)
        if self._values > MOST_VALUES or any(isinstance(value, dict | list) for value in values):
            raise Unfit
        if not values:
            raise Contradiction
        found = list(dict.fromkeys(kind for value in values for kind in _kinds_of(value)))
        typed = {"type": found[0]} if len(found) == 1 else {"type": found} if self._subset.typed else {}
        return {**typed, "enum": values, **self._hinted(schema, frozenset())}

    def _scalars(self, kinds: list[str], schema: Schema) -> Schema:
        return {"type": kinds, **self._kept(kinds, schema)}

    def _of_kind(self, kind: str, schema: Schema, depth: int) -> Schema:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return {"type": "array", "items": self._items(schema, depth), **self._kept([kind], schema)}
        return {"type": kind, **self._kept([kind], schema)}

    def _items(self, schema: Schema, depth: int) -> Schema:
        """The items' schema; of a tuple, which the vendors do not know, any of its places."""
        places = schema.get("prefixItems")
        items = schema.get("items")
        if not isinstance(places, list):
            return self._node(items, depth + 1)
        return self._union([*places, *([items] if isinstance(items, dict) else [])], {}, depth)

    def _object(self, schema: Schema, depth: int) -> Schema:
        declared = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        further = schema.get("additionalProperties", True)
        if schema.get("patternProperties") or (isinstance(further, dict) and further) or (further is not False and not declared):
            raise Unfit  # properties that have no names here
        if not named_properties(schema) <= declared.keys():
            raise Unfit  # closed, it would forbid what a condition allows
        properties: Schema = {}
        for name, inner in declared.items():
            if inner is False:
                continue
            try:
                properties[name] = self._node(inner, depth + 1)
            except Contradiction:
                if name in required:
                    raise
        self._properties += len(properties)
        if self._properties > MOST_PROPERTIES or not set(required) <= properties.keys():
            raise Unfit
        optional = len(properties) - len(set(required))
        if optional and self._subset.all_required:
            raise Unfit
        self._optional += optional
        kept = self._kept(["object"], schema)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **kept}

    def _kept(self, kinds: list[str], schema: Schema) -> Schema:
        """The vendor's own keywords as they are; the others in the description."""
        kept: Schema = {}
        for name in self._subset.keywords & schema.keys():
            if not (name == "pattern" and "(?" in str(schema[name])):  # the vendors match no lookaround
                kept[name] = schema[name]
        if not self._subset.typed and schema.get("minItems", 0) in (0, 1) and "minItems" in schema:
            kept["minItems"] = schema["minItems"]
        if "string" in kinds and schema.get("format") in self._subset.formats:
            kept["format"] = schema["format"]
        relevant = frozenset().union(*(LIMITS.get("number" if kind == "integer" else kind, frozenset()) for kind in kinds))
        kept = {name: value for name, value in kept.items() if name in relevant or name == "format"}
        return {**kept, **self._hinted(schema, frozenset(kept))}

    def _hinted(self, schema: Schema, kept: frozenset[str]) -> Schema:
        """The annotations; the description states what the vendor will not enforce."""
        left = {name: value for name, value in schema.items() if name not in SILENT and name not in kept}
        notes = _annotations(schema)
        if left and len(hint := json.dumps(left, ensure_ascii=False)) <= LONGEST_HINT:
            notes["description"] = f"{notes.get('description', '')} (It must also satisfy {hint})".strip()
        return notes


def _annotations(schema: Schema) -> Schema:
    return {name: schema[name] for name in ANNOTATIONS if isinstance(schema.get(name), str)}


def _is(value: object, kind: str) -> bool:
    if kind == "null":
        return value is None
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    found = SCALARS.get(kind)
    return found is not None and isinstance(value, found) and (kind == "boolean") == isinstance(value, bool)


def _kinds_of(value: object) -> list[str]:
    if isinstance(value, bool):
        return ["boolean"]
    if isinstance(value, float):
        return ["number"]
    return ["null" if value is None else "integer" if isinstance(value, int) else "string"]
