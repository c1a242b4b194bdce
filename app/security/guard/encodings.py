"""Decodes a text from other spellings: those that are cheap to undo, to a bounded depth and size.

Each reading is a text of its own. Not undone: paraphrase, translation, a key of the writer's own, letters spread over sentences
(but for every second one).
"""

import base64
import binascii
import re
import string
from collections.abc import Callable, Iterator

from app.security.redaction.normalisation import plain

DEEPEST = 3  # a spelling within a spelling within a spelling
MOST_READ = 65_536  # characters of one text, and of all that is decoded of it
_FEWEST = 12  # letters; fewer mean nothing
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}(?:\r?\n[A-Za-z0-9+/_-]{16,}={0,2})*")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}(?:\r?\n[A-Z2-7]{8,}={0,6})*")
_BASE85 = re.compile(r"[!-~]{20,}(?:\r?\n[!-~]{20,})*")
_HEXADECIMAL = re.compile(rf"(?:(?:\\x|0x|%)?[0-9A-Fa-f]{{2}}[\s,:;]{{0,2}}){{{_FEWEST},}}")
_NUMBERS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(rf"(?:(?:0b)?[01]{{7,8}}[\s,;]{{0,2}}){{{_FEWEST},}}"), 2),
    (re.compile(rf"(?:(?:\\|0o)?[0-7]{{3}}[\s,;]{{0,2}}){{{_FEWEST},}}"), 8),
    (re.compile(rf"(?:[0-9]{{2,3}}[\s,;]{{1,3}}){{{_FEWEST},}}"), 10),
)
_DIGITS = {2: re.compile(r"[01]{7,8}"), 8: re.compile(r"[0-7]{3}"), 10: re.compile(r"[0-9]{2,3}")}
_PREFIXES = re.compile(r"\\x|0x|%|[\s,:;]")
_LABEL = re.compile(r"(?m)^[ \t>*#-]*(?:[^\W\d_]{1,16}[ \t]*)?[#(]?[0-9]{1,4}(?:[ \t]*/[ \t]*[0-9]{1,4})?[ \t]*[:.)\]-]+[ \t]*")
_LEET = str.maketrans("013457@$!|", "oieastasil")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # 256 of them, drawn as nothing: one for each byte
_MORSE = re.compile(rf"(?:[.\u00b7\u2022\u2212\u2013\u2014_-]{{1,7}}(?:[\s/|]{{1,8}}|\Z)){{{_FEWEST},}}")
_SIGNS = str.maketrans("\u00b7\u2022\u2212\u2013\u2014_/|", "..----  ")
_CODES = """
    .- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
    ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
"""
_MORSE_LETTERS = dict(zip(_CODES.split(), string.ascii_lowercase + string.digits, strict=True))
# Letters that are drawn upside down, and those that are one another's then, which alone do not show that a text is turned.
_DRAWN = {
    "a": "\u0250\u2c6f\u2200", "c": "\u0254\u0186", "e": "\u01dd\u018e", "f": "\u025f\u2132", "h": "\u0265",
    "g": "\u0183\u0253\u1d77\u2141", "i": "\u1d09\u0131", "j": "\u027e\u017f", "k": "\u029e\ua7b0\u22ca", "m": "\u026f",
    "l": "\u05df\ua781\u02e5\u2142", "p": "\u0500", "r": "\u0279\u1d1a", "t": "\u0287\u22a5\u2534", "u": "\u2229",
    "v": "\u028c\u039b", "w": "\u028d", "y": "\u028e\u2144",
}  # fmt: skip
_UPSIDE_DOWN = re.compile(f"[{''.join(_DRAWN.values())}]")
_TURNED = str.maketrans(
    {sign: meant for meant, signs in _DRAWN.items() for sign in signs} | dict(zip("bqdpnuMW", "qbpdunwm", strict=True))
)
_FIRST = re.compile(r"(?m)^[^\w\n]*(\w)")
_LAST = re.compile(r"(?m)(\w)[^\w\n]*$")


def readings(text: str) -> Iterator[str]:
    """Every other reading of ``text``, the decoded ones decoded again."""
    text = text[:MOST_READ]
    yield from _of_lines(text)
    yield from _respelled(text)
    room = MOST_READ
    wave = [text]
    for _ in range(DEEPEST):
        found: list[str] = []
        for one in wave:
            for reading in _decoded(one):
                room -= len(reading)
                if room < 0:
                    return
                found.append(reading)
                yield reading
        wave = found


def _of_lines(text: str) -> Iterator[str]:
    """Without what numbers the lines, and the first and the last letters of the lines."""
    if "\n" not in text:
        return
    if _LABEL.search(text):
        yield _LABEL.sub("", text)
    yield "".join(_FIRST.findall(text))
    yield "".join(_LAST.findall(text))


def _respelled(text: str) -> Iterator[str]:
    """The text as a page or a parser shows it, with digits read as letters, and with its words turned round."""
    if (shown := plain(text)) != text:
        yield shown
    if (spelled := text.translate(_LEET)) != text:
        yield spelled
    words = text.split()
    yield " ".join(reversed(words))
    yield " ".join(word[::-1] for word in words)
    yield from _spread(text)
    if _UPSIDE_DOWN.search(text):
        yield text.translate(_TURNED)
    for found in _MORSE.finditer(text):
        yield "".join(_MORSE_LETTERS.get(word, "") for word in found[0].translate(_SIGNS).split())
    if selectors := _SELECTORS.findall(text):
        codes = (ord(one) - 0xFE00 if ord(one) < 0x10000 else ord(one) - 0xE0100 + 16 for one in selectors)
        yield bytes(codes).decode("utf-8", errors="replace")


def _spread(text: str) -> Iterator[str]:
    """Every second character, letter, or letter of a word: the others are there to hide these."""
    letters = "".join(filter(str.isalnum, text))
    yield from (text[::2], text[1::2], letters[::2], letters[1::2], "".join(word[::2] for word in text.split()))


def _decoded(text: str) -> Iterator[str]:
    for found in _BASE64.finditer(text):
        raw = re.sub(r"\s|=", "", found[0]).replace("-", "+").replace("_", "/")
        yield from _read(base64.b64decode, raw[: len(raw) - (len(raw) % 4 == 1)] + "=" * (-len(raw) % 4))
    for found in _BASE32.finditer(text.upper()):
        raw = re.sub(r"\s|=", "", found[0])
        yield from _read(base64.b32decode, raw + "=" * (-len(raw) % 8))
    for found in _BASE85.finditer(text):
        raw = re.sub(r"\s", "", found[0])
        yield from _read(base64.b85decode, raw)
        yield from _read(base64.a85decode, raw.removeprefix("<~").removesuffix("~>"))
    for found in _HEXADECIMAL.finditer(text):
        raw = _PREFIXES.sub("", found[0])
        yield from _read(bytes.fromhex, raw[: len(raw) - len(raw) % 2])
    for pattern, radix in _NUMBERS:
        for found in pattern.finditer(text):
            codes = [int(digits, radix) for digits in _DIGITS[radix].findall(found[0])]
            if all(code < 256 for code in codes):
                yield from _read(bytes.fromhex, bytes(codes).hex())


def _read(decode: Callable[[str], bytes], written: str) -> Iterator[str]:
    try:
        text = decode(written).replace(b"\0", b"").decode("utf-8", errors="replace")  # of UTF-16 too
    except (binascii.Error, ValueError):
        return
    if len(text) >= _FEWEST and 4 * sum(letter.isprintable() and letter != "\ufffd" for letter in text) >= 3 * len(text):
        yield text
