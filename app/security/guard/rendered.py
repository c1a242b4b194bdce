"""Renders a text: every address that its links and images would have, and every tag that it would pass on.

The second pair of eyes of `links`: read by markdown-it-py, as CommonMark 0.31.2 with GitHub's tables and strikethrough.
"""

from collections.abc import Iterator
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

_ADDRESSES = ("href", "src")


def addresses(text: str) -> Iterator[str]:
    """The addresses of a Markdown text's links and images, its reference definitions included, whether used or not."""
    environment: dict[str, dict[str, dict[str, str]]] = {}
    for token in _each(_parser().parse(text, environment)):
        yield from (str(token.attrs[name]) for name in _ADDRESSES if name in token.attrs)
    yield from (reference["href"] for reference in environment.get("references", {}).values())


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.validateLink = lambda _: True  # type: ignore[method-assign, assignment] # judged by us: the parser would hide what another shows
    return parser


def _each(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _each(token.children or [])
