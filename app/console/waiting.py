"""Pages without an answer, open incidents and a refused release: they come first on Overview and in `octant status`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.console import formats
from app.oncall.incidents.store import OPEN
from app.oncall.incidents.tables import incidents
from app.oncall.incidents.titles import short_title
from app.oncall.paging.changes import TRIGGERED
from app.oncall.paging.drilled import is_drill
from app.oncall.paging.tables import pages
from app.releases import history
from app.releases.way_back import way_back

MOST = 50
SEVERE = ("sev1", "sev2")


def led(commander: str | None) -> str:
    """Who decides in an incident: its commander, as those who run incidents say."""
    return f"led by {commander}" if commander else "no person leads it yet"


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """A page that no person has acknowledged. ``person``: the one who was called last; empty before the first call."""

    id: str
    alert: str
    person: str
    level: int
    at: datetime
    test: bool
    drill: bool = False

    @property
    def words(self) -> str:
        """Its sentence."""
        kind = "Test page" if self.test else "Drilled page" if self.drill else "Page"
        whose = f"{self.person} was called (level {self.level})" if self.person else "no person was called yet"
        return f"{kind} without an answer since {formats.moment(self.at)}: {self.alert}; {whose}."

    @property
    def command(self) -> str:
        """It acknowledges the page."""
        return f"octant oncall ack {self.id[:8]}"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that is not closed."""

    number: int
    title: str
    severity: str
    commander: str
    at: datetime

    @property
    def words(self) -> str:
        """Its sentence."""
        since = formats.moment(self.at)
        return f"Incident {self.number}, {self.severity}: {self.title}. Open since {since}; {led(self.commander)}."

    @property
    def command(self) -> str:
        """It shows the incident."""
        return f"octant incident show {self.number}"


@dataclass(frozen=True, slots=True)
class RefusedRelease:
    """The live release, where the eval gate refuses it. ``lacking``: why; ``command``: the way back, or its page."""

    release: str
    lacking: Sequence[str]
    command: str

    @property
    def words(self) -> str:
        """Its sentence."""
        return formats.refused(self.release, self.lacking)

    @property
    def kind(self) -> str:
        """How bad it is."""
        return formats.refused_kind(self.lacking)


@dataclass(frozen=True, slots=True)
class Waiting:
    """All of them, the newest first."""

    pages: Sequence[WaitingPage] = ()
    incidents: Sequence[OpenIncident] = ()
    refused: Sequence[RefusedRelease] = ()

    def __bool__(self) -> bool:
        """Whether anything comes before the figures: all is not well then."""
        return bool(self.pages or self.incidents or self.refused)

    @property
    def lines(self) -> Iterator[tuple[str, str]]:
        """The sentence of each, and its command."""
        yield from ((one.words, one.command) for each in (self.pages, self.incidents, self.refused) for one in each)

    @property
    def kind(self) -> str:
        """How bad it is: a real page without an answer is as bad as a severe incident."""
        if any(not page.test for page in self.pages) or any(one.severity in SEVERE for one in self.incidents):
            return "bad"
        return next((one.kind for one in self.refused), "warn" if self else "good")


async def waiting(engine: AsyncEngine) -> Waiting:
    """Read them. Raises SQLAlchemyError or OSError."""
    open_pages = select(pages).where(pages.c.status == TRIGGERED).order_by(pages.c.triggered_at.desc()).limit(MOST)
    open_incidents = select(incidents).where(incidents.c.status == OPEN).order_by(incidents.c.number.desc()).limit(MOST)
    async with engine.connect() as connection:
        found = (await connection.execute(open_pages)).all()
        others = (await connection.execute(open_incidents)).all()
    return Waiting(
        [
            WaitingPage(str(one.id), one.alert, one.person or "", one.level, one.triggered_at, one.test, is_drill(one.labels))
            for one in found
        ],
        [OpenIncident(one.number, short_title(one.title), one.severity, one.commander or "", one.opened_at) for one in others],
        await _refused(engine),
    )


async def _refused(engine: AsyncEngine) -> list[RefusedRelease]:
    async with engine.connect() as connection:
        newest = await history.read(connection, 1)
    if not newest or not newest[0].unproven:
        return []
    live = newest[0]
    command = (await way_back(engine)).command("the eval gate refuses the live release")
    return [RefusedRelease(live.release, live.unproven or (), command or f"octant release verify {live.release}")]
