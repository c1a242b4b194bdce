"""A compiled JSON Schema (2020-12). Checks count their work, so a caller's schema has bounded cost.

Two things bound it. A schema that many references lead to is evaluated once for each part of a document, whatever the number of
ways that lead there: this makes references cost what the schema is long, not what it is when they are all written out. And every
evaluation is a step, of which a check has so many; the count is of the schema and the document alone, so it is the same on every
machine. The keywords are in `schema_keywords`; how each applies is json-schema.org/draft/2020-12.

Formats are not checked (the standard makes them annotations). No reference is ever fetched: all of them lead into the schema.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import py_encode_basestring_ascii
from typing import Any, NamedTuple

MOST_STEPS = 200_000  # of one reply: under a tenth of a second
MOST_VIOLATIONS = 10
LONGEST_RULE, LONGEST_PATH = 200, 300

Json = Any
Step = str | int | None
Children = Callable[[Json, "Run"], Iterator[tuple[Step, "Node", Json]]]
Test = Callable[[Json, "Run"], bool]
Marks = Callable[[Json, "Run"], set[Any]]


class SchemaRefused(Exception):  # noqa: N818 - it is named for what happened
    """Not a schema that can be checked against; says why, in words that follow "The schema"."""


class NotASchema(SchemaRefused):
    """Against the meta-schema: no vendor takes it either."""


class OutOfSteps(Exception):  # noqa: N818 - it is named for what happened
    """The check took more steps than it may."""


class Run:
    """The check of one reply: steps left, as many again for explanations, and cached results."""

    __slots__ = ("explaining", "left", "marked", "valid")

    def __init__(self, steps: int = MOST_STEPS) -> None:
        """Parts of the document are known by identity: they live as long as the check."""
        self.left = self.explaining = steps
        self.valid: dict[tuple[int, int], bool] = {}
        self.marked: dict[tuple[int, int], set[Any]] = {}

    def forget(self) -> None:
        """Begin with another document."""
        self.valid.clear()
        self.marked.clear()

    def charge(self, steps: int) -> None:
        """Raises OutOfSteps."""
        self.left -= steps
        if self.left < 0:
            raise OutOfSteps


class Check(NamedTuple):
    """One keyword. Its ``children`` must be valid, or its ``test`` hold. ``marks``: what of the value it evaluates."""

    keyword: str
    value: Json
    test: Test | None = None
    children: Children | None = None
    marks: Marks | None = None


@dataclass(slots=True, eq=False)
class Node:
    """One schema. ``shared``: several ways lead to it, so that it is worth remembering. ``never``: nothing is valid."""

    checks: tuple[Check, ...] = ()
    shared: bool = False
    never: bool = False
    in_place: list["Node"] = field(default_factory=list)

    def is_valid(self, value: Json, run: Run) -> bool:
        """Raises OutOfSteps, RecursionError."""
        run.left -= 1 + len(self.checks)
        if run.left < 0:
            raise OutOfSteps
        key = (id(self), id(value))
        if self.shared and key in run.valid:
            return run.valid[key]
        valid = not self.never
        for check in self.checks:  # one frame for each schema: documents may be deep
            if check.children is not None:
                for _, child, inner in check.children(value, run):
                    if not child.is_valid(inner, run):
                        valid = False
                        break
            elif check.test is not None and not check.test(value, run):
                valid = False
            if not valid:
                break
        if self.shared:
            run.valid[key] = valid
        return valid

    def marks(self, value: Json, run: Run) -> set[Any]:
        """The evaluated properties or items of a valid value: those that ``unevaluated…`` ignores."""
        key = (id(self), id(value))
        known = run.marked.get(key)
        if known is None:
            known = set()
            for check in self.checks:
                if check.marks:
                    known |= check.marks(value, run)
                    run.charge(1 + len(known))
            run.marked[key] = known
        return known

    def explain(self, value: Json, path: str, run: Run, found: list[tuple[str, Check]]) -> None:
        """Add where a value fails and which keyword says so, to `MOST_VIOLATIONS` together. Raises OutOfSteps."""
        for check in self.checks:
            if check.children is None:
                if check.test is not None and not check.test(value, run):
                    found.append((path, check))
            else:
                for step, child, inner in check.children(value, run):
                    if len(found) >= MOST_VIOLATIONS:
                        return
                    if not child.is_valid(inner, run):
                        where = _under(path, step)
                        if child.never:
                            found.append((where, check))
                        else:
                            child.explain(inner, where, run, found)
            if len(found) >= MOST_VIOLATIONS:
                return


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema ready to check. ``schemas``: how many it holds. ``unmatched``: it has expressions that are not checked."""

    root: Node
    schemas: int
    unmatched: bool

    def violations(self, document: Json, run: Run) -> tuple[str, ...]:
        """Return where the document fails and by which keyword, as ``.priority: enum ["low"]``; values are never quoted.

        Raises OutOfSteps, RecursionError.
        """
        if self.root.is_valid(document, run):
            return ()
        found: list[tuple[str, Check]] = []
        try:
            reasons = Run(run.explaining)
            self.root.explain(document, "", reasons, found)
            run.explaining = reasons.left
        except (OutOfSteps, RecursionError):
            run.explaining = 0  # the verdict stands, with the reasons that were found in time
        if not found:
            return (": not valid under the schema",)
        return tuple(sorted(f"{path[:LONGEST_PATH]}: {check.keyword} {rule(check.value)}" for path, check in found))


def frozen(value: Json, run: Run) -> Any:  # noqa: ANN401 - any hashable
    """A key that is equal for values equal in JSON: 1 and 1.0, but not 1 and true.

    Numbers become text: their hashes can be chosen so that they collide, those of text cannot.
    """
    run.charge(2)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ("list", *(frozen(item, run) for item in value))
    if isinstance(value, dict):
        return frozenset((name, frozen(item, run)) for name, item in value.items())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Not in decimals: to write 4,300 digits takes the square of their number, which no step would count.
    return ("scalar", hex(value) if type(value) is int else repr(value))


def within(where: str, step: str | int) -> str:
    """The place of a schema within another, for a message; long enough, it grows no more."""
    return where if len(where) > LONGEST_PATH else f"{where}/{str(step)[:LONGEST_PATH]}"


def not_a_schema(where: str) -> str:
    """Why something is refused that the meta-schema does not allow."""
    return f"is not a JSON Schema (2020-12) at '{where.removeprefix('/')[:200]}'."


def rule(value: Json) -> str:
    """A keyword's value as JSON, its beginning: what is longer is not even written out."""
    written = ""
    encoder = json.JSONEncoder(default=str)
    short = f"{value[:LONGEST_RULE]}" if isinstance(value, str) else value
    for piece in islice(encoder.iterencode(short), LONGEST_RULE):
        written += piece[:LONGEST_RULE]
        if len(written) >= LONGEST_RULE:
            break
    return written[:LONGEST_RULE]


def _under(path: str, step: Step) -> str:
    """One step deeper, as JSONPath writes it. A path that is long enough grows no more."""
    if step is None or len(path) > LONGEST_PATH:
        return path
    if isinstance(step, int):
        return f"{path}[{step}]"
    name = step[:LONGEST_PATH]
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{py_encode_basestring_ascii(name)}]"
