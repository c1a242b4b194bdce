"""Reads a rotation from YAML. Every problem is refused with its line and field.

Only `true`, `false`, whole numbers and `null` have a meaning of their own; everything else is text. YAML 1.1 reads an unquoted
18:00 as the number 1080, +4917… as a number without its plus, and `no` as false.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.domain.errors import Misconfigured
from app.oncall.rota.rotation import Fault, Rotation, faults

Location = tuple[str | int, ...]
_RESOLVERS = {
    "tag:yaml.org,2002:bool": (re.compile(r"true|false"), "tf"),
    "tag:yaml.org,2002:int": (re.compile(r"0|[1-9][0-9]{0,8}"), "0123456789"),
    "tag:yaml.org,2002:null": (re.compile(r"null|~|"), ["n", "~", ""]),
}


class _Loader(yaml.SafeLoader):
    """A loader that reads times, dates, phone numbers and the word `no` as text, and refuses aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - PyYAML's signature
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias; write the value out", problem_mark=mark)
        return super().compose_node(parent, index)


for _tag, (_pattern, _first) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern.pattern})\Z"), list(_first))


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
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Misconfigured(f"{name}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Misconfigured(f"{name} is not YAML: {error}") from None
    except RecursionError:
        raise Misconfigured(f"{name} is not YAML that can be read: it is nested too deep") from None
    found: list[Fault] = list(_twice(node))
    rotation = None
    if not found:
        try:
            rotation = Rotation.model_validate(data)
            found = faults(rotation)
        except ValidationError as error:
            found = [(e["loc"], _plain(e["msg"])) for e in error.errors()]
    if rotation is None or found:
        lines = [f"{name}:{_line(node, where)}: {'.'.join(map(str, where)) or 'file'}: {what}" for where, what in found]
        raise Misconfigured("The rotation is not usable:\n  " + "\n  ".join(lines))
    return rotation


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def _line(node: yaml.Node | None, where: Location) -> int:
    """The line of a field, or of the nearest one around it that is in the file. The first line is 1."""
    if node is None:
        return 1
    line = int(node.start_mark.line)
    for step in where:
        inner = _child(node, step)
        if inner is None:
            continue  # such as the index of a list that was written as one value
        key, node = inner
        line = int(key.start_mark.line)
    return line + 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """A field or an item: the node that names it, and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _twice(node: yaml.Node | None, where: Location = ()) -> Iterator[Fault]:
    """Fields that stand twice: YAML takes the last one and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*where, name), "stands twice"
            seen.add(name)
            yield from _twice(value, (*where, name))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _twice(value, (*where, i))
