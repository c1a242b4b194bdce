"""All that the readiness review reads, handed in by the console or by `octant readiness`."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import BudgetPolicy
from app.budget.ledger import Ledger
from app.console.gamedays import Result
from app.console.readiness.answers import Evidence
from app.oncall.gamedays import FOLDER as GAMEDAY_FOLDER
from app.oncall.rota.covers import FILE, Covers
from app.oncall.runbook.pages import FOLDER
from app.releases.history import first_live
from app.releases.rehearsals import Rehearsal, every, is_own
from app.releases.releases import Releases
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import KeyStatus

GAMEDAYS = Path(GAMEDAY_FOLDER) / "gamedays.jsonl"  # in the state folder, one line for each game day
MOST_BYTES = 1_000_000


class GameDay(Result):
    """One line of the log of game days. ``costs``: micro-dollars an answer, before the fault and in it."""

    at: AwareDatetime
    commands_that_work: int = 0
    commands: int = 0
    callers: int = 0
    answered: int = 0
    costs: dict[str, float | None] = Field(default_factory=dict)
    report: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A rehearsal. ``own``: of this installation; else its line came with the code, and proves nothing here.

    ``attempt``: a newer one of this installation that was not judged.
    """

    rehearsal: Rehearsal
    own: bool
    attempt: Rehearsal | None = None

    @property
    def mark(self) -> str:
        """The words behind the result of one that came with the code; empty for one of this installation."""
        return "" if self.own else f" ({self.rehearsal.recorded})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """``workers``: processes that serve. ``root``: the folder of this project; an image may lack parts of it.

    ``own_products``: the products that are no examples of this project.
    ``provider_keys`` reads the state of our keys at providers; it raises Misconfigured for a file that holds none.
    ``patience``: seconds for a check that reads the whole ledger, None for as long as it takes; ``kept`` remembers its result.
    """

    engine: AsyncEngine
    valkey: Redis
    ledger: Ledger
    policy: BudgetPolicy
    workers: int
    releases: Releases
    keys: KeyAdministration
    provider_keys: Callable[[], Sequence[KeyStatus]]
    secret: bytes
    rotation_file: Path
    rehearsals_file: Path
    state_dir: Path
    own_products: tuple[str, ...]
    root: Path = FOLDER.parent
    patience: float | None = None
    kept: dict[str, Evidence] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def covers(self) -> Covers:
        """The covers of the rotation."""
        return Covers(self.engine, file=self.state_dir / FILE)

    def rehearsals(self, what: str) -> Sequence[Rehearsal]:
        """The rehearsals of one kind, oldest first: of the log that came with the code, and of this installation's own.

        Raises Misconfigured for a log that cannot be read.
        """
        return [one for one in every(self.rehearsals_file, self.state_dir) if one.what == what]

    async def began(self) -> datetime | None:
        """When a release was first live here: a rehearsal before that is of another installation. None where none was."""
        return await first_live(self.engine)

    async def newest(self, what: str) -> Found | None:
        """The newest judged rehearsal of this installation; without one the newest of another. Raises Misconfigured.

        Without any that was judged: the newest of this installation that was not.
        """
        log = await asyncio.to_thread(self.rehearsals, what)
        found = self.found(log, await self.began()) if log else []
        attempt = next((one for one in reversed(found) if one.own and not one.rehearsal.judged), None)
        judged = [one for one in found if one.rehearsal.judged]
        counted = next((one for one in reversed(judged) if one.own), judged[-1] if judged else None)
        if counted and attempt and (attempt.rehearsal.at > counted.rehearsal.at or not counted.own):
            return replace(counted, attempt=attempt.rehearsal)
        return counted or attempt

    def found(self, log: Sequence[Rehearsal], began: datetime | None) -> list[Found]:
        """Each of these rehearsals, and whether it is of this installation. ``began``: as `began` returns it."""
        return [Found(one, is_own(one, self.secret, began)) for one in log]

    def gamedays(self, *scenarios: str) -> Sequence[GameDay]:
        """The game days of these scenarios, oldest first. A line that is none is passed over."""
        return [one for one in gamedays(self.state_dir) if one.scenario in scenarios]


def gamedays(state_dir: Path) -> list[GameDay]:
    """All game days of the log, oldest first."""
    found = []
    try:
        with (state_dir / GAMEDAYS).open("rb") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            found.append(GameDay.model_validate(json.loads(line)))
        except (ValueError, ValidationError):
            continue
    return sorted(found, key=lambda one: one.at)
