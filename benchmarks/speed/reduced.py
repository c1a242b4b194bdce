"""The service without one of its parts, to learn what that part costs: `python -m benchmarks.speed.reduced PART serve`.

The parts are replaced here, in this process, after everything is imported and before workers are forked. No setting of the
product does the same, so nothing of this can reach production.
"""

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from app.settings import Settings, load
from app.stack.serve import serve


def _replace(owner: type, **methods: object) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


def _nothing(*_: Any, **__: Any) -> None:  # noqa: ANN401 - stands in for any method
    return None


def _key() -> None:
    """The look-up of a key: each token is looked up once and then believed."""
    from app.security.keys.ring import KeyRing

    look_up, known = KeyRing.authenticate, {}

    async def authenticate(ring: KeyRing, token: str) -> Any:  # noqa: ANN401
        if token not in known:
            known[token] = await look_up(ring, token)
        return known[token]

    _replace(KeyRing, authenticate=authenticate)


def _caps() -> None:
    """Rate limits, hold, settling and the ledger's entry."""
    from app.budget.budget import Budget

    async def take(_: Budget, hold: Any, amount: Any, *, limited: bool) -> None:  # noqa: ANN401, ARG001
        hold.amount = amount

    _replace(Budget, _take_shielded=take, settle=_nothing)


def _record() -> None:
    """The call's record in Postgres, redacted."""
    from app.audit.recorder import Recorder

    _replace(Recorder, record=_nothing)


def _spans() -> None:
    """What spans of the request, the call and its attempts note. Their ids stay: answers and records name them."""
    import app.gateway.gateway
    import app.gateway.spending
    from app.telemetry.recording import Recording

    _replace(Recording, note=_nothing, end=_nothing)
    for module, name in ((app.gateway.gateway, "describe_call"), (app.gateway.spending, "describe_attempt")):
        setattr(module, name, _nothing)


def _metrics() -> None:
    """Metrics, written to shared memory for all workers."""
    from app.telemetry.metrics import Instrument

    _replace(Instrument, inc=_nothing, set=_nothing, observe=_nothing)


def _log_lines() -> None:
    """The two log lines of a call."""
    import logging

    logging.getLogger("octant.calls").disabled = logging.getLogger("app.edge.middleware").disabled = True


class _Unchecked:
    """Passes an answer on as it is."""

    found: Sequence[str] = ()

    def reply(self, reply: Any) -> Any:  # noqa: ANN401
        return reply

    def chunk(self, chunk: Any) -> Iterator[Any]:  # noqa: ANN401
        yield chunk

    def document(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return body


def _guard() -> None:
    """Screens of the question, checks of the answer."""
    from app.security.guard.guard import Guard

    unchecked = _Unchecked()
    _replace(Guard, screen=lambda *_: (), outgoing=lambda *_: unchecked, last_look=lambda *_: unchecked)


def _redaction() -> None:
    """Redaction of personal data in records, spans and log lines."""
    from app.security.redaction.redactor import Redactor

    def same(_: Redactor, text: Any, *, tenant: str) -> Any:  # noqa: ANN401, ARG001
        return text

    _replace(Redactor, redact=same, redact_text=same, redact_json=same)


def _recovery() -> None:
    """Retry, fallback, races and circuit breakers: the first target is asked once."""
    from app.gateway.recovery.recovery import Recovery

    async def first(recovery: Recovery, state: Any, once: Callable[[Any], Awaitable[Any]], targets: Any = None) -> Any:  # noqa: ANN401, ARG001
        target = state.targets[0]
        result = await once(target)
        state.answered_by(target)
        return result

    _replace(Recovery, _first_success=first)


PARTS: Mapping[str, Callable[[], None]] = {
    "key": _key,
    "caps": _caps,
    "record": _record,
    "redaction": _redaction,
    "guard": _guard,
    "spans": _spans,
    "metrics": _metrics,
    "log-lines": _log_lines,
    "recovery": _recovery,
}
EVERYTHING = "all-of-these"


def without(name: str) -> Settings:
    """Take the part out of the imported classes; returns the settings. ``name``: one of PARTS, or EVERYTHING."""
    for take_out in PARTS.values() if name == EVERYTHING else (PARTS[name],):
        take_out()
    return load()


if __name__ == "__main__":
    serve(partial(without, sys.argv[1]))
