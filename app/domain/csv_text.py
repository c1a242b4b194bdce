"""CSV that people open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable

_SIGNS = "=+@\\-\uff1d\uff0b\uff20\uff0d"  # also in full width, as spreadsheets in East Asia read them
# Where commas are decimal, a spreadsheet parts cells at semicolons; pasted text is parted at tabs and lines.
_FORMULA = re.compile(rf"^(?=\s*[{_SIGNS}])|(?<=[;|\t\r\n])(?=[^\S\t\r\n]*[{_SIGNS}])")


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return the lines. A text that a spreadsheet would run as a formula is quoted, wherever it begins (CWE-1236)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_quoted(cell) for cell in row] for row in rows)
    return out.getvalue()


def _quoted(cell: object) -> object:
    return _FORMULA.sub("'", cell) if isinstance(cell, str) else cell
