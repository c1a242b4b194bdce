"""Parse a body into a request model. Errors name the field and never quote its value."""

import re
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import InvalidRequest
from app.domain.json_text import spaced
from app.edge.violations import is_missing, meant, rule, unparsable

T = TypeVar("T", bound=BaseModel)
Item = TypeVar("Item")
Many = Annotated[list[Item], Field(fail_fast=True)]  # the first wrong one ends it: a list may have a million
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
OF_ONE_KIND = re.compile(r"tool_calls\[\d+]\Z")
FIELDS: set[str] = set()
# Discriminators that pydantic puts behind an index; they are not fields.
TAGS = frozenset(
    """
    system developer user assistant tool text image_url input_audio file refusal image tool_use tool_result thinking
    redacted_thinking function custom allowed_tools
    """.split()  # noqa: SIM905 - words read better as a text than as a column of strings
)


class Wire(BaseModel):
    """A part of a vendor's request. Unknown fields are refused, as both vendors do; strict types, as JSON has them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:  # noqa: ANN401 - pydantic's signature
        """Remember field names: a path in an error shows these and leaves out what pydantic puts between them."""
        FIELDS.update(field.alias or name for name, field in cls.model_fields.items())


def parse(model: type[T], body: bytes, *, unknown: str) -> T:
    """Read ``body``. Raises InvalidRequest; ``unknown`` is the vendor's sentence for a field it does not know."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _describe(error, unknown) from None


def _describe(error: ValidationError, unknown: str) -> InvalidRequest:
    """Describe the violation in our own words and the vendor's field names."""
    location, found = meant(error)
    if refusal := unparsable(found):
        return refusal
    path = _path(location)
    if found[0]["type"] in ("extra_forbidden", "none_required"):
        name = str(location[-1])
        path = ".".join(filter(None, (_path(location[:-1]), name if NAME.match(name) else "a field")))
        return InvalidRequest(unknown.format(path), param=path)
    if is_missing(found):
        of_responses = path == "messages" and any(
            violation["loc"] == ("input",) for violation in error.errors(include_input=False)
        )
        way = " A body with 'input' goes to /v1/responses." if of_responses else ""  # Cursor sends it here
        return InvalidRequest(f"Missing required parameter: '{path}'.{way}", param=path)
    return InvalidRequest(f"Invalid value for '{path or 'body'}': {rule(found)}.", param=path or None)


def _path(location: tuple[int | str, ...]) -> str:
    """``('messages', 0, 'user', 'content', 'str')`` as ``messages[0].content``: the union's own steps are left out."""
    path = ""
    for before, step in pairwise((None, *location)):
        if isinstance(step, int):
            path += f"[{step}]"
        elif before == "source":
            continue  # its kind
        elif step in FIELDS and not (step in TAGS and _tells_a_kind(before, path)):
            path += f".{step}" if path else step
    return path


def _tells_a_kind(before: int | str | None, path: str) -> bool:
    """Whether a step that could be a field is pydantic's: behind a union, or behind an index. Tool calls have no kinds."""
    return str(before).startswith("tagged-union") or (isinstance(before, int) and not OF_ONE_KIND.search(path))


def as_object(value: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON text of a tool's input."""
    return spaced(value)
