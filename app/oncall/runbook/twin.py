"""Writes all pages into one HTML file, for a phone and for a day without the service (K4).

It has no scripts, no fonts and no links to other files. Words for a search, and the manual for authors of pages, are on a screen
and not on paper.
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from app.oncall.runbook.pages import MANUAL, Page

STYLE = Path(__file__).with_name("twin.css")
_LINK = re.compile(r'href="([\w-]+\.md)?(?:#([\w-]+))?"')
_OUTSIDE = re.compile(r'<a href="(?!#|https?:)[^"]*">(.*?)</a>', re.DOTALL)
_HEADING = re.compile(r"<h([1-3])>(.*?)</h\1>", re.DOTALL)
_PARAGRAPH = re.compile(r"<p>.*?</p>", re.DOTALL)
_WORDS = re.compile(r"(?:^|(?<=<p>))(?:Words|Errors): .*?(?=</p>|$)", re.MULTILINE)
_MANUAL = re.compile(rf'<h2 id="[^"]*">{MANUAL}</h2>.*?(?=<h2|\Z)', re.DOTALL)
_CELL = re.compile(r"<td>[^<]*</td>")
_PHONE = re.compile(r"\+[1-9](?:[ ./-]?\d){6,14}(?!\d)")
_DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)


def write(pages: Sequence[Page], folder: Path) -> Path:
    """Write the file, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(document(pages), encoding="utf-8")
    return path


def document(pages: Sequence[Page]) -> str:
    """The whole file."""
    entries = "".join(f'<li><a href="#{_id(page.name)}">{escape(page.title)}</a></li>' for page in pages)
    body = "\n".join(_page(page) for page in pages)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Runbook</title>'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>\n"
        f'<nav id="top"><ul>{entries}</ul></nav>\n<main>\n{body}\n</main></body></html>\n'
    )


def with_phones(html: str) -> str:
    """The same with each telephone number of a table's cell as a link: the file is read on a phone."""
    return _CELL.sub(lambda cell: _PHONE.sub(_called, cell[0]), html)


def _called(number: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", number[0])
    return f'<a href="tel:+{digits}">{number[0]}</a>'


def _page(page: Page) -> str:
    """One page as an article. Its diagram is left out: the same stands below it as text."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(_DIAGRAM.sub("", page.text))
    html = _LINK.sub(lambda found: f'href="#{_id(found[1] or page.name, found[2] or "")}"', html)
    html = _OUTSIDE.sub(r"\1", html)  # files beside the runbook: their names stay as text
    html = _HEADING.sub(lambda found: _heading(page, int(found[1]), found[2]), html)
    html = _PARAGRAPH.sub(lambda found: _WORDS.sub(r'<span class="words">\g<0></span>', found[0]), html)
    html = _MANUAL.sub(r'<section class="manual">\g<0></section>', html)
    html = re.sub(r"(<table>.*?</table>)", r'<div class="wide">\1</div>', html, flags=re.DOTALL)
    html = with_phones(html)
    return f'<article>\n{html}<p class="up"><a href="#top">All pages</a></p>\n</article>'


def _heading(page: Page, level: int, title: str) -> str:
    plain = re.sub(r"<[^>]*>", "", title)
    own = _id(page.name, re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-"))
    if level == 1:  # the page's address, and the heading's
        return f'<h1 id="{_id(page.name)}"><span id="{own}">{title}</span></h1>'
    return f'<h{level} id="{own}">{title}</h{level}>'


def _id(name: str, anchor: str = "") -> str:
    """The address of a section within the file."""
    return name.removesuffix(".md") + (f"--{anchor}" if anchor else "")
