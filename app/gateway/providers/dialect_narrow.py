"""Tools' schemas for models that refuse a whole request for what they do not know of JSON Schema. Pure.

- Gemini: an ``enum`` holds texts alone, and its schema says so.
- Moonshot: every schema names its type; beside ``anyOf`` and ``$ref`` stand a title and a description alone; references lead into
  ``$defs`` (MoonshotAI/walle, docs/mfjs-spec.md and docs/walle.md).

A schema is widened, never narrowed: what is left out is still checked, as `recovery.output` judges by the caller's schema.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.gateway.providers.dialect_merge import KINDS, Schema

DEEPEST = 40
LONGEST_NOTE = 500
NOTES = ("title", "description")
_KINDS: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def gemini(schema: Schema) -> Schema:
    """As Gemini takes it. Sources: OmniRoute#760, decolua/9router#380, esengine/DeepSeek-Reasonix#9005."""
    made: Schema = _each(schema, _text_values, 0)
    return made


def moonshot(schema: Schema) -> Schema:
    """As Moonshot takes it. Sources: openclaw/openclaw#113130, nicobailon/pi-subagents#127, MoonshotAI/kimi-cli#2531."""
    made = _each(schema, _typed, 0)
    definitions = made.pop("definitions", None)
    return {**made, "$defs": {**definitions, **(made.get("$defs") or {})}} if isinstance(definitions, Mapping) else made


def _each(schema: Any, rewrite: Callable[[Schema], Schema], depth: int) -> Any:  # noqa: ANN401 - any JSON
    """Rewrite every schema within one, the inner ones first."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return schema
    made = dict(schema)
    for name in ("properties", "$defs", "definitions"):
        if isinstance(made.get(name), Mapping):
            made[name] = {key: _each(inner, rewrite, depth + 1) for key, inner in made[name].items()}
    for name in ("items", "additionalProperties"):
        if made.get(name):
            made[name] = _each(made[name], rewrite, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(made.get(name), list):
            made[name] = [_each(inner, rewrite, depth + 1) for inner in made[name]]
    return rewrite(made)


def _text_values(schema: Schema) -> Schema:
    made = _with_enum(schema)
    values = made.get("enum")
    if not isinstance(values, list):
        return made
    if all(isinstance(value, str) for value in values):
        return {**made, "type": "string"} if values else made
    note = f"One of {json.dumps(values, ensure_ascii=False)}."
    del made["enum"]
    return {**made, "description": f"{made.get('description', '')} {note}".strip()} if len(note) <= LONGEST_NOTE else made


def _with_enum(schema: Schema) -> Schema:
    """A constant as the one value of an enum."""
    return {**{k: v for k, v in schema.items() if k != "const"}, "enum": [schema["const"]]} if "const" in schema else schema


def _typed(schema: Schema) -> Schema:
    made = {name: value for name, value in _with_enum(schema).items() if not (name == "items" and value in ({}, True))}
    notes = {name: made[name] for name in NOTES if isinstance(made.get(name), str)}
    base: Schema = {name: made[name] for name in ("$defs", "definitions") if name in made}
    if isinstance(made.get("$ref"), str):
        return {"$ref": made["$ref"].replace("#/definitions/", "#/$defs/"), **notes, **base}
    branches = made.get("anyOf") or made.get("oneOf")
    beside = {k: v for k, v in made.items() if k not in {"anyOf", "oneOf", "allOf", *notes, *base}}
    if isinstance(branches, list) and branches:
        return {"anyOf": [_beside(branch, beside) for branch in branches], **notes, **base}
    kinds = made.get("type") or _kinds_of(beside)
    if isinstance(kinds, str):
        return {**_declared(beside, kinds), "type": kinds, **notes, **base}
    if {"object", "array"}.isdisjoint(kinds) or beside.keys() <= {"type"}:
        values = {"enum": made["enum"]} if "enum" in made else {}
        return {"type": list(kinds), **values, **notes, **base}
    return {"anyOf": [_of_kind(kind, beside) for kind in kinds], **notes, **base}


def _declared(schema: Schema, kind: str) -> Schema:
    """An object requires what it declares alone; only a value that is no container has a default."""
    left = {"default"} if kind in ("object", "array") else set()
    made = {name: value for name, value in schema.items() if name not in left}
    if isinstance(made.get("required"), list):
        made["required"] = [name for name in made["required"] if name in (made.get("properties") or ())]
    return made


def _beside(branch: Any, beside: Schema) -> Any:  # noqa: ANN401 - any JSON
    """A branch with what stood beside all of them, where it says nothing of its own."""
    if not isinstance(branch, Mapping) or "$ref" in branch or "anyOf" in branch:
        return branch
    return _typed({**beside, **{name: value for name, value in branch.items() if not (name == "type" and _is_any(value))}})


def _of_kind(kind: str, schema: Schema) -> Schema:
    own = {"object": ("properties", "required", "additionalProperties"), "array": ("items",)}.get(kind, ("enum",))
    return {"type": kind, **{name: schema[name] for name in own if name in schema}}


def _is_any(kinds: object) -> bool:
    return kinds == _ANY


_ANY = [kind for kind in KINDS if kind != "integer"]


def _kinds_of(schema: Schema) -> str | list[str]:
    """The types of a schema that names none: those that its keywords are for, or any."""
    if isinstance(values := schema.get("enum"), list) and values:
        return _one(dict.fromkeys(_KINDS.get(type(value), "object") for value in values))
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    return "array" if "items" in schema else list(_ANY)


def _one(kinds: Iterable[str]) -> str | list[str]:
    found = list(kinds)
    return found[0] if len(found) == 1 else found
