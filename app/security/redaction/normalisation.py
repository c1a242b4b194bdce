"""Spellings of one text become one before it is searched: digits of other scripts, full width, invisible characters, encodings.

What keyboards, mail programs and web forms write for ``4`` or ``@`` is many things; patterns know one. The text that is searched
is shorter than the original, so `Normalised.in_original` carries places back. Sources: the Unicode Character Database (``Nd``,
``Zs``, ``Cf``, compatibility decompositions), RFC 3986 (percent-encoding), HTML's character references, RFC 8259 (escapes).
No sequence goes over the end of a line, and none makes one: `streams` relies on that.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Found = tuple[int, int, str]

# Where each script's ten digits begin, in the Basic Multilingual Plane; then the mathematical ones and those of old terminals.
_ZEROS = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20, 0x1040),
    *(0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0),
    *(0xA9F0, 0xAA50, 0xABF0, *range(0x1D7CE, 0x1D800, 10), 0x1FBF0),
)
_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SAME = {
    **{zero + digit: str(digit) for zero in _ZEROS for digit in range(10)},
    **{0xFEE0 + code: chr(code) for code in range(0x21, 0x7F)},  # full width
    **{0x1D400 + place: _LATIN[place % 52] for place in range(13 * 52)},  # mathematical letters
    **dict.fromkeys((0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000), " "),
    **dict.fromkeys((0x2010, 0x2011, 0x2212, 0xFE63), "-"),  # dashes stay: they part words
    **dict.fromkeys((0x2044, 0x2215), "/"),
    **dict.fromkeys((0x2024, 0xFE52, 0xFF61), "."),
    **dict.fromkeys((0xFE55, 0xFE13, 0xA789, 0x2236), ":"),
    0xFE62: "+",
    0xFE6B: "@",
}
_INVISIBLE = (
    "\xad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
)
_INVISIBLE += "\U000e0000-\U000e007f\U000e0100-\U000e01ef"
_HEX, _PERCENT = "[0-9A-Fa-f]", "%(?:25){0,3}"  # encoded up to four times
_TAIL = rf"{_PERCENT}[89ABab]{_HEX}"
# Listed one by one, characters beyond the Basic Multilingual Plane would make the search forty times as slow as ranges do.
_SAME_SET = "".join(chr(code) for code in sorted(_SAME) if code < 0x10000) + "\U0001d400-\U0001d7ff\U0001fbf0-\U0001fbf9"
# One set of first signs, and behind it what each of them begins: so the search passes over all else in a quarter of the time.
_FIRST = rf"[{_SAME_SET}{_INVISIBLE}&%\\]"
_SPELLED = re.compile(
    rf"{_FIRST}(?:"
    rf"(?<=&)(?:amp;){{0,3}}(?:\#[0-9]{{1,7}}|\#[xX]{_HEX}{{1,6}}|[A-Za-z]{{2,8}});"
    rf"|(?<=%)(?:25){{0,3}}(?:[2-7]{_HEX}|0[9AaDd]|[CDcd]{_HEX}{_TAIL}|[Ee]{_HEX}{_TAIL}{_TAIL}|[Ff]{_HEX}{_TAIL}{_TAIL}{_TAIL})"
    rf"|(?<=\\)\\{{0,7}}+(?:u[dD][89ABab]{_HEX}{{2}}\\{{1,8}}u[dD][C-Fc-f]{_HEX}{{2}}|u{_HEX}{{4}}|u\{{{_HEX}{{1,6}}\}}|x{_HEX}{{2}})"
    rf"|(?<=[{_SAME_SET}])[{_SAME_SET}]{{0,4095}}+"  # of a longer run the next ones: each is read in one step
    rf"|(?<=[{_INVISIBLE}])[{_INVISIBLE}]*+)"
)
STEP, _LONGEST = 16_384, 64  # characters that one step searches, and more than any sequence but a run has
_BEGINS = re.compile(_FIRST)  # fast, and most texts have none
_UNSEEN = re.compile(f"[{_INVISIBLE}]+")
# A secret whose next character was encoded goes on: whatever that character is, it did not end the value.
_VALUE_GOES_ON = re.compile(rf"(?:&[#A-Za-z0-9]{{2,9}};|\\{{1,8}}[ux]{_HEX}{{2,4}}|[^\s\"'<>;,&\\])*")
_SECRETS = frozenset({"credential", "url-credentials"})
_CHECK_EVERY = 256  # sequences between two readings of the clock


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text as it is searched, and the way back. Joints: where lengths differ, start and end here, start and end there."""

    text: bytes
    _plain: str
    _original: str
    _joints: Sequence[tuple[int, int, int, int]]

    def in_original(self, found: Sequence[Found]) -> list[Found]:
        """The same places, in bytes of the original. ``found``: in order, without overlap, in bytes of ``text``."""
        here, there = _Counter(self.text), _Characters(self._original)
        joint, placed, last = 0, [], 0
        for start, end, name in found:
            ends: list[int] = []
            for place, at in enumerate((here.characters(start), here.characters(end))):
                while joint < len(self._joints) and self._joints[joint][0] < at + 1 - place:
                    joint += 1
                ends.append(self._across(joint - 1, at, is_end=bool(place)))
            if joint < len(self._joints) and self._joints[joint][:2] == (at, at):
                ends[1] = self._joints[joint][3]  # invisible characters behind a value go with it
            first, stop = max(ends[0], last), ends[1]
            if name in _SECRETS and self._is_encoded(joint, stop):
                going_on = _VALUE_GOES_ON.match(self._original, stop)
                stop = going_on.end() if going_on else stop
            if stop > first:
                placed.append((there.place(first), there.place(stop), name))
                last = stop
        return placed

    def _is_encoded(self, joint: int, place: int) -> bool:
        """Return whether the next joint is the next character of the original, and a sequence."""
        if joint == len(self._joints):
            return False
        _, _, there, there_end = self._joints[joint]
        return there == place < there_end and self._original[there] in "&%\\"

    def _across(self, joint: int, at: int, *, is_end: bool) -> int:
        if joint < 0:
            return at
        start, end, there, there_end = self._joints[joint]
        if at >= end and not (is_end and at == start):
            return there_end + at - end
        return there_end if is_end else there


class _Counter:
    """Counts characters of UTF-8 up to places that only grow."""

    def __init__(self, text: bytes) -> None:
        self._text, self._at, self._characters = text, 0, 0

    def characters(self, place: int) -> int:
        self._characters += len(self._text[self._at : place].decode("utf-8", "surrogatepass"))
        self._at = place
        return self._characters


class _Characters:
    """Counts bytes of UTF-8 up to characters that only grow."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._bytes = text, 0, 0

    def place(self, character: int) -> int:
        self._bytes += len(self._text[self._at : character].encode("utf-8", "surrogatepass"))
        self._at = character
        return self._bytes


def normalised(original: bytes, in_time: Callable[[], None]) -> Normalised | None:
    """The text to search in place of ``original``; None where that is the original. ``in_time`` raises where time runs out."""
    if original.isascii() and not (
        (b"&" in original and b";" in original) or b"%" in original or b"\\u" in original or b"\\x" in original
    ):
        return None
    text = original.decode("utf-8", "surrogatepass")
    if not _BEGINS.search(text):
        return None
    pieces: list[str] = []
    joints: list[tuple[int, int, int, int]] = []
    done = length = 0
    for number, match in enumerate(found_in(_SPELLED, text, longest=_LONGEST, between=in_time)):
        if number % _CHECK_EVERY == 0:
            in_time()
        start, end = match.span()
        meant = _meant(match)
        length += start - done
        if len(meant) != end - start:
            joints.append((length, length + len(meant), start, end))
        pieces += (text[done:start], meant)
        length += len(meant)
        done = end
    if not pieces:
        return None
    pieces.append(text[done:])
    plain = "".join(pieces)
    return Normalised(plain.encode("utf-8", "surrogatepass"), plain, text, joints)


def found_in(
    pattern: re.Pattern[str], text: str, *, longest: int, between: Callable[[], None] = lambda: None
) -> Iterator[re.Match[str]]:
    """All matches, as `finditer` gives them, in steps: one search through megabytes lets no other thread go on (V3).

    ``between`` is called before each step but the first. ``longest``: characters of the longest match. A longer one is read whole
    too, if each of its beginnings matches as well: a run of like characters. The pattern must not look beyond its match.
    """
    at = 0
    while at < len(text):
        if at:
            between()
        start, following = at, at + STEP
        at = following
        for match in pattern.finditer(text, start, following + longest):
            if match.start() >= following:
                break
            whole = pattern.match(text, match.start()) if match.end() == following + longest else match
            if whole:
                yield whole
                at = max(at, whole.end())


def plain(text: str) -> str:
    """``text`` in the one spelling that is searched."""
    if text.isascii() and not (("&" in text and ";" in text) or "%" in text or "\\u" in text or "\\x" in text):
        return text
    return _SPELLED.sub(_meant, text)


def _meant(match: re.Match[str]) -> str:
    """The text that a sequence encodes. It has characters of one kind alone."""
    written = match.group()
    first = written[0]
    if first == "&":
        read = html.unescape(re.sub("^&(?:amp;)+(?=[#A-Za-z])", "&", written))
        return _as_searched(read) if read != written else written
    if first == "%":
        return _as_searched(bytes.fromhex(re.sub("%(?:25)*(?=[0-9A-Fa-f]{2})", "", written)).decode("utf-8", "replace"))
    if first == "\\":
        units = re.findall(r"[ux]\{?([0-9A-Fa-f]+)", written)
        read = "".join(chr(min(int(unit, 16), 0x10FFFF)) for unit in units)
        if len(units) > 1:
            read = read.encode("utf-16", "surrogatepass").decode("utf-16")
        return _as_searched(read)
    return written.translate(_SAME) if not _UNSEEN.match(written) else ""


def _as_searched(read: str) -> str:
    """The form in which a decoded character is searched: ends of lines become blanks."""
    return " " if read in {"\n", "\r", "\t"} else _UNSEEN.sub("", read).translate(_SAME)
