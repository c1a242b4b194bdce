"""How long a server asks us to wait, in each of the forms that servers have.

Only some send the standard's `Retry-After`. Others name the moment when a limit's window begins again, in headers of OpenAI,
Anthropic, GitHub and the IETF's draft, or say it in the error's body alone: in a field (Google, OpenRouter, Codex) or a sentence
(OpenAI, Azure, Groq). Times are seconds, milliseconds, Go's `6m0s`, dates, or seconds and milliseconds since 1970.
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.gateway.providers.refusals import QUOTED

LONGEST_FORM, LONGEST_TEXT, MOST_VALUES, DEEPEST = 100, 4_000, 60, 6
SINCE_1970, MILLIS_SINCE_1970 = 1e9, 1e12  # larger numbers are moments
_NUMBER = re.compile(r"(\d{1,20}(?:\.\d{0,9})?)(?:\s*,.*)?\Z")  # of a header that came twice, the first
_SECONDS: tuple[tuple[str, float], ...] = (
    (r"µs|us", 1e-6), (r"ms|millis(?:econds?)?|milliseconds?", 1e-3), (r"s|secs?|seconds?", 1), (r"m|mins?|minutes?", 60),
    (r"h|hrs?|hours?", 3600), (r"d|days?", 86_400),
)  # fmt: skip
_AMOUNT, _NO_MORE = r"\d{1,20}(?:\.\d{1,9})?", "(?![a-zµ])"
_EACH = [(re.compile(rf"({_AMOUNT})\s?(?:{unit}){_NO_MORE}"), size) for unit, size in _SECONDS]
_PIECE = rf"{_AMOUNT}\s?(?:{'|'.join(unit for unit, _ in _SECONDS)}){_NO_MORE}"
_PIECES = rf"{_PIECE}(?:,?\s?{_PIECE}){{0,5}}"
_DURATION = re.compile(rf"{_PIECES}\Z")
_SAID = re.compile(rf"(?:try again|retry|wait)(?: after| in| for)? ({_PIECES})")
_RESET = re.compile(r"resets? at (\d{4}-\d\d-\d\d[ t]\d\d:\d\d:\d\d)")  # Z.ai's, of no time zone: too long, not too short
_FIELDS = frozenset(
    {
        "retrydelay", "retry_after", "retry-after", "retryafter", "retry_after_seconds", "resets_in_seconds",
        "resets_at", "reset_at", "x-ratelimit-reset",
    }
)  # fmt: skip


def wait_of(headers: Mapping[str, str], body: object = None) -> float | None:
    """Seconds to wait; None where nothing says it. The standard's header counts before windows, and these before the body."""
    named = {name.lower(): value for name, value in headers.items()}
    millis = _seconds(f"{named.get('retry-after-ms', '')}ms")
    if millis is not None:
        return millis
    after = _seconds(named.get("retry-after"))
    if after is not None:
        return after
    return _until_a_window_begins(named) or _of_body(body)


def _seconds(value: object) -> float | None:
    """Seconds from now, of any form; a moment that is past is now. None for anything else."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    text = str(value).strip().lower()[:LONGEST_FORM]
    if number := _NUMBER.match(text):
        found = float(number[1])
        moment = found / 1000 if found >= MILLIS_SINCE_1970 else found
        return found if found < SINCE_1970 else max(0.0, moment - time.time())
    if _DURATION.match(text):
        return _of_pieces(text)
    moment_of = _moment(text)
    return None if moment_of is None else max(0.0, moment_of - time.time())


def _of_pieces(text: str) -> float:
    """The sum of a duration's pieces, such as ``1m30s``."""
    return sum(float(amount) * size for piece, size in _EACH for amount in piece.findall(text))


def _moment(text: str) -> float | None:
    """The time of a date, HTTP's or ISO's."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text.upper())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def _until_a_window_begins(named: Mapping[str, str]) -> float | None:
    """Until the last of the windows that are used up begins again; None where none is said to be."""
    found: list[float | None] = []
    for name, value in named.items():
        limit = name.replace("rate-limit", "ratelimit")
        if limit == "ratelimit":
            found += _of_draft(value)
        elif "ratelimit" in limit and "reset" in limit:
            left = named.get(name.replace("reset", "remaining"))
            if left is None or _seconds(left) == 0:
                found.append(_seconds(value))
    return max(filter(None, found), default=None)


def _of_draft(value: str) -> Iterator[float | None]:
    """The windows of `RateLimit` (IETF draft, 7 and later) that are used up."""
    for item in value[:LONGEST_TEXT].split('"') if '"' in value else [value]:
        pairs = dict(re.findall(r"([a-z]{1,20})\s?=\s?(\d{1,15})", item))
        if pairs.get("r", pairs.get("remaining")) == "0":
            yield _seconds(pairs.get("t", pairs.get("reset")))


def _of_body(body: object) -> float | None:
    """A field that says it, else a sentence."""
    values = list(_values(body, "", 0))
    fields = (_seconds(value) for name, value in values if name in _FIELDS)
    if (field := next((seconds for seconds in fields if seconds), None)) is not None:
        return field
    for text in (value[:LONGEST_TEXT].lower() for _, value in values if isinstance(value, str)):
        if said := _SAID.search(text):
            return _of_pieces(said[1])
        if at := _RESET.search(text):
            return _seconds(at[1])
    return None


def _values(value: object, name: str, depth: int) -> Iterator[tuple[str, object]]:
    """The first texts and numbers of the body, with their fields' names; not those that the caller wrote."""
    inner = value.items() if isinstance(value, dict) else [(name, one) for one in value] if isinstance(value, list) else None
    if inner is None:
        yield name, value
        return
    for key, one in list(inner)[:MOST_VALUES] if depth < DEEPEST else ():
        if key not in QUOTED:
            yield from _values(one, str(key).lower(), depth + 1)
