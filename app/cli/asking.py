"""One question to a program of this machine, over HTTP and in JSON."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 4 * 1024 * 1024  # of an answer: another program may send one without end


def reason_in(answer: object) -> str:
    """The words of a refusal: ours, the simulator's, or a sentence where another program refuses."""
    error = answer.get("error") if isinstance(answer, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return words if isinstance(words, str) else "it gives no reason, as no program of Octant would"


def asked(
    what: str, at: str, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None, within: float
) -> tuple[int, Any]:
    """The status and the JSON of the answer of ``what``, at ``at`` (host and port). ``within``: seconds for each wait.

    Raises Misconfigured where it does not answer in JSON.
    """
    from app.domain.errors import Misconfigured

    connection = http.client.HTTPConnection(at, timeout=within)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read(MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Misconfigured(f"{what} does not answer ({type(error).__name__}).") from None
    finally:
        connection.close()
