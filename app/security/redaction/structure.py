"""JSON is redacted by its meaning, and stays JSON: escapes are undone first, and a number that must go becomes a string.

Every string, long number and telling key of a document is put on a line of its own, behind its key (``card number: 4111…``), so
that one search sees all of them in context. JSON text within a string, such as a tool's arguments, is opened the same way. The
output differs from the input only where something was found, and in the blanks between tokens.
"""

import json
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, NamedTuple

from app.security.redaction.credentials import is_own_name, named

Found = tuple[int, int, str]
LEAST_DIGITS = 6  # of a number that could be a person's
LONGEST_LABEL = 40
LONGEST_FIELD = 20
CHECK_EVERY = 500  # leaves between two readings of the clock
SHORT = 8 * 1024  # characters that are read in less than a millisecond, whatever they hold
WITHHELD = "<redaction-failed>"
_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINTS = re.compile(r"[_-]+|(?<=[a-z])(?=[A-Z])")


class TooSlow(Exception):  # noqa: N818 - it is named for what happened
    """The document has too many parts for the time there is."""


class _Pairs(list[tuple[str, Any]]):
    """An object, duplicate keys and order kept."""


class _Number(str):
    """A number as it was written: reading it would change ``1.10``, and refuse what is longer than 4,300 digits."""

    __slots__ = ()


def looks_like_json(text: str) -> bool:
    """Return whether it is worth an attempt: a document or a list, not a bare string or number."""
    start, end = text.lstrip(" \t\r\n")[:1], text.rstrip(" \t\r\n")[-1:]
    return (start == "{" and end == "}") or (start == "[" and end == "]")


class Document:
    """A JSON document laid out for the search. Raises ValueError if it is none, RecursionError if it is too deep.

    ``whole``: all of it was laid out in time; the rest can only be withheld.
    """

    def __init__(self, text: str, *, until: float) -> None:
        """``until``: the CPU time of this thread at which laying out ends; `TooSlow` is raised where it has not begun by then."""
        self._until = until
        self.whole = True
        self._next_look = CHECK_EVERY
        self._lines: list[bytes] = []
        self._length = 0
        self._leaves: list[tuple[int, int]] = []
        self._opened: dict[int, Any] = {}  # trees of JSON text in strings, by leaf
        self.secrets: list[Found] = []  # values that are secret by their key: whole, in `flat`, in order
        self._tree = _Reader(until).read(text)
        try:
            self._lay_out(self._tree, _LONG)
        except TooSlow:
            if not self._leaves:
                raise
            self.whole = False
        self.flat = b"".join(self._lines)

    def replaced(self, found: Sequence[Found], token: Callable[[bytes, Sequence[Found]], str], searched: int) -> str:
        """The document with ``found`` (offsets in `flat`, in order) replaced; ``token`` gives a leaf's new text.

        Text behind the first ``searched`` bytes of `flat` is left out, and `WITHHELD` marks it.
        """
        replacements: dict[int, str] = {}
        last = bisect_right(self._leaves, searched, key=itemgetter(1))
        queue = iter(found)
        finding = next(queue, None)
        for leaf, (start, end) in enumerate(self._leaves[:last]):
            inside: list[Found] = []
            while finding is not None and finding[0] < end:
                if finding[1] > start:
                    inside.append((max(finding[0], start) - start, min(finding[1], end) - start, finding[2]))
                if finding[1] > end:  # it goes on in the next leaf
                    break
                finding = next(queue, None)
            if inside:
                replacements[leaf] = token(self.flat[start:end], inside)
        text = _Writer(self._opened, replacements, last).write(self._tree)[0]
        return _SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", text)

    def _lay_out(self, node: Any, field: "_Field") -> None:  # noqa: ANN401 - any JSON value
        if len(self._leaves) >= self._next_look:
            self._look()
        kind = type(node)
        if kind is str:
            if ("}" in node or "]" in node) and looks_like_json(node) and (tree := self._opened_tree(node)) is not None:
                self._opened[len(self._leaves)] = tree
                self._leaf("", b"")
                self._lay_out(tree, field)
            else:
                self._leaf(node, field.label, secret=field.may_be_secret and named(field.words, node, number=False))
        elif kind is _Pairs:
            names = _names_of_values(node) if len(node) > 1 else None
            for key, inner in node:
                own = _field(key) if len(key) <= LONGEST_LABEL else _LONG
                if own.may_tell:
                    self._leaf(key, b"")
                else:
                    self._leaves.append((self._length, self._length))
                name = names.get(key, key) if names else key
                self._lay_out(inner, own if name is key else _field(name) if len(name) <= LONGEST_LABEL else _LONG)
        elif kind is list:
            for inner in node:
                self._lay_out(inner, field)
        elif kind is _Number:
            secret = field.may_be_secret and named(field.words, node, number=True)
            self._leaf(node if secret or len(node) >= LEAST_DIGITS else "", field.label, secret=secret)

    def _opened_tree(self, text: str) -> Any:  # noqa: ANN401 - any JSON
        try:
            return _Reader(self._until).read(text)
        except ValueError:
            return None

    def _look(self) -> None:
        self._next_look = len(self._leaves) + CHECK_EVERY
        if time.thread_time() > self._until:
            raise TooSlow

    def _leaf(self, text: str, label: bytes, *, secret: bool = False) -> None:
        if not text:
            self._leaves.append((self._length, self._length))
            return
        value = text.encode("utf-8", "surrogatepass")
        start = self._length + len(label)
        end = start + len(value)
        self._lines += (label, value, b"\n")
        self._leaves.append((start, end))
        if secret:
            self.secrets.append((start, end, "credential"))
        self._length = end + 1


class _Writer:
    """Writes a tree back, in the order in which it was laid out; with each text, whether anything in it was replaced.

    The leaf ``last`` and all that follow are left out.
    """

    def __init__(self, opened: Mapping[int, Any], replacements: Mapping[int, str], last: int) -> None:
        self._opened = opened
        self._replacements = replacements
        self._last = last
        self._leaf = -1

    def write(self, node: Any) -> tuple[str, bool]:  # noqa: ANN401 - any JSON value
        if isinstance(node, _Pairs):
            return self._all("{", node, "}", self._pair)
        if isinstance(node, list):
            return self._all("[", node, "]", self.write)
        if isinstance(node, str):
            return self._string(node)
        return json.dumps(node), False  # true, false, null

    def _all(
        self, opening: str, inner: Sequence[Any], closing: str, write: Callable[[Any], tuple[str, bool]]
    ) -> tuple[str, bool]:
        written = []
        for each in inner:
            if self._leaf >= self._last:
                break
            written.append(write(each))
        return opening + ", ".join(text for text, _ in written) + closing, any(changed for _, changed in written)

    def _pair(self, pair: tuple[str, Any]) -> tuple[str, bool]:
        key, key_changed = self._string(pair[0])
        value, changed = self.write(pair[1])
        return f"{key}: {value}", key_changed or changed

    def _string(self, text: str) -> tuple[str, bool]:
        self._leaf += 1
        if self._leaf >= self._last:
            return encode_basestring(WITHHELD), True
        if (replacements := self._replacements.get(self._leaf)) is not None:
            return encode_basestring(replacements), True
        if (tree := self._opened.get(self._leaf)) is not None:
            inner, changed = self.write(tree)
            return encode_basestring(inner if changed else text), changed
        return (text if isinstance(text, _Number) else encode_basestring(text)), False


class _Reader:
    """Reads JSON, and reads the clock at every thousandth object or number."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._seen = 0

    def read(self, text: str) -> Any:  # noqa: ANN401 - any JSON value
        """Raises ValueError, RecursionError, TooSlow."""
        if len(text) <= SHORT:
            return _read_short(text)
        return json.loads(
            text, object_pairs_hook=self._pairs, parse_int=self._number, parse_float=self._number, parse_constant=self._number
        )

    def _pairs(self, pairs: list[tuple[str, Any]]) -> _Pairs:
        self._look()
        return _Pairs(pairs)

    def _number(self, text: str) -> _Number:
        self._look()
        return _Number(text)

    def _look(self) -> None:
        self._seen += 1
        if self._seen % CHECK_EVERY == 0 and time.thread_time() > self._until:
            raise TooSlow


def _names_of_values(pairs: _Pairs) -> Mapping[str, str]:
    """Keys that do not describe their values, and how to read them.

    Forms, headers and settings are written as ``{"name": "DB_PASSWORD", "value": "…"}``. A token with a probability is a word.
    """
    if len(pairs) > 8:
        return {}
    keys = dict(pairs)
    if "value" in keys:
        names = [inner for key, inner in pairs if key in {"name", "key", "field"} and type(inner) is str]
        return {"value": names[0]} if names else {}
    return {"token": ""} if "logprob" in keys else {}


class _Field(NamedTuple):
    """A key, as its values are searched: the label before them, the same in words, and whether they may be secret by it.

    ``may_tell``: it could hold a finding itself, which most keys cannot, as they are names of fields.
    """

    label: bytes
    words: str
    may_be_secret: bool
    may_tell: bool


_LONG = _Field(b"", "", may_be_secret=False, may_tell=True)  # a caller's own, and not remembered


@lru_cache(1024)
def _field(key: str) -> _Field:
    """A key of at most `LONGEST_LABEL` characters."""
    words = _JOINTS.sub(" ", key) if key.isprintable() else ""
    return _Field(
        label=words.encode("utf-8", "surrogatepass") + b": " if words else b"",
        words=words,
        may_be_secret=is_own_name(words),
        may_tell=len(key) > LONGEST_FIELD or not key.isidentifier() or sum(map(str.isdigit, key)) >= LEAST_DIGITS,
    )


_read_short = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number).decode
