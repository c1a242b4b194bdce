"""Runbook: every page rendered, searched as `octant runbook` searches, and saved as one file. Needs no store."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.console import formats, gamedays
from app.console.commanded import Buttons, no_buttons
from app.console.console import ROUTES, SESSION, VIEWING, Console, link
from app.console.navigation import RUNBOOK
from app.console.readiness.answers import OLD
from app.console.readiness.runbook import RECORDED, judged
from app.console.runbook_html import address, html_of, html_of_section
from app.domain.errors import NotFound
from app.oncall.runbook.pages import FORM, GENERATED, LONGEST_UNREVIEWED, Page, Section, read
from app.oncall.runbook.search import SURE, Topic, find, says_nothing
from app.oncall.runbook.twin import document

LONGEST = 200  # characters of a search
OTHERS = 7
NEAREST = 3  # where nothing fits well
_COMMANDS = re.compile(r"^ *```console\n.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Found:
    """A place that a search found. ``sure``: it fits well enough to say so. ``commands``: the sections that hold some."""

    title: str
    href: str
    symptom: str
    sure: bool = False
    commands: Sequence[tuple[str, Markup]] = ()


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/runbook")
    async def first(request: Request, q: str = "") -> Response:
        """All pages, or those that fit the words."""
        wanted = " ".join(q.split())[:LONGEST]
        pages = await asyncio.to_thread(read)
        buttons = console.buttons(request.scope[SESSION], link("/console/runbook", {"q": wanted}))
        found = await asyncio.to_thread(searched, pages, wanted, console.parts.providers, buttons) if wanted else []
        kind, words = answer(pages, wanted, found, datetime.now(UTC))
        incidents = sorted((page for page in pages if page.is_incident), key=lambda page: page.title)
        here = contained_here(await asyncio.to_thread(gamedays.reports, console.parts.state_dir))
        others = [page for page in pages if not page.is_incident]
        return console.page(
            request, "runbook.html", RUNBOOK, wanted=wanted, found=found, kind=kind, words=words, incidents=incidents,
            others=others, here=here, proof=proof(incidents, here), address=address, plain=plain, rehearsal=rehearsal,
            review=review,
            today=datetime.now(UTC).date(),
        )  # fmt: skip

    @made.get("/runbook.html")
    async def twin() -> Response:
        """Every page in one file without scripts, to keep on a phone."""
        whole = await asyncio.to_thread(lambda: document(read()))
        headers = {"content-disposition": 'attachment; filename="runbook.html"'}
        return Response(whole, media_type="text/html; charset=utf-8", headers=headers)

    @made.get("/runbook/{name}")
    async def page(request: Request, name: str) -> Response:
        """One page."""
        pages = await asyncio.to_thread(read)
        wanted = name.removesuffix(".md")
        one = next((each for each in pages if each.name.removesuffix(".md") == wanted), None)
        if one is None:
            raise NotFound("The runbook has no such page. Its first page lists all.")
        here = contained_here(await asyncio.to_thread(gamedays.reports, console.parts.state_dir)).get(wanted)
        contents = [section for section in one.sections if section.level == (3 if one.name == GENERATED else 2)]
        return console.page(
            request, "runbook_page.html", RUNBOOK, title=one.title, one=one,
            html=await asyncio.to_thread(html_of, one, pages, console.buttons(request.scope[SESSION], address(one.name))),
            contents=contents, here=here, rehearsal=rehearsal, review=review, today=datetime.now(UTC).date(),
        )  # fmt: skip

    return made


def contained_here(days: Sequence[gamedays.Report]) -> dict[str, gamedays.Report]:
    """The newest game day that contained its fault, by the page that it followed. ``days``: newest first."""
    return {one.page: one for one in reversed(days) if one.kind == "good" and one.played.contained is not None}


@dataclass(frozen=True, slots=True)
class Proof:
    """How far the incidents' pages lead a person who did not write them.

    ``fresh``: pages whose commands contained their fault within the days that a rehearsal counts, ``here`` of them on this
    installation. ``slowest``: minutes, of the page with this title. ``works`` of ``commands`` worked as they stand, in the newest
    game day of each page. ``tried``: pages that an outsider followed, the newest on ``tried_on``.
    """

    pages: int
    fresh: int
    here: int
    slowest: float
    title: str
    works: int
    commands: int
    tried: int
    tried_on: date | None


def proof(incidents: Sequence[Page], here: Mapping[str, gamedays.Report]) -> Proof:
    """From the pages' own dates and from this installation's game days."""
    today = datetime.now(UTC).date()
    days = {page.title: here[name] for page in incidents if (name := page.name.removesuffix(".md")) in here}
    done = {page.title: page.rehearsed for page in incidents if page.rehearsed}
    minutes = {title: each[1] for title, each in done.items()}
    minutes |= {title: (day.played.contained or 0.0) / 60 for title, day in days.items()}
    title = max(minutes, key=lambda each: minutes[each], default="")
    recent = {title for title, each in done.items() if each[0] + OLD >= today}
    recent |= {title for title, day in days.items() if day.played.begun_at.date() + OLD >= today}
    ran = [one for day in days.values() for one in day.played.followed]
    tried = [page.tried[0] for page in incidents if page.tried]
    return Proof(
        len(incidents), len(recent), len(days), minutes.get(title, 0.0), title, sum(one.works for one in ran), len(ran),
        len(tried), max(tried, default=None),
    )  # fmt: skip


def searched(pages: Sequence[Page], wanted: str, providers: Collection[str] = (), buttons: Buttons = no_buttons) -> list[Found]:
    """The places that fit, best first; the best with its commands where it surely fits, and with the provider in the words."""
    spoken = re.findall(r"[\w-]+", wanted.lower())
    named = [name for name in providers if name.lower() in spoken]
    words = _words(providers, named[0]) if len(named) == 1 else {}
    best = find(pages, wanted, providers)[: OTHERS + 1]
    best = best if best and best[0][0] >= SURE else best[:NEAREST]
    return [
        _found(topic, pages, sure=score >= SURE, whole=number == 0, words=words, buttons=buttons)
        for number, (score, topic) in enumerate(best)
    ]


def _words(providers: Collection[str], named: str) -> dict[str, str]:
    """Values of the words for the provider at fault and, where there is only one other, for that."""
    others = [name for name in providers if name != named]
    return {"PROVIDER": named, **({"OTHER": others[0]} if len(others) == 1 else {})}


def _found(topic: Topic, pages: Sequence[Page], *, sure: bool, whole: bool, words: Mapping[str, str], buttons: Buttons) -> Found:
    first = topic.sections[0]
    href = address(topic.page.name, "" if first.level == 1 else first.anchor)
    symptom = topic.page.paragraph("Symptom") if first.level == 1 else ""
    shown = [s for s in topic.sections if s.commands and s.title != FORM[-1]] if whole and sure else []
    texts = [(s.title, html_of_section(_filled(s, words), topic.page, pages, buttons)) for s in shown]
    return Found(topic.title, href, symptom, sure, texts)


def _filled(section: Section, words: Mapping[str, str]) -> Section:
    """The section with these values for words in capitals in its commands and their output."""
    each = re.compile(rf"\b(?:{'|'.join(words)})\b")
    text = _COMMANDS.sub(lambda block: each.sub(lambda word: words[word[0]], block[0]), section.text) if words else section.text
    return replace(section, text=text)


def plain(text: str) -> str:
    """A paragraph without the signs of its markdown."""
    return _LINK.sub(r"\1", text.replace("`", "").replace("*", ""))


def rehearsal(page: Page, today: date) -> tuple[str, str]:
    """The mark and words on a page's rehearsal; empty for a page that is of no incident."""
    if not page.is_incident:
        return "none", ""
    if page.rehearsed is None:
        return "none", "not rehearsed"
    day, minutes = page.rehearsed
    return ("good" if day + OLD >= today else "warn"), f"contained in {minutes:g} min in a recorded run"


def review(page: Page, today: date) -> tuple[str, str]:
    """The mark and words on a page's review."""
    if page.reviewed is None:
        return "none", "generated" if page.name == GENERATED else "not reviewed"
    return ("good", "reviewed") if page.reviewed + LONGEST_UNREVIEWED >= today else ("warn", "review overdue")


def answer(pages: Sequence[Page], wanted: str, found: Sequence[Found], now: datetime) -> tuple[str, str]:
    """Where the words lead; without words, how ready the pages are, as the readiness review judges them."""
    if wanted and found and not found[0].sure:
        return (
            "warn",
            f"Nothing fits “{wanted}” well; nearest: {'; '.join(one.title for one in found)}.",
        )
    if wanted and found:
        return "good", f"“{wanted}” leads to: {found[0].title}."
    if wanted and says_nothing(wanted):
        return "warn", f"“{wanted}” names no symptom: write what callers see, an alert's name, or an error's code."
    if wanted:
        return "bad", f"No page has the words “{wanted}”. Try an alert's name, an error's code, or fewer words."
    incidents = [page for page in pages if page.is_incident]
    fresh = sum(page.rehearsed is not None and page.rehearsed[0] + OLD >= now.date() for page in incidents)
    words = (
        f"{formats.number(len(incidents), 'incident')} have a page; the commands of {fresh} contained theirs in the last 30 days,"
        f" here or in {RECORDED}."
    )
    judgement = judged(list(pages), now)
    if judgement.state == "proved":
        return "good", words
    return "bad" if judgement.state == "failing" else "warn", f"{words} {judgement.why}".rstrip()
