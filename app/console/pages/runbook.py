"""Runbook: every page rendered, searched as `octant runbook` searches, and saved as one file. Needs no store."""

import asyncio
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from fastapi import APIRouter
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from app.console import formats, gamedays
from app.console.commanded import Buttons, no_buttons
from app.console.console import ROUTES, SESSION, VIEWING, Console, link
from app.console.navigation import RUNBOOK
from app.console.readiness.answers import OLD
from app.console.readiness.runbook import RECORDED, judged
from app.console.rehearsed import by_page, contained, counts, ending, proof
from app.console.runbook_html import address, html_of, html_of_section
from app.domain.errors import NotFound
from app.oncall.runbook.pages import BLANK, FORM, GENERATED, LONGEST_UNREVIEWED, Page, read
from app.oncall.runbook.search import FIRST_STEPS, SURE, Topic, find, says_nothing, unmistakable
from app.oncall.runbook.twin import document

LONGEST = 200  # characters of a search
OTHERS = 7
NAMES = {
    "provider": "PROVIDER",
    "tenant": "TENANT",
    "user": "USER",
    "key": "KEY",
}  # of a link's query, and as the pages have them
NEAREST = 3  # where nothing fits well
_COMMANDS = re.compile(r"^ *```console\n.*?^ *```", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[^\x00-\x1f\x7f`]{1,128}")  # a command's block ends nowhere in it
_HREF = re.compile(r'href="(/console/runbook/[\w-]+(?:#[\w-]+)?)"')
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
        about = _about(request.query_params)
        buttons = console.buttons(request.scope[SESSION], link("/console/runbook", {"q": wanted, **about}))
        found = await asyncio.to_thread(searched, pages, wanted, console.parts.providers, buttons, about) if wanted else []
        days = await asyncio.to_thread(gamedays.reports, console.parts.state_dir)
        kind, words = answer(pages, wanted, found, datetime.now(UTC), days)
        incidents = sorted((page for page in pages if page.is_incident), key=lambda page: page.title)
        others = [page for page in pages if not page.is_incident]
        return console.page(
            request, "runbook.html", RUNBOOK, wanted=wanted, found=found, kind=kind, words=words, incidents=incidents,
            others=others, proof=proof(incidents, days), address=address, plain=plain, rehearsals=_rehearsals(days),
            review=review, begin=_begin(pages, buttons), today=datetime.now(UTC).date(),
        )  # fmt: skip

    @made.get("/runbook.html")
    async def twin() -> Response:
        """Every page in one file without scripts, to keep on a phone."""
        whole = await asyncio.to_thread(lambda: document(read()))
        headers = {"content-disposition": 'attachment; filename="runbook.html"'}
        return Response(whole, media_type="text/html; charset=utf-8", headers=headers)

    @made.get("/runbook/{name}")
    async def page(request: Request, name: str, q: str = "") -> Response:
        """One page; with the words of the search that found it, which may name the provider at fault."""
        pages = await asyncio.to_thread(read)
        wanted, sought, about = name.removesuffix(".md"), " ".join(q.split())[:LONGEST], _about(request.query_params)
        one = next((each for each in pages if each.name.removesuffix(".md") == wanted), None)
        if one is None:
            raise NotFound("The runbook has no such page. Its first page lists all.")
        days = await asyncio.to_thread(gamedays.reports, console.parts.state_dir)
        contents = [section for section in one.sections if section.level == (3 if one.name == GENERATED else 2)]
        kept = {"q": sought, **about}
        buttons = console.buttons(request.scope[SESSION], link(address(one.name), kept))
        return console.page(
            request, "runbook_page.html", RUNBOOK, title=one.title, one=one, kept=kept,
            html=await asyncio.to_thread(filled, one, pages, sought, console.parts.providers, buttons, about),
            contents=contents, rehearsals=_rehearsals(days)(one), review=review, today=datetime.now(UTC).date(),
        )  # fmt: skip

    return made


def _begin(pages: Sequence[Page], buttons: Buttons) -> Markup:
    """What a person who was woken up does first, before the page that fits is known."""
    return html_of_section(pages[0].section(FIRST_STEPS), pages[0], pages, buttons)


def _about(query: Mapping[str, str]) -> dict[str, str]:
    """The provider, the tenant, the user and the key that the sentence names which leads here."""
    return {field: query[field] for field in NAMES if _NAME.fullmatch(query.get(field, ""))}


def searched(
    pages: Sequence[Page],
    wanted: str,
    providers: Collection[str] = (),
    buttons: Buttons = no_buttons,
    about: Mapping[str, str] = {},
) -> list[Found]:
    """The places that fit, best first; the best with its commands where it surely fits, and with the names that are known.

    ``about``: of a provider, a tenant, a user and a key, by `NAMES`; a provider's may be in the words.
    """
    words = _words(wanted, pages, providers, about)
    kept = {"q": wanted, **about} if words else {}
    best = find(pages, wanted, providers)[: OTHERS + 1]
    best = best if best and best[0][0] >= SURE else best[:NEAREST]
    return [
        _found(topic, pages, sure=score >= SURE, whole=number == 0, words=words, buttons=buttons, kept=kept)
        for number, (score, topic) in enumerate(best)
    ]


def filled(
    page: Page,
    pages: Sequence[Page],
    sought: str,
    providers: Collection[str],
    buttons: Buttons = no_buttons,
    about: Mapping[str, str] = {},
) -> Markup:
    """A page as HTML, with the provider that the words of a search name, and the names of `searched`."""
    words = _words(sought, pages, providers, about)
    kept = {"q": sought, **about} if words else {}
    return _kept(html_of(replace(page, text=_filled(page.text, words)), pages, buttons), kept)


def _words(wanted: str, pages: Sequence[Page], providers: Collection[str], about: Mapping[str, str]) -> dict[str, str]:
    """Values of the words in capitals, as a command takes them.

    For the provider at fault and, where there is only one other, for that; none unless one is named.
    """
    spoken = re.findall(r"[\w-]+", wanted.lower())
    named = [about["provider"]] if about.get("provider") else [n for n in unmistakable(pages, providers) if n.lower() in spoken]
    found = {NAMES[field]: shlex.quote(name) for field, name in about.items() if field != "provider"}
    if len(named) != 1 or named[0] not in providers:
        return found
    others = [name for name in providers if name != named[0]]
    return {**found, "PROVIDER": named[0], **({"OTHER": others[0]} if len(others) == 1 else {})}


def _found(
    topic: Topic,
    pages: Sequence[Page],
    *,
    sure: bool,
    whole: bool,
    words: Mapping[str, str],
    buttons: Buttons,
    kept: Mapping[str, str],
) -> Found:
    first = topic.sections[0]
    href = address(topic.page.name, "" if first.level == 1 else first.anchor)
    symptom = topic.page.paragraph("Symptom") if first.level == 1 else ""
    shown = [s for s in topic.sections if s.commands and s.title != FORM[-1]] if whole and sure else []
    sections = [(s.title, replace(s, text=_filled(s.text, words))) for s in shown]
    texts = [(title, _kept(html_of_section(one, topic.page, pages, buttons), kept)) for title, one in sections]
    return Found(topic.title, _with(href, kept), symptom, sure, texts)


def _filled(text: str, words: Mapping[str, str]) -> str:
    """A text with these values for words in capitals in its commands and their output."""
    return _COMMANDS.sub(lambda block: BLANK.sub(lambda word: words.get(word[0], word[0]), block[0]), text) if words else text


def _kept(html: Markup, kept: Mapping[str, str]) -> Markup:
    """A text whose links to pages keep the query of a search: the next page is filled in as this one is."""
    if not kept:
        return html
    return Markup(_HREF.sub(lambda found: f'href="{escape(_with(found[1], kept))}"', html))  # noqa: S704 - made of the escaped text


def _with(href: str, kept: Mapping[str, str]) -> str:
    """The address of a page with the query of a search, before its section."""
    path, sign, anchor = href.partition("#")
    return link(path, kept) + sign + anchor


def plain(text: str) -> str:
    """A paragraph without the signs of its markdown."""
    return _LINK.sub(r"\1", text.replace("`", "").replace("*", ""))


@dataclass(frozen=True, slots=True)
class Ran:
    """A rehearsal of a page: its mark, its words, the address of its report, and its day."""

    kind: str
    words: str
    href: str = ""
    on: date | None = None


def _rehearsals(days: Sequence[gamedays.Report]) -> Callable[[Page], Sequence[Ran]]:
    """A page's newest game days, the worst first; without one the run that its text names. Empty where it is no incident's."""
    here, today = by_page(days), datetime.now(UTC).date()

    def of(page: Page) -> Sequence[Ran]:
        if not page.is_incident:
            return ()
        if counts(page, here):
            runs = here[page.name.removesuffix(".md")].runs
            return [Ran(*ending(one), f"/console/gameday/{one.name}", one.played.begun_at.date()) for one in runs]
        if page.rehearsed is None:
            return [Ran("none", "not rehearsed")]
        day, minutes = page.rehearsed
        kind = "good" if day + OLD >= today else "warn"
        return [Ran(kind, f"contained in {formats.rehearsed(minutes)} in a recorded run", on=day)]

    return of


def review(page: Page, today: date) -> tuple[str, str]:
    """The mark and words on a page's review."""
    if page.reviewed is None:
        return "none", "generated" if page.name == GENERATED else "not reviewed"
    return ("good", "reviewed") if page.reviewed + LONGEST_UNREVIEWED >= today else ("warn", "review overdue")


def answer(
    pages: Sequence[Page], wanted: str, found: Sequence[Found], now: datetime, days: Sequence[gamedays.Report] = ()
) -> tuple[str, str]:
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
    here = by_page(days)
    fresh = sum(day + OLD >= now.date() for day, _ in contained(incidents, here).values())
    words = (
        f"{formats.number(len(incidents), 'incident')} have a page; the commands of {fresh} contained theirs in the last 30 days,"
        f" here or in {RECORDED}."
    )
    judgement = judged(list(pages), now, here=here)
    if judgement.state == "proved":
        return "good", words
    return "bad" if judgement.state == "failing" else "warn", f"{words} {judgement.why}".rstrip()
