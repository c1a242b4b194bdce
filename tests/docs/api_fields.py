"""Fields of requests, down to the last nested one: of the vendors' SDKs, and of our own request models.

A path reads ``messages[]{user}.content[]{text}.text``: a list is ``[]``, and ``{…}`` is the role or the type of one of several
kinds. `shown` leaves the kinds out.
"""

import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import typing_extensions
from pydantic import BaseModel

UNIONS = (typing.Union, types.UnionType)
WRAPPERS = (typing_extensions.Required, typing_extensions.NotRequired, typing.Annotated)
KINDS = ("type", "role")  # the fields that tell the members of a union apart


@dataclass(slots=True)
class Fields:
    """``paths``: every field. ``free``: those that take any JSON, so that nothing is known of the fields within."""

    paths: set[str] = field(default_factory=set)
    free: set[str] = field(default_factory=set)

    def missing(self, wanted: "Fields") -> set[str]:
        """The paths of ``wanted`` that are neither known nor within a field that takes any JSON."""
        places = self.places()
        return {path for path in wanted.paths - self.paths if not self._is_free(path, places)}

    def tops(self, missing: set[str]) -> set[str]:
        """The outermost places of which nothing is known, in the place of all that is missing within them."""
        known = self.places()
        return {next(place for place in reversed([path, *around(path)]) if place not in known) for path in missing}

    def places(self) -> set[str]:
        """All paths and what they are in."""
        return {place for path in self.paths for place in (path, *around(path))}

    def _is_free(self, path: str, places: set[str]) -> bool:
        """Whether a field is within one that takes any JSON. A kind that has fields of its own is not within the others'."""
        for place in self.free & set(around(path)):
            kind = re.match(r"\{[^}]*\}(?=\.)", path[len(place) :])
            if not (kind and place + kind[0] in places):
                return True
        return False


def shown(path: str) -> str:
    """A path without the kinds."""
    return re.sub(r"\{[^}]*\}", "", path)


def around(path: str) -> Iterator[str]:
    """The fields that a field is in, the nearest first: of ``a[]{k}.b`` these are ``a[]{k}``, ``a[]`` and ``a``."""
    while path := path.rpartition(".")[0]:
        yield path
        if path.endswith("}"):
            path = path[: path.rindex("{")]
            yield path
        if path.endswith("[]"):
            yield path.removesuffix("[]")


def of_sdk(*params: object) -> Fields:
    """The fields of typed dictionaries."""
    found = Fields()
    for param in params:
        _walk(param, "", (), found)
    return found


def of_model(model: type[BaseModel]) -> Fields:
    """The fields of a request model."""
    found = Fields()
    _walk(model, "", (), found)
    return found


def _walk(kind: object, path: str, within: tuple[object, ...], found: Fields) -> None:
    members = _members(kind)
    if members is None:
        for inner, step in _inner(kind):
            _walk(inner, path + step, within, found)
        if kind in (Any, object, dict) or typing.get_origin(kind) in (dict, Mapping):
            found.free.add(path)
        return
    if kind in within:
        return
    for place in _kinds(members, path):
        for name, value in members.items():
            where = f"{place}.{name}" if place else name
            found.paths.add(where)
            _walk(value, where, (*within, kind), found)
        if getattr(kind, "model_config", {}).get("extra") == "allow":
            found.free.add(place)


def _inner(kind: object) -> list[tuple[object, str]]:
    """The types that a type is made of, with the step of the path to each."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        return [(member, "") for member in inner]
    if origin in WRAPPERS:
        return [(inner[0], "")]
    return [] if origin in (None, typing.Literal, dict, Mapping) else [(inner[-1], "[]")]


def _members(kind: object) -> Mapping[str, object] | None:
    """The fields of a typed dictionary or a model, by their names on the wire."""
    if typing_extensions.is_typeddict(kind):
        return typing_extensions.get_type_hints(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {about.alias or name: about.annotation for name, about in kind.model_fields.items()}
    return None


def _kinds(members: Mapping[str, object], path: str) -> list[str]:
    """The path, once for each kind that the fields may be of. The body itself is of one kind."""
    named = next((members[name] for name in KINDS if name in members), None) if path else None
    values = [value for value in _literals(named) if isinstance(value, str)]
    return [f"{path}{{{value}}}" for value in values] or [path]


def _literals(kind: object) -> Iterator[object]:
    if typing.get_origin(kind) is typing.Literal:
        yield from typing.get_args(kind)
    elif typing.get_origin(kind) in (*UNIONS, *WRAPPERS):
        for member in typing.get_args(kind):
            yield from _literals(member)
