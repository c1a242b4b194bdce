"""The impact of an incident, in one line: the calls that its own alerts are about.

An alert of a tenant or a feature is about the calls of that tenant or feature, and one of a cap about the calls that a cap
refused: those that fail meanwhile by another fault are that fault's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import figures
from app.domain.errors import BudgetExceeded
from app.domain.records import NO_MODEL, REFUSALS
from app.oncall.incidents.outage import bounded
from app.oncall.incidents.runbooks import Alerts
from app.oncall.incidents.store import Incident
from app.oncall.incidents.timeline import Entry

_COUNTED = text(
    """
    SELECT count(*) AS calls, count(*) FILTER (WHERE bad) AS failed,
           count(DISTINCT (tenant, "user")) FILTER (WHERE bad) AS users,
           count(*) FILTER (WHERE fallbacks > 0 AND outcome = 'ok') AS fallen_back,
           coalesce(sum(cost), 0)::bigint AS cost
    FROM (SELECT *, CASE WHEN CAST(:of_caps AS boolean) THEN outcome = :cap
                         ELSE outcome <> 'ok' AND outcome <> ALL(:refused) END AS bad FROM calls
          WHERE at BETWEEN :since AND :until AND outcome <> ALL(:no_model)
            AND CAST(:tenant AS text) IN ('', tenant) AND CAST(:feature AS text) IN ('', feature)) AS seen
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The calls that an incident's alerts are about: of a tenant, of a feature, else of all. ``of_caps``: refusals by a cap."""

    tenant: str = ""
    feature: str = ""
    of_caps: bool = False


ALL_CALLS = About()


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The calls of an incident's time: all, those that failed or that a cap refused, the users of these, and the fallbacks.

    ``cost``: of all, in micro-dollars.
    """

    since: datetime
    until: datetime
    calls: int
    failed: int
    users: int
    fallen_back: int
    cost: int = 0
    about: About = ALL_CALLS

    @property
    def words(self) -> tuple[str, str]:
        """One line: the words before and behind its time."""
        whose = " of all tenants"
        if self.about.tenant or self.about.feature:
            whose = "".join(f" of {name}" for name in (self.about.feature, self.about.tenant) if name)
        if not self.calls:
            return f"No call{whose} came", "."
        bad = figures.count(self.failed) if self.failed else "None"
        before, users = f"{bad} of {_number(self.calls, 'call')}{whose}", _number(self.users, "user")
        of_users = f", of {users}" if self.failed else ""
        if self.about.of_caps:
            were = "was" if self.failed < 2 else "were"
            return before, f" {were} refused by a cap{of_users}; all calls of this time cost {figures.usd(self.cost)}."
        return before, f" failed{of_users}; a fallback answered {figures.count(self.fallen_back)}."


async def impact_of(connection: AsyncConnection, incident: Incident, entries: Sequence[Entry], alerts: Alerts) -> Impact:
    """Count the calls of an incident. ``entries``: its timeline. A fault of all callers begins with a failing provider."""
    about = about_of(alerts)
    began = [] if about != ALL_CALLS else [entry.at for entry in entries if entry.fails]
    return await counted(connection, min([incident.opened_at, *began]), incident.closed_at, about)


def about_of(alerts: Alerts) -> About:
    """The calls that these alerts are about."""
    named = {name: {each.get(name, "") for each in alerts.labels} for name in ("tenant", "feature")}
    one = {name: next(iter(values)) for name, values in named.items() if len(values) == 1}
    return About(**one, of_caps=alerts.of_caps)


async def counted(connection: AsyncConnection, since: datetime, until: datetime | None, about: About = ALL_CALLS) -> Impact:
    """Count these calls from a begin to an end, or to now."""
    window: dict[str, Any] = bounded({"since": since, "until": until or datetime.now(UTC)})
    values = window | {"refused": list(REFUSALS), "no_model": list(NO_MODEL), "cap": BudgetExceeded.code}
    values |= {"tenant": about.tenant, "feature": about.feature, "of_caps": about.of_caps}
    row = (await connection.execute(_COUNTED, values)).mappings().one()
    return Impact(since=window["since"], until=window["until"], about=about, **row)


def _number(value: int, one: str) -> str:
    return f"{figures.count(value)} {one if value == 1 else one + 's'}"
