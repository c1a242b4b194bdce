"""Whole numbers that callers write: in digits of ASCII, and few enough of them."""


def whole_number(text: str, *, digits: int) -> int | None:
    """The number of a text of at most so many ``digits``; None for any other text.

    Python reads none of more than 4,300 digits, and takes those of all scripts.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
