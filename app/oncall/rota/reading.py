"""Reads a rotation from YAML. Every problem is refused with its line and field."""

from pathlib import Path

from pydantic import ValidationError

from app.domain.errors import Misconfigured
from app.domain.yaml_text import NotYaml, line_of, read, twice
from app.oncall.rota.rotation import Fault, Rotation, faults


def load_rotation(path: Path) -> Rotation:
    """Read the file. Raises Misconfigured naming each problem with its line."""
    if not path.is_file():
        raise Misconfigured(f"{path} does not exist. OCTANT_ROTATION_FILE names the on-call rotation.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is not UTF-8 text: {error}") from None
    return read_rotation(text, str(path))


def read_rotation(text: str, name: str) -> Rotation:
    """Read a rotation from YAML text. ``name`` stands before each problem. Raises Misconfigured."""
    try:
        data, node = read(text)
    except NotYaml as error:
        where = f"{name}:{error.line}:" if error.line else f"{name} is"
        raise Misconfigured(f"{where} {error}") from None
    found: list[Fault] = [(where, "stands twice") for where in twice(node)]
    rotation = None
    if not found:
        try:
            rotation = Rotation.model_validate(data)
            found = faults(rotation)
        except ValidationError as error:
            found = [(e["loc"], _plain(e["msg"])) for e in error.errors()]
    if rotation is None or found:
        lines = [f"{name}:{line_of(node, where)}: {'.'.join(map(str, where)) or 'file'}: {what}" for where, what in found]
        raise Misconfigured("The rotation is not usable:\n  " + "\n  ".join(lines))
    return rotation


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
