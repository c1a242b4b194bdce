"""Where a text can be cut so that no finding lies on both sides: `kinds` promises that none goes over the end of a line.

Two may: a label that ends its line (``Phone:``) with what follows, and a private key.
"""

import re
from collections.abc import Iterator

SLICE = 16 * 1024  # bytes that are searched before the next look at the clock
GAP = 256  # bytes on each side of an end that is no seam
_LABEL_ENDS = (":", "=", "#", "?", "\N{FULLWIDTH COLON}".encode().decode("latin-1"))  # bytes are read as Latin-1
_TELLING = b"0123456789@:"
_KEY, _KEY_ENDS = "-----BEGIN ", re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def seam_in(text: str) -> int:
    """Where ``text`` can be cut: behind the last end of a line over which nothing goes. 0 if there is none."""
    end = len(text)
    while (seam := text.rfind("\n", 0, end) + 1) > 0:
        said = text[:seam].rstrip(" \t\r\n")
        opened = text.rfind(_KEY, 0, seam)
        if opened >= 0 and not _KEY_ENDS.search(text, opened, seam):
            end = opened  # inside of a key
        elif said.endswith(_LABEL_ENDS):
            end = len(said)
        else:
            return seam
    return 0


def slices(text: bytes) -> Iterator[tuple[int, int, bool]]:
    """Beginning and end of pieces that can be searched by themselves, about `SLICE` bytes each.

    Also whether the end is no seam: a long line full of numbers or addresses takes too long to be searched at once. What is
    around such an end must not pass.
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
    """Whether one character in ten could belong to a number or an address."""
    return 10 * (len(piece) - len(piece.translate(None, _TELLING))) > len(piece)


def with_gaps(found: list[tuple[int, int, str]], gaps: list[tuple[int, int]], name: str) -> list[tuple[int, int, str]]:
    """Findings in order, the gaps among them as findings called ``name``, which take in what they touch."""
    told: list[tuple[int, int, str]] = []
    for start, end, kind in sorted([*found, *((first, last, name) for first, last in gaps)]):
        if told and start < told[-1][1] and name in (kind, told[-1][2]):
            told[-1] = (told[-1][0], max(end, told[-1][1]), name)
        else:
            told.append((start, end, kind))
    return told
