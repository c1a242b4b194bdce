"""YAML that people write, read strictly: each problem has its line, and nothing in it is guessed.

Only `true`, `false`, whole numbers and `null` have a meaning of their own; everything else is text. YAML 1.1 reads an unquoted
18:00 as the number 1080, +4917… as a number without its plus, and `no` as false.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

Location = tuple[str | int, ...]
_RESOLVERS = {
    "tag:yaml.org,2002:bool": (re.compile(r"true|false"), "tf"),
    "tag:yaml.org,2002:int": (re.compile(r"0|[1-9][0-9]{0,8}"), "0123456789"),
    "tag:yaml.org,2002:null": (re.compile(r"null|~|"), ["n", "~", ""]),
}


class NotYaml(Exception):  # noqa: N818 - the text is what is wrong
    """The text is not YAML that can be read. ``line`` counts from 1; 0 is the whole text."""

    def __init__(self, line: int, problem: str) -> None:
        """``problem`` says what is wrong there."""
        super().__init__(problem)
        self.line = line


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


def read(text: str) -> tuple[Any, yaml.Node | None]:
    """The text's data, and the tree that knows the lines; None of an empty text. Raises NotYaml."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return loader.construct_document(node) if node else None, node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise NotYaml(mark.line + 1 if mark else 1, f"not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(line, f"not YAML: the character U+{int(error.character):04X} is not allowed") from None
    except (yaml.YAMLError, ValueError) as error:
        raise NotYaml(0, f"not YAML: {error}") from None
    except RecursionError:
        raise NotYaml(0, "not YAML that can be read: it is nested too deep") from None


def line_of(node: yaml.Node | None, where: Location) -> int:
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


def twice(node: yaml.Node | None, where: Location = ()) -> Iterator[Location]:
    """Fields that stand twice: YAML takes the last one and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*where, name)
            seen.add(name)
            yield from twice(value, (*where, name))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from twice(value, (*where, i))
