r"""Parse nearly valid JSON of models, without guessing (R4).

Accepted: a code fence or prose around one document, line ends within its strings, and JSON5's freedoms (trailing commas, single
quotes, comments, bare keys; json5.org), by the library pyjson5. Thoughts before it, which some servers leave in the text, are no
part of it. Refused: anything that ends early, and backslashes that JSON does not know. Libraries that "repair" JSON close open
strings and brackets, so an answer cut in the middle of a price becomes a valid document with a wrong price; JSON5 leaves unknown
backslashes out, so ``\d+``, ``\alpha`` and ``C:\dir`` become other texts (ADR 0013).
"""

import json
import re
from typing import Any

import pyjson5

from app.domain.json_text import refuse

OPENERS = {"{": "}", "[": "]"}
MOST_FREE = 512 * 1024  # characters that are read as JSON5, in one piece: more is no answer of a model
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = frozenset("\"'\\/bfnrtu")  # JSON's, and the quote of JSON5's other strings
_THOUGHTS = re.compile(r".*(?:</(?:mm:)?(?:think|thinking|thought|reasoning)>|<channel\|>)", re.DOTALL)  # also MiniMax's


def document_in(text: str) -> str | None:
    """Return the one whole JSON document in ``text`` as plain JSON; None otherwise."""
    found = _THOUGHTS.match(text)
    if not found:
        return _document(text)
    thought, rest = text[: found.end()], text[found.end() :]
    return _document(rest) or (None if _document(thought) else _document(text))  # or the mark is part of a string


def _document(text: str) -> str | None:
    start = min((at for opener in OPENERS if (at := text.find(opener)) >= 0), default=-1)
    if start < 0:
        return None
    end = text.rfind(OPENERS[text[start]])
    if end < start:
        return None
    try:
        written = json.dumps(_parsed(text[start : end + 1]), ensure_ascii=False, allow_nan=False)
        written.encode()
    except (pyjson5.Json5Exception, ValueError, RecursionError):
        return None
    return written


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Raises ValueError, RecursionError, Json5Exception."""
    try:
        return json.loads(text, strict=False, parse_constant=refuse)
    except ValueError:
        if len(text) > MOST_FREE or any(escape not in _ESCAPES for escape in _ESCAPED.findall(text)):
            raise
        return pyjson5.decode(text)
