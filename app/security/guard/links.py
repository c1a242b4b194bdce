"""Cleans links (S4): links and images to allowed hosts only, and no HTML, in every way that a page may read them.

An image that a model writes is fetched as soon as it is shown, with whatever the model put into its address: that is how data
leaves without a click. So nothing here tries to distinguish good links from bad: a link that is not known to lead to an allowed
host is taken out. Renderers disagree on where a link begins, so the text is read at every place where one of them could begin
one: behind ``](`` and ``]:``, at each ``<``, at each bare address. Then it is read again, as a renderer reads it (`rendered`).

`Links.clean` gives out only text in which all of this finds nothing more to change: what it returns has been checked as it is.
A text without any of it comes out as it went in.
"""

import re
from bisect import bisect_right

from app.security.guard import bare_links as bare
from app.security.guard import rendered
from app.security.guard.code_spans import CodeSpans
from app.security.guard.link_addresses import Addresses
from app.security.guard.link_forms import IN_TAG, LABEL, TAG, TAG_NAME, TARGET
from app.security.guard.removed import IMAGE_REMOVED, LINK_REMOVED, TEXT_REMOVED

MOST_ROUNDS = 6  # a text that is put together anew each time it is taken apart is no answer
# Characters of one text, and links in brackets and definitions; in one with more, they become text. One takes 80 µs to render.
MOST_PARSED, MOST_LINKS = 65_536, 1_000

# Not the joiners inside emoji and Persian words (200C, 200D), not the marks of right-to-left text (200E, 200F, 2066-2069).
INVISIBLE = "\u00ad\u200b\u202a-\u202e\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
# One chooses the form of the emoji or the Chinese character before it; several, or one behind any other letter, are hidden bytes.
SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
# England's, Scotland's and Wales's are spelled in invisible letters behind a black flag.
_FLAGS = (
    "\U0001f3f4(?:"
    + "|".join("".join(chr(0xE0000 + ord(c)) for c in name) for name in ("gbeng", "gbsct", "gbwls"))
    + ")\U000e007f"
)
_NEVER_SHOWN = re.compile(
    f"({_FLAGS})|[" + INVISIBLE.replace("\u00ad", "") + "\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x90\x9b\x9d]"
    f"|[{SELECTORS}]{{2,}}|(?<=[\x00-\u2fff\U0001f000-\U0001ffff])[\U000e0100-\U000e01ef]"
)
# A sign of each of these; looked for first, in a tenth of the time. Of ASCII by a table, in a twentieth of that.
_PERHAPS_UNSEEN = re.compile(f"[{INVISIBLE.replace(chr(0xAD), '')}\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x90\x9b\x9d{SELECTORS}]")
_SHOWN = bytes(code for code in range(128) if not _PERHAPS_UNSEEN.match(chr(code)))
_TRIGGER = re.compile(rf"{TAG}|{TARGET}")
_TAG = re.compile(rf"{TAG}({IN_TAG})(>?)")
_NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9:-]*)")
_PLAIN_AUTOLINK = re.compile(r"(?:https?://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._~/-]*)?|[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)\Z")
_MAIL_IN_BRACKETS = re.compile(r"mailto:[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+\Z")
_AUTOLINK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,31}:\S*\Z")
_ATTRIBUTE = re.compile(
    r"(?i)[\s/\"'](?:on\w*|style|class|id|is|slot|name|src\w*|href|xlink:href|action|formaction|background|cite|codebase|data|"
    r"longdesc|manifest|poster|profile|usemap|ping|imagesrcset|http-equiv|xmlns)\s*=|=\s*[\"']"
)  # the last: a quote that is opened hides the end of the tag
_ACTING = (
    "a applet area audio base bgsound body button details dialog embed form frame frameset html iframe image img input isindex "
    "keygen link marquee math meta noembed noframes noscript object param picture plaintext portal script select source style "
    "svg template textarea title track video xmp"
)
_BREAKING = "br hr p div li ul ol tr td th table h1 h2 h3 h4 h5 h6 pre blockquote section"
_ACTIVE, _BLOCKS = frozenset(_ACTING.split()), frozenset(_BREAKING.split())
_IMAGES = frozenset({"img", "image", "picture", "svg", "video"})
_INLINE = re.compile(rf"(!?)\[({LABEL})\]\(|\]\(")
_GAP = r"[ \t]*(?:[\r\n][ \t>]*)*"  # also where lines of a quotation begin
_DESTINATION = re.compile(_GAP + r"(<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)")
_CLOSE = re.compile(r"[ \t\r\n]*(?:\"[^\"]*\"|'[^']*'|\([^()]*\))?[ \t\r\n]*\)")
_DEFINED = re.compile(r"\]:(?=" + _GAP + r"(?:<|[/\\]{2}|[^\s:&\\]{0,64}[:&\\]))")
_DEFINITION = re.compile(_GAP + r"(<[^<>\n]*>|\S{1,2000})")
_DEFINITION_BEGINS = re.compile(r"(?m)^[\s>*+|-]*(?:[0-9]{1,9}[.)]\s+)*!?\[")
_EXECUTED = re.compile(r"(?i)(?:javascript|vbscript|livescript|data|file|blob|filesystem|mailto|sms|tel|intent|view-source):")
_LENIENT = re.compile(r"[^()]{0,200}")
_LINE_END = re.compile(r"[\t\r\n]")
_NO_DESTINATION = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\Z")
_BLOCK_BEGINS = re.compile(r"(?m)^[ \t>]+(?:`{3,}|~{3,})?|^(?:`{3,}|~{3,})")
_PARAGRAPH = re.compile(r"(?:[^\n]+\n?)+")
_TAG_NAME = re.compile(TAG_NAME)


class Links:
    """Knows the allowed hosts. Pure; takes time linear in the text."""

    def __init__(self, allowed: frozenset[str]) -> None:
        """``allowed`` hosts, subdomains included."""
        self._addresses = Addresses(allowed)

    def allows(self, destination: str) -> bool:
        """Return whether an address leads to an allowed host or stays on the page's own, in every reading."""
        return self._addresses.allows(destination)

    def visible(self, text: str) -> str:
        """The text without characters that `clean` always takes out: call it before a text is cut."""
        return _without_the_unseen(text)

    def clean(self, text: str, code: CodeSpans | None = None) -> tuple[str, int]:
        """The text without foreign links and images, HTML and invisible characters.

        Also returns how many links, images and tags that act were among it. ``code``: what the text goes on from, if it is a
        piece of a longer one; it is moved on.
        """
        cleaning = _Cleaning(self._addresses, code)
        cleaned = cleaning.clean(text)
        if code:
            code.read(cleaned)
        return cleaned, cleaning.removed


class _Cleaning:
    """One text on its way."""

    def __init__(self, addresses: Addresses, code: CodeSpans | None) -> None:
        self._addresses = addresses
        self._before = code or CodeSpans()
        self._is_piece = code is not None
        self.removed = 0

    def clean(self, text: str) -> str:
        for _ in range(MOST_ROUNDS):
            cleaned = self._once(text)
            if cleaned == text:
                if self._is_safe_to_render(text):
                    return text
                cleaned = _as_text(text)
                self._count()
            text = cleaned
        self._count()
        return TEXT_REMOVED

    def _count(self) -> None:
        self.removed += 1

    def _once(self, text: str) -> str:
        text = _without_the_unseen(text)
        if _may_hold_links(text):
            text = self._without_destinations(text)
            text = self._without_definitions(text)
            text = self._without_tags(text)
        return bare.clean(text, self._addresses, self._count)

    def _without_tags(self, text: str) -> str:
        code = CodeSpans(self._before.fence, self._before.line).read(text)
        starts = [start for start, _ in code]
        inert = _Inert(text) if code else None

        def tag(found: re.Match[str]) -> str:
            at = bisect_right(starts, found.start()) - 1
            in_code = at >= 0 and found.start() < code[at][1]
            if found[2] and text.endswith("](", 0, found.start()) and self._is_plain_destination(found[1]):
                return found[1]
            if in_code and inert and inert.at(found) and (found[2] or not self._is_piece):
                return found[0]
            return self._tag(found[1], closed=bool(found[2]), in_code=in_code)

        return _TAG.sub(tag, text)

    def _is_plain_destination(self, inner: str) -> bool:
        return not _ATTRIBUTE.search(inner) and not re.search(r"[\s()]", inner) and self._addresses.allows(inner)

    def _tag(self, inner: str, *, closed: bool, in_code: bool) -> str:
        """The replacement of ``<inner``, or of ``<inner>`` if it is ``closed``."""
        if closed and _PLAIN_AUTOLINK.match(inner) and ("@" in inner or self._addresses.allows(inner)):
            return f"<{inner}>"
        if closed and _AUTOLINK.match(inner):
            if self._addresses.allows(inner):
                return inner
            self._count()
            return LINK_REMOVED
        name = _name(inner)
        active = name in _ACTIVE or bool(_ATTRIBUTE.search(inner))
        if in_code or not closed:
            self.removed += active
            return f"< {inner}{'>' * closed}"
        if not active:
            return " " if name in _BLOCKS else ""
        self._count()
        return IMAGE_REMOVED if name in _IMAGES else LINK_REMOVED

    def _without_destinations(self, text: str) -> str:
        """Inline links and images, whatever their text is made of."""
        if "](" not in text:
            return text
        pieces, end, at = list[str](), 0, 0
        while found := _INLINE.search(text, at):
            at = found.end()
            destination = _DESTINATION.match(text, at)
            written, after = (destination[1], destination.end()) if destination else ("", at)
            if self._is_no_link(text, at, written):
                continue
            if self._addresses.allows(written):
                joined = self._joined_and_foreign(text, at)
                if joined is None:
                    continue
                after = joined
            self._count()
            closed = _CLOSE.match(text, after)
            whole = closed and found[2] is not None
            instead = IMAGE_REMOVED if found[1] else f"{found[2]} {LINK_REMOVED}".strip()
            pieces += [text[end : found.start()], instead if whole else f"{found[0]}#"]
            end = at = closed.end() if whole and closed else after
        return "".join([*pieces, text[end:]])

    def _joined_and_foreign(self, text: str, at: int) -> int | None:
        """The same for a renderer that takes blanks into an address.

        A browser takes tabs and line ends out of it again. Returns where such an address ends if it is foreign.
        """
        written = _LENIENT.match(text, at)
        if not written or not _LINE_END.search(written[0].strip()):
            return None
        joined = _LINE_END.sub("", written[0]).strip(" ").partition(" ")[0]
        if self._addresses.allows(joined) or (_NO_DESTINATION.match(joined) and not _EXECUTED.match(joined)):
            return None
        return written.end()

    def _is_no_link(self, text: str, at: int, written: str) -> bool:
        """``](x: T)``, as programs have it: no scheme that anything acts on, and no renderer takes a blank into an address."""
        after = at + len(written)
        return bool(_NO_DESTINATION.match(written)) and text[after : after + 1] == " " and not _EXECUTED.match(written)

    def _without_definitions(self, text: str) -> str:
        """Reference definitions: ``[label]: address``, whatever the label is made of."""
        if "]:" not in text or not (self._is_piece or _DEFINITION_BEGINS.search(text)):
            return text
        pieces, end, at = list[str](), 0, 0
        while found := _DEFINED.search(text, at):
            at = found.end()
            destination = _DEFINITION.match(text, at)
            if (
                not destination
                or self._addresses.allows(destination[1])
                or self._is_no_link(text, destination.start(1), destination[1])
            ):
                continue
            self._count()
            pieces += [text[end : destination.start(1)], "#"]
            end = at = destination.end()
        return "".join([*pieces, text[end:]])

    def _is_safe_to_render(self, text: str) -> bool:
        """Return whether a renderer finds only allowed addresses in the paragraphs that hold any link."""
        if not _may_hold_links(text):
            return True
        parsed = links = 0
        for paragraph in _PARAGRAPH.findall(text):
            if _TRIGGER.search(paragraph):
                parsed, links = parsed + len(paragraph), links + paragraph.count("](") + paragraph.count("]:")
                alone = _BLOCK_BEGINS.sub("", paragraph)  # the text before a paragraph decides how its lines are read
                if (
                    parsed > MOST_PARSED
                    or links > MOST_LINKS
                    or not all(map(self._may_be_rendered, (*rendered.addresses(paragraph), *rendered.addresses(alone))))
                ):
                    return False
        return True

    def _may_be_rendered(self, address: str) -> bool:
        """Foreign mail addresses between angle brackets are as good as bare ones, which stay."""
        return self._addresses.allows(address) or bool(_MAIL_IN_BRACKETS.match(address))


class _Inert:
    """Finds tags that can do nothing as HTML: unknown ones with no attribute before their end."""

    def __init__(self, text: str) -> None:
        self._ends = [at for at, letter in enumerate(text) if letter == ">"] if ">" in text else []
        self._attributes = [found.start() for found in _ATTRIBUTE.finditer(text)]

    def at(self, tag: re.Match[str]) -> bool:
        name = _name(tag[1])
        if name in _ACTIVE or "-" in name or tag[1].startswith(("!", "?")):
            return False
        place = bisect_right(self._ends, tag.start())
        attribute = bisect_right(self._attributes, tag.start())
        if attribute == len(self._attributes):
            return True
        return place < len(self._ends) and self._attributes[attribute] > self._ends[place]


def _without_the_unseen(text: str) -> str:
    perhaps = text.encode().translate(None, _SHOWN) if text.isascii() else _PERHAPS_UNSEEN.search(text)
    return _NEVER_SHOWN.sub(lambda found: found[1] or "", text) if perhaps else text


def _may_hold_links(text: str) -> bool:
    """Most texts hold neither sign that one begins with: to look for these takes a hundredth of the pattern's time."""
    return ("<" in text or "]" in text) and bool(_TRIGGER.search(text))


def _name(inner: str) -> str:
    named = _NAME.match(inner)
    return named[1].lower() if named else ""


def _as_text(text: str) -> str:
    """With a blank in every place where a link, an image or a tag begins.

    In many short steps, since one pattern for all of them holds the interpreter for a second in a long text of nothing else.
    """
    for form, instead in (("](", "] ("), ("]:", "] :"), ("![", "! [")):
        text = text.replace(form, instead)
    before, *tags = text.split("<")
    return "".join([before, *(f"< {tag}" if _TAG_NAME.match(tag) else f"<{tag}" for tag in tags)])
