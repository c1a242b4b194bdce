"""Pages of the runbook as HTML: commands with a copy button, links between pages, alerts that lead to their sections.

The text is ours, and still nothing in it is taken as HTML: markdown-it escapes it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from app.console.commanded import Button, Buttons, is_whole, no_buttons
from app.console.unbroken import command
from app.oncall.runbook.pages import BLANK, GENERATED, Page, Section, blanks
from app.oncall.runbook.twin import with_phones

PATH = "/console/runbook"
ALERTS = GENERATED.removesuffix(".md")
# The words of a section, below its heading and its alerts, are for the search. A sample of a page, in a block, keeps its own.
_WORDS = re.compile(r"(\A\n|^#{2,3} [^\n]*\n\n)((?:Alerts: [^\n]*\n)?)(?:(?:Words|Errors): [^\n]*\n)+", re.MULTILINE)
_DATES = re.compile(r"\A(# [^\n]*\n\n)(?:(?:Reviewed|Rehearsed|Tried|Words|Errors): [^\n]*\n)+\n?")
_FILE = re.compile(r"(?:runbook/)?[\w-]+\.md(?:#[\w-]+)?")
_PAGE = re.compile(r"([\w-]+)\.md(?:#([\w-]+))?\Z|#([\w-]+)\Z")


def address(name: str, anchor: str = "") -> str:
    """The address of a page, or of a section in it."""
    return f"{PATH}/{name.removesuffix('.md')}" + (f"#{anchor}" if anchor else "")


def html_of(page: Page, pages: Sequence[Page], buttons: Buttons = no_buttons) -> Markup:
    """A page without its title and its dates, which the console shows by itself. ``buttons``: of its commands."""
    text = _WORDS.sub(r"\1\2", _DATES.sub(r"\1", page.text))
    return _rendered(text.partition("\n")[2], page, pages, buttons)


def html_of_section(section: Section, page: Page, pages: Sequence[Page], buttons: Buttons = no_buttons) -> Markup:
    """The text of one section, shown by itself: a link within its page leads to the page."""
    return _rendered(_WORDS.sub(r"\1\2", section.text), page, pages, buttons, alone=True)


def _rendered(text: str, page: Page, pages: Sequence[Page], buttons: Buttons, *, alone: bool = False) -> Markup:
    markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = markdown.parse(text)
    places = _Places({one.name: one for one in [*pages, page]}, page.name if alone else "")
    alerts = {
        section.title: section.anchor for one in pages if one.name == GENERATED for section in one.sections if section.level > 1
    }
    anchors = iter(section.anchor for section in page.sections if section.level > 1)
    for token in tokens:
        if token.type == "heading_open" and token.tag in ("h2", "h3"):
            token.attrSet("id", next(anchors, ""))
        if token.type == "inline":
            token.children = _linked(token.children or [], places, {} if page.name == GENERATED else alerts)
    html = with_phones(markdown.renderer.render(tokens, markdown.options, {"buttons": buttons}))
    return Markup(html)  # noqa: S704 - markdown-it escapes the text


@dataclass(frozen=True, slots=True)
class _Places:
    """Where links can lead. ``own``: the page of a text that is shown elsewhere; empty for a whole page."""

    pages: Mapping[str, Page]
    own: str

    def title(self, href: str) -> str:
        """The title of the page or section at an address of the runbook; empty where it is none."""
        found = _PAGE.match(href)
        page = self.pages.get(f"{found[1]}.md") if found and found[1] else None
        if page is None or found is None:
            return ""
        return next((one.title for one in page.sections if one.anchor == found[2]), page.title)


def _linked(children: list[Token], places: _Places, alerts: dict[str, str]) -> list[Token]:
    """Links to pages lead into the console, those to other files become text, and names of alerts become links.

    A link that reads as the name of its file reads as the title of its page.
    """
    found: list[Token] = []
    inside, title = 0, ""
    for token in children:
        if token.type == "link_open":
            inside += 1
            title = places.title(str(token.attrGet("href") or ""))
            _point(token, places)
        elif inside and title and _FILE.fullmatch(token.content):
            token.type, token.tag, token.content = "text", "", title
        elif token.type == "link_close":
            inside -= 1
        if token.type == "code_inline" and token.content in alerts and not inside:
            link = Token("link_open", "a", 1, attrs={"href": address(ALERTS, alerts[token.content])})
            found += [link, token, Token("link_close", "a", -1)]
        else:
            found.append(token)
    return found


def _point(token: Token, places: _Places) -> None:
    """Set where a link leads."""
    href = str(token.attrGet("href") or "")
    own = _PAGE.match(href)
    if own and own[3]:
        if places.own:
            token.attrSet("href", address(places.own, own[3]))
        return
    if own and f"{own[1]}.md" in places.pages:
        token.attrSet("href", address(own[1], own[2] or ""))
    elif href.startswith(("https://", "http://")):
        token.attrSet("rel", "noreferrer")
    else:  # a file beside the runbook: its name stays as text
        token.attrs = {"role": "none"}


class _Renderer(RendererHTML):
    """Blocks of code and tables in the console's form."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ANN401, ARG002 - markdown-it's
        """A block of code; of a terminal's, each command has a button that copies it, and one that leads to its action."""
        token = tokens[idx]
        if token.info.strip() == "mermaid":
            return ""  # the same stands below it as text
        if token.info.strip() != "console":
            return f'<pre tabindex="0"><code>{escape(token.content)}</code></pre>\n'
        return f'<div class="commands">{"".join(_line(line, env["buttons"]) for line in _joined(token.content))}</div>\n'

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ANN401, ARG002 - markdown-it's
        """A command or a name within a sentence; a whole command with the button of its action."""
        typed = tokens[idx].content
        does = env["buttons"](typed) if is_whole(typed) else None
        return f"<code>{command(typed)}</code>" + (f" {_does(does)}" if does else "")

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ANN401, ARG002 - markdown-it's
        """A table that scrolls by itself."""
        return '<div class="sheet"><div class="wide" tabindex="0" role="region" aria-label="Table"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: ANN401, ARG002 - the same
        """Its end."""
        return "</table></div></div>"


def _joined(block: str) -> list[str]:
    """The lines of a block; a command goes on after a backslash."""
    found: list[str] = []
    for line in block.splitlines():
        if found and found[-1].startswith("$ ") and found[-1].endswith("\\"):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def _expected(line: str) -> str:
    """A line that a command must print, in words: the dots of the page stand for any text."""
    parts = [f"<code>{escape(part.strip())}</code>" for part in line.split("…") if part.strip()]
    shown = f"a line with {' and then '.join(parts)}" if "…" in line and parts else "".join(parts) or "any line"
    return f'<p class="expected"><span>You should see {shown}</span></p>'


def _does(button: Button) -> str:
    """The button of an action."""
    return f'<a class="button does" href="{escape(button.href)}">{escape(button.words)}</a>'


def _line(line: str, buttons: Buttons) -> str:
    if not line.startswith("$ "):
        return _expected(line) if line.strip() else ""
    typed, left = escape(line[2:]), blanks(line[2:])
    shown = BLANK.sub(lambda word: f"<mark>{word[0]}</mark>" if word[0] in left else word[0], typed)
    note = f' <span class="note">fill in {", ".join(left)}</span>' if left else ""
    button = f'<button type="button" class="quiet" data-copy="{typed}">Copy</button>'
    does = buttons(line[2:])
    acts = f'<p class="acts">{_does(does)}</p>' if does else ""
    return f'<p class="command"><code>{shown}{note}</code>{button}</p>{acts}'
