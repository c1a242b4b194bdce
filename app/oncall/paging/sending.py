"""One HTTP request to a receiver: guarded as every webhook, and its answer read as a `Result`.

The receiver's own statuses mean that it took the event; any other 2xx comes from something in between. 429, 408 and 5xx, and no
answer at all, are tried again, not before ``Retry-After``. Anything else is refused.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from app.domain.errors import InvalidRequest, Misconfigured
from app.oncall.paging.message import Result
from app.security.webhooks import Sessions, check_url

LONGEST_PAUSE = 900.0  # seconds that a receiver may ask us to wait: a page is no use hours later
AGAIN = frozenset({408, 425, 429})
ANY_2XX = frozenset(range(200, 300))
ACCEPTED = frozenset({202})

log = logging.getLogger(__name__)


async def post(
    http: Sessions, url: str, body: bytes, headers: Mapping[str, str], *, receiver: str, taken: frozenset[int]
) -> Result:
    """Post once; ``taken``: the statuses by which the receiver takes an event.

    Neither address nor body nor the answer's body is logged: they may hold keys.
    """
    try:
        check_url(url, http.allowed_hosts)
        sent = {"content-type": "application/json", **headers}
        async with http.request("POST", url, data=body, headers=sent) as answer:
            return _result(answer, receiver, taken)
    except InvalidRequest:
        log.warning("the address of a pages' receiver is not allowed", extra={"receiver": receiver})
        return Result(sent=False, reason="address not allowed", refused=True)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, Misconfigured) as error:
        return Result(sent=False, reason=type(error).__name__)


def _result(answer: aiohttp.ClientResponse, receiver: str, taken: frozenset[int]) -> Result:
    if answer.status in taken:
        return Result(sent=True)
    if answer.status in AGAIN | ANY_2XX or answer.status >= 500:
        return Result(sent=False, reason=str(answer.status), retry_after=retry_after(answer.headers.get("retry-after", "")))
    log.error("a receiver refuses pages", extra={"receiver": receiver, "status": answer.status})
    return Result(sent=False, reason=str(answer.status), refused=True)


def retry_after(value: str) -> float | None:
    """Seconds to wait, from the header's two forms (RFC 9110, 10.2.3); None for neither. At most `LONGEST_PAUSE`."""
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value), LONGEST_PAUSE)
    try:
        at = parsedate_to_datetime(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_PAUSE)
    except (ValueError, OverflowError):  # of a year or a zone that no clock has
        return None
