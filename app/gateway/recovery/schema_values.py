"""The keywords of JSON Schema 2020-12 that hold no further schemas, and how every keyword must be written.

json-schema.org/draft/2020-12/json-schema-validation.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeGuard

from app.gateway.recovery.schema import Json, Run, Test, frozen

LOOKUPS_PER_STEP, STEPS_PER_FRACTION, STEPS_PER_LONG_FRACTION = 8, 15, 300


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_list(value: Json) -> TypeGuard[list[Any]]:
    """Whether it is an array."""
    return isinstance(value, list)


def is_object(value: Json) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object."""
    return isinstance(value, dict)


def keys_of(value: Json) -> Mapping[str, Any]:
    """The properties of an object; none of anything else."""
    return value if isinstance(value, dict) else {}


def indexes_of(value: Json) -> range:
    """The places of an array; none of anything else."""
    return range(len(value)) if isinstance(value, list) else range(0)


def _is_whole(value: Json) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _is_count(value: Json) -> bool:
    return _is_whole(value) and value >= 0


_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "array": is_list,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "null": lambda value: value is None,
    "number": _is_number,
    "object": is_object,
    "string": lambda value: isinstance(value, str),
}


def _type(names: str | list[str]) -> Test:
    allowed = [_TYPES[name] for name in ([names] if isinstance(names, str) else names)]
    if len(allowed) == 1:
        only = allowed[0]
        return lambda value, _: only(value)
    return lambda value, _: any(allows(value) for allows in allowed)


def one_of(allowed: frozenset[Any]) -> Test:
    """``enum`` and ``const``."""
    return lambda value, run: frozen(value, run) in allowed


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[[Json], Test]:
    return lambda limit: lambda value, _: not _is_number(value) or holds(value, limit)


def _size(kind: type[Any], holds: Callable[[int, Any], bool]) -> Callable[[Json], Test]:
    return lambda limit: lambda value, _: not isinstance(value, kind) or holds(len(value), limit)


def _multiple_of(step: float) -> Test:
    """In decimals, as both are written: 19.99 is a multiple of 0.01, though not in binary."""
    whole = not isinstance(step, float)
    exact = Fraction(step if whole else str(step))

    def test(value: Json, run: Run) -> bool:
        if not _is_number(value):
            return True
        if whole and isinstance(value, int):
            run.charge(value.bit_length() * int(step).bit_length() >> 18)
            return value % step == 0
        run.charge(STEPS_PER_FRACTION if min(step, abs(value) or 1) > 1e-9 and abs(value) < 1e15 else STEPS_PER_LONG_FRACTION)
        if isinstance(value, float):
            return math.isfinite(value) and Fraction(str(value)) % exact == 0
        return value % exact == 0

    return test


def _unique(wanted: bool) -> Test:  # noqa: FBT001 - a keyword's value
    def test(value: Json, run: Run) -> bool:
        if not wanted or not is_list(value):
            return True
        return len({frozen(item, run) for item in value}) == len(value)

    return test


def _required(names: list[str]) -> Test:
    def test(value: Json, run: Run) -> bool:
        if not is_object(value):
            return True
        run.charge(min(len(value), len(names)) // LOOKUPS_PER_STEP)
        return all(name in value for name in names)

    return test


def _dependent_required(needs: Mapping[str, list[str]]) -> Test:
    def test(value: Json, run: Run) -> bool:
        run.charge(sum(map(len, needs.values())) // LOOKUPS_PER_STEP + len(needs))
        return all(other in value for name, others in needs.items() if name in keys_of(value) for other in others)

    return test


TESTS: Mapping[str, Callable[[Any], Test]] = {
    "type": _type,
    "multipleOf": _multiple_of,
    "maximum": _compare(lambda value, limit: value <= limit),
    "exclusiveMaximum": _compare(lambda value, limit: value < limit),
    "minimum": _compare(lambda value, limit: value >= limit),
    "exclusiveMinimum": _compare(lambda value, limit: value > limit),
    "maxLength": _size(str, lambda size, limit: size <= limit),
    "minLength": _size(str, lambda size, limit: size >= limit),
    "maxItems": _size(list, lambda size, limit: size <= limit),
    "minItems": _size(list, lambda size, limit: size >= limit),
    "maxProperties": _size(dict, lambda size, limit: size <= limit),
    "minProperties": _size(dict, lambda size, limit: size >= limit),
    "uniqueItems": _unique,
    "required": _required,
    "dependentRequired": _dependent_required,
}

_is_text: Callable[[Json], bool] = lambda value: isinstance(value, str)  # noqa: E731
_is_flag: Callable[[Json], bool] = lambda value: isinstance(value, bool)  # noqa: E731
_is_schema: Callable[[Json], bool] = lambda value: isinstance(value, bool | dict)  # noqa: E731


def _are_names(value: Json) -> TypeGuard[list[str]]:
    return is_list(value) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _are_schemas(value: Json) -> bool:
    return is_list(value) and bool(value)  # each of them is checked when it is compiled


def _is_type(value: Json) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _are_names(value) and len(value) > 0 and all(name in _TYPES for name in value)


WRITTEN: Mapping[str, Callable[[Json], bool]] = {
    **dict.fromkeys(("$id", "$schema", "$ref", "$dynamicRef", "$comment", "title", "description", "format", "pattern"), _is_text),
    **dict.fromkeys(("$anchor", "$dynamicAnchor", "contentEncoding", "contentMediaType"), _is_text),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly", "uniqueItems"), _is_flag),
    **dict.fromkeys(("$defs", "definitions", "properties", "patternProperties", "dependentSchemas"), is_object),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _are_schemas),
    **dict.fromkeys(("items", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not"), _is_schema),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "contentSchema"), _is_schema),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _is_number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _is_count),
    **dict.fromkeys(("minContains", "maxContains"), _is_count),
    **dict.fromkeys(("enum", "examples"), is_list),
    "required": _are_names,
    "dependentRequired": lambda value: is_object(value) and all(map(_are_names, value.values())),
    "multipleOf": lambda value: _is_number(value) and 0 < value < math.inf,
    "type": _is_type,
}
