"""The calendar feed: an event for each shift, in UTC, without phones and addresses, since feeds are shared by their link.

The id of an event is made of level, layer and beginning, so a calendar that reads the feed again replaces what has changed.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from icalendar import Calendar, Event

from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import Shift, shifts

PRODUCT = "-//Octant//on-call rotation//EN"
REFRESH = timedelta(hours=1)


def feed(rotation: Rotation, start: datetime, end: datetime, *, now: datetime, person: str | None = None) -> bytes:
    """Return the shifts of a time, or those of one ``person``, as an iCalendar file (RFC 5545).

    What is written is read back and compared; a difference raises ValueError.
    """
    held = [s for s in shifts(rotation, start, end) if person in (None, s.person)]
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    name = f"On call: {rotation.people[person].name}" if person else "On call"
    calendar.add("x-wr-calname", name)
    calendar.add("name", name)
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")  # the same for Outlook, which reads no REFRESH-INTERVAL ([MS-OXCICAL])
    for shift in held:
        calendar.add_component(_event(rotation, shift, now))
    written = bytes(calendar.to_ical())
    if read_feed(written) != _facts(held):
        raise ValueError("the feed does not read back as it was written")
    return written


def read_feed(text: bytes) -> list[tuple[str, datetime, datetime]]:
    """Return id, beginning and end of each event of a feed. Raises ValueError for text that is no iCalendar file."""
    calendar = Calendar.from_ical(text)
    return sorted((str(event["uid"]), _instant(event.start), _instant(event.end)) for event in calendar.events)


def _facts(held: Iterable[Shift]) -> list[tuple[str, datetime, datetime]]:
    return sorted((_uid(s), _whole(s.begin), _whole(s.end)) for s in held)


def _event(rotation: Rotation, shift: Shift, now: datetime) -> Event:
    event, person = Event(), rotation.people[shift.person]
    event.add("uid", _uid(shift))
    event.add("dtstamp", _whole(now))
    event.add("dtstart", _whole(shift.begin))
    event.add("dtend", _whole(shift.end))
    event.add("summary", f"On call, level {shift.level}: {person.name}")
    instead = f", instead of {rotation.people[shift.instead_of].name}" if shift.instead_of else ""
    event.add("description", f"Layer {shift.layer}, {shift.hours:g} hours{instead}.")
    event.add("transp", "TRANSPARENT")  # does not make the person busy
    return event


def _uid(shift: Shift) -> str:
    return f"{shift.begin:%Y%m%dT%H%M%SZ}-{shift.level}-{shift.layer}-{shift.person}@octant"


def _instant(start: date) -> datetime:
    """The instant of an event; midnight in UTC of one of whole days, which no shift is."""
    return start.astimezone(UTC) if isinstance(start, datetime) else datetime(start.year, start.month, start.day, tzinfo=UTC)


def _whole(moment: datetime) -> datetime:
    """In UTC, without fractions of a second: the format has none."""
    return moment.astimezone(UTC).replace(microsecond=0)
