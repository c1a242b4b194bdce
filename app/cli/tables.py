"""Tables on a terminal."""

from collections.abc import Sequence


def on_one_line(text: str) -> str:
    """A text that passes for no other line: a provider's or a model's words may hold line breaks."""
    return " ".join(text.splitlines())


def print_line(text: str) -> None:
    """Print one line, whatever breaks its words hold: none of theirs passes for another one of ours."""
    print(on_one_line(text))


def print_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print the names of columns and the lines below them, each column as wide as its longest cell."""
    rows = [list(map(on_one_line, line)) for line in (columns, *lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
