"""Parse nearly valid JSON of models, without guessing (R4).

Accepted: a code fence or prose around one document, and JSON5's freedoms (trailing commas, single quotes, comments, bare
keys; json5.org), by the library pyjson5. Refused: anything that ends early. Libraries that "repair" JSON close open
strings and brackets, so an answer cut in the middle of a price becomes a valid document with a wrong price (ADR 0013).
"""

import json

import pyjson5

OPENERS = {"{": "}", "[": "]"}


def document_in(text: str) -> str | None:
    """Return the one whole JSON document in ``text`` as plain JSON; None otherwise."""
    start = min((at for opener in OPENERS if (at := text.find(opener)) >= 0), default=-1)
    if start < 0:
        return None
    end = text.rfind(OPENERS[text[start]])
    if end < start:
        return None
    try:
        return json.dumps(pyjson5.decode(text[start : end + 1]), ensure_ascii=False, allow_nan=False)
    except (pyjson5.Json5Exception, ValueError, RecursionError):
        return None
