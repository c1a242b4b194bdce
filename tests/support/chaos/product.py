"""The chaos matrix for the product's caller (E7).

The outcome of a question and of a ticket while providers fail.

The faults are those of `matrix`, put to the real prompts of a release like the live one. The gateway's part in each cell is
stated there; here is what is left of it for a customer: an answer from the backup, a person, an honest error. Never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matrix import MATRIX, Where

Endpoint = Literal["answer", "ticket", "stream"]


@dataclass(frozen=True, slots=True)
class Seen:
    """HTTP status and outcome of a response.

    ``sees``: an outcome, ``filed``, or an error's code. ``fallback``: the backup answered.
    """

    status: int
    sees: str
    fallback: bool = False


ANSWERED, FILED = Seen(200, "answered"), Seen(200, "filed")
BY_BACKUP, FILED_BY_BACKUP = Seen(200, "answered", fallback=True), Seen(200, "filed", fallback=True)
A_PERSON = Seen(200, "handed_over")  # the release's last resort: marked as degraded, and handed to a colleague
NO_TICKET, NO_MODEL_WAITS = Seen(503, "providers_unavailable"), Seen(503, "providers_rate_limited")
NOT_VALID = Seen(502, "output_invalid")


def _broken(ticket: Seen = NO_TICKET) -> Mapping[tuple[Endpoint, Where], Seen]:
    """A fault before any output.

    The backup answers; with both gone a person takes over, and a form is refused.
    """
    return {
        ("answer", "first"): BY_BACKUP,
        ("answer", "all"): A_PERSON,
        ("ticket", "first"): FILED_BY_BACKUP,
        ("ticket", "all"): ticket,
        ("stream", "first"): BY_BACKUP,
        ("stream", "all"): A_PERSON,
    }


def _cut() -> Mapping[tuple[Endpoint, Where], Seen]:
    """A fault in the middle of a stream.

    The caller has seen text, so there is an error event and never a clean end.
    """
    error_event = Seen(200, "an error event: providers_unavailable")
    return {("stream", "first"): error_event, ("stream", "all"): error_event}


# Rows by the name of the matrix's fault; an outage is every connection refused, which only the simulator itself can play.
PRODUCT: Mapping[str, Mapping[tuple[Endpoint, Where], Seen]] = {
    "timeout": _broken(),
    "hang-with-pings": _broken(),
    "slow-first-token": _broken(),
    "rate-limit-30s": _broken(NO_MODEL_WAITS),
    "status-503": _broken(),
    "truncated-json": {**_broken(), **_cut()},
    "schema-violation": {("ticket", "first"): FILED_BY_BACKUP, ("ticket", "all"): NOT_VALID},
    "idle-stream": _cut(),
}
FAULTS = {name: MATRIX[name].simulated for name in PRODUCT}
Cell = tuple[str, Endpoint, Where]
CELLS: tuple[Cell, ...] = tuple((name, endpoint, where) for name, cells in PRODUCT.items() for endpoint, where in cells)
