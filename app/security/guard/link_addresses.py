"""The addresses that a link may hold (S4): an allowlist of schemes, and of hosts where the scheme has one.

Nothing here tries to distinguish good addresses from bad. An address that is not in the one strict form, in every reading that a
renderer or a browser may give it, is foreign. Strict means: ``https`` or ``http`` with an allowed host in plain ASCII, without
user name and backslash; ``mailto`` with one recipient at an allowed host and no header; ``tel`` with digits; or an address
relative to the page. ``sms``, ``data``, ``javascript`` and all other schemes are foreign. Forms are those of CommonMark 0.31.2
(entities, backslash escapes) and of the WHATWG URL standard (backslash as slash, dots of IDNA).
"""

import html
import re
from collections.abc import Iterable

DOTS = ".\u3002\uff0e\uff61"  # a browser reads each of them as the dot of a host name (UTS 46)
# linkify-it takes symbols and emoji into a host name too.
_SYMBOLS = "$+=^~\u00a2-\u00a9\u00ac-\u00b1\u20a0-\u20bf\u2190-\u2bff\U0001f000-\U0001faff"
LABELS = rf"(?:(?:[^\W_]|[{_SYMBOLS}])[\w{_SYMBOLS}-]*[{DOTS}])+"
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_CONTROLS = re.compile(r"[\x00-\x20\x7f\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TEL = re.compile(r"(?ia)tel:\+?[0-9][0-9().-]{2,19}\Z")
_LOCAL_PART = r"[A-Za-z0-9._+-]{1,64}"
_HOST_LIKE = re.compile(rf"{LABELS}[a-z]{{2,}}(?=[:/?#]|\Z)", re.IGNORECASE)
_NO_HOST = r"(?!)"


class Addresses:
    """Knows the allowed hosts. Pure."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """``allowed`` hosts, subdomains included."""
        hosts = "|".join(re.escape(host.lower()) for host in sorted(allowed)) or _NO_HOST
        host = rf"(?:[a-z0-9-]+\.)*(?:{hosts})"
        self._web = re.compile(rf"(?ia)https?://{host}(?::[0-9]{{1,5}})?(?=[/?#]|\Z)")
        self._mail = re.compile(rf"(?ia)mailto:{_LOCAL_PART}@{host}\Z")
        self._named = re.compile(rf"(?ia){host}\.?(?::[0-9]{{1,5}})?(?=[/?#]|\Z)")
        # ASCII: without it, "(?i)i" also matches a dotless i, and "k" the Kelvin sign.
        self.host = re.compile(rf"(?ia){host}(?![a-z0-9-])")

    def allows(self, written: str) -> bool:
        """Return whether an address, as written, stays on the page's host or leads to an allowed one, in every reading."""
        bare = written.strip(" \t\r\n").removeprefix("<").removesuffix(">")
        if "&" not in bare and "\\" not in bare:
            return self._reads_as_allowed(bare)
        unescaped = _ESCAPE.sub(r"\1", bare)
        readings = {bare, html.unescape(bare), unescaped, html.unescape(unescaped)}
        return all(self._reads_as_allowed(reading) for reading in readings)

    def _reads_as_allowed(self, address: str) -> bool:
        if _CONTROLS.search(address):
            return False
        slashes = address.replace("\\", "/")
        if slashes.startswith("//"):
            return bool(self._named.match(address[2:])) and address.startswith("//")
        if _SCHEME.match(slashes):
            return bool(self._web.match(address) or self._mail.match(address) or _TEL.match(address))
        if _HOST_LIKE.match(slashes):
            return bool(self._named.match(address))
        return True
