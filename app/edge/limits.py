"""What a request may be at most before anybody looks at what it says: its line, its headers, how deep its JSON goes.

The size of the body is the middleware's (it is counted as it comes); messages and tools are counted by the request models.
"""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import Scope

from app.domain.errors import HeadersTooLarge, InvalidRequest, UrlTooLong
from app.edge.parts import parts_of

# JSON's strings, so that brackets within them do not count; an unclosed one ends the search, and the parser says what is wrong.
_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bytes of path and query together; number of headers; bytes of their names and values together."""

    url_bytes: int = 8192
    headers: int = 100
    header_bytes: int = 32_768

    def check(self, scope: Scope) -> None:
        """Raises UrlTooLong or HeadersTooLarge."""
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > self.url_bytes:
            raise UrlTooLong(f"Path and query are over {self.url_bytes:,} bytes.")
        headers = scope["headers"]
        if len(headers) > self.headers:
            raise HeadersTooLarge(f"There are over {self.headers} headers.")
        if sum(len(name) + len(value) for name, value in headers) > self.header_bytes:
            raise HeadersTooLarge(f"The headers are over {self.header_bytes:,} bytes together.")


async def body_of(request: Request) -> bytes:
    """The body, once it is known not to be nested too deep to be worked on: the one way in which features read it.

    Validating, rendering and redacting recurse; a few kilobytes of brackets must not decide how deep. Raises InvalidRequest.
    """
    body = await request.body()
    most = parts_of(request).max_json_depth
    if body.count(b"{") + body.count(b"[") > most and depth_of(body) > most:
        raise InvalidRequest(f"The body is nested more than {most} deep.")
    return body


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
