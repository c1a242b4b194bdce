"""Addresses in a text without markup, as GitHub's autolinks and pages that search for addresses would link them.

An allowed one stays. Text behind an allowed host that could be read as a longer host is parted from it by a slash, which
does not change where it leads. All others are taken out.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from app.security.guard.link_addresses import DOTS, LABELS, Addresses
from app.security.guard.removed import LINK_REMOVED
from app.security.redaction.normalisation import found_in

_TLDS = (  # of hosts without a path; with one, any will do. None that is a word, for the space after a full stop may be missing
    "com|net|org|io|ai|dev|app|co|info|biz|xyz|site|online|shop|store|tech|cloud|live|page|link|click|example|test|invalid|edu|gov|mil|int|"
    "club|icu|website|vip|mobi|asia|pro|uk|de|fr|nl|eu|ru|cn|jp|kr|br|au|ca|ch|pl|cz|tk|ml|ga|cf|gq|es|se|fi|dk|gr|hu|ie|pt|ro|sk|bg|hr|"
    "lt|lv|ee|ua|kz|tr|il|ir|sg|th|vn|ph|tw|hk|nz|za|ng|ke|mx|cl|tv|ws|su|pw|gg|lu|cc|ly|fm|cx|la|xxx|aero|museum|coop|zip|mov|onion|xn--[a-z0-9-]+|"
    # Further countries whose codes neither are words nor end files: renderers link every country.
    "ae|af|ao|aq|aw|ax|az|ba|bb|bd|bf|bh|bj|bo|bs|bt|bw|bz|cd|ci|ck|cm|cr|cu|cv|cw|cy|dj|dz|ec|eg|fk|fo|gb|gd|gh|gi|gl|gn|gp|gs|gt|gw|gy|"
    "hn|ht|iq|jm|jo|kg|kh|km|kn|kp|kw|ky|lb|lc|lk|lr|ls|mc|mg|mh|mq|mv|mw|mz|nc|nf|ni|np|nr|nu|pe|pf|pg|pk|pn|qa|rw|sb|sd|si|sj|sl|sn|sr|"
    "sv|sx|sy|sz|td|tf|tj|tn|tt|tz|ug|uy|uz|va|vc|ve|vg|vu|wf|zm|zw|рф"
)
# Endings of files that are no top-level domain: no renderer makes a link of them.
_FILES = "html?|jsx?|tsx?|css|json|ya?ml|toml|txt|png|jpe?g|gif|svg|pdf|csv|xml|log|conf|cfg|ini|java|cpp|rb|php|sql|ipynb|lock"
_WORD_BEGINS = r"(?<![\w@/\\-])(?<![\w@/\\-]\.)_*+"  # an underscore may be emphasis
_USER = r"[^\s/\\@()\[\]]*@"  # a name before the host, in which linkify-it takes every sign but these, "<" too
_START = re.compile(
    rf"(?i)(?P<scheme>(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*:[/\\]{{2,}}(?=[^\s<]|{_USER}))"  # any scheme, any number of slashes
    r"|(?P<forgiven>(?<![a-z])(?:https?|ftps?|wss?|file):[/\\]?(?=[^\s<>\"'`/\\]))"  # without slashes, as a browser forgives
    r"|(?P<mail>(?<![a-z])(?:mailto|xmpp):(?=[^\s<>\"'`]))"
    r"|(?P<code>(?<![a-z])(?:(?:javascript|vbscript|livescript|blob|filesystem):(?=[^\s<>\"])|data:(?=[a-z]+/[\w.+-]+[;,]|;|,[^\s])))"
    rf"|(?P<network>(?<![:/\\])(?<![^\W_])[/\\]{{2,}}(?=(?:{_USER})?[^\s</\\{DOTS}]+[{DOTS}][^\s<>\"'`]))"  # //host
    rf"|(?P<www>(?<![^\W_])www[{DOTS}](?=[^ \t-\r<]))"
    rf"|(?P<path>{_WORD_BEGINS}{LABELS}(?!(?:{_FILES})\b)(?:[a-z]{{2,}}|рф)(?::[0-9]+)?[/?#](?=[^\s<>\"'`]))"
    rf"|(?P<host>{_WORD_BEGINS}{LABELS}(?:{_TLDS})(?!_*[^\W_]|-))"
)
# Each address has a colon or a dot with more behind it: slashes alone, as in base64 and in paths of files, begin none.
_TRIGGER = re.compile(rf"[:{DOTS}][^ \t-\r]")
# The same, one for each sign: a pattern that begins with a certain one is searched in a tenth of the time.
_TRIGGERS = [(sign, re.compile(rf"{re.escape(sign)}[^ \t-\r]")) for sign in f":{DOTS}"]
_TOKEN = re.compile(r"[^ \t-\r]+")  # a blank that is no ASCII ends no address at GitHub
_WHOLE = re.compile(r"[^\s<>\"'`|]*")
_ALLOWED_END = re.compile(r"[^\s<>\"'`|(){}\[\],;*~^]*")
_PORT_OR_PATH = re.compile(rf"(?::[0-9]{{1,5}})?(?:[/?#]|(?=[ \t-\r]|<(?!{_USER})|\Z))")
_HOST_GOES_ON = re.compile(
    rf"<{_USER}|" r"[A-Za-z0-9@%\\-]|_(?![^A-Za-z0-9])|:(?=[^ \t-\r.,;:!?)\]}*_~'\"|])|\.(?=[^\s<>\"'`.,;:!?)\]}*_~|])"
)
_HARMLESS_REST = re.compile(r"[.,;:!?)\]}*_~>\"'`|({\[]*(?=[ \t-\r<]|\Z)")
_WITH_SLASHES = ("scheme", "network", "forgiven", "code")
_BEFORE = " \t\n\r([{<\"'*~>|,;="
_TRAILING = ".,;:!?)]}*_~"
_WRITTEN = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?|\\[!-/:-@\[-`{-~]")
_LONGEST_WRITTEN = 64
_DRIVE = re.compile(r"[A-Za-z]:\\+")  # of Windows
_HOST_BEGINS = {"https://": 8, "http://": 7, "//": 2}


@dataclass(frozen=True, slots=True)
class _Edit:
    """From ``start`` to ``stop`` the text becomes ``instead``."""

    start: int
    stop: int
    instead: str


def clean(text: str, addresses: Addresses, count: Callable[[], None]) -> str:
    """The text without foreign addresses; ``count`` is called for each that is taken out."""
    edits = list(_edits(text, addresses))
    if "&" in text or "\\" in text:
        known = len(edits)
        edits = list(dict.fromkeys([*edits, *_edits_of_the_shown(text, addresses)]))
        if len(edits) > known:
            edits.sort(key=attrgetter("start", "stop"))  # nearly in order already: that takes a tenth of the time
    return _edited(text, edits, count) if edits else text


def _edits(text: str, addresses: Addresses) -> Iterator[_Edit]:
    if not any(sign in text and trigger.search(text) for sign, trigger in _TRIGGERS):
        return
    for token in _TOKEN.finditer(text):
        if _TRIGGER.search(text, token.start(), token.end()):
            yield from _edits_of_token(text, token.start(), token.end(), addresses)


def _edits_of_token(text: str, at: int, end: int, addresses: Addresses) -> Iterator[_Edit]:
    while found := _START.search(text, _may_begin(text, at, end), end):
        at = found.end()
        if _DRIVE.fullmatch(found[0]):
            continue
        allowed = _allowed_end(text, found, addresses)
        if allowed is None:
            whole = _end(_WHOLE, text, at)
            at = max(found.start() + len(text[found.start() : whole].rstrip(_TRAILING)), at)
            start = found.start() + len(found[0]) - len(found[0].lstrip("_"))
            yield _Edit(start, at, LINK_REMOVED)
        else:
            at, parted = max(allowed[0], at), allowed[1]
            if parted:
                yield _Edit(at, at, "/")


def _may_begin(text: str, at: int, end: int) -> int:
    """The first place where the next address can begin: before its first colon or dot, slashes stand only at its start."""
    trigger = _TRIGGER.search(text, at, end)
    if not trigger:
        return end
    slash = max(text.rfind("/", at, trigger.start()), text.rfind("\\", at, trigger.start()))
    return at if slash < 0 else at + len(text[at : slash + 1].rstrip("/\\"))


def _allowed_end(text: str, found: re.Match[str], addresses: Addresses) -> tuple[int, bool] | None:
    """The end of an allowed address at ``found``, and whether to part it from the text behind; None if it is foreign."""
    if found.lastgroup == "mail":
        address = text[found.start() : _end(_WHOLE, text, found.end())].rstrip(_TRAILING)
        return (found.start() + len(address), False) if addresses.allows(address) else None
    host = _HOST_BEGINS.get(found[0].lower()) if found.lastgroup in _WITH_SLASHES else len(found[0]) - len(found[0].lstrip("_"))
    allowed = None if host is None else addresses.host.match(text, found.start() + host)
    if not allowed or (found.lastgroup == "host" and allowed.end() < found.end()):
        return None
    if _PORT_OR_PATH.match(text, allowed.end()):
        # Where not all renderers see the whole of an address, some begin another one in the middle of its path.
        whole = found.lastgroup == "scheme" and (found.start() == 0 or text[found.start() - 1] in _BEFORE)
        return (_end(_ALLOWED_END, text, allowed.end()) if whole else allowed.end()), False
    if found.lastgroup == "path" or _HOST_GOES_ON.match(text, allowed.end()):
        return None
    return allowed.end(), not _HARMLESS_REST.match(text, allowed.end())


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _edits_of_the_shown(text: str, addresses: Addresses) -> Iterator[_Edit]:
    """The same for what a renderer shows: entities and backslash escapes read, and traced back to their places."""
    # Plain text and what is written otherwise take turns, so that every second piece is taken whole.
    pieces, starts, end = list[str](), list[int](), 0
    for found in found_in(_WRITTEN, text, longest=_LONGEST_WRITTEN):
        pieces += [text[end : found.start()], found[0][1:] if found[0][0] == "\\" else html.unescape(found[0])]
        starts += [end, found.start()]
        end = found.end()
    if not pieces:
        return
    pieces, starts = [*pieces, text[end:]], [*starts, end]
    edits = list(_edits("".join(pieces), addresses))
    if not edits:
        return
    shown_at = list(accumulate(map(len, pieces), initial=0))

    def origin(place: int, *, behind: bool) -> int:
        piece = min(bisect_right(shown_at, place) - 1, len(pieces) - 1)
        if piece % 2:
            return starts[piece + 1] if behind else starts[piece]
        return starts[piece] + place - shown_at[piece] + behind

    for edit in edits:
        if edit.start == edit.stop:
            at = origin(edit.start - 1, behind=True)
            yield _Edit(at, at, edit.instead)
        else:
            yield _Edit(origin(edit.start, behind=False), origin(edit.stop - 1, behind=True), edit.instead)


def _edited(text: str, edits: list[_Edit], count: Callable[[], None]) -> str:
    pieces, end = list[str](), 0
    for edit in edits:
        if edit.start >= end:
            pieces += [text[end : edit.start], edit.instead]
            if edit.stop > edit.start:
                count()
        end = max(end, edit.stop)
    return "".join([*pieces, text[end:]])
