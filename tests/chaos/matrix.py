"""The chaos matrix: every fault of a provider, and its outcome, attempts and price.

This is the one table. `test_matrix.py` plays every cell against the running service; `document.py` writes `docs/recovery.md`.

An attempt is written as ``provider outcome price``. Providers: ``A`` the route's first, ``B`` its second. Prices: ``-`` nothing,
``$`` the usage that the provider reported, ``~`` our upper bound, where the model may have worked and the provider reported
nothing, or an impossible number (ADR 0016).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Mode = Literal["whole", "stream"]
Where = Literal["first", "all"]

ATTEMPTS_PER_TARGET = 2
# Seconds. Short, so that the matrix plays in a minute; long enough for a busy machine.
CONNECT, FIRST_TOKEN, IDLE, ATTEMPT, LATE = 1.0, 1.2, 1.2, 1.6, 6.0

ANSWER = "the answer"
CUT = "text, then an error event: "
FINE = "A ok $"
BACKUP = "B ok $"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The content of one cell.

    HTTP status, what the caller sees (an answer, or an error's code), and the attempts.
    """

    status: int
    sees: str
    attempts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: a fault with its outcomes.

    ``simulated`` is put to the simulator; None: the provider of that name cannot be reached.
    """

    title: str
    simulated: Mapping[str, Any] | None
    outcomes: Mapping[tuple[Mode, Where], Outcome]
    needs_schema: bool = False


def _twice(outcome: str, price: str = "-") -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (f"A {outcome} {price}",) * 2, (f"B {outcome} {price}",) * 2


def _retried(outcome: str, price: str = "-") -> dict[tuple[Mode, Where], Outcome]:
    """A passing fault before any output: retry, fallback, then an error."""
    first, second = _twice(outcome, price)
    return {
        (mode, where): Outcome(200, ANSWER, (*first, BACKUP))
        if where == "first"
        else Outcome(503, "providers_unavailable", (*first, *second))
        for mode in ("whole", "stream")
        for where in ("first", "all")
    }


def _refused(status: int, code: str) -> dict[tuple[Mode, Where], Outcome]:
    """The request is refused: no retry, the next target, and in the end the reason."""
    return {
        (mode, where): Outcome(200, ANSWER, ("A provider_rejected -", BACKUP))
        if where == "first"
        else Outcome(status, code, ("A provider_rejected -", "B provider_rejected -"))
        for mode in ("whole", "stream")
        for where in ("first", "all")
    }


def _silent() -> dict[tuple[Mode, Where], Outcome]:
    """Silence: a hedge at the next target; without one, a retry."""
    silent = ("A provider_timeout ~", "B provider_timeout ~", "B provider_timeout ~")
    return {
        (mode, where): Outcome(200, ANSWER, (silent[0], BACKUP))
        if where == "first"
        else Outcome(503, "providers_unavailable", silent)
        for mode in ("whole", "stream")
        for where in ("first", "all")
    }


def _never_accepted() -> dict[tuple[Mode, Where], Outcome]:
    """Packets are lost: no model was reached, so nothing is paid."""
    return {cell: replace(o, attempts=tuple(a.replace("~", "-") for a in o.attempts)) for cell, o in _silent().items()}


def _only_whole(outcome: str, stream: Mapping[Where, Outcome]) -> dict[tuple[Mode, Where], Outcome]:
    """Whole answers are retried; a stream has begun when it strikes."""
    cells = _retried(outcome, "~")
    return {**cells, ("stream", "first"): stream["first"], ("stream", "all"): stream["all"]}


def _broken_off(attempt: str) -> dict[Where, Outcome]:
    """After the first token: no retry and no fallback.

    The caller has seen output.
    """
    broken = Outcome(200, CUT + "providers_unavailable", (attempt,))
    return {"first": broken, "all": broken}


MATRIX: Mapping[str, Fault] = {
    "timeout": Fault("no answer at all (*hang*)", {"kind": "hang"}, _silent()),
    "hang-after-headers": Fault("headers, then nothing (*hang*)", {"kind": "hang", "sends": "headers"}, _silent()),
    "hang-with-pings": Fault("keep-alives and never a token (*hang*)", {"kind": "hang", "sends": "pings"}, _silent()),
    "slow-first-token": Fault("the first token is late", {"kind": "slow_first_token", "seconds": LATE}, _silent()),
    "never-accepted": Fault("a connection that is never accepted (*hang*)", None, _never_accepted()),
    "idle-stream": Fault(
        "silence in the middle of a stream (*hang*)",
        {"kind": "idle", "seconds": LATE, "after_tokens": 4},
        {
            ("whole", "first"): Outcome(200, ANSWER, (FINE,)),
            ("whole", "all"): Outcome(200, ANSWER, (FINE,)),
            ("stream", "first"): Outcome(200, CUT + "providers_unavailable", ("A provider_timeout ~",)),
            ("stream", "all"): Outcome(200, CUT + "providers_unavailable", ("A provider_timeout ~",)),
        },
    ),
    "rate-limit": Fault(
        "429 without Retry-After",
        {"kind": "rate_limit"},
        {
            (mode, where): Outcome(200, ANSWER, (*_twice("provider_rate_limited")[0], BACKUP))
            if where == "first"
            else Outcome(503, "providers_rate_limited", sum(_twice("provider_rate_limited"), ()))
            for mode in ("whole", "stream")
            for where in ("first", "all")
        },
    ),
    "rate-limit-30s": Fault(
        "429 with Retry-After: 30",
        {"kind": "rate_limit", "retry_after": 30},
        {
            (mode, where): Outcome(200, ANSWER, ("A provider_rate_limited -", BACKUP))
            if where == "first"
            else Outcome(503, "providers_rate_limited", ("A provider_rate_limited -", "B provider_rate_limited -"))
            for mode in ("whole", "stream")
            for where in ("first", "all")
        },
    ),
    "status-500": Fault("HTTP 500", {"kind": "status", "status": 500}, _retried("provider_failed")),
    "status-503": Fault("HTTP 503", {"kind": "status", "status": 503}, _retried("provider_overloaded")),
    "status-529": Fault("HTTP 529", {"kind": "status", "status": 529}, _retried("provider_overloaded")),
    "status-400": Fault("HTTP 400", {"kind": "status", "status": 400}, _refused(400, "invalid_request")),
    "status-413": Fault("HTTP 413", {"kind": "status", "status": 413}, _refused(413, "request_too_large")),
    "refused": Fault("connection refused", None, _retried("provider_unreachable")),
    "reset": Fault(
        "connection reset in the middle of the body",
        {"kind": "reset", "after_tokens": 5},
        _only_whole("provider_garbled", _broken_off("A provider_garbled ~")),
    ),
    "no-dns": Fault("no such host", None, _retried("provider_unreachable")),
    "truncated-json": Fault(
        "JSON cut in the middle",
        {"kind": "truncated_json"},
        _only_whole("provider_garbled", _broken_off("A provider_garbled ~")),
    ),
    "schema-violation": Fault(
        "well-formed output that breaks the schema",
        {"kind": "schema_violation"},
        {
            ("whole", "first"): Outcome(200, ANSWER, ("A output_invalid $", "A output_invalid $", BACKUP)),
            ("whole", "all"): Outcome(502, "output_invalid", sum(_twice("output_invalid", "$"), ())),
            ("stream", "first"): Outcome(200, CUT + "output_invalid", ("A output_invalid $",)),
            ("stream", "all"): Outcome(200, CUT + "output_invalid", ("A output_invalid $",)),
        },
        needs_schema=True,
    ),
    "empty": Fault("an empty body", {"kind": "empty"}, _retried("provider_garbled", "~")),
    "wrong-content-type": Fault("a web page", {"kind": "wrong_content_type"}, _retried("provider_garbled", "~")),
    "lying-usage": Fault(
        "a usage of zero",
        {"kind": "wrong_usage", "input_tokens": 0, "output_tokens": 0},
        {(mode, where): Outcome(200, ANSWER, ("A ok ~",)) for mode in ("whole", "stream") for where in ("first", "all")},
    ),
}

# Money fails closed: with Valkey away nothing can be held, so nothing is sent, whatever the providers do (C7).
WITHOUT_VALKEY = Outcome(503, "dependency_unavailable", ())

Cell = tuple[str, Mode, Where]
CELLS: tuple[Cell, ...] = tuple((name, mode, where) for name, fault in MATRIX.items() for mode, where in fault.outcomes)
