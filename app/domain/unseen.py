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
_JOINERS = "\u180b-\u180d\u180f\u200b-\u200d\ufe00-\ufe0f"
_KEYCAPS = "#*0-9\xa9\xae"  # of which a selector makes an emoji
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # names in Japan are written with their variants
HIDDEN = (
    f"[{_CONTROLS}{_ORDER}{_BREAKS}{_NOTHING}]|(?<![\u0600-\U0010ffff{_KEYCAPS}])[{_JOINERS}]|(?<=[{_KEYCAPS}])[\u200b-\u200d]"
    f"|(?<=[{_JOINERS}])[\u200b\ufe00-\ufe0f]|(?<![{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]"
)
_HIDDEN = re.compile(HIDDEN)


def revealed(text: str) -> str:
    """A text whose hidden characters are escapes, as JSON writes them: in JSON it stays the same value."""
    return text if text.isascii() and "\x7f" not in text else _HIDDEN.sub(lambda found: escape_of(found[0]), text)


def escape_of(letter: str) -> str:
    """The escape of one character."""
    return f"\\u{ord(letter):04x}" if letter < "\U00010000" else json.dumps(letter)[1:-1]
