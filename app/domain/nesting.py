"""How deep a JSON text goes, told without reading it: what reads, validates, redacts and writes it recurses."""

import re

DEEPEST = 190  # arrays and objects within each other; with Python's own limit of a thousand frames this can still be worked on
# JSON's strings, so that brackets within them do not count; an unclosed one ends the search, and the parser says what is wrong.
_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def too_deep(text: str | bytes, most: int = DEEPEST) -> bool:
    """Whether arrays and objects lie in each other more than ``most`` deep."""
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return body.count(b"{") + body.count(b"[") > most and depth_of(body) > most


def depth_of(body: bytes) -> int:
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
