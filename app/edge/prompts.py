"""The field ``prompt`` of a request: a prompt of the release, called by a client with variables (G3).

It is the Responses API's own field, and the same in every API: ``{"id", "version"?, "variables"?}``. SDKs without it send it as
``extra_body``, with the prompt's name as ``model``; ``id`` may then be left out. Whether the prompt exists, may be called and has
these variables is the gateway's to say (`gateway.admission`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.edge.requests import FIELD

KNOWN = frozenset({"id", "version", "variables"})
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Named:
    """A request's target: a model's alias or a prompt, with the prompt's variables."""

    target: str
    version: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def read(prompt: Mapping[str, Any] | None, model: str | None) -> Named:
    """Read the field beside ``model``. Raises InvalidRequest or UnsupportedParameter, naming the field."""
    if prompt is None:
        return Named(_name(model, "model"))
    for key in prompt.keys() - KNOWN:
        name = f"prompt.{key}" if FIELD.fullmatch(key) else "prompt"
        raise InvalidRequest(f"Unrecognized request argument supplied: {name}", param=name)
    target = _name(prompt.get("id") or model, "prompt.id")
    if model and model != target:
        raise InvalidRequest("The release decides which model answers a prompt: `model` is the prompt's id.", param="model")
    version, variables = prompt.get("version"), prompt.get("variables")
    if version is not None:
        version = _name(version, "prompt.version")
    if variables is not None and not isinstance(variables, Mapping):
        raise InvalidRequest("Invalid value for 'prompt.variables': names with texts.", param="prompt.variables")
    return Named(target, version, {name: _text(name, value) for name, value in (variables or {}).items()})


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME:
        raise InvalidRequest(f"Invalid value for '{where}': a name of 1 to {LONGEST_NAME} characters.", param=where)
    return value


def _text(name: str, value: object) -> str:
    """A variable's text, also as the Responses API's part of type ``input_text``."""
    where = f"prompt.variables.{name}" if FIELD.fullmatch(name) else "prompt.variables"
    if isinstance(value, Mapping) and value.get("type") in ("input_image", "input_file"):
        raise UnsupportedParameter(f"{where}: a variable is a text; images and files go into the messages.", param=where)
    if isinstance(value, Mapping) and value.get("type") == "input_text":
        value = value.get("text")
    if not isinstance(value, str):
        raise InvalidRequest(f"Invalid value for '{where}': a text.", param=where)
    return value
