"""The log of rehearsals: one JSON object a line, kept beside the runbook (B5).

::

    {"at": "2026-11-24T09:30:00+00:00", "what": "outage", "kept": true, "note": "99.97 % answered"}
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from app.domain.errors import Misconfigured

OUTAGE = "outage"  # of a provider: `make outage`


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal. ``kept``: whether the promise was kept; ``note``: its result in a few words."""

    at: AwareDatetime
    what: str
    kept: bool
    note: str = ""


_REHEARSAL = TypeAdapter(Rehearsal)


def append(path: Path, rehearsal: Rehearsal) -> None:
    """Note a rehearsal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(asdict(rehearsal), default=datetime.isoformat) + "\n")


def read(path: Path) -> list[Rehearsal]:
    """All rehearsals in the log, oldest first. Raises Misconfigured for an invalid line."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            found.append(_REHEARSAL.validate_json(line))
        except ValidationError as error:
            raise Misconfigured(f"{path}, line {number}, is no rehearsal: {error.errors()[0]['msg']}") from None
    return sorted(found, key=lambda rehearsal: rehearsal.at)
