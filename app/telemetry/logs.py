"""Structured logs: one JSON object a line on standard output, redacted, carrying the request's ids (O9).

The standard library's logging is the one channel: the server's own lines and those of libraries take the same form.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any

from app.domain.json_text import spaced
from app.domain.unseen import revealed
from app.telemetry import log_output

_OWN_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_UNREDACTED = frozenset({"timestamp", "level", "logger", "request_id", "call_id", "trace_id"})
_NO_TEXT = frozenset({int, float, bool, type(None)})
SHORT = 64  # characters of a text that is remembered as harmless: names of tenants, features, paths, models
MOST_REMEMBERED = 4096  # texts
_NOTHING: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("fields of the request's log lines", default=_NOTHING)
_ours: list[logging.Handler] = []  # the root's handlers as `configure` set them


def configure(level: str, *, redact: Callable[[str], str]) -> None:
    """Send all logging through one redacting JSON formatter, to standard output that keeps nothing waiting.

    ``redact`` sees every string value, exception text included.
    """
    handler = logging.StreamHandler(log_output.standard_output())
    handler.setFormatter(JsonLines(redact))
    root = logging.getLogger()
    root.handlers = _ours[:] = [handler]
    root.setLevel(level.upper())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line shows them
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")  # the edge writes its own line, with ids
    access.disabled, access.propagate = True, False  # with no handler in reach, uvicorn does not even make its own
    for name in ("httpx2", "httpcore2", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)  # our own line for each upstream request has more
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: event, the request's fields, level, logger, time, and what came as ``extra=``."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        """``redact`` must give the same answer for the same text: a short one that it leaves as it is, it sees once."""
        super().__init__()
        self._redact = redact
        self._harmless: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        """One line, redacted."""
        event = _begun(record.getMessage(), record.levelname.lower(), record.name, record.created)
        if record.exc_info and record.exc_info[0]:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack_info"] = self.formatStack(record.stack_info)
        event |= {name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS}
        return self.written(event)

    def written(self, event: Mapping[str, Any]) -> str:
        """A line of these fields, redacted. Callers write parts of it, and a terminal may show it: it steers none."""
        harmless = self._harmless
        return revealed(
            spaced(
                {
                    name: value
                    if name in _UNREDACTED or type(value) in _NO_TEXT or (type(value) is str and value in harmless)
                    else self._scrub(value)
                    for name, value in event.items()
                }
            )
        )

    def _scrub(self, value: Any) -> Any:  # noqa: ANN401 - a log value may be anything
        if isinstance(value, str):
            return self._redacted(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._redacted(str(name)): self._scrub(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._scrub(inner) for inner in value]
        return self._redacted(str(value))

    def _redacted(self, text: str) -> str:
        """A redacted text. Only harmless ones are remembered, so that no personal data stays here."""
        if text in self._harmless:
            return text
        redacted = self._redact(text)
        if redacted == text and len(text) <= SHORT:
            if len(self._harmless) >= MOST_REMEMBERED:
                self._harmless.clear()
            self._harmless.add(text)
        return redacted


def info(log: logging.Logger, event: str, fields: Mapping[str, Any]) -> None:
    """As ``log.info(event, extra=fields)``, for the lines that every request writes: without a record, at half the cost.

    Where other handlers are to see it, or another logger's, it goes the usual way. Filters of the logger and of the handler do
    not see it. A line that cannot be written or flushed is reported as any other: by the handler's ``handleError``.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    handler = _alone(log)
    if handler is None or not isinstance(handler.formatter, JsonLines):
        log.info(event, extra=dict(fields))
        return
    line = handler.formatter.written({**_begun(event, "info", log.name, time.time()), **fields}) + "\n"
    with handler.lock or nullcontext():
        try:
            handler.stream.write(line)
            handler.stream.flush()
        except (OSError, ValueError):  # a full disk, half of a surrogate pair: no request fails by it
            handler.handleError(log.makeRecord(log.name, logging.INFO, __file__, 0, event, (), None))


def _alone(log: logging.Logger) -> "logging.StreamHandler[Any] | None":
    """Our handler, if no other sees the lines: neither another of the root's, nor one of a logger between, such as `app.edge`."""
    node, root = log, log.root
    while node is not root:
        if node.handlers or not node.propagate or node.parent is None:
            return None
        node = node.parent
    handler = root.handlers[0] if root.handlers == _ours else None
    return handler if isinstance(handler, logging.StreamHandler) else None


def _begun(event: str, level: str, logger: str, at: float) -> dict[str, Any]:
    """The fields that every line has."""
    return {"event": event, **_bound.get(), "level": level, "logger": logger, "timestamp": datetime.fromtimestamp(at, UTC)}


def take_over_last_words() -> None:
    """Log uncaught errors of the process and its threads, instead of standard error, which nothing redacts."""
    log = logging.getLogger("octant.unhandled")

    def of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("process ended by an error", exc_info=(kind, error, trace))

    def of_thread(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_type is not SystemExit:
            error = failure.exc_value or failure.exc_type()
            log.error("thread ended by an error", exc_info=(failure.exc_type, error, failure.exc_traceback))

    def unraisable(failure: "sys.UnraisableHookArgs") -> None:
        error = failure.exc_value or failure.exc_type()
        log.error("error that cannot be raised", exc_info=(failure.exc_type, error, failure.exc_traceback))

    sys.excepthook, threading.excepthook, sys.unraisablehook = of_process, of_thread, unraisable


def bind(**fields: str) -> None:
    """Add fields to every line logged while this request is served."""
    _bound.set({**_bound.get(), **fields})


def clear() -> None:
    """Forget the request's fields."""
    _bound.set(_NOTHING)
