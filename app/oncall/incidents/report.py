"""Reports of pages: how many, how soon they were handled, out of hours or not, which alerts are noise, and loads (P4).

Weeks begin on Monday at midnight in the rotation's time zone. A mean is over the pages that were handled; the others are counted
beside it and never dropped. Times are seconds.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.incidents.duty import Duties
from app.oncall.incidents.timeline import has_pages
from app.oncall.paging.figures import figures_of, monday_of
from app.oncall.rota.clocks import Span, without
from app.oncall.rota.clocks import hours as hours_in

LEAST_FOR_NOISE = 2  # one page of an alert is no pattern
UNKNOWN = "unknown"

_PAGES = text(
    """
    SELECT alert, person, triggered_at, acknowledged_at, resolved_at FROM pages
    WHERE NOT test AND labels->>'drill' IS NULL AND triggered_at >= :since AND triggered_at < :until ORDER BY triggered_at
    """
)
_COMMANDS = text(
    """
    SELECT at FROM actions WHERE at >= :since AND action NOT LIKE 'incident %' AND action NOT LIKE 'oncall %' ORDER BY at
    """
)
_INCIDENTS = text(
    """
    SELECT severity, opened_at, closed_at FROM incidents WHERE opened_at >= :since AND opened_at < :until
    AND NOT EXISTS (SELECT FROM pages WHERE incident_id = incidents.id AND labels->>'drill' IS NOT NULL)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, as reports need it."""

    alert: str
    person: str | None
    triggered_at: datetime
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None

    def in_utc(self) -> "Page":
        """The same in UTC: Python subtracts two times of one zone by their clocks, which change."""
        acked, resolved = (at.astimezone(UTC) if at else None for at in (self.acknowledged_at, self.resolved_at))
        return replace(self, triggered_at=self.triggered_at.astimezone(UTC), acknowledged_at=acked, resolved_at=resolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of pages. ``mtta`` and ``mttr`` are means over the handled ones; None where there is none."""

    pages: int
    acknowledged: int
    resolved: int
    out_of_hours: int
    mtta: float | None
    mttr: float | None

    @property
    def unacknowledged(self) -> int:
        """Pages that no person acknowledged, also those that ended by themselves."""
        return self.pages - self.acknowledged

    @property
    def open(self) -> int:
        """Pages that are not resolved."""
        return self.pages - self.resolved


@dataclass(frozen=True, slots=True)
class OfAlert:
    """The pages of one alert, and why they are noise; empty if they are not."""

    alert: str
    tally: Tally
    noise: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfPerson:
    """One person's load: hours on duty at the first level, those outside serving hours among them, and pages."""

    person: str
    hours: float
    out_of_hours: float
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of a span. ``weeks`` are named by their Monday; the first and the last may be cut by the span."""

    since: datetime
    until: datetime
    total: Tally
    weeks: Sequence[tuple[datetime, Tally]]
    alerts: Sequence[OfAlert]
    people: Sequence[OfPerson]
    opened: int = 0
    closed: int = 0
    mean_open: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on an alert is noise: ended within ``minutes``, or more than ``a_week`` pages in a week."""

    minutes: float = 5.0
    a_week: int = 5


def summarise(
    pages: Sequence[Page], duties: Duties, since: datetime, until: datetime, *,
    commands: Sequence[datetime] = (), limits: Limits | None = None,
) -> Report:  # fmt: skip
    """Compute a report. ``commands`` are the times at which operators changed something, in order."""
    limits = limits or Limits()
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    inside = [page for page in (page.in_utc() for page in pages) if since <= page.triggered_at < until]
    by_week, by_alert, by_person = defaultdict(list), defaultdict(list), defaultdict(list)
    for page in inside:
        by_week[monday_of(page.triggered_at, duties.zone)].append(page)
        by_alert[page.alert].append(page)
        by_person[page.person or UNKNOWN].append(page)
    serving = duties.serving(since, until)
    alerts = [
        OfAlert(name, tally(found, serving), tuple(_noise(found, duties, commands, limits, until)))
        for name, found in sorted(by_alert.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    hours = hours_of(duties, since, until)
    people = [
        OfPerson(name, *hours.get(name, (0.0, 0.0)), tally(by_person[name], serving)) for name in sorted({*hours, *by_person})
    ]
    weeks = [(monday, tally(by_week[monday], serving)) for monday in mondays(since, until, duties)]
    return Report(since=since, until=until, total=tally(inside, serving), weeks=weeks, alerts=alerts, people=people)


def tally(pages: Sequence[Page], serving: Sequence[Span]) -> Tally:
    """Count pages. ``serving``: the hours in which a person must be reachable, sorted; others are out of hours."""
    found = figures_of(pages)
    return Tally(
        pages=found.pages, acknowledged=found.acknowledged, resolved=found.resolved, mtta=found.mtta, mttr=found.mttr,
        out_of_hours=sum(not _within(page.triggered_at, serving) for page in pages),
    )  # fmt: skip


def _within(at: datetime, spans: Sequence[Span]) -> bool:
    """Whether a time lies in one of the spans, which are sorted."""
    index = bisect_right(spans, at, key=lambda span: span[0])
    return index > 0 and at < spans[index - 1][1]


def mondays(since: datetime, until: datetime, duties: Duties) -> list[datetime]:
    """The weeks of a span, also those without a page."""
    found, at = [], monday_of(since, duties.zone)
    while at.astimezone(UTC) < until.astimezone(UTC):
        found.append(at)
        at = datetime.combine(at.date() + timedelta(days=7), datetime.min.time(), duties.zone)
    return found


def hours_of(duties: Duties, since: datetime, until: datetime) -> dict[str, tuple[float, float]]:
    """Each person's hours on duty at the first level, and those of them outside serving hours, in real hours."""
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    held: defaultdict[str, list[Span]] = defaultdict(list)
    for (begin, people), (end, _) in pairwise([*duties.changes(since, until), (until, ())]):
        if people:
            held[people[0]].append((begin, end))
    serving = duties.serving(since, until)
    return {name: (hours_in(spans), hours_in(without(spans, serving))) for name, spans in held.items()}


def _noise(pages: Sequence[Page], duties: Duties, commands: Sequence[datetime], limits: Limits, until: datetime) -> Iterable[str]:
    counts: defaultdict[datetime, int] = defaultdict(int)
    for page in pages:
        counts[monday_of(page.triggered_at, duties.zone)] += 1
    most = max(counts.values())
    if most > limits.a_week:
        yield f"{most} pages in one week"
    if len(pages) < LEAST_FOR_NOISE:
        return
    short = sum(bool(p.resolved_at and p.resolved_at - p.triggered_at <= timedelta(minutes=limits.minutes)) for p in pages)
    if 2 * short >= len(pages):
        yield f"{short} of {len(pages)} ended within {limits.minutes:g} minutes"
    acked = [page for page in pages if page.acknowledged_at]
    idle = sum(not _acted(page, commands, until) for page in acked)
    if len(acked) >= LEAST_FOR_NOISE and 2 * idle >= len(acked):
        yield f"{idle} of {len(acked)} acknowledged without a command"


def _acted(page: Page, commands: Sequence[datetime], until: datetime) -> bool:
    """Whether an operator changed something from the page to its end."""
    first = bisect_left(commands, page.triggered_at)
    return first < len(commands) and commands[first] <= (page.resolved_at or until)


async def report(
    engine: AsyncEngine, duties: Duties, since: datetime, until: datetime, *, limits: Limits | None = None
) -> Report:
    """Read and compute a report."""
    span = {"since": since, "until": until}
    async with engine.connect() as connection:
        rows = (await connection.execute(_PAGES, span)).mappings().all() if await has_pages(connection) else ()
        commands = (await connection.execute(_COMMANDS, span)).scalars().all()
        incidents = (await connection.execute(_INCIDENTS, span)).all()
    found = summarise([Page(**row) for row in rows], duties, since, until, commands=commands, limits=limits)
    ended = [(row.closed_at - row.opened_at).total_seconds() for row in incidents if row.closed_at]
    mean = sum(ended) / len(ended) if ended else None
    return replace(found, opened=len(incidents), closed=len(ended), mean_open=mean)
