"""Personal data and secrets are replaced before text leaves the process for a log, a span or a record (S5).

What is looked for is the table in `kinds`. The replacement is keyed: the same value maps to the same token within a tenant,
and to another one elsewhere, so an incident can be followed without knowing who it was. If anything fails, the whole text is
replaced: redaction fails closed. Names and postal addresses are not found here; that takes a model of language.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import re2

from app.security.kinds import KINDS, Kind

FAILED = "<redaction-failed>"
LONGEST = 8_000_000  # bytes; a request body is at most half of it
PATIENCE = 2.0  # seconds; a megabyte takes about a twentieth of it
_MEMORY = 64 << 20  # bytes an automaton may grow to

# Long enough that two people of one tenant rarely share a token, short enough to read: 32 bits.
TOKEN_DIGITS = 8

_ESCAPE = re.compile(rb"\\+[nrtbf\"/\\]")


class RedactionStalled(Exception):  # noqa: N818 - it is named for what happened
    """The text is too long, too slow, or the matcher ran out of memory."""


class Redactor:
    """Replaces what `KINDS` finds. ``failures`` counts texts that had to be replaced whole."""

    def __init__(self, key: bytes, *, on_failure: Callable[[], None] = lambda: None) -> None:
        """``key`` makes tokens unguessable. A key of its own is derived, as the service's secret serves other ends too."""
        self._key = hmac.digest(key, b"octant redaction tokens", hashlib.sha256)
        self._on_failure = on_failure
        self._patterns = [re2.compile(kind.pattern, options=_options()) for kind in KINDS]
        self._any = _all_patterns_at_once()
        self.failures = 0

    def redact(self, text: str, *, tenant: str) -> str:
        """Return ``text`` with every finding replaced by a token such as ``<email:7f3a9c01>``. Never raises."""
        try:
            original = text.encode("utf-8", "surrogatepass")
            findings = self._find(original)
            return self._replace(original, findings, tenant) if findings else text
        except Exception:  # noqa: BLE001 - whatever goes wrong, unredacted text may not pass; counted, for a log line would come back here
            self.failures += 1
            self._on_failure()
            return FAILED

    def redact_json(self, value: Any, *, tenant: str) -> Any:  # noqa: ANN401 - any JSON value
        """Redact every string in a JSON value, keys excepted; its shape stays."""
        if isinstance(value, str):
            return self.redact(value, tenant=tenant)
        if isinstance(value, Mapping):
            return {name: self.redact_json(inner, tenant=tenant) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_json(inner, tenant=tenant) for inner in value]
        return value

    def pseudonym(self, user: str, *, tenant: str) -> str:
        """What stands for a user where rows outlive them: ``user#`` and 96 bits, keyed, so that nobody finds them by guessing."""
        message = f"{tenant}\0pseudonym\0{user}".encode("utf-8", "surrogatepass")
        return f"user#{hmac.digest(self._key, message, hashlib.sha256).hex()[:24]}"

    def _find(self, original: bytes) -> list[tuple[int, int, str]]:
        """Where to cut, in order and without overlap: start, end, kind. Offsets in bytes."""
        if len(original) > LONGEST:
            raise RedactionStalled
        shadow = _shadow(original)
        present = self._any.Match(shadow)
        if len(KINDS) not in present:  # the row that matches everything: without it the automaton gave up, and said nothing
            raise RedactionStalled
        if len(present) == 1:
            return []
        until = time.monotonic() + PATIENCE
        taken, findings = bytearray(len(shadow)), []
        for index in sorted(present):
            if index == len(KINDS):
                continue
            for start, end, name in self._candidates(index, shadow, until):
                if taken.find(1, start, end) < 0:
                    taken[start:end] = b"\1" * (end - start)
                    findings.append((start, end, name))
        return sorted(findings)

    def _candidates(self, index: int, shadow: bytes, until: float) -> Iterator[tuple[int, int, str]]:
        kind = KINDS[index]
        for match in self._patterns[index].finditer(shadow):
            if time.monotonic() > until:
                raise RedactionStalled
            start, end = match.span(1 if self._patterns[index].groups else 0)
            if _inside_something_else(kind, shadow, start, end):
                continue
            candidate = shadow[start:end].decode("utf-8", "surrogatepass")
            seen = 0
            for first, last in kind.find(candidate):
                start += _bytes(candidate[seen:first])
                end = start + _bytes(candidate[first:last])
                yield start, end, kind.name
                start, seen = end, last

    def _replace(self, original: bytes, findings: list[tuple[int, int, str]], tenant: str) -> str:
        pieces: list[bytes] = []
        done = 0
        for start, end, name in findings:
            value = original[start:end]
            pieces += [original[done:start], self._token(name, value, tenant) if name else value]
            done = end
        pieces.append(original[done:])
        return b"".join(pieces).decode("utf-8", "surrogatepass")

    def _token(self, name: str, value: bytes, tenant: str) -> bytes:
        """The same for all spellings of one value: letters' case, spaces and punctuation do not count."""
        normal = "".join(c for c in value.decode("utf-8", "surrogatepass").lower() if c.isalnum() or c in "@_+/=")
        message = f"{tenant}\0{name}\0{normal}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, message, hashlib.sha256).hex()
        return f"<{name}:{digest[:TOKEN_DIGITS]}>".encode()


def _all_patterns_at_once() -> Any:  # noqa: ANN401 - re2 is not typed
    """One automaton that says in one pass which kinds may occur; most texts have none, and need no second look."""
    patterns = re2.Set.SearchSet(_options())
    for kind in KINDS:
        patterns.Add(kind.pattern)
    patterns.Add("")
    patterns.Compile()
    return patterns


def _options() -> Any:  # noqa: ANN401 - re2 is not typed
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False  # it would write to standard error, past our logs
    return options


def _shadow(original: bytes) -> bytes:
    """The text to search: JSON's escapes, doubled ones too, become blanks of their length, so that a word may start there."""
    return _ESCAPE.sub(_blank, original) if b"\\" in original else original


def _blank(escape: re.Match[bytes]) -> bytes:
    meant = escape.group()[-1:]
    return (meant if meant in b'"/' else b" ").rjust(len(escape.group()))


def _inside_something_else(kind: Kind, shadow: bytes, start: int, end: int) -> bool:
    before, after = shadow[start - 1 : start].decode("latin-1"), shadow[end : end + 1].decode("latin-1")
    return bool((before and before in kind.not_after) or (after and after in kind.not_before))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
