"""Renders a text as Markdown and as HTML, and finds every address and tag that leads elsewhere.

A judge for rehearsals: it uses nothing of the guard's own reading.
"""

from collections.abc import Iterator
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

_ADDRESSES = frozenset({"href", "src", "action", "formaction", "srcset", "data", "poster", "background", "cite", "xlink:href"})
_SHOWN = "p a img em strong s code pre ul ol li blockquote h1 h2 h3 h4 h5 h6 hr br table thead tbody tr td th"
_TAGS = frozenset(_SHOWN.split())
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))


def harms(text: str, allowed: frozenset[str]) -> Iterator[str]:
    """Yield the parts that a page which shows ``text`` would fetch, follow or run."""
    markdown = _Reader(allowed, _TAGS)
    markdown.feed(_renderer().render(text))
    markdown.close()
    html = _Reader(allowed, frozenset())
    html.feed(text)
    html.close()
    yield from (f"rendered as Markdown: {harm}" for harm in markdown.found)
    yield from (f"taken for HTML: {harm}" for harm in html.found)


@lru_cache(maxsize=1)
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    renderer.validateLink = lambda _: True  # type: ignore[method-assign, assignment] # not every renderer looks
    return renderer


class _Reader(HTMLParser):
    """Reads a page."""

    def __init__(self, allowed: frozenset[str], tags: frozenset[str]) -> None:
        super().__init__()
        self._allowed = allowed
        self._tags = tags
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An address between < and > is a tag that no page knows."""
        if tag not in self._tags and not tag.startswith(("http:", "https:")) and "@" not in tag:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc") or (name in _ADDRESSES and not self._is_allowed(value or "")):
                self.found.append(f"{name}={value}"[:60])

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: ARG002, FBT001, FBT002 - the library's
        """A browser takes ``<![…`` for a comment up to the next ``>`` (WHATWG HTML, 13.2.5.42); the library raises."""
        return self.parse_bogus_comment(i)

    def _is_allowed(self, address: str) -> bool:
        written = "".join(letter for letter in address.strip() if letter not in "\t\r\n").replace("\\", "/").translate(_DOTS)
        scheme, colon, rest = written.partition(":")
        if written.startswith("//"):
            return self._is_own(written)
        if not colon or "/" in scheme or "?" in scheme or "#" in scheme:
            return True
        if scheme.lower() in ("http", "https"):
            return self._is_own("//" + rest.lstrip("/"))
        return scheme.lower() == "tel" or (scheme.lower() == "mailto" and rest.count("@") == 1 and "?" not in rest)

    def _is_own(self, address: str) -> bool:
        try:
            host = (urlsplit(address).hostname or "").lower()
        except ValueError:
            return False
        return any(host == own or host.endswith("." + own) for own in self._allowed)
