"""Characters that hide or reorder what a reader sees: pages, terminals and log lines show them as escapes.

Two names that differ only in such a character look alike, and one override reverses the rest of its line (Unicode TR 36, UTS 39;
CVE-2021-42574). Joiners and selectors belong to the spelling of many scripts and of emoji: behind a letter of these they stay.
"""

import json
import re

_CONTROLS = "\x7f-\x9f"
_ORDER = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_BREAKS = "\u2028\u2029"
_NOTHING = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_JOINERS, _SELECTORS, _VARIANTS = "\u180b-\u180d\u180f\u200b-\u200d", "\ufe00-\ufe0f", "\U000e0100-\U000e01ef"
HIDDEN = f"[{_CONTROLS}{_ORDER}{_BREAKS}{_NOTHING}{_JOINERS}{_SELECTORS}{_VARIANTS}]"  # one class: a search has no other step
_HIDDEN = re.compile(HIDDEN)
_ASCII = bytes(range(0x7F))
_KEYCAPS = "#*0-9\xa9\xae"  # of which a selector makes an emoji
# What may stand before a character that stays. Names in Japan are written with variants of ideographs.
_STAYS = re.compile(
    f"[\u0600-\u200a\u200e-\ufdff\ufe10-\U0010ffff][{_JOINERS}{_SELECTORS}]|[{_SELECTORS}][\u200c\u200d]|[{_KEYCAPS}]\ufe0f"
    f"|[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff][{_VARIANTS}]"
)


def revealed(text: str) -> str:
    """A text whose hidden characters are escapes, as JSON writes them: in JSON it stays the same value."""
    if text.isascii():
        return text.replace("\x7f", "\\u007f")
    other = text.encode(errors="surrogatepass").translate(None, _ASCII).decode(errors="surrogatepass")  # of a page, a hundredth
    return _HIDDEN.sub(escaped, text) if _HIDDEN.search(other) else text


def escaped(found: re.Match[str]) -> str:
    """The escape of a character that `HIDDEN` has found, or the character where it belongs to the letter before it."""
    letter = found[0]
    if _STAYS.fullmatch(found.string[max(found.start() - 1, 0) : found.end()]):
        return letter
    return f"\\u{ord(letter):04x}" if letter < "\U00010000" else json.dumps(letter)[1:-1]
