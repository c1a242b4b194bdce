"""Whether a price table is the one in effect: begun, and no newer one has begun (C2).

Calls are priced by the table that their release pins. Before its date it prices calls as they will be billed, not as they are;
after the date of a newer one as they were. Dates are of UTC.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from app.domain.errors import Misconfigured
from app.domain.routes import PriceTable
from app.domain.store_errors import why
from app.releases.texts import table_of, text_of

State = Literal["in_effect", "not_yet", "superseded"]
WRONG: tuple[State, ...] = ("not_yet", "superseded")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Effect:
    """``newer`` is the version of the table that is in effect instead."""

    state: State
    newer: str = ""


def effect_of(table: PriceTable, directory: Path, today: date) -> Effect:
    """Compare a table with the others in ``directory``. A file there that is no price table counts as none."""
    if table.effective > today:
        return Effect("not_yet")
    begun = [(effective, version) for effective, version in _tables(directory) if table.effective < effective <= today]
    return Effect("superseded", max(begun)[1]) if begun else Effect("in_effect")


def _tables(directory: Path) -> Iterator[tuple[date, str]]:
    for path in directory.glob("*.toml"):
        try:
            table = table_of(text_of(path), path.name)
        except Misconfigured as error:
            log.warning("price table not readable", extra={"file": path.name, **why(error)})
            continue
        effective, version = table.get("effective"), table.get("version")
        if type(effective) is date and isinstance(version, str):
            yield effective, version
