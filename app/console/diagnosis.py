"""What is wrong now, read once and said alike: the first page leads with it, and an incident's page offers what mends it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.audit import just_now as facts
from app.audit.just_now import JustNow
from app.audit.overview import Overview, overview
from app.budget.standing import used_caps
from app.console.console import Console
from app.console.health import Now, Summary, last_minutes, now_of, stops_of, summary, unread, without_valkey
from app.console.known import Known
from app.console.ranges import Range
from app.console.stop_actions import live_of

LATELY = timedelta(minutes=15)  # of an incident: what its page says of now


class Diagnosis(NamedTuple):
    """``known``: the figures of the range; ``latest``: those of its last minutes; ``found``: None where nothing is known."""

    known: Known[Overview]
    latest: Overview | None
    now: Known[Now]
    found: Summary | None


async def diagnosed(console: Console, range_: Range | None = None) -> Diagnosis:
    """Of a range, else of the last quarter of an hour. Waits as long as `LastKnown.read`; what a store hides is said.

    What Valkey held when it was last read says nothing of now.
    """
    at, parts, read = datetime.now(UTC), console.parts, console.known.read
    range_ = range_ or Range(at - LATELY, at, "15m")
    known, (latest, recent), now, caps = await asyncio.gather(
        read(("overview", *range_.query.items()), overview(parts.engine, range_.since, range_.until, range_.width)),
        _end(console, range_),
        read("overview now", now_of(parts.valkey, parts.policy.global_daily_cap)),
        read("used caps", used_caps(parts.engine, parts.valkey, at, share=max(parts.policy.shares, default=100))),
    )
    if known.value is None:
        return Diagnosis(known, latest, now, None)
    stops = stops_of(parts.switch.stopped_words, parts.switch.stopped, live_of(console))
    held = None if now.away else now.value
    found = summary(known.value, range_, latest, held, stops, caps.value or (), recent)
    if range_.live and recent is None and not known.away:
        found = unread(found)
    return Diagnosis(known, latest, now, without_valkey(found) if now.away and range_.live else found)


async def _end(console: Console, range_: Range) -> tuple[Overview | None, JustNow | None]:
    """The last minutes of a range that goes on, if its records can be read now."""
    if not range_.live:
        return None, None
    end, engine, read = last_minutes(range_), console.parts.engine, console.known.read
    reading = overview(engine, end.since, end.until, end.width, with_states=False) if end else asyncio.sleep(0, None)
    latest, recent = await asyncio.gather(
        read("overview just now", reading), read("just now", facts.just_now(engine, range_.until))
    )
    return None if latest.away else latest.value, None if recent.away else recent.value
