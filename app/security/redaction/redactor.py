"""Replaces personal data and secrets before text leaves for a log, span or record (S5).

The table in `entity_types` lists what is found. The replacement is keyed: the same value maps to the same token within a tenant,
and to another one elsewhere, so an incident can be followed without knowing who it was. If anything fails, the whole text is
replaced: redaction fails closed. Names and postal addresses are not found here; that takes a model of language.
"""

import copy
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Any, Protocol, TypeVar

from app.security.redaction.automata import compiled_table
from app.security.redaction.detectors import Kind, in_table
from app.security.redaction.entity_types import ENTITY_TYPES
from app.security.redaction.identity_numbers import load_registers
from app.security.redaction.limits import Limits, RedactionStalled, in_time
from app.security.redaction.normalisation import normalised, plain
from app.security.redaction.slices import gap_at, slices, with_gaps, with_secrets
from app.security.redaction.structure import SHORT, WITHHELD, Document, Found, looks_like_json

FAILED = WITHHELD
LONGEST = 8_000_000  # bytes; a request body is at most half of it
NAMES_PATIENCE = 20.0  # seconds of CPU where names are sought too: some tens of KB that were not seen before
PATIENCE = 0.1  # seconds of CPU, about half a megabyte of prose. The rest is withheld
LONGEST_CANDIDATE = 16_384  # bytes; the check of a longer one would take too long, so all of it is replaced
CHECK_EVERY = 64  # replacements between two readings of the clock
WORDS_BEFORE = 128  # bytes before a candidate that may name its kind, or another one
_WORDS_END = bytes([*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0x80, 0xC0)])

# Long enough that two people of one tenant rarely share a token, short enough to read: 32 bits.
TOKEN_DIGITS = 8

_ESCAPE = re.compile(rb"\\+[nrtbf\"/\\]")
_NAMES = re.compile(rb"[ \t]?[:=]")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """Place of a finding, in characters, and its kind."""

    start: int
    end: int
    kind: str


class TenantPattern(Protocol):
    """A tenant's own pattern: see `tenant_patterns`."""

    @property
    def name(self) -> str:
        """The kind its tokens show."""

    @property
    def compiled(self) -> Any:  # noqa: ANN401 - re2 is not typed
        """Searches bytes."""


FindNames = Callable[[str, float], Iterable[tuple[int, int, str]]]


class Redactor:
    """Replaces what `ENTITY_TYPES` finds, and what a tenant added. ``failures`` counts texts that had to be replaced whole."""

    def __init__(
        self,
        key: bytes,
        *,
        on_failure: Callable[[], None] = lambda: None,
        added: Callable[[str], Sequence[TenantPattern]] = lambda _tenant: (),
    ) -> None:
        """``key`` makes tokens unguessable; a key of its own is derived, as the service's secret serves other ends too.

        ``added`` gives a tenant's own patterns.
        """
        load_registers()
        self._key = hmac.digest(key, b"octant redaction tokens", hashlib.sha256)
        self._on_failure = on_failure
        self._added = added
        self._names: FindNames | None = None
        self._table = compiled_table()
        self.failures = 0

    def redact(self, text: str, *, tenant: str) -> str:
        """Return ``text`` with every finding replaced by a token such as ``<email:7f3a9c01>``. Never raises.

        A JSON document stays one (`structure`), unless it is so deep that it cannot be read: then it is taken as text.
        """
        return self._closed(lambda limits: self._redact(text, tenant, limits))

    def redact_all(self, texts: Sequence[str], *, tenant: str) -> list[str]:
        """Each of some texts as `redact` gives it. Short ones are searched together first, since most hold nothing."""
        try:
            clean = sum(map(len, texts)) <= SHORT and self._nothing_in(texts, tenant)
        except Exception:  # noqa: BLE001 - each of them says what it is
            clean = False
        return list(texts) if clean else [self.redact(text, tenant=tenant) for text in texts]

    def redact_text(self, text: str, *, tenant: str) -> str:
        """The same for a piece of a text: never taken for a document."""
        return self._closed(lambda limits: self._redact_text(text, tenant, limits))

    def redact_json(self, value: Any, *, tenant: str) -> Any:  # noqa: ANN401 - any JSON value
        """The same for a JSON value: strings, numbers, and telling keys. Its shape stays."""
        if isinstance(value, str):
            return self.redact(value, tenant=tenant)

        def redacted(limits: Limits) -> Any:  # noqa: ANN401 - any JSON value
            text = json.dumps(value, ensure_ascii=False, default=str)
            redacted_text = self._redact(text, tenant, limits)
            return value if redacted_text == text else json.loads(redacted_text)

        return self._closed(redacted)

    def findings(self, text: str, *, tenant: str) -> list[Finding]:
        """The findings in ``text``, taken as plain text, for measuring and trying out patterns. Raises `RedactionStalled`."""
        original = text.encode("utf-8", "surrogatepass")
        found = self._find(original, tenant, self._limits().replaced)

        def characters(end: int) -> int:
            return len(original[:end].decode("utf-8", "surrogatepass"))

        return [Finding(characters(start), characters(end), name) for start, end, name in found if name]

    def with_patterns(self, added: Sequence[TenantPattern]) -> "Redactor":
        """The same redactor, but for what tenants added: as it was while ``added`` was in force."""
        other = copy.copy(self)
        other._added = lambda _tenant: added  # noqa: SLF001 - one of us
        return other

    def with_names(self, names: FindNames) -> "Redactor":
        """The same redactor, which also finds what ``names`` does (`ner.Names`). Slow: for what no request waits for."""
        other = copy.copy(self)
        other._names = names  # noqa: SLF001 - one of us
        return other

    def count_failure(self) -> None:
        """Note that a text had to be replaced whole."""
        self.failures += 1
        self._on_failure()

    def _limits(self) -> Limits:
        return Limits.of(NAMES_PATIENCE if self._names else PATIENCE)

    def _closed(self, redacted: Callable[[Limits], T]) -> T | str:
        """The result of ``redacted`` within its time; after any failure, no unredacted text passes."""
        try:
            return redacted(self._limits())
        except Exception:  # noqa: BLE001 - counted, for a log line would come back here
            self.count_failure()
            return FAILED

    def _redact(self, text: str, tenant: str, limits: Limits) -> str:
        if len(text) <= LONGEST and looks_like_json(text):
            try:
                document = Document(text, until=limits.read)
            except (ValueError, RecursionError):  # cut off, or made to be too deep
                return self._redact_text(text, tenant, limits)
            found, end = self._search(document.flat, tenant, limits.searched)
            found = with_secrets(document.secrets, found)
            whole = document.whole and end == len(document.flat)
            if not whole:
                self.count_failure()
            elif not any(name for _, _, name in found):
                return text
            return document.replaced(found, lambda leaf, inside: self._replace(leaf, inside, tenant, limits.replaced), end)
        return self._redact_text(text, tenant, limits)

    def _nothing_in(self, texts: Sequence[str], tenant: str) -> bool:
        """Whether no row of the table occurs in short texts, each on a line of its own: where a text may end, so may a line."""
        if self._added(tenant) or self._names:
            return False
        laid_out: list[bytes] = []
        for text in texts:
            if looks_like_json(text):
                document = Document(text, until=math.inf)
                if document.secrets:
                    return False
                laid_out.append(document.flat)
            else:
                laid_out.append(text.encode("utf-8", "surrogatepass"))
        joined = b"\n".join(laid_out)
        return normalised(joined, lambda: None) is None and not self._present(_shadow(joined, math.inf))

    def _redact_text(self, text: str, tenant: str, limits: Limits) -> str:
        original = text.encode("utf-8", "surrogatepass")
        found, end = self._search(original, tenant, limits.searched)
        if end < len(original):
            self.count_failure()
            return self._replace(original[:end], found, tenant, limits.replaced) + FAILED
        return self._replace(original, found, tenant, limits.replaced) if found else text

    def _search(self, text: bytes, tenant: str, until: float) -> tuple[list[Found], int]:
        """The findings, and up to which byte the text was searched in time; text behind that must not pass.

        Raises RedactionStalled where nothing was searched.
        """
        found: list[Found] = []
        gaps: list[tuple[int, int]] = []
        searched = 0
        for start, end, broken in slices(text):
            try:
                in_time(until)  # a slice in which nothing is found reads no clock
                found += [(start + first, start + last, name) for first, last, name in self._find(text[start:end], tenant, until)]
            except RedactionStalled:
                if start == 0:
                    raise
                break
            searched = end
            if broken:
                gaps.append(gap_at(text, end))
        return (with_gaps(found, gaps, WITHHELD) if gaps else found), searched

    def pseudonym(self, user: str, *, tenant: str) -> str:
        """The name of a user in rows that outlive the user's data: ``user#`` and 96 bits, keyed against guessing."""
        message = f"{tenant}\0pseudonym\0{user}".encode("utf-8", "surrogatepass")
        return f"user#{hmac.digest(self._key, message, hashlib.sha256).hex()[:24]}"

    def ledger_name(self, user: str, *, tenant: str) -> str:
        """The id that money is counted and written under: the user's own, or its pseudonym where redaction would change it."""
        left = self.redact(user, tenant=tenant) if user else user
        if FAILED in left:  # its tenant's patterns are not known here yet: other workers count under the name without them
            left = self.with_patterns(()).redact(user, tenant=tenant)
        return user if left == user else self.pseudonym(user, tenant=tenant)

    def _find(self, original: bytes, tenant: str, until: float) -> list[Found]:
        """Where to cut, in order and without overlap: start, end, kind. Offsets in bytes."""
        if len(original) > LONGEST:
            raise RedactionStalled
        normal = normalised(original, lambda: in_time(until))
        if normal is None:
            return self._find_in(original, tenant, until)
        found = normal.in_original(self._find_in(normal.text, tenant, until))
        return sorted([*found, *self._as_written(original, found, tenant, until)])

    def _as_written(self, original: bytes, found: Sequence[Found], tenant: str, until: float) -> Iterator[Found]:
        """Findings of a tenant's patterns in the spelling that was sent: they may be written for it."""
        if not self._added(tenant):
            return
        taken = bytearray(len(original))
        for start, end, _ in found:
            taken[start:end] = b"\1" * (end - start)
        for start, end, name in self._by_tenant(_shadow(original, until), tenant, until):
            yield from _free_parts(taken, start, end, name)

    def _find_in(self, text: bytes, tenant: str, until: float) -> list[Found]:
        shadow = _shadow(text, until)
        present = self._present(shadow)
        if not present and not self._added(tenant) and not self._names:
            return []
        taken, found = bytearray(len(shadow)), []
        for index in present:
            for start, end, name in self._candidates(index, shadow, until):
                if taken.find(1, start, end) < 0:
                    taken[start:end] = b"\1" * (end - start)
                    found.append((start, end, name))
        for start, end, name in self._besides(shadow, tenant, until):
            found += _free_parts(taken, start, end, name)
        return sorted(found)

    def _present(self, shadow: bytes) -> list[int]:
        """The rows of `ENTITY_TYPES` that match somewhere."""
        rows, words = self._table.words
        present = [rows[number] for number in words.Match(shadow) or () if number < len(rows)]
        for rows, patterns in self._table.signs:
            matched = patterns.Match(shadow)
            if not matched:  # not even the row that matches each text: the automaton failed
                raise RedactionStalled
            if len(matched) > 1:
                present += [rows[number] for number in matched if number < len(rows)]
        return sorted(present)

    def _besides(self, shadow: bytes, tenant: str, until: float) -> Iterator[Found]:
        """Findings of a tenant's patterns and of the model of names: they only add."""
        yield from self._by_tenant(shadow, tenant, until)
        if self._names:
            text = shadow.decode("utf-8", "surrogatepass")
            places = _in_bytes(text)
            for start, end, name in self._names(text, until):
                yield places[start], places[end], name

    def _by_tenant(self, shadow: bytes, tenant: str, until: float) -> Iterator[Found]:
        for pattern in self._added(tenant):
            for match in pattern.compiled.finditer(shadow):
                in_time(until)
                yield match.start(), match.end(), pattern.name

    def _candidates(self, index: int, shadow: bytes, until: float) -> Iterator[Found]:
        in_time(until)
        kind, pattern = ENTITY_TYPES[index], self._table.patterns[index]
        matches = pattern.finditer(shadow)
        group = 1 if pattern.groups else 0
        while match := next(matches, None):
            in_time(until)
            start, end = match.span(group)
            if _part_of_more(kind, shadow, start, end) or not self._fits(index, shadow, start):
                if kind.resume:
                    matches = pattern.finditer(shadow, start + 1)
                continue
            if end - start > LONGEST_CANDIDATE:
                yield start, end, kind.name
                continue
            candidate = shadow[start:end].decode("utf-8", "surrogatepass")
            seen = 0
            for first, last in kind.find(candidate):
                start += _bytes(candidate[seen:first])
                end = start + _bytes(candidate[first:last])
                if not (kind.tabular and in_table(shadow, start, end)):
                    yield start, end, kind.name
                start, seen = end, last
            if kind.resume and seen:
                matches = pattern.finditer(shadow, start)

    def _fits(self, index: int, shadow: bytes, start: int) -> bool:
        """Return whether the words before a candidate are its kind's, and do not name another kind."""
        after, unless = self._table.after[index], self._table.unless[index]
        if after is None and unless is None:
            return True
        before = shadow[max(0, start - WORDS_BEFORE) : start]
        if start > WORDS_BEFORE:
            before = before.lstrip(_WORDS_END)
        return (after is None or bool(after.search(before))) and not (unless is not None and unless.search(before))

    def _replace(self, original: bytes, found: Sequence[Found], tenant: str, until: float) -> str:
        pieces: list[bytes] = []
        done = 0
        for number, (start, end, name) in enumerate(found):
            if number % CHECK_EVERY == CHECK_EVERY - 1:
                in_time(until)
            value = original[start:end]
            token = FAILED.encode() if name == WITHHELD else self._token(name, value, tenant) if name else value
            pieces += [original[done:start], token]
            done = end
        pieces.append(original[done:])
        return b"".join(pieces).decode("utf-8", "surrogatepass")

    def _token(self, name: str, value: bytes, tenant: str) -> bytes:
        """The same for all spellings of one value: letters' case, digits' script, spaces and punctuation do not count."""
        written = value[:LONGEST_CANDIDATE].decode("utf-8", "surrogatepass" if len(value) <= LONGEST_CANDIDATE else "ignore")
        normal = "".join(c for c in plain(written).lower() if c.isalnum() or c in "@_+/=")
        message = f"{tenant}\0{name}\0{normal}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, message, hashlib.sha256).hex()
        return f"<{name}:{digest[:TOKEN_DIGITS]}>".encode()


def _free_parts(taken: bytearray, start: int, end: int, name: str) -> Iterator[Found]:
    """The parts of a tenant's match that nothing of ours covers: a tenant can add to what is redacted, and never take from it."""
    while start < end:
        if taken[start]:
            start += 1
            continue
        stop = taken.find(1, start, end)
        stop = end if stop < 0 else stop
        taken[start:stop] = b"\1" * (stop - start)
        yield start, stop, name
        start = stop


def _shadow(original: bytes, until: float) -> bytes:
    """The text to search: JSON's escapes, doubled ones too, become what they mean at their length: a word may start there."""
    if b"\\" not in original:
        return original
    seen = count()

    def blank(escape: re.Match[bytes]) -> bytes:
        if next(seen) % 1_000 == 0:
            in_time(until)
        meant = escape.group()[-1:]
        shown = meant if meant in b'"/' else b"\n" if meant == b"n" else b" "
        closes = meant == b'"' and _NAMES.match(original, escape.end())  # a name, whose quote is next to it
        return shown.ljust(len(escape.group())) if closes else shown.rjust(len(escape.group()))

    return _ESCAPE.sub(blank, original)


def _part_of_more(kind: Kind, shadow: bytes, start: int, end: int) -> bool:
    before, after = shadow[start - 1 : start].decode("latin-1"), shadow[end : end + 1].decode("latin-1")
    return bool((before and before in kind.not_after) or (after and after in kind.not_before))


def _in_bytes(text: str) -> Sequence[int]:
    """Where each character of a text begins, in bytes; and its end."""
    if text.isascii():
        return range(len(text) + 1)
    return [0, *accumulate(map(_bytes, text))]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
