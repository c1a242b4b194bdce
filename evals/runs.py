"""A run as a file with one line a result.

A line is written as its result comes, so that a broken run can resume.

The first line names the models that answered; the others are results. A file may be written by this program or by hand: it is
checked.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from app.domain.strict import Strict
from evals.cases import Case, InvalidSuite
from evals.client import Trail
from evals.harness import Result
from evals.scoring import Finding


class Head(Strict):
    """The models of a run.

    ``label`` names them, or the simulator; ``replay`` says that a recording answered (E10).
    """

    label: str = Field(min_length=1)
    replay: str = Field(default="", description="The recording's description of itself; empty for a live run.")
    started: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    repeat: int = Field(default=1, ge=1)

    @property
    def title(self) -> str:
        """For reports."""
        return f"{self.label}, replayed from a recording" if self.replay else self.label


class _Found(Strict):
    scorer: str
    words: str


class _Trail(Strict):
    seconds: float = Field(ge=0, allow_inf_nan=False)
    cost_usd: float = Field(ge=0, allow_inf_nan=False)
    provider: str
    model: str
    release: str
    fallbacks: int
    request_id: str


class Line(Strict):
    """One result. ``digest`` says of which form of the case."""

    suite: str
    id: str
    failure_mode: str
    digest: str
    trial: int = Field(ge=0)
    passed: bool
    findings: tuple[_Found, ...] = ()
    broken: str | None = None
    measures: dict[str, float] = Field(default_factory=dict)
    trail: _Trail


class RunFile(Strict):
    """A run that was read back."""

    head: Head
    lines: tuple[Line, ...]

    @property
    def suites(self) -> tuple[str, ...]:
        """The names of the suites that were run."""
        return tuple(dict.fromkeys(line.suite for line in self.lines))

    def of(self, suite: str) -> "RunFile":
        """The part of the run that is one suite's."""
        return self.model_copy(update={"lines": tuple(line for line in self.lines if line.suite == suite)})

    def trials(self) -> dict[str, tuple[int, int]]:
        """Passed trials and all trials of each case.

        A trial that broke counts as failed.
        """
        counted: dict[str, tuple[int, int]] = {}
        for line in self.lines:
            passed, total = counted.get(line.id, (0, 0))
            counted[line.id] = (passed + line.passed, total + 1)
        return counted


def line_of(suite: str, result: Result) -> dict[str, Any]:
    """A result as JSON."""
    return {
        "suite": suite,
        "id": result.case.id,
        "failure_mode": result.case.failure_mode,
        "digest": result.case.digest,
        "trial": result.trial,
        "passed": result.passed,
        "findings": [{"scorer": f.scorer, "words": f.words} for f in result.findings],
        "broken": result.broken,
        "measures": dict(result.measures),
        "trail": asdict(result.trail),
    }


def writer(path: Path, head: Head, suite: str) -> Callable[[Result], None]:
    """Begin or go on with a file. Returns what writes a result to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(head.model_dump_json() + "\n", encoding="utf-8")
    _whole(path)

    def write(result: Result) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line_of(suite, result), ensure_ascii=False) + "\n")

    return write


def _whole(path: Path) -> None:
    """Cut off a torn last line, of a run that was killed: the next result would stand behind it."""
    with path.open("rb+") as file:
        raw = file.read()
        last = raw.rpartition(b"\n")[2]
        if _is_json(last):
            file.write(b"\n")
        else:
            file.truncate(len(raw) - len(last))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def read(path: Path) -> RunFile:
    """Read a run. A torn last line, of a run that was killed, is left out. Raises InvalidSuite, which names the line."""
    number = 1
    try:
        *whole, last = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")  # at no other break: a model's words hold any
        first, *others = [*whole, *([last] if _is_json(last) else [])] or [b""]
        head, newest = Head.model_validate_json(first), {}
        for number, text in enumerate(others, 2):  # noqa: B007 - of the line that is wrong
            line = Line.model_validate_json(text)
            newest[line.suite, line.id, line.trial] = line  # a trial that broke is run again behind it
        return RunFile(head=head, lines=tuple(newest.values()))
    except (OSError, ValidationError) as error:
        raise InvalidSuite(f"{path}:{number}: {error}") from error


def resumed(path: Path, suite: str, cases: Sequence[Case], head: Head) -> Mapping[tuple[str, int], Result]:
    """Results that need no second run.

    They were judged, and are of the same cases in the same form. Raises InvalidSuite.

    A run of another model is not resumed: half of one model and half of another is the score of neither.
    """
    if not path.exists():
        return {}
    before, known = read(path), {case.id: case for case in cases}
    if (before.head.label, before.head.replay) != (head.label, head.replay):
        raise InvalidSuite(f"{path} is a run of {before.head.title}, not of {head.title}")
    same = [
        line
        for line in before.of(suite).lines
        if line.broken is None and line.id in known and line.digest == known[line.id].digest
    ]
    return {(line.id, line.trial): _result(line, known[line.id]) for line in same}


def _result(line: Line, case: Case) -> Result:
    findings = tuple(Finding(found.scorer, found.words) for found in line.findings)
    return Result(case, findings, line.broken, Trail(**line.trail.model_dump()), line.trial, line.measures)
