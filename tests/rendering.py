"""Renders a text as pages do, and parses it as browsers do.

The product does not use these renderers.

Judges by other means than guarding does: nothing of `app.security` is used here.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import cmarkgfm
import commonmark
import html5lib
import mistune
from cmarkgfm.cmark import Options
from markdown_it import MarkdownIt

ALLOWED = "northwind.example"
_ADDRESSES = frozenset({"href", "src", "action", "formaction", "srcset", "data", "poster", "background", "cite", "xlink:href"})
_ATTRIBUTES = frozenset({"href", "src", "alt", "title", "class", "align", "style", "start", "type", "checked", "disabled"})
_SHOWN = "html head body p a img em strong del code pre ul ol li blockquote h1 h2 h3 h4 h5 h6 hr br table thead tbody tr td th"
_ACTING = "a audio base embed form iframe img input link math meta object script style svg template video"
_TAGS, _LIVE = frozenset(_SHOWN.split()), frozenset(_ACTING.split())
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_ALIGNED = frozenset({"text-align:left", "text-align:right", "text-align:center"})


@lru_cache(maxsize=1)
def _renderers() -> dict[str, object]:
    guessing = MarkdownIt("gfm-like", {"html": True, "linkify": True})
    strict = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for parser in (guessing, strict):
        parser.validateLink = lambda _: True  # type: ignore[method-assign, assignment] # not every renderer validates
    lenient = mistune.create_markdown(escape=False, plugins=["url", "table", "strikethrough"])
    return {"guessing": guessing, "strict": strict, "lenient": lenient}


def pages(text: str) -> Iterator[tuple[str, str]]:
    """Name and HTML of each page that shows ``text``.

    One page of each renderer, and one that takes the text for HTML.
    """
    made = _renderers()
    options = Options.CMARK_OPT_UNSAFE
    yield "cmark-gfm", cmarkgfm.markdown_to_html_with_extensions(text, options, ["table", "autolink", "strikethrough"])
    yield "markdown-it", made["guessing"].render(text)  # type: ignore[attr-defined]
    yield "markdown-it, strict", made["strict"].render(text)  # type: ignore[attr-defined]
    with suppress(IndexError):  # its own: an information string of blanks alone
        yield "mistune", made["lenient"](text)  # type: ignore[operator]
    yield "commonmark.py", commonmark.commonmark(text)
    yield "HTML", text


def harms(text: str, *, kept_code: bool = False) -> list[str]:
    """Links and other parts of a page that are no plain text.

    ``kept_code``: plain unknown tags may stay in code.
    """
    return [f"{name}: {harm}" for name, page in pages(text) for harm in _harms(page, raw=name == "HTML", kept_code=kept_code)]


def _harms(page: str, *, raw: bool, kept_code: bool) -> Iterator[str]:
    tree = html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue  # a comment shows nothing and does nothing
        tag = element.tag.rpartition("}")[2]
        plain = kept_code and tag not in _LIVE and not any(map(_acts, element.attrib))
        if tag not in _TAGS and not plain and not _is_address(tag):
            yield f"tag <{tag}>"
        for attribute, value in element.attrib.items():
            name = attribute if isinstance(attribute, str) else str(attribute[1])
            if plain:
                continue
            if name in _ADDRESSES:
                if not is_allowed(value):
                    yield f"{name}={value!r}"
            elif (raw and not _is_address(tag)) or (name not in _ATTRIBUTES and not _is_address(tag)) or name.startswith("on"):
                yield f"attribute {name}={value!r}"
            elif name == "style" and value.replace(" ", "").rstrip(";") not in _ALIGNED:
                yield f"style={value!r}"


def _acts(attribute: object) -> bool:
    return str(attribute).startswith("on") or str(attribute) in _ADDRESSES | _ATTRIBUTES | {"id", "name", "is", "slot"}


def _is_address(tag: str) -> bool:
    """``<https://…>`` and ``<a@b>``, read as HTML: an element that no page knows."""
    return tag in ("https:", "http:") or ("@" in tag and "." in tag)


def is_allowed(address: str) -> bool:
    """Roughly as a browser reads it; only surely harmless forms pass."""
    written = "".join(c for c in address.strip() if c not in "\t\r\n").replace("\\", "/")
    written = written.translate({ord(dot): "." for dot in "\u3002\uff0e\uff61"}).lower()
    for dot in ("%e3%80%82", "%ef%bc%8e", "%ef%bd%a1"):
        written = written.replace(dot, ".")
    scheme = written.partition(":")[0]
    if scheme in ("http", "https"):
        host = urlsplit(f"{scheme}://{written.partition(':')[2].lstrip('/')}").hostname or ""
        registered = ".".join(host.rstrip(".").split(".")[-2:])
        return _is_own(host) or "`" in unquote(registered)  # no person can have a domain with that sign
    if scheme == "mailto":  # an address in the text becomes such a link: only a person can write to it
        return "?" not in written and written.count("@") == 1
    if written.startswith("//"):
        return _is_own(urlsplit(written).hostname or "")
    if scheme == "tel":
        return all(c in "+0123456789().-" for c in written[4:])
    return not _SCHEME.match(written)


def _is_own(host: str) -> bool:
    host = unquote(host).rstrip(">`*_~|[]{}()\"',;!.")  # no host can end so
    return host in (ALLOWED, "www", "") or host.endswith("." + ALLOWED)
