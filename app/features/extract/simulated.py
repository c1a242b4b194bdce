"""The simulator's answers for this product: patterns, good enough to score."""

import re

from app.simulator.rules import Rules

_NAME = r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)+"
_FIELDS = {
    "sender": re.compile(rf"\b(?:I am|I'm|[Mm]y name is|[Ii]ch bin|[Mm]ein Name ist|[Rr]egards,?|Grüßen,?) ({_NAME})"),
    "company": re.compile(r"\b(?:of|at|from|for|bei|von) ((?:[A-Z][\w&'-]+ ?)+)"),
    "email": re.compile(r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)"),
    "phone": re.compile(r"(\+\d[\d ()-]{6,18}\d)"),
    "request": re.compile(r"(?:^|(?<=[.!?]) )([^.!?]*\b(?:please|would like|need|can you|bitte)\b[^.!?]*[.!?])", re.IGNORECASE),
}


def value(name: str, text: str) -> str | None:
    """A field's value in the text; empty if missing, None for another product's field."""
    if name not in _FIELDS:
        return None
    found = _FIELDS[name].search(text)
    return found[1].strip() if found else ""


RULES = Rules(value=value)
