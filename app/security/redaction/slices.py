"""Where a text can be cut so that no finding lies on both sides: `entity_types` promises that none goes over the end of a line.

Three may: a label that ends its line (``Phone:``) or the name of a setting (``- name: DB_PASSWORD``) with what follows, and a
private key.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from app.security.redaction.normalisation import plain
from app.security.redaction.structure import Found

SLICE = 16 * 1024  # bytes that are searched before the clock is read again
GAP = 256  # bytes on each side of an end that is no seam
_LABEL_ENDS = (":", "=", "#", "?")
# A setting's name alone on its line, whose value is on the next: - name: DB_PASSWORD
_NAME_ENDS = re.compile(
    r"(?::[ \t]*[|>][+-]?|\bname[\"']?[ \t]*[:=][ \t]*[\"']?[\w.-]{1,80}[\"']?,?|\bvariable[ \t]+\"[\w.-]{1,80}\"[ \t]*\{)\Z",
    re.IGNORECASE,
)
_TELLING = b"0123456789@:"
MOST_LINES = 500  # that end in labels or within keys, one before the other: then a seam is no longer looked for
LONGEST_VALUE = 4 * 1024  # bytes of a value that are followed from an end that is no seam
_BETWEEN = tuple(bytes([sign]) for sign in b" \t\r\n\"'<>;,")
_VALUE_GOES_ON = re.compile(rb"[^ \t\r\n\"'<>;,]{0,%d}" % LONGEST_VALUE)
_KEY, _KEY_ENDS = "-----BEGIN ", re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def seam_in(text: str) -> int:
    """Where ``text`` can be cut: behind the last end of a line over which nothing goes. 0 if none is found in time."""
    end, opened, closed = len(text), text.rfind(_KEY), -1
    for _ in range(MOST_LINES):
        seam = text.rfind("\n", 0, end) + 1
        if not seam:
            break
        if opened >= seam:
            opened, closed = text.rfind(_KEY, 0, seam), -1
        if opened >= 0 and closed < 0:
            ending = _KEY_ENDS.search(text, opened, seam)
            closed = ending.end() if ending else len(text) + 1
        words_end = _end_of_words(text, seam)
        if opened >= 0 and closed > seam:
            end = opened  # inside of a key
        elif _goes_on(_spelled(text[text.rfind("\n", 0, words_end) + 1 : words_end])):
            end = words_end
        else:
            return seam
    return 0


def _end_of_words(text: str, end: int) -> int:
    """The same place without the blanks and ends of lines before it."""
    size = 256
    while True:
        begin = max(0, end - size)
        words = len(text[begin:end].rstrip(" \t\r\n"))
        if words or not begin:
            return begin + words
        size *= 4


def _goes_on(line: str) -> bool:
    """Return whether a line ends in a label or a name, whose value may be on the next."""
    return line.endswith(_LABEL_ENDS) or bool(_NAME_ENDS.search(line[-120:]))


def _spelled(line: str) -> str:
    """A line as it is searched, without blanks at its end; one of bytes that are read as Latin-1 too."""
    with suppress(UnicodeEncodeError):
        line = line.encode("latin-1").decode("utf-8", "replace")
    return plain(line).rstrip()


def slices(text: bytes) -> Iterator[tuple[int, int, bool]]:
    """Beginning and end of pieces that can be searched by themselves, about `SLICE` bytes each.

    The third value is true where the end is no seam: a long line full of numbers or addresses takes too long to be searched at
    once. Text around such an end must not pass.
    """
    start, size = 0, SLICE
    while start + size < len(text):
        piece = text[start : start + size].decode("latin-1")
        if seam := seam_in(piece):
            yield start, start + seam, False
            start, size = start + seam, SLICE
        elif size > SLICE and _KEY not in piece and _dense(text[start : start + SLICE]):
            yield start, start + SLICE, True
            start, size = start + SLICE, SLICE
        else:
            size *= 4  # a long line, or a long key
    if start < len(text) or not text:  # a pattern that cannot be used hides an empty text too
        yield start, len(text), False


def _dense(piece: bytes) -> bool:
    """Return whether one character in ten could belong to a number or an address."""
    return 10 * (len(piece) - len(piece.translate(None, _TELLING))) > len(piece)


def gap_at(text: bytes, end: int) -> tuple[int, int]:
    """The bytes around such an end that must not pass: `GAP` on each side, and all of a value that reaches further."""
    first, last = max(0, end - GAP), min(end + GAP, len(text))
    lowest = max(0, first - LONGEST_VALUE)
    begun = max(text.rfind(sign, lowest, first) for sign in _BETWEEN) + 1
    goes_on = _VALUE_GOES_ON.match(text, last)
    return max(begun, lowest), (goes_on.end() if goes_on else last)


def with_gaps(found: list[tuple[int, int, str]], gaps: list[tuple[int, int]], name: str) -> list[tuple[int, int, str]]:
    """Findings in order, the gaps among them as findings called ``name``, which take in what they touch."""
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in sorted([*found, *((first, last, name) for first, last in gaps)]):
        if merged and start < merged[-1][1] and name in (kind, merged[-1][2]):
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), name)
        else:
            merged.append((start, end, kind))
    return merged


def with_secrets(secrets: Sequence[Found], found: list[Found]) -> list[Found]:
    """Both in order. Values that are secret as a whole win over what was found within them, but for what was redacted before."""
    if not secrets:
        return found
    kept: list[Found] = []
    queue = iter(found)
    finding = next(queue, None)
    for start, end, name in secrets:
        inside: list[Found] = []
        while finding is not None and finding[0] < end:
            (inside if finding[1] > start else kept).append(finding)
            finding = next(queue, None)
        done = any(not each for _, _, each in inside)
        kept += inside if done else [(start, end, name)]
    return [*kept, *([finding] if finding else []), *queue]
