"""A case: an input, the expectation on its answer, and its reason.

Plain YAML for the product's owners (E1, E11).
"""

import hashlib
from collections.abc import Sequence
from datetime import date
from functools import reduce
from operator import or_
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from app.domain.strict import Strict
from app.domain.yaml_text import Location, NotYaml, line_of, read, twice
from evals.chaos import Chaos

C = TypeVar("C", bound="Case")
T = TypeVar("T")
MOST_PROBLEMS = 20  # that are named of one file: thousands of wrong cases have one cause
FOREIGN = frozenset({".yml", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".toml"})  # in which other tools keep cases


class InvalidSuite(Exception):  # noqa: N818 - the suite is what is wrong
    """The suite cannot be run. The message lists every problem."""


class Input(Strict):
    """The request of a case. A suite's own inputs add the fields of its endpoints."""

    @property
    def body(self) -> dict[str, Any]:
        """The request's body."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def full_text(self) -> str:
        """Every text of the input, for reports and for the search for personal data."""
        return " ".join(value for value in self.body.values() if isinstance(value, str))


class Case(Strict):
    """A case of any product. A suite's own cases narrow ``endpoint``, ``input`` and ``expect``."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    failure_mode: Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
    criteria: str = Field(min_length=20, description="Pass and fail of this case in plain words.")
    origin: str = Field(min_length=3, description="Where the case comes from.")
    added: date = Field(description="When the case was added, YYYY-MM-DD.")
    endpoint: str
    input: Input
    expect: Strict
    chaos: Chaos | None = Field(default=None, description="A fault of the providers during the request, and its stated end.")

    @property
    def digest(self) -> str:
        """Hash of the request, its fault and the expectation.

        Results before and after a change of it are not of the same case.
        """
        form = self.model_dump_json(include={"endpoint", "input", "expect", "chaos"}, exclude_defaults=True)
        return hashlib.sha256(form.encode()).hexdigest()[:12]


def load_cases(folder: Path, types: Sequence[type[C]]) -> tuple[C, ...]:
    """Read every case of a folder.

    Raises InvalidSuite for a malformed file, a case in another mode's folder, one without an expectation, an id used twice.
    """
    adapter = file_of(types)
    problems = [f"{path.relative_to(folder)}: is not read; cases are in files named *.yaml" for path in _foreign(folder)]
    cases: list[C] = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            found = read_file(path, adapter, str(path.relative_to(folder)), empty=())
        except InvalidSuite as error:
            problems.append(str(error))
            continue
        mode = path.parent.name
        problems += [f"{case.id}: {case.failure_mode} in the folder {mode}" for case in found if case.failure_mode != mode]
        cases += found
    ids = [case.id for case in cases]
    problems += [f"{case.id}: expects nothing, so it could not fail" for case in cases if not _can_fail(case)]
    problems += [f"{identity}: used twice" for identity in sorted({i for i in ids if ids.count(i) > 1})]
    if problems or not cases:
        raise InvalidSuite("\n".join(problems) or f"no cases in {folder}")
    return tuple(cases)


def _foreign(folder: Path) -> list[Path]:
    """Files of cases that would not be read, and be missed by no one."""
    named = ((path, path.suffix) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path for path, ending in named if ending.lower() in FOREIGN or (ending != ".yaml" and ending.lower() == ".yaml")
    )


def read_file(path: Path, adapter: TypeAdapter[T], name: str, *, empty: T | None = None) -> T:
    """Read a file of a list in YAML. Raises InvalidSuite with ``name`` and the line of each problem.

    ``empty`` is what a file without content holds; without one it is refused.
    """
    try:
        data, node = read(_text(path, name))
    except NotYaml as error:
        raise InvalidSuite(f"{name}:{error.line or 1}: {error}") from None
    found: list[tuple[Location, str]] = [(where, "stands twice") for where in twice(node)]
    if not found:
        try:
            return empty if data is None and empty is not None else adapter.validate_python(data)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
        found = [(one["loc"], one["msg"].replace("a valid tuple", "a list")) for one in wrong]
    lines = [f"{name}:{line_of(node, where)}: {_place(data, where)}: {what}" for where, what in found[:MOST_PROBLEMS]]
    raise InvalidSuite("\n".join([*lines, *([f"{name}: and {more} more"] if (more := len(found) - MOST_PROBLEMS) > 0 else [])]))


def _text(path: Path, name: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidSuite(f"{name}: {error.strerror}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidSuite(f"{name}:{line}: not UTF-8 text: {error.reason}") from None


def _place(data: object, where: Location) -> str:
    """The case by its id, where it has one, then its endpoint, where suites have several, and the field."""
    first, *inner = where or ("file",)
    item = data[first] if isinstance(data, list) and isinstance(first, int) else None
    named = item.get("id") if isinstance(item, dict) else None
    return ".".join(map(str, (named if isinstance(named, str) and named.isprintable() else first, *inner)))


def _can_fail(case: Case) -> bool:
    return bool(case.expect.model_fields_set) or (case.chaos is not None and case.chaos.status != 200)


def file_of(types: Sequence[type[C]]) -> TypeAdapter[tuple[C, ...]]:
    """Parse a file of cases of these types; ``endpoint`` says which type a case has."""
    either: Any = reduce(or_, types)
    case: Any = Annotated[either, Field(discriminator="endpoint")] if len(types) > 1 else either
    cases: Any = GenericAlias(tuple, (case, ...))
    return TypeAdapter(cases)


def schema(types: Sequence[type[Case]]) -> dict[str, Any]:
    """The JSON Schema of a file of cases, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Eval cases", **file_of(types).json_schema()}


def by_mode(cases: Sequence[C]) -> dict[str, list[C]]:
    """Cases by failure mode."""
    modes: dict[str, list[C]] = {}
    for case in cases:
        modes.setdefault(case.failure_mode, []).append(case)
    return modes


def sampled(cases: Sequence[C], most: int) -> list[C]:
    """A fair sample of at most so many cases.

    Each failure mode has its share, at random, and the same cases each time.

    It is in the order to run it in: each beginning of it is a fair sample too, so that a run that is stopped early says
    something, and one of more cases continues it. A case more in the suite moves few others.
    """
    places: list[tuple[float, bytes, C]] = []
    for mode in by_mode(cases).values():
        mixed = sorted(((hashlib.sha256(case.id.encode()).digest(), case) for case in mode), key=lambda one: one[0])
        places += [((place + 0.5) / len(mode), at_random, case) for place, (at_random, case) in enumerate(mixed)]
    return [case for *_, case in sorted(places, key=lambda one: one[:2])][:most]
