"""JSON from outside: its depth, measured before it is parsed, and whether it can be written again."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

DEEPEST = 190  # arrays and objects within each other; with Python's own limit of a thousand frames this can still be worked on
# Of a request's body. Of so many parts and messages each may have six strings; more of them are one object of a hundred thousand
# fields, which is parsed in one piece.
MOST_CONTAINERS, MOST_STRINGS, MOST_VALUES = 20_000, 120_000, 300_000
# JSON's strings, so that brackets within them do not count; an unclosed one ends the search, and the parser says what is wrong.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS = bytes(1 if sign in b"[{" else 255 if sign in b"]}" else 0 for sign in range(256))  # 255 is -1 to a signed byte
_OTHERS = bytes(sign for sign in range(256) if sign not in b"[{]}")
_BLOCK = 65_536
MOST_DIGITS = 400  # signs of one number in a request; the largest whole number of a double has 309
# Any digit is written as 0 here, and E as e: signs of a number that may be too large, also within strings.
_ONE_DIGIT = bytes.maketrans(b"123456789E", b"000000000e")
# The cheapest first: of digits alone each search is slow.
_PERHAPS_TOO_LARGE = (b"0" * 200, b"NaN", b"Infinity", b"0e000", b"0e+000")
_LARGE_NUMBERS = re.compile(rb"(?<![0-9.])[0-9][0-9.]*+(?:[eE]\+?+[0-9]{3,}+|(?<=[0-9.]{200})(?:[eE]\+?+[0-9]++)?+)|NaN|Infinity")

_SIGNS = re.compile(r'\\(?:.|\Z)|["{}\[\]]', re.DOTALL)

_written = msgspec.json.Encoder().encode
_sorted = msgspec.json.Encoder(order="sorted").encode


def _as_text(value: object) -> str:
    return _written(value).decode()[1:-1] if isinstance(value, datetime) else str(value)


# Made once: `json.dumps` makes an encoder for each text, which costs as much as a short text itself.
_loosely = json.JSONEncoder(ensure_ascii=False, default=_as_text).encode
_strictly = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def spaced(value: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON text with a blank behind each comma and colon, as records and log lines have it.

    A number that JSON lacks becomes null. What `compact` writes is written so; where it would raise, what is no JSON becomes its
    text. So a dataclass is written with all its fields, also those that its text hides: log lines make it a text before.
    """
    try:
        return msgspec.json.format(_written(value), indent=0).decode()
    except (TypeError, ValueError):  # halves of surrogate pairs stay as they are
        return _loosely(value)


def compact(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """JSON without blanks, at a seventh of the standard library's cost. A number that JSON lacks becomes null.

    msgspec also writes what the standard library refuses: bytes as base64, sets as arrays, dates, UUIDs and decimals as texts,
    and a dataclass with all its fields, also those with ``repr=False``. So callers pass no value that holds a secret.
    Raises ValueError for half of a surrogate pair, TypeError for other objects.
    """
    return _written(value)


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON
    """The same text for equal values: the fields of each object in order."""
    try:
        return _sorted(value).decode()
    except ValueError:  # half of a surrogate pair
        return json.dumps(value, sort_keys=True)


def finite(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The same, byte for byte as the standard library writes it. Raises ValueError for a number that JSON lacks, too."""
    return _written(value) if _in_one_form(value) else _strictly(value).encode()


def _in_one_form(value: object) -> bool:
    """Whether there is one way to write all of it: texts, whole numbers, and fractions that need no exponent.

    To look costs a twentieth of writing.
    """
    values: list[Any] = [value]
    for inner in values:  # it grows meanwhile
        kind = type(inner)
        if kind is dict:
            values += inner.values()
        elif kind is list:
            values += inner
        elif kind is float:
            if not (1e-3 <= abs(inner) < 1e15 or inner == 0.0):
                return False
        elif not (kind is str or kind is int or kind is bool or inner is None):
            return False
    return True


def loads(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Read a vendor's JSON, with what is rare as it is meant.

    That is: other encodings, bytes that are none, numbers that JSON lacks, halves of surrogate pairs, and line ends and tabs
    within strings.
    """
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "replace")
        return json.loads(text, strict=False)


def read(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON that can be written again, as UTF-8 (RFC 8259, 8.1).

    Raises ValueError for what is none, is nested too deeply, or holds NaN, an infinity or half of a surrogate pair.
    """
    if too_deep(text):
        raise ValueError("nested too deeply")
    value = json.loads(text, parse_constant=refuse)
    if _perhaps_too_large(text.encode()):
        json.dumps(value, allow_nan=False)
    _written(value)  # in a tenth of the time of the standard library, which would hold the interpreter for long
    return value


def too_deep(text: str | bytes, most: int = DEEPEST) -> bool:
    """Whether arrays and objects lie in each other more than ``most`` deep."""
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _opened(body) > most and _deeper(_brackets(body), most)


def too_much(body: bytes, most_deep: int) -> str | None:
    """Describe the limit that a request's JSON exceeds, in words that follow "The body"; None if none.

    Each array, object, string and number becomes an object of ours, at some time, before it can be checked.
    """
    if body.count(b'"') - body.count(b'\\"') > 2 * MOST_STRINGS:
        return f"holds over {MOST_STRINGS:,} strings"
    if body.count(b",") > MOST_VALUES and _STRINGS.sub(b"", body).count(b",") > MOST_VALUES:
        return f"holds over {MOST_VALUES:,} values"
    if _too_large_a_number(body):
        return f"holds a number that is none or too large: NaN, an infinity, or one of over {MOST_DIGITS} digits"
    if _opened(body) <= min(most_deep, MOST_CONTAINERS):
        return None
    brackets = _brackets(body)
    if _opened(brackets) > MOST_CONTAINERS:
        return f"holds over {MOST_CONTAINERS:,} arrays and objects"
    return f"is nested more than {most_deep} deep" if _deeper(brackets, most_deep) else None


def _too_large_a_number(body: bytes) -> bool:
    """Whether a number is no JSON, is infinite as a double, or is long: to write long ones takes the square of their digits.

    The parser takes all of these (`NaN`, `1e400`), and no vendor does: the request would fail at each model, as if by its fault.
    """
    if not _perhaps_too_large(body):
        return False
    numbers = _LARGE_NUMBERS.findall(_STRINGS.sub(b"", body))
    return any(len(number) > MOST_DIGITS or not math.isfinite(_as_float(number)) for number in numbers)


def _perhaps_too_large(text: bytes) -> bool:
    """Whether there are signs of a number that is none, or is infinite as a double."""
    one_digit = text.translate(_ONE_DIGIT)
    return any(sign in one_digit for sign in _PERHAPS_TOO_LARGE)


def _as_float(number: bytes) -> float:
    """For what is no number the result is arbitrary: the parser refuses that."""
    try:
        return float(number)
    except ValueError:
        return 0.0


def _opened(text: bytes) -> int:
    return text.count(b"{") + text.count(b"[")


def _brackets(body: bytes) -> bytes:
    """The brackets that are no part of a string."""
    return _STRINGS.sub(b"", body).translate(None, _OTHERS)


def _deeper(brackets: bytes, most: int) -> bool:
    """Whether more than ``most`` are open at once. For invalid JSON the result is arbitrary: the parser refuses that."""
    steps = memoryview(brackets.translate(_STEPS)).cast("b")
    depth = 0
    for start in range(0, len(steps), _BLOCK):
        depths = list(accumulate(steps[start : start + _BLOCK], initial=depth))
        if max(depths) > most:
            return True
        depth = depths[-1]
    return False


@dataclass(slots=True)
class GrowingObject:
    """Tells when pieces of text are one whole JSON object. Each piece is read once, and the whole parsed once."""

    _read: int = 0
    _depth: int = 0
    _quoted: bool = False
    _escaped: bool = False  # the next character is no sign
    _closed: bool = False
    _valid: bool | None = None

    def is_whole(self, pieces: Sequence[str]) -> bool:
        """``pieces``: those of the last time, and perhaps more."""
        for piece in pieces[self._read :]:
            self._follow(piece)
        self._read = len(pieces)
        if self._closed and self._valid is None:
            try:
                self._valid = isinstance(read("".join(pieces)), dict)
            except ValueError:
                self._valid = False
        return bool(self._closed and self._valid)

    def _follow(self, piece: str) -> None:
        start = 1 if self._escaped and piece else 0
        self._escaped = self._escaped and not piece
        for found in _SIGNS.finditer(piece, start) if not self._closed else ():
            sign = found[0]
            if sign[0] == "\\":
                self._escaped = len(sign) == 1
            elif sign == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if sign in "{[" else -1
            if self._depth <= 0 and sign in "}]" and not self._quoted:
                self._closed, start = True, found.end()
                break
        if self._closed and piece[start:].strip():
            self._valid = False  # it was one, and more came


def refuse(constant: str) -> NoReturn:
    """`json.loads` calls it, as its ``parse_constant``, for NaN and the infinities. Raises ValueError."""
    message = f"{constant} is not JSON"
    raise ValueError(message)
