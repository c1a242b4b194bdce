"""From a body to a request model, with errors that say which field is wrong and never quote what was in it."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.domain.errors import InvalidRequest

T = TypeVar("T", bound=BaseModel)


class Wire(BaseModel):
    """A part of a vendor's request. Unknown fields are refused, as both vendors do; strict types, as JSON has them."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def parse(model: type[T], body: bytes, *, unknown: str) -> T:
    """Read ``body``. Raises InvalidRequest; ``unknown`` is the vendor's sentence for a field it does not know."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _told(error, unknown) from None


def _told(error: ValidationError, unknown: str) -> InvalidRequest:
    """The first violation in words. With unions pydantic lists a violation for each member: the deepest is meant."""
    found = max(error.errors(include_input=False, include_url=False), key=lambda e: len(e["loc"]))
    path = _path(found["loc"])
    if found["type"] == "json_invalid":
        return InvalidRequest("We could not parse the JSON body of your request.")
    if found["type"] == "extra_forbidden":
        return InvalidRequest(unknown.format(path), param=path)
    if found["type"] == "missing":
        return InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return InvalidRequest(f"Invalid value for '{path}': {found['msg']}." if path else found["msg"], param=path or None)


def _path(location: tuple[int | str, ...]) -> str:
    """``('messages', 0, 'UserMessage', 'content')`` as ``messages[0].content``: our own class names are left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.islower() and "[" not in step and "-" not in step:
            path += f".{step}" if path else step
    return path


def as_object(value: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON text of a tool's input."""
    return json.dumps(value, ensure_ascii=False)
