"""The schema of a tool that is not strict, or a schema that is only a hint: mended where a vendor refuses its form. Pure.

Both vendors want an object at the top without alternatives beside it; OpenAI wants ``properties`` there and ``items`` in arrays.
Such a schema is widened, never narrowed: the model may see fewer rules than the caller's own check has.
"""

from collections.abc import Mapping
from typing import Any

from app.gateway.providers.dialect_merge import Schema, Unfit, target_of

COMBINED = ("anyOf", "oneOf", "allOf")
TOP = (*COMBINED, "not", "enum", "const", "if", "then", "else", "$ref", "dependentSchemas")
DEEPEST = 40


def parameters(schema: Mapping[str, Any], *, items: bool, any_root: bool = False) -> Schema | None:
    """The schema with an object at its top; None where it is none and ``any_root`` does not say to make it one.

    ``items``: give each array without ``items`` one that allows anything.
    """
    root = dict(schema)
    kinds = _kinds(root)
    if not root.keys().isdisjoint(TOP) or "object" not in kinds or len(kinds) > 1:
        found = _Top(root)
        if found.other_root and not any_root:
            return None
        root = {name: value for name, value in root.items() if name not in TOP}
        root |= {"type": "object", "properties": found.properties, "required": sorted(found.required & found.properties.keys())}
    if not isinstance(root.get("properties"), Mapping):
        root["properties"] = {}
    return _with_items(root, 0) if items and _lacks_items(root) else root


def _kinds(schema: Mapping[str, Any]) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]


class _Top:
    """The properties of an object whose top is combined of several schemas: those of all of them together."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self.properties: Schema = {}
        self.other_root = False
        self._read_before: dict[int, set[str]] = {}  # several references may lead to one schema
        self.required = self._read(root, 0)

    def _read(self, schema: object, depth: int) -> set[str]:
        """Add a schema's properties. Returns those that every value of it has."""
        if not isinstance(schema, Mapping) or depth > DEEPEST:
            return set()
        if id(schema) not in self._read_before:
            self._read_before[id(schema)] = set()  # for a circle
            self._read_before[id(schema)] = self._read_once(schema, depth)
        return self._read_before[id(schema)]

    def _read_once(self, schema: Mapping[str, Any], depth: int) -> set[str]:
        kinds = _kinds(schema)
        if "object" not in kinds and kinds != [None]:
            self.other_root = True
        for name, inner in (schema.get("properties") or {}).items():
            known = self.properties.get(name)
            self.properties[name] = inner if known in (None, inner) else {"anyOf": [*_branches(known), inner]}
        required = {name for name in schema.get("required") or () if isinstance(name, str)}
        if isinstance(schema.get("$ref"), str):
            required |= self._read(self._target(schema["$ref"]), depth + 1)
        for part in schema.get("allOf") or ():
            required |= self._read(part, depth + 1)
        for word in ("anyOf", "oneOf"):
            branches = [self._read(part, depth + 1) for part in schema.get(word) or ()]
            required |= set.intersection(*branches) if branches else set()
        return required

    def _target(self, reference: str) -> object:
        try:
            return target_of(reference, self._root)
        except Unfit:
            return {}


def _branches(schema: object) -> list[object]:
    """The alternatives that were joined here before."""
    joined = isinstance(schema, dict) and schema.keys() == {"anyOf"}
    return list(schema["anyOf"]) if joined else [schema]  # type: ignore[index]


def _is_bare(schema: Mapping[str, Any]) -> bool:
    return "array" in _kinds(schema) and "items" not in schema


def _lacks_items(root: Schema) -> bool:
    """Whether an array has none. Level by level: a schema may list a million numbers, and none of them costs a call."""
    level: list[Any] = [root]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                if _is_bare(value):
                    return True
                inner += value.values()
            elif type(value) is list:
                inner += value
        level = inner
    return False


def _with_items(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON
    if depth > DEEPEST:
        return value
    if isinstance(value, Mapping):
        made = {name: _with_items(inner, depth + 1) for name, inner in value.items()}
        return {**made, "items": {}} if _is_bare(value) else made
    return [_with_items(inner, depth + 1) for inner in value] if isinstance(value, list) else value
