"""The runbook's place for an incident and for a page, the same wherever it is named: the alert's own.

It is the address in the alert's annotation where that leads into a runbook, else the section that the list of alerts has for it.
A place is written as `objectives#availability`, without the ending of its file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.oncall.paging.drilled import is_drill
from app.oncall.runbook.pages import FOLDER, GENERATED, page_of

_ALERTS = text(
    """
    SELECT incident_id, alert, labels, status, ack_expires_at, coalesce(links ->> 'runbook', '') AS link
    FROM pages LEFT JOIN page_timers ON page_id = pages.id
    WHERE incident_id = ANY(:incidents) AND NOT test ORDER BY triggered_at
    """
)
_LINK = re.compile(r"/runbook/([a-z0-9-]+)(?:\.md)?(#[\w-]+)?$")

CAPS = frozenset({"cost-spike", "cost-caps", "budget-exhausted"})  # pages of the runbook on caps and the money that they hold
Labels = Mapping[str, str]


def place_of(alert: str, link: str = "") -> str:
    """The place of an alert, with the address of its annotation if it has one; empty where neither leads into the runbook."""
    found = _LINK.search(link)
    return f"{found[1]}{found[2] or ''}" if found else _places().get(alert, "")


async def places_of(connection: AsyncConnection, incidents: Sequence[UUID]) -> dict[UUID, str]:
    """The place of each of these incidents whose first page that has one names it."""
    found: dict[UUID, str] = {}
    for row in await connection.execute(_ALERTS, {"incidents": list(incidents)}):
        if row.incident_id not in found and (place := place_of(row.alert, row.link)):
            found[row.incident_id] = place
    return found


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of an incident's pages: labels, and places in the runbook, each once, that of the first page first.

    ``open``: how many of the pages are not resolved; ``quiet_until``: their acknowledgements last, where all are acknowledged.
    """

    labels: Sequence[Labels]
    places: Sequence[str]
    open: int = 0
    quiet_until: datetime | None = None

    @property
    def of_caps(self) -> bool:
        """Whether each of them leads to a page on caps."""
        return bool(self.places) and all(place.partition("#")[0] in CAPS for place in self.places)

    @property
    def drilled(self) -> bool:
        """Whether the incident is a drill's: it has pages, and all of them were drilled."""
        return bool(self.labels) and all(map(is_drill, self.labels))

    @property
    def still(self) -> str:
        """What is not over, as a sentence; empty where all pages are resolved."""
        if not self.open:
            return ""
        one = self.open == 1
        pages = (
            "One page of it is open: its alert still holds"
            if one
            else f"{self.open} pages of it are open: their alerts still hold"
        )
        if self.quiet_until:
            call = "it calls" if one else "they call"
            return f"{pages}. Acknowledged until {self.quiet_until:%H:%M} UTC, {call} people again then."
        return f"{pages}, and {'goes' if one else 'go'} on to call people."


NO_ALERTS = Alerts((), ())


async def alerts_of(connection: AsyncConnection, incident: UUID) -> Alerts:
    """The alerts of an incident's pages."""
    rows = (await connection.execute(_ALERTS, {"incidents": [incident]})).all()
    places = (place_of(row.alert, row.link) for row in rows)
    still = [row for row in rows if row.status != "resolved"]
    waits = [row.ack_expires_at.astimezone(UTC) for row in still if row.status == "acknowledged" and row.ack_expires_at]
    quiet_until = min(waits) if waits and len(waits) == len(still) else None
    return Alerts([row.labels for row in rows], list(dict.fromkeys(filter(None, places))), len(still), quiet_until)


async def read_alerts(engine: AsyncEngine, incident: UUID) -> Alerts:
    """The same, on a connection of its own. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        return await alerts_of(connection, incident)


@cache
def _places() -> Mapping[str, str]:
    """The places of alerts, from the list that is made of their rules; read once, as a deployment brings a new one."""
    path = FOLDER / GENERATED
    listed = page_of(GENERATED, path.read_text(encoding="utf-8")).sections if path.is_file() else ()
    return {section.title: section.leads_to.replace(".md", "") for section in listed if section.level == 3 and section.leads_to}
