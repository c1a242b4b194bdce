"""Counting and cutting text as tokens, by rule: a word, or four characters of a long one, or a mark."""

import re

_TOKEN = re.compile(r"\s*(?:[^\W_]{1,4}|[^\w\s]|_|\s)")


def split(text: str) -> list[str]:
    """Cut into token-like pieces that join to the same text."""
    pieces = _TOKEN.findall(text)
    rest = text[sum(len(p) for p in pieces) :]
    return [*pieces, rest] if rest else pieces


def count(text: str) -> int:
    """How many tokens a text is."""
    return len(split(text))
