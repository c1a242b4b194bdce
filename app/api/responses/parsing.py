"""Read values of a request one model at a time, so that an error names its field exactly.

A union of forty kinds of items would make pydantic report a violation for each kind. Here the kind is read first, then the one
model that it names.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.edge.violations import is_missing, meant, rule, unparsable

T = TypeVar("T", bound=BaseModel)
Item = TypeVar("Item")
Json = dict[str, Any]
Many = Annotated[list[Item], Field(fail_fast=True)]  # the first wrong one ends it: a list may have thousands

FIELD = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
# Pydantic puts a union's members into a location: names of types, which no field has.
MEMBER = re.compile(r"(?:str|int|float|bool|list\[.*|dict\[.*|[A-Z].*)\Z")


class Wire(BaseModel):
    """A part of a request. Unknown fields are refused, as the vendor does; strict types, as JSON has them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


def parse(model: type[T], body: bytes) -> T:
    """Read a body. Raises InvalidRequest."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _described(error, "") from None


def read(model: type[T], value: Mapping[str, Any], at: str) -> T:
    """Read a part of the body that is at ``at``. Raises InvalidRequest."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _described(error, at) from None


def kind_of(value: Any, at: str, *, known: Sequence[str], refused: frozenset[str] = frozenset()) -> str:  # noqa: ANN401 - any JSON
    """The ``type`` of an object. Raises InvalidRequest for an unknown one, UnsupportedParameter for a refused one."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"Invalid type for '{at}': expected an object.", param=at)
    kind, where = value.get("type"), f"{at}.type"
    if kind is None:
        raise InvalidRequest(f"Missing required parameter: '{where}'.", param=where)
    if isinstance(kind, str) and kind in refused:
        raise UnsupportedParameter(f"'{kind}' is not supported by this service.", param=where)
    if kind not in known:
        raise InvalidRequest(f"Invalid value for '{where}': expected one of {', '.join(known)}.", param=where)
    return str(kind)


def _described(error: ValidationError, at: str) -> InvalidRequest:
    """Describe the violation in our own words and the vendor's field names."""
    location, found = meant(error)
    if refusal := unparsable(found):
        return refusal
    path = _path(at, location)
    if is_missing(found):
        return InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    if found[0]["type"] == "extra_forbidden":
        way = " A body with 'messages' goes to /v1/chat/completions." if path == "messages" else ""
        return InvalidRequest(f"Unknown parameter: '{path}'.{way}", param=path)
    return InvalidRequest(f"Invalid value for '{path or 'body'}': {rule(found)}.", param=path or None)


def _path(at: str, location: tuple[int | str, ...]) -> str:
    """``("content", "list[…]", 0, "text")`` as ``content[0].text``, behind ``at``. A name of the caller's own is not repeated."""
    path = at
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not MEMBER.match(step):
            name = step if FIELD.match(step) else "a field"
            path += f".{name}" if path else name
    return path
