"""One JSON object a line, redacted, with the request's ids (O9, S5)."""

import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.security.redaction.redactor import Redactor
from app.telemetry import logs


class Lines:
    """The logged lines, parsed from JSON."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def take(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root, lines, redactor = logging.getLogger(), Lines(), Redactor(b"a key for the log tests")
    handlers, level = root.handlers, root.level
    monkeypatch.setattr("sys.stdout", lines.stream)
    logs.configure("info", redact=lambda text: redactor.redact(text, tenant=""))
    yield lines
    logs.clear()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


def test_a_line_is_json_with_time_level_logger_event_and_extra_fields(lines: Lines) -> None:
    logging.getLogger("octant.calls").info("call", extra={"feature": "support.answer", "attempts": 2, "ok": True})
    (line,) = lines.take()
    assert {
        "event": "call",
        "level": "info",
        "logger": "octant.calls",
        "feature": "support.answer",
        "attempts": 2,
    }.items() <= line.items()
    assert line["timestamp"].endswith("Z")
    assert line["ok"] is True


def test_no_words_of_a_caller_steer_a_terminal_that_shows_the_lines(lines: Lines) -> None:
    """JSON escapes those below a blank alone. The 8-bit ones, and what hides or reorders a text, were written as they are."""
    hostile = "\x1b[2J\x9b31m\x7f\u202e\u2028ac\u200bme\U000e0041"
    logging.getLogger("a").info("one", extra={"reason": hostile})
    logs.info(logging.getLogger("a"), "two", {"reason": hostile})
    assert lines.stream.getvalue().isascii()
    assert [line["reason"] for line in lines.take()] == [hostile, hostile]


def test_lines_carry_the_requests_ids_until_they_are_cleared(lines: Lines) -> None:
    logs.bind(request_id="req_0123456789abcdef")
    logging.getLogger("a").info("one")
    logs.clear()
    logging.getLogger("a").info("two")
    first, second = lines.take()
    assert first["request_id"] == "req_0123456789abcdef"
    assert "request_id" not in second


def test_personal_data_is_redacted_in_messages_arguments_fields_and_nested_values(lines: Lines) -> None:
    logging.getLogger("a").info(
        "mail from %s",
        "ada@example.com",
        extra={"to": "ada@example.com", "deep": {"ada@example.com": ["ada@example.com"]}, "obj": Exception("ada@example.com")},
    )
    (line,) = lines.take()
    assert "ada@example.com" not in json.dumps(line)
    assert json.dumps(line).count("<email:") == 5


def test_an_exceptions_text_is_redacted_and_its_traceback_kept(lines: Lines) -> None:
    try:
        int("bad input from ada@example.com with key sk-ant-api03-abcdefgh12345678")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = lines.take()
    assert "Traceback" in line["exception"]
    assert "ada@example.com" not in line["exception"]
    assert "abcdefgh12345678" not in line["exception"]


def test_the_servers_own_lines_take_the_same_form(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").warning("from 203.0.113.7")
    (line,) = lines.take()
    assert line["logger"] == "uvicorn.error"
    assert line["event"].startswith("from <ip:")


def test_a_text_that_redaction_leaves_is_redacted_once_and_personal_data_is_not_kept(lines: Lines) -> None:
    seen: list[str] = []

    def redact(text: str) -> str:
        seen.append(text)
        return text.replace("ada@example.com", "<email>")

    formatter = logs.JsonLines(redact)
    logging.getLogger().handlers[0].setFormatter(formatter)
    for _ in range(3):
        logging.getLogger("a").info("call", extra={"tenant": "acme", "to": "ada@example.com", "long": "x" * 65})
    assert [seen.count(text) for text in ("call", "acme", "ada@example.com", "x" * 65)] == [1, 1, 3, 3]
    assert formatter._harmless == {"call", "acme"}
    for number in range(logs.MOST_REMEMBERED + 5):
        logging.getLogger("a").info("line %d", number)
    assert len(formatter._harmless) <= logs.MOST_REMEMBERED


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    logging.getLogger("a").debug("quiet")
    assert lines.take() == []


@pytest.fixture
def _hooks() -> Iterator[None]:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    logs.take_over_last_words()
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = before


@pytest.mark.usefixtures("_hooks")
def test_an_uncaught_error_is_a_redacted_line_too(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    class Bad:
        def __del__(self) -> None:
            raise ValueError("unraisable, of ada@example.com")

    def fail() -> None:
        raise ValueError("in a thread, of ada@example.com")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Bad()
    gc.collect()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    logged = lines.take()
    assert [line["level"] for line in logged] == ["error", "error", "critical"]
    assert all("<email:" in json.dumps(line) for line in logged)
    assert "ada@example.com" not in json.dumps(logged) + capsys.readouterr().err


async def test_a_failed_task_that_is_never_awaited_is_a_redacted_line_too(lines: Lines) -> None:
    async def fail() -> None:
        raise ValueError("of ada@example.com")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    (line,) = lines.take()
    assert (line["logger"], line["event"].splitlines()[0]) == ("asyncio", "Task exception was never retrieved")
    assert "<email:" in line["exception"]
    assert "ada@example.com" not in json.dumps(line)


FIELDS: dict[str, Any] = {
    "trace_id": "4111 1111 1111 1111",
    "tenant": "acme",
    "user": "ada@example.com",
    "n": 1,
    "share": 0.5,
    "nothing": None,
    "names": ["ada@example.com", ("x", 2)],
    "inner": {"mail": "ada@example.com"},
    "half": "\ud83d",
}


def test_the_short_way_to_a_line_writes_what_the_long_one_writes(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.bind(request_id="req_0123456789abcdef")
    log = logging.getLogger("short way")
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.25)
    monkeypatch.setattr("time.time_ns", lambda: 1_800_000_000_250_000_000)  # of records, from Python 3.13 on
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logs._ours))  # without those of the test run
    made: list[logging.LogRecord] = []

    def note(record: logging.LogRecord) -> bool:
        made.append(record)
        return True

    log.addFilter(note)
    logs.info(log, "event of ada@example.com", FIELDS)
    assert not made, "it took the long way"
    log.info("event of ada@example.com", extra=FIELDS)
    short, long = lines.stream.getvalue().splitlines()
    assert short == long
    assert "ada@example.com" not in short
    assert json.loads(short)["timestamp"] == "2027-01-15T08:00:00.250000Z"


def test_a_line_goes_the_long_way_where_others_are_to_see_it(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", seen.append)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(logs._ours))
    root.addHandler(handler)
    logs.info(logging.getLogger("seen"), "one", {"n": 1})
    root.removeHandler(handler)
    assert [record.getMessage() for record in seen] == ["one"]
    assert len(lines.take()) == 1
    root.setLevel("WARNING")
    logs.info(logging.getLogger("seen"), "two", {"n": 1})
    assert len(lines.take()) == 1


def test_only_a_handler_between_a_logger_and_the_root_takes_the_long_way(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a service loggers of packages exist (`app`, `app.edge`): the short way must be taken all the same."""
    seen: list[logging.LogRecord] = []
    between, handler = logging.getLogger("between"), logging.Handler()
    logging.getLogger("between.more")
    monkeypatch.setattr(handler, "emit", seen.append)
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logs._ours))
    log, made = logging.getLogger("between.more.log"), list[logging.LogRecord]()
    make = log.makeRecord

    def noted(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - as the library's
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(log, "makeRecord", noted)
    logs.info(log, "one", {"n": 1})
    assert not made, "it took the long way"
    between.addHandler(handler)
    logs.info(log, "two", {"n": 2})
    between.removeHandler(handler)
    assert [record.getMessage() for record in seen] == ["two"]
    between.propagate = False
    logs.info(log, "three", {"n": 3})
    between.propagate = True
    assert [line["event"] for line in lines.take()] == ["one", "two"]


@pytest.mark.usefixtures("lines")
def test_the_server_makes_no_access_lines_of_its_own() -> None:
    """It looks for a handler in reach when a connection is made (`HttpToolsProtocol`)."""
    logs.configure("info", redact=str)  # here, as pytest adds handlers of its own before a test
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_a_line_that_cannot_be_flushed_is_written_once_and_reported_once(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logging.getLogger(), "handlers", list(logs._ours))
    monkeypatch.setattr(lines.stream, "flush", full)
    logs.info(logging.getLogger("full disk"), "one", {"n": 1})
    assert [line["event"] for line in lines.take()] == ["one"]
    assert capsys.readouterr().err.count("OSError: ") == 1


def test_a_value_in_a_line_shows_no_field_that_its_text_hides(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Login:
        name: str
        password: str = field(repr=False)

    monkeypatch.setattr(logging.getLogger(), "handlers", list(logs._ours))
    fields = {"login": Login("ada", "hunter2"), "all": [{"login": Login("ada", "hunter2")}]}
    logs.info(logging.getLogger("a"), "one", fields)
    logging.getLogger("a").info("two", extra=fields)
    assert [line["event"] for line in lines.take()] == ["one", "two"]
    assert "ada" in lines.stream.getvalue()
    assert "hunter2" not in lines.stream.getvalue()
