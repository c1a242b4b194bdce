"""Compares two versions of the rotation, hour by hour: the shifts that change hands, and edits that move everybody's turns.

A change of the people of a list that has begun deals all its later turns anew. A dated list does not, so its text is offered.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.oncall.rota.clocks import hours, joined
from app.oncall.rota.rotation import Hours, Rotation, Turns
from app.oncall.rota.shifts import Segment, duties, layer_shifts, segments
from app.oncall.rota.turns import HandOvers

AHEAD = timedelta(days=180)
BEFORE = timedelta(days=90)
"""Past hours that are compared, too: reports of past months count them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A time in which a level is held by other people than before. An empty tuple is no person."""

    level: int
    begin: datetime
    end: datetime
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redealt:
    """An edit of a list that has begun: how many later turns it gives to others, and the text to paste instead."""

    layer: str
    start: date
    count: int
    instead: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What two versions differ in. ``past`` holds changes of hours before now."""

    changes: tuple[Change, ...]
    past: tuple[Change, ...]
    redealt: tuple[Redealt, ...]
    others: tuple[str, ...]
    balance: dict[str, float]

    def __bool__(self) -> bool:
        """Whether anything differs that concerns a person."""
        return bool(self.changes or self.past or self.redealt or self.others)


def difference(old: Rotation, new: Rotation, now: datetime) -> Difference:
    """Compare two versions from 90 days ago until 180 days ahead."""
    now = now.astimezone(UTC)
    changes = tuple(_changes(old, new, now, now + AHEAD))
    balance: dict[str, float] = defaultdict(float)
    for change in changes:
        length = hours([(change.begin, change.end)])
        for person in change.before:
            balance[person] -= length
        for person in change.after:
            balance[person] += length
    return Difference(
        changes=changes,
        past=tuple(_changes(old, new, now - BEFORE, now)),
        redealt=tuple(redealt(old, new, now)),
        others=tuple(_others(old, new, now)),
        balance={person: round(length, 2) for person, length in balance.items() if round(length, 2)},
    )


def redealt(old: Rotation, new: Rotation, now: datetime) -> Iterator[Redealt]:
    """Yield the edits of lists that have begun and that give later turns of the same list to other people."""
    for name, lists in new.layers.items():
        before = {turns.start: turns for turns in old.layers.get(name, ())}
        for turns in lists:
            known = before.get(turns.start)
            if known is None or known == turns or HandOvers.of(old, known).span(0)[0] > now:
                continue
            count = len(_other_hands(old, new, name, now))
            if count:
                yield Redealt(name, turns.start, count, _pasted(old, known, turns, now))


def _other_hands(old: Rotation, new: Rotation, layer: str, now: datetime) -> list[datetime]:
    """The beginnings of a layer's new turns that a different person had before."""
    mine = {(s.begin, s.person) for s in layer_shifts(old, layer, now, now + AHEAD)}
    return [s.begin for s in layer_shifts(new, layer, now, now + AHEAD) if (s.begin, s.person) not in mine]


def _pasted(old: Rotation, known: Turns, edited: Turns, now: datetime) -> str:
    """Both lists as text: the old one as it was, and the edited one from the next hand-over, going on where the old one is."""
    over = HandOvers.of(old, known)
    number = over.number_at(now.astimezone(over.zone).date())
    while over.span(number)[0] <= now:
        number += 1
    rest = [over.person(n) for n in range(number, number + len(known.people))]
    first = next((person for person in rest if person in edited.people), edited.people[0])
    at = edited.people.index(first)
    later = edited.model_copy(update={"start": over.local(number)[0], "people": edited.people[at:] + edited.people[:at]})
    return f"{_listed(known)}\n{_listed(later)}"


def _listed(turns: Turns) -> str:
    """A dated list in the file's form."""
    fields = [f"from: {turns.start}", f"people: [{', '.join(turns.people)}]", f"every: {turns.every}"]
    for name in ("length", "weekday", "monthday", "timezone"):
        value = getattr(turns, name)
        if value is not None and value != Turns.model_fields[name].default:
            fields.append(f"{name}: {value}")
    if turns.at:
        times = ", ".join(f'"{moment:%H:%M}"' for moment in turns.at)
        fields.append(f"at: [{times}]")
    if turns.hours:
        fields.append(f"hours: [{', '.join(map(_window, turns.hours))}]")
    return f"- {{{', '.join(fields)}}}"


def _window(hours_of_duty: Hours) -> str:
    days = ", ".join(hours_of_duty.days)
    return f'{{days: [{days}], begin: "{hours_of_duty.begin:%H:%M}", end: "{hours_of_duty.end:%H:%M}"}}'


def _changes(old: Rotation, new: Rotation, start: datetime, end: datetime) -> Iterator[Change]:
    """Times in which a level's people differ, joined while the people stay the same."""
    found: dict[tuple[int, tuple[str, ...], tuple[str, ...]], list[tuple[datetime, datetime]]] = defaultdict(list)
    for begin, until, before, after in _both(segments(old, start, end), segments(new, start, end)):
        for level, (was, becomes) in enumerate(zip(before.levels, after.levels, strict=True), start=1):
            if was != becomes:
                found[level, tuple(sorted(was)), tuple(sorted(becomes))].append((begin, until))
    changes = [Change(level, *span, was, becomes) for (level, was, becomes), spans in found.items() for span in joined(spans)]
    yield from sorted(changes, key=lambda c: (c.begin, c.level))


def _both(old: Iterator[Segment], new: Iterator[Segment]) -> Iterator[tuple[datetime, datetime, Segment, Segment]]:
    """Two series of segments over the same time, cut at the edges of both."""
    one, other = next(old, None), next(new, None)
    while one is not None and other is not None:
        begin, end = max(one.begin, other.begin), min(one.end, other.end)
        yield begin, end, one, other
        if one.end == end:
            one = next(old, None)
        if other.end == end:
            other = next(new, None)


def _others(old: Rotation, new: Rotation, now: datetime) -> Iterator[str]:
    """Changes that move no shift: people, their phones, minutes of the escalation."""
    for key in sorted(old.people.keys() | new.people.keys()):
        before, after = old.people.get(key), new.people.get(key)
        if before is None or after is None:
            yield f"{key} is {'added to' if before is None else 'removed from'} the people"
        elif before != after:
            fields = [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]
            yield f"{key}: {', '.join(fields)} changed"
    waits = [[(d.level, d.minutes) for d in duties(r, now)] for r in (old, new)]
    if waits[0] != waits[1]:
        yield "the levels or their minutes change"
    if old.serving != new.serving:
        yield "the serving hours change"
