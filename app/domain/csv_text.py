"""CSV that people open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # also in full width, as spreadsheets in East Asia read them


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return the lines. A text that a spreadsheet would run as a formula is quoted (CWE-1236)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_quoted(cell) for cell in row] for row in rows)
    return out.getvalue()


def _quoted(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip().startswith(FORMULA) else cell
