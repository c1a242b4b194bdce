"""The draft of a postmortem: the template of the runbook with what the incident's records know already (K3)."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain import figures
from app.domain.unseen import revealed
from app.oncall.incidents.impact import Impact, impact_of
from app.oncall.incidents.runbooks import alerts_of
from app.oncall.incidents.store import Clean, Incident
from app.oncall.incidents.timeline import Entry, others_words, parted, timeline

FOLDER, TEMPLATE = "postmortems", "template.md"
# Where no runbook lies beside the program, as after an installation from a wheel: the parts without their explanations.
BARE = "# YYYY-MM-DD: what happened, in one line\n\n" + "".join(
    f"- **{part}:**\n" for part in ("Impact", "Detection", "Timeline", "Cause", "Lessons", "Changes")
)
LONGEST_SLUG = 60


def template_in(runbook: Path) -> str:
    """The template of a runbook; a bare one where there is none."""
    path = runbook / FOLDER / TEMPLATE
    return path.read_text(encoding="utf-8") if path.is_file() else BARE


async def drafted(engine: AsyncEngine, incident: Incident, runbook: Path, *, clean: Clean) -> str:
    """The draft of an incident, from what its records know now."""
    entries = await timeline(engine, incident, clean=clean)
    async with engine.connect() as connection:
        impact = await impact_of(connection, incident, entries, await alerts_of(connection, incident.id))
    return draft(incident, entries, impact, await asyncio.to_thread(template_in, runbook))


def draft(incident: Incident, entries: Sequence[Entry], impact: Impact, template: str) -> str:
    """Fill the template: title, facts, timeline and the runbook's change. A part that it lacks comes at the end."""
    text = re.sub(r"^# .*$", lambda _: f"# {_day(incident)}: {_plain(incident.title)}", template, count=1, flags=re.MULTILINE)
    for part, lines in (
        ("Impact", [_facts(incident), _impact(impact)]),
        ("Detection", _detection(incident, entries)),
        ("Timeline", _timeline(entries)),
        ("Changes", [_change(incident)]),
    ):
        text = _filled(text, part, lines)
    return text


def write(runbook: Path, incident: Incident, text: str) -> Path:
    """Write a draft beside the runbook's postmortems, under a free name. Raises OSError."""
    folder = runbook / FOLDER
    name = f"{_day(incident)}-{slug(incident.title)}"
    for number in range(1, 100):
        path = folder / (f"{name}.md" if number == 1 else f"{name}-{number}.md")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(str(folder / name))


def slug(title: str) -> str:
    """A title as part of a file's name."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:LONGEST_SLUG].rstrip("-") or "incident"


def _filled(text: str, part: str, lines: Sequence[str]) -> str:
    """Add lines below a part, each a point of its own."""
    added = "".join(f"\n  - {line}" for line in lines)
    found = re.search(rf"^- \*\*{part}:\*\*.*(?:\n(?!- \*\*|#|\n).*)*", text, re.MULTILINE)
    if found is None:
        return f"{text.rstrip()}\n\n- **{part}:**{added}\n"
    return text[: found.end()] + added + text[found.end() :]


def _timeline(entries: Sequence[Entry]) -> list[str]:
    """A line an entry; those that stand aside are points below the last one."""
    own, others = parted(entries)
    if not others:
        return [_entry(e) for e in own]
    return [*map(_entry, own), "".join([f"{others_words(others)}:", *(f"\n    - {_entry(e)}" for e in others)])]


def _entry(entry: Entry) -> str:
    return f"{entry.at:%Y-%m-%d %H:%M:%S} `{entry.kind}` {_who(entry)}{_plain(entry.text)}"


def _facts(incident: Incident) -> str:
    return f"{incident.severity}, {_span(incident)}; commander {_plain(incident.commander or 'not assigned')}."


def _impact(impact: Impact) -> str:
    """The calls of its time, as the incident's page says it."""
    before, behind = impact.words
    since, until = (f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" for at in (impact.since, impact.until))
    return f"{_plain(before)} between {since} and {until}{behind}"


def _detection(incident: Incident, entries: Sequence[Entry]) -> list[str]:
    """The first page, and the time from it to the first ack."""
    paged = next((e for e in entries if e.kind == "page"), None)
    if paged is None:
        return [f"No page; opened by {_plain(incident.opened_by)} at {incident.opened_at.astimezone(UTC):%H:%M:%S}."]
    acked = next((e for e in entries if e.kind == "ack" and e.text.startswith("ack")), None)
    after = f"acknowledged after {duration(acked.at - paged.at)}" if acked else "never acknowledged"
    return [f"Paged at {paged.at:%H:%M:%S}, {after}: {_plain(paged.text)}"]


def _change(incident: Incident) -> str:
    if incident.runbook_change is None:
        return "The incident is open: its change of the runbook is not known yet."
    if incident.runbook_page is None:
        return f"No page of the runbook changes: {_plain(incident.runbook_change)}"
    return f"`{incident.runbook_page}`: {_plain(incident.runbook_change)}"


def _span(incident: Incident) -> str:
    begin = incident.opened_at.astimezone(UTC)
    if incident.closed_at is None:
        return f"open since {begin:%Y-%m-%d %H:%M:%S} UTC"
    end = incident.closed_at.astimezone(UTC)
    return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC, {duration(end - begin)}"


def _day(incident: Incident) -> str:
    return f"{incident.opened_at.astimezone(UTC):%Y-%m-%d}"


def _who(entry: Entry) -> str:
    return f"{_plain(entry.actor)}: " if entry.actor else ""


def _plain(words: str) -> str:
    """A text on one line that markdown shows as it is, with the characters in it that hide."""
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", revealed(" ".join(words.split())))


def duration(span: timedelta) -> str:
    """A length of time, as the console writes it."""
    return figures.ms(span / timedelta(milliseconds=1))
