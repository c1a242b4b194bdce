"""JSON that others wrote: how deep it goes, told before it is read, and whether it can be written again."""

import json
import re
from typing import Any, NoReturn

DEEPEST = 190  # arrays and objects within each other; with Python's own limit of a thousand frames this can still be worked on
# JSON's strings, so that brackets within them do not count; an unclosed one ends the search, and the parser says what is wrong.
_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def read(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON that can be written again, as UTF-8 (RFC 8259, 8.1).

    Raises ValueError for what is none, is nested too deeply, or holds NaN, an infinity or half of a surrogate pair.
    """
    if too_deep(text):
        raise ValueError("nested too deeply")
    value = json.loads(text, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def too_deep(text: str | bytes, most: int = DEEPEST) -> bool:
    """Whether arrays and objects lie in each other more than ``most`` deep."""
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return body.count(b"{") + body.count(b"[") > most and _depth_of(body) > most


def _depth_of(body: bytes) -> int:
    """How deep arrays and objects lie in each other. Of what is not JSON it says something, and the parser refuses that."""
    depth = deepest = 0
    for step in _STEPS.finditer(body):
        first = body[step.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def refuse(constant: str) -> NoReturn:
    """`json.loads` calls it, as its ``parse_constant``, for NaN and the infinities. Raises ValueError."""
    message = f"{constant} is not JSON"
    raise ValueError(message)
