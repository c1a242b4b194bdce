"""Tables on a terminal."""

from collections.abc import Sequence


def print_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print the names of columns and the lines below them, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in (columns, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
