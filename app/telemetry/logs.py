"""Structured logs: one JSON object a line on standard output, redacted, carrying the request's ids (O9).

The standard library's logging is the one channel: the server's own lines and those of libraries take the same form.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

_OWN_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


def configure(level: str, *, redact: Callable[[str], str]) -> None:
    """Send all logging through one redacting JSON formatter. ``redact`` sees every string value, exception text included."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _extra_fields,
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redacting(redact),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the edge writes its own line, with ids
    for name in ("httpx2", "httpcore2", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)  # our own line for each upstream request has more
    logging.captureWarnings(capture=True)


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
    structlog.contextvars.bind_contextvars(**fields)


def clear() -> None:
    """Forget the request's fields."""
    structlog.contextvars.clear_contextvars()


def _extra_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's signature
    """Take over what was given as ``extra=``."""
    record: logging.LogRecord = event["_record"]
    event.update({name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS})
    return event


def _redacting(redact: Callable[[str], str]) -> structlog.typing.Processor:
    def scrub(value: Any) -> Any:  # noqa: ANN401 - a log value may be anything
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, Mapping):
            return {redact(str(name)): scrub(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [scrub(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return redact(str(value))

    keep = frozenset({"timestamp", "level", "logger", "request_id", "call_id", "trace_id"})

    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's signature
        return {name: value if name in keep else scrub(value) for name, value in event.items()}

    return processor
