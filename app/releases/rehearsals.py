"""The log of rehearsals: one JSON object a line, kept beside the runbook (B5).

::

    {"at": "2026-11-24T09:30:00+00:00", "what": "outage", "kept": true, "note": "99.97 % answered"}

A line may be signed: it then carries the hash of all that stands before it, and an HMAC over itself with a key that is derived
from the service's secret. A line that was changed, inserted or removed before a signed one is found. The removal of the newest
lines is not: nothing comes after them.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from app.domain.errors import Misconfigured

FILE = "rehearsals.jsonl"  # of this installation, in its state folder
OUTAGE = "outage"  # of a provider: `make outage`
ROLLBACK = "rollback"  # of every kind of pin and the kill switch: `octant rehearse`
INJECTION = "injection"  # the injection gate: `make injection ARGS=--log`
ATTACKED = "injection drill"  # a few attacks of one text: `octant drill injection --log`
REASON, END_REASON = "rehearsal", "the end of a rehearsal"  # of what a rehearsal does to a service that exists
_RUNS = {  # of each kind, as a sentence names them
    OUTAGE: "the outage rehearsal",
    ROLLBACK: "the rehearsal of the way back",
    INJECTION: "the injection gate",
    ATTACKED: "the injection drill",
}
Verdict = Literal["kept", "not kept", "not judged"]
JUDGED: Sequence[Verdict] = ("kept", "not kept")
_MAC, _KEY, _BEFORE = "mac", "key", "before"
_LATER = (
    "verdict",
    "environment",
    "workers",
    "code",
    "steps",
    "key",
    "text",
    "command",
)  # left out of a line where they are empty


@dataclass(frozen=True, slots=True)
class Step:
    """One timed step: ``seconds`` from the start of its command to the last worker. ``kept``: it worked within its limits.

    ``limit``: of these seconds. ``written``: seconds from the command's write to the store to the last worker, without the
    command's own start; ``promise``: of these. 0 and None: an older line, or nothing to compare.
    """

    name: str
    seconds: float
    kept: bool
    note: str = ""
    limit: float = 0.0
    written: float | None = None
    promise: float = 0.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal. ``kept``: whether the promise was kept; ``note``: its result in a few words.

    ``verdict``: `not judged` where the system was sick before it began. ``workers``: how many were timed; ``code``: its commit.
    ``key``: the fingerprint of the secret that signed its line; empty for an unsigned one. ``text``: of its attacks.
    ``command``: that played it; empty in lines of before and where the kind says it.
    """

    at: AwareDatetime
    what: str
    kept: bool
    note: str = ""
    verdict: str = ""
    environment: str = ""
    workers: int = 0
    code: str = ""
    steps: tuple[Step, ...] = ()
    key: str = ""
    text: str = ""
    command: str = ""

    @property
    def judged(self) -> bool:
        """Whether it has a verdict: one on a system that was sick before it began says nothing. Old lines name none."""
        return not self.verdict or self.verdict in JUDGED

    @property
    def recorded(self) -> str:
        """What it is where it came with the code."""
        return recorded(_RUNS.get(self.what, f"the rehearsal {self.what}"), self.at, self.code)

    @property
    def result(self) -> str:
        """Its note as a part of a sentence; one that was not judged says so first."""
        note = self.note.rstrip(".")
        return note if self.judged else f"not judged: {note}"


@dataclass(frozen=True, slots=True)
class LogCheck:
    """State of the log: lines by signature, and what is wrong, a sentence each.

    ``foreign``: lines that were signed with another secret; what stands before them was compared, they themselves were not.
    """

    signed: int
    unsigned: int
    foreign: int
    problems: tuple[str, ...]

    def __add__(self, other: "LogCheck") -> "LogCheck":
        """The state of both logs."""
        numbers = (self.signed + other.signed, self.unsigned + other.unsigned, self.foreign + other.foreign)
        return LogCheck(*numbers, (*self.problems, *other.problems))


def recorded(run: str, day: date, commit: str = "") -> str:
    """The words on a result that came with the code: it is a recorded ``run``, of that day and code, and none of this machine."""
    of_commit = f" of commit {commit}" if commit else ""
    return f"a recorded run of {run}{of_commit}, made on {day:%Y-%m-%d}, that came with the code"


_REHEARSAL = TypeAdapter(Rehearsal)


def append(path: Path, rehearsal: Rehearsal, *, secret: bytes = b"") -> None:
    """Note a rehearsal, signed if the service's ``secret`` is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {name: value for name, value in asdict(rehearsal).items() if value or name not in _LATER}
    line = json.loads(json.dumps(fields, default=datetime.isoformat))
    if secret:
        line |= {_BEFORE: _hash(path.read_bytes() if path.exists() else b""), _KEY: fingerprint(secret)}
        line[_MAC] = _mac(secret, line)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Rehearsal]:
    """All rehearsals in the log, oldest first. Raises Misconfigured for an invalid line."""
    if not path.exists():
        return []
    found = []
    with path.open(encoding="utf-8") as log:
        for number, line in enumerate(log, start=1):
            try:
                found.append(_REHEARSAL.validate_json(line))
            except ValidationError as error:
                raise Misconfigured(f"{path}, line {number}, is no rehearsal: {error.errors()[0]['msg']}") from None
    return sorted(found, key=lambda rehearsal: rehearsal.at)


def here(state_dir: Path) -> list[Rehearsal]:
    """The rehearsals that this installation's state folder holds, oldest first. Raises Misconfigured for an invalid line."""
    return read(state_dir / FILE)


def every(path: Path, state_dir: Path) -> list[Rehearsal]:
    """The rehearsals of the log at ``path`` and of this installation's state folder, oldest first. Raises Misconfigured."""
    return sorted([*read(path), *here(state_dir)], key=lambda one: one.at)


def is_own(one: Rehearsal, secret: bytes, began: datetime | None) -> bool:
    """Whether a rehearsal is of this installation. ``began``: when a release was first live here, None where none was.

    The secret alone does not show it: all installations in development have the same one.
    """
    signed_here = not one.key or one.key == fingerprint(secret)
    return signed_here and (began is None or one.at >= began)


def verify(path: Path, secret: bytes) -> LogCheck:
    """Check every signature, and that nothing before a signed line was changed. Raises Misconfigured for an invalid line."""
    read(path)
    signed = unsigned = foreign = 0
    problems = []
    before = b""
    for number, raw in enumerate(path.read_bytes().splitlines(keepends=True) if path.exists() else (), start=1):
        line: dict[str, Any] = json.loads(raw)
        if _MAC not in line:
            unsigned += 1
        else:
            if line.get(_BEFORE) != _hash(before):
                problems.append(f"line {number}: a line before it was changed, inserted or removed after it was signed")
            if line.get(_KEY) != fingerprint(secret):
                foreign += 1
            elif hmac.compare_digest(str(line[_MAC]), _mac(secret, line)):
                signed += 1
            else:
                problems.append(f"line {number} is not what was signed")
        before += raw
    return LogCheck(signed, unsigned, foreign, tuple(problems))


def fingerprint(secret: bytes) -> str:
    """Which secret signed a line, without revealing it."""
    return hmac.digest(_derived(secret), b"fingerprint", hashlib.sha256).hex()[:16]


def _derived(secret: bytes) -> bytes:
    return hmac.digest(secret, b"octant rehearsals", hashlib.sha256)


def _mac(secret: bytes, line: dict[str, Any]) -> str:
    signed = json.dumps({name: value for name, value in line.items() if name != _MAC}, sort_keys=True, separators=(",", ":"))
    return hmac.digest(_derived(secret), signed.encode(), hashlib.sha256).hex()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
