"""JSON Schemas combined: ``allOf``, ``$ref`` with neighbours, and alternatives, written out as one schema. Pure.

`Combinations.flat` returns a schema without ``allOf`` and ``oneOf``, whose ``$ref`` or ``anyOf`` stands alone beside annotations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from app.domain.json_pointer import resolved

Schema = dict[str, Any]

KINDS = ("string", "number", "integer", "boolean", "object", "array", "null")
MOST_BRANCHES, LONGEST_CHAIN, MOST_STEPS = 100, 32, 5_000
CONDITIONS = ("if", "then", "else", "not", "dependentSchemas")
# Keywords beside a `$ref` that change nothing about which values are valid.
NOTES = frozenset({"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"})
_BASE = frozenset({"$defs", "definitions", "$schema", "$id"})


class Unfit(Exception):  # noqa: N818 - it is named for what happened
    """The schema has no form that is written out."""


class Contradiction(Exception):  # noqa: N818 - it is named for what happened
    """Nothing can satisfy the schema."""


@dataclass(slots=True)
class Combinations:
    """The combinations of one schema, whose ``root`` references lead into. ``left``: steps, so that the work is bounded."""

    root: Schema
    left: int = MOST_STEPS

    def flat(self, schema: object, *, follow: bool = False, chain: int = 0) -> Schema:
        """Write the combinations of a schema out. ``follow``: also a reference that stands alone. Raises Unfit, Contradiction."""
        self.left -= 1
        if not isinstance(schema, dict) or chain > LONGEST_CHAIN or self.left < 0:
            raise Unfit
        rest = {name: value for name, value in schema.items() if name not in _BASE}
        reference = rest.pop("$ref", None)
        if reference is not None:
            if not follow and rest.keys() <= NOTES:
                return {"$ref": reference, **{name: rest[name] for name in ("description",) if isinstance(rest.get(name), str)}}
            rest = merge(rest, self.flat(target_of(str(reference), self.root), follow=True, chain=chain + 1))
        if "const" in rest:
            rest = merge({"enum": [rest.pop("const")]}, rest)
        for part in rest.pop("allOf", ()):
            rest = merge(rest, self.flat(part, follow=True, chain=chain + 1))
        return self._alternatives(rest, chain)

    def _alternatives(self, schema: Schema, chain: int) -> Schema:
        """Merge what stands beside alternatives into each of them."""
        for name in ("oneOf", "anyOf"):
            branches = schema.get(name)
            if isinstance(branches, list) and branches and all(_only_conditions(branch) for branch in branches):
                schema = {key: value for key, value in schema.items() if key != name}  # the judge holds the answer to it
        if "oneOf" in schema and "anyOf" in schema:
            raise Unfit
        branches = schema.get("oneOf", schema.get("anyOf"))
        if branches is None:
            return schema
        if not isinstance(branches, list) or not 0 < len(branches) <= MOST_BRANCHES:
            raise Unfit
        rest = {name: value for name, value in schema.items() if name not in ("oneOf", "anyOf")}
        notes = {name: rest[name] for name in NOTES & rest.keys()}
        beside = {name: value for name, value in rest.items() if name not in NOTES}
        if not beside:
            return {**notes, "anyOf": branches}
        made = []
        for branch in branches:
            try:
                made.append(merge(self.flat(branch, follow=True, chain=chain + 1), beside))
            except Contradiction:
                continue
        if not made:
            raise Contradiction
        return {**notes, "anyOf": made}


def _only_conditions(schema: object) -> bool:
    """Whether a branch only says which of the properties beside it must be there."""
    return isinstance(schema, dict) and schema.keys() <= {"required", "not", *NOTES}


def merge(one: Schema, other: Schema) -> Schema:
    """Both schemas at once. Raises Unfit, Contradiction.

    Limits that differ stay as in ``one``: the judge holds the answer to all of them.
    """
    made = {**other, **one}
    for name in one.keys() & other.keys():
        if name in _COMBINED and (name == "enum" or one[name] != other[name]):  # 1 is equal to true here
            made[name] = _COMBINED[name](one[name], other[name])
    _close(made, one, other)
    return made


def _close(made: Schema, one: Schema, other: Schema) -> None:
    """A closed side forbids the properties that only the other one has."""
    for side in (one, other):
        if side.get("additionalProperties") is False and not side.get("patternProperties"):
            allowed = (side.get("properties") or {}).keys()
            properties = made.get("properties") or {}
            made["properties"] = {name: inner for name, inner in properties.items() if name in allowed}
            if not set(made.get("required") or ()) <= allowed:
                raise Contradiction


def _both(a: object, b: object) -> object:
    if a is None or b is None or a == b:
        return b if a is None else a
    return {"allOf": [_schema(a), _schema(b)]}


def _schema(value: object) -> Schema:
    if isinstance(value, dict):
        return value
    if value is True:
        return {}
    raise Unfit


def _neither(_one: object, _other: object) -> object:
    raise Unfit


def _properties(one: Schema, other: Schema) -> Schema:
    return {name: _both(one.get(name), other.get(name)) for name in {**one, **other}}


def _further(one: object, other: object) -> object:
    return False if False in (one, other) else _both(_schema(one), _schema(other))


def _types(one: object, other: object) -> list[str]:
    ours, others = type_names({"type": one}), type_names({"type": other})
    found = [kind for kind in ours if kind in others or (kind == "integer" and "number" in others)]
    if "number" in ours and "integer" in others and "integer" not in found:
        found.append("integer")
    if not found:
        raise Contradiction
    return found


def _values(one: list[Any], other: list[Any]) -> list[Any]:
    found = [value for value in one if any(_equal(value, wanted) for wanted in other)]
    if not found:
        raise Contradiction
    return found


def _equal(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


_COMBINED: Mapping[str, Callable[[Any, Any], object]] = {
    "type": _types,
    "properties": _properties,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "items": _both,
    "additionalProperties": _further,
    "enum": _values,
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "$ref", "patternProperties", "prefixItems"), _neither),
}


def type_names(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names; none where it names none. Raises Unfit for what is no type."""
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named or []
    if not isinstance(names, list) or not all(name in KINDS for name in names):
        raise Unfit
    return names


def named_properties(schema: Schema) -> set[str]:
    """Properties that the conditions of a schema name."""
    found: set[str] = set()
    for name in CONDITIONS:
        value = schema.get(name)
        inner = value.values() if name == "dependentSchemas" and isinstance(value, dict) else [value]
        for condition in inner:
            if isinstance(condition, dict):
                if "$ref" in condition or "allOf" in condition or "anyOf" in condition or "oneOf" in condition:
                    raise Unfit
                found |= set(condition.get("properties") or ()) if name != "not" else set()
    return found


def target_of(reference: str, root: Schema) -> object:
    """The schema that a reference within the root leads to. Raises Unfit."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        raise Unfit
    try:
        found: object = resolved(root, unquote(reference[1:]))
    except LookupError:
        raise Unfit from None
    return found
