"""Where an answer may lead (S4): links and images to allowed hosts only, in whatever way a page or a browser would read them.

An image that a model writes is fetched as soon as it is shown, with whatever the model put into its address: that is how data
leaves without a click. So nothing here tries to tell good links from bad: what is not known to lead to an allowed host is taken
out. Forms are read as CommonMark, GitHub's autolinks and the WHATWG URL standard do; a host counts only in plain ASCII, so
lookalikes in other scripts, percent signs and punycode are foreign.
"""

import html
import re
from urllib.parse import urlsplit

LINK_REMOVED, IMAGE_REMOVED = "(link removed)", "(image removed)"
LONGEST_FORM = 2000  # characters: a link or tag longer than this is broken up instead of being waited for

# Not the joiners inside emoji and Persian words (200C, 200D), not the marks of right-to-left text (200E, 200F, 2066-2069).
INVISIBLE = "\u00ad\u200b\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f"
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
_TAG_BEGUN = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(r"<[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*>")
_TAG_NAME = re.compile(r"</?\s*([A-Za-z!?][\w:-]*)")
_ATTRIBUTE = re.compile(r"([A-Za-z_:][\w:.-]*)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)")
_NEVER_TAGS = frozenset(
    "applet base embed form frame frameset iframe input link math meta object script style svg template video audio".split()  # noqa: SIM905 - words read better
)
_ADDRESSES = frozenset(
    "action background cite codebase data formaction href longdesc manifest poster profile src usemap xlink:href".split()  # noqa: SIM905 - the same
)
_NEVER_ATTRIBUTES = frozenset({"style", "srcset", "srcdoc", "ping", "imagesrcset", "http-equiv"})
_DESTINATION = r"(?:<[^<>\n]*>|[^ \n()<]*(?:\([^ \n()]*\)[^ \n()]*)*)"
_INLINE = re.compile(rf"(!?)\[([^\[\]]*)\]\(\s*({_DESTINATION})[^()]*\)")
_INLINE_REST = re.compile(rf"(\]\(\s*)({_DESTINATION})")
_REFERENCE = re.compile(r"(\[[^\[\]]+\]:\s*)(<[^<>\n]*>|\S+)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_NOT_IN_ADDRESSES = re.compile(r"[\x00-\x20\x7f\u200c-\u200f\u2066-\u2069]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TLDS = (  # of hosts without a path; with one, any will do. None that is a word, for the space after a full stop may be missing
    "com|net|org|io|ai|dev|app|co|info|biz|xyz|site|online|shop|store|tech|cloud|live|page|link|click|example|test|invalid|edu|gov|mil|int|"
    "uk|de|fr|nl|eu|ru|cn|jp|kr|br|au|ca|ch|pl|cz|tk|ml|ga|cf|gq|zip|mov|onion"
)
_LABELS = r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+"
_BARE = re.compile(
    r"(?i)(?:"
    r"(?<![A-Za-z0-9+.-])[a-z][a-z0-9+.-]*:[/\\]+[^\s<>\"'`]+"  # scheme:// with any number of slashes of any kind
    r"|\b(?:javascript|vbscript|livescript|blob|filesystem):[^\s<>\"]+"
    r"|\bdata:[\w.+-]*[/,;][^\s<>\"]*"
    r"|\bmailto:[^\s<>\"']+"
    r"|\b(?:https?|ftp|wss?):[^\s<>\"'`/\\]+"  # without slashes, as a browser forgives
    r"|(?<![:\w/\\])[/\\]{2,}[^\s<>\"'`/\\.][^\s<>\"'`/\\]*\.[^\s<>\"'`]+"  # //host
    r"|\bwww\.[^\s<>\"'`]+"
    rf"|(?<![@\w.-]){_LABELS}[a-z]{{2,}}(?::\d+)?[/?#][^\s<>\"'`]+"
    rf"|(?<![@\w.-]){_LABELS}(?:{_TLDS})\b(?![\w-])"
    r")"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31});?")
_KEPT = frozenset("<>&\"'")  # written as entities these are text; as themselves they would begin something
_TRAILING = ".,;:!?)]}*_~"
_REFERENCE_BEGUN = re.compile(r":\s*\S+\s")
_DESTINATION_BEGUN = re.compile(r"\](?:\(|:)\s*(?:<[^>]*)?\Z")


class Links:
    """Knows the allowed hosts. Pure; patterns are linear in practice, their repetition never nests."""

    def __init__(self, allowed: frozenset[str]) -> None:
        """``allowed`` hosts, subdomains included."""
        self._allowed = frozenset(host.lower() for host in allowed)

    def clean(self, text: str) -> tuple[str, int]:
        """The text without links and images that lead elsewhere, and how many those were."""
        removed = 0

        def count(replacement: str) -> str:
            nonlocal removed
            removed += 1
            return replacement

        def tag(found: re.Match[str]) -> str:
            if _AUTOLINK.fullmatch(found[0]) or not self._tag_is_foreign(found[0]):
                return found[0]
            return count(IMAGE_REMOVED if found[0][1:4].lower() == "img" else LINK_REMOVED)

        def inline(found: re.Match[str]) -> str:
            if self.allows(found[3]):
                return found[0]
            return count(IMAGE_REMOVED if found[1] else f"{found[2]} {LINK_REMOVED}".strip())

        def destination(found: re.Match[str]) -> str:
            return found[0] if self.allows(found[2]) else count(f"{found[1]}#")

        def bare(found: re.Match[str]) -> str:
            whole = found[0]
            address = whole.rstrip(_TRAILING)
            return whole if self.allows(address) else count(LINK_REMOVED + whole[len(address) :].lstrip(")]}"))

        text = _ENTITY.sub(_as_written, text)
        text = _TAG.sub(tag, text)
        text = _broken_up(text)
        text = _INLINE.sub(inline, text)
        text = _INLINE_REST.sub(destination, text)
        text = _REFERENCE.sub(destination, text)
        return _BARE.sub(bare, text), removed

    def allows(self, destination: str) -> bool:
        """Whether an address leads to an allowed host, or stays on the page's own. Read in every way that it may be read."""
        bare = destination.strip().removeprefix("<").removesuffix(">")
        readings = {bare, html.unescape(bare), _ESCAPE.sub(r"\1", bare), html.unescape(_ESCAPE.sub(r"\1", bare))}
        return all(self._reading_allowed(_NOT_IN_ADDRESSES.sub("", reading)) for reading in readings)

    def _reading_allowed(self, address: str) -> bool:
        lowered = address.replace("\\", "/").lower()
        scheme = _SCHEME.match(lowered)
        if scheme and scheme[0] == "tel:":
            return True
        if scheme and scheme[0] == "mailto:":
            return self._host_allowed(lowered.partition("?")[0].rpartition("@")[2])
        if scheme and scheme[0] in ("https:", "http:"):
            return lowered[scheme.end() :].startswith("//") and self._host_allowed(_host(lowered[scheme.end() :]))
        if lowered.startswith("//"):
            return self._host_allowed(_host(lowered))
        if bare := re.match(rf"{_LABELS}[a-z]{{2,}}(?=[:/?#]|\Z)", lowered):
            return self._host_allowed(bare[0])
        return not scheme

    def _host_allowed(self, host: str) -> bool:
        host = host.removesuffix(".")
        return host.isascii() and any(host == allowed or host.endswith("." + allowed) for allowed in self._allowed)

    def _tag_is_foreign(self, tag: str) -> bool:
        name = _TAG_NAME.match(tag)
        if name and name[1].lower() in _NEVER_TAGS:
            return True
        for attribute, value in _ATTRIBUTE.findall(tag):
            lowered = attribute.lower()
            if lowered.startswith("on") or lowered in _NEVER_ATTRIBUTES:
                return True
            if lowered in _ADDRESSES and not self.allows(value.strip("\"'")):
                return True
        return False


def settled(text: str) -> int:
    """How much of a text that goes on may be looked at alone: what follows belongs to a link or tag that may not be whole yet."""
    cut = max((text.rfind(space) for space in " \n\t\r"), default=-1) + 1  # an address has no spaces
    begun = _DESTINATION_BEGUN.search(text)
    if begun:
        cut = min(cut, begun.start())
    at = 0
    while (opened := _opening(text, at)) is not None and opened < cut:
        end = _end_of_form(text, opened)
        if end is None:
            if len(text) - opened <= LONGEST_FORM:
                return opened
            end = opened + 1
        if end > cut:
            return opened
        at = end
    return cut


def _opening(text: str, start: int) -> int | None:
    found = [at for at in (text.find("[", start), text.find("<", start)) if at >= 0]
    return min(found, default=None)


def _end_of_form(text: str, at: int) -> int | None:
    """Where the link or tag that begins at ``at`` ends; None if its end has not come yet."""
    if text[at] == "<":
        if at + 1 < len(text) and not _TAG_BEGUN.match(text, at):
            return at + 1
        whole = _TAG.match(text, at)
        return whole.end() if whole else None
    close = _closing(text, at, "[", "]")
    if close is None or close + 1 >= len(text):
        return None
    after = text[close + 1]
    if after == "(":
        end = _closing(text, close + 1, "(", ")")
        return None if end is None else end + 1
    if after == ":":
        told = _REFERENCE_BEGUN.match(text, close + 1)
        return told.end() if told else None
    return close + 1


def _closing(text: str, at: int, opens: str, closes: str) -> int | None:
    depth = 0
    for position in range(at, min(len(text), at + LONGEST_FORM)):
        depth += (text[position] == opens) - (text[position] == closes)
        if depth == 0:
            return position
    return None


def _broken_up(text: str) -> str:
    """A tag that is not closed here would be closed by whatever the page has after it."""
    return _TAG_BEGUN.sub(lambda begun: "<" if _TAG.match(text, begun.start()) else "< ", text)


def _as_written(found: re.Match[str]) -> str:
    """The ASCII character that an entity stands for: whoever writes a letter as one hides an address."""
    meant = html.unescape(found[0])
    return meant if len(meant) == 1 and meant.isascii() and meant.isprintable() and meant not in _KEPT else found[0]


def _host(address: str) -> str:
    """Where a browser would go with ``//…``: what stands before an @ is not the host."""
    try:
        return urlsplit("//" + address.lstrip("/")).hostname or ""
    except ValueError:
        return ""
