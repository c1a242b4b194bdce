"""Export of spans: bounded, each counted once, without delay for callers (O4)."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from otlp import receiving

from app.stack.embedded import free_port as a_free_port
from app.telemetry.otlp import Exporter, rejected
from app.telemetry.sending import Sending
from app.telemetry.spans import Tracing


class Receiver(SpanExporter):
    """Answers ``result`` once ``released`` is set."""

    def __init__(self, result: SpanExportResult | Exception = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.released = threading.Event()
        self.released.set()
        self.called = threading.Event()

    def export(self, spans: object) -> SpanExportResult:
        self.called.set()
        self.released.wait(120)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.released.set()


@pytest.fixture
def free_port() -> int:
    return a_free_port()


class Line:
    """A tracer whose spans go to a receiver, with their counts."""

    def __init__(self, receiver: SpanExporter, **limits: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.sending = Sending(receiver, self._note, **limits)  # type: ignore[arg-type]  # most is an int, last_seconds a float
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(self.sending)
        self._tracer = self._provider.get_tracer("tests")

    def _note(self, outcome: str, number: int) -> None:
        self.outcomes[outcome] += number

    def send(self, number: int) -> None:
        for _ in range(number):
            self._tracer.start_span("s").end()


def test_what_is_sent_and_what_is_not_taken_is_counted() -> None:
    for result, outcome in ((SpanExportResult.SUCCESS, "sent"), (SpanExportResult.FAILURE, "failed"), (OSError("x"), "failed")):
        line = Line(Receiver(result))
        line.send(2_500)
        line.sending.shutdown()
        assert line.outcomes == {outcome: 2_500}


def test_spans_that_a_receiver_rejects_in_an_answer_of_200_are_no_sent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTLP: Partial Success. A proxy's page of sign-in is no receiver's answer."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc")
    with receiving() as real:
        for rejects, page, ends in (
            (0, b"", {"sent": 5}),
            (2, b"", {"sent": 3, "failed": 2}),
            (9, b"", {"failed": 5}),
            (0, b"<html>", {"failed": 5}),
        ):
            real.rejects, real.page = rejects, page
            line = Line(Exporter(real.endpoint + ("/v1/traces/" if page else "")))
            line.send(5)
            line.sending.shutdown()
            assert line.outcomes == ends
        assert real.headers["authorization"] == "Basic abc"


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("", b""),
        ("application/json", b"{}"),
        ("application/x-protobuf", b"\xff\xff"),
        ("text/plain", b"OK"),
        ("application/x-protobuf", b""),
    ],
)
def test_another_answer_of_200_rejects_nothing(content_type: str, content: bytes) -> None:
    assert rejected(content_type, content) == 0


def test_a_hanging_receiver_delays_no_caller_and_spans_without_room_are_counted(receiver: Receiver) -> None:
    receiver.released.clear()
    line = Line(receiver, most=100, last_seconds=0.2)
    line.send(100)
    assert receiver.called.wait(120)
    began = time.perf_counter()
    line.send(50)
    line.sending.shutdown()
    assert time.perf_counter() - began < 15, "the SDK's own would wait thirty seconds"
    assert line.outcomes == {"dropped": 150}
    line.send(1)
    receiver.released.set()
    line.sending.shutdown()
    assert line.outcomes == {"dropped": 151}, "what was given up is not counted again when its receiver answers at last"


def test_room_comes_back_with_the_receiver(receiver: Receiver) -> None:
    receiver.released.clear()
    line = Line(receiver, most=10)
    line.send(15)
    receiver.released.set()
    assert line.sending.force_flush()
    line.send(10)
    line.sending.shutdown()
    assert line.outcomes == {"dropped": 5, "sent": 20}


def test_a_receiver_that_is_away_is_counted_and_the_end_does_not_wait_for_it(free_port: int) -> None:
    outcomes: Counter[str] = Counter()

    def note(outcome: str, number: int) -> None:
        outcomes[outcome] += number

    tracing = Tracing("octant", "1", f"http://127.0.0.1:{free_port}", on_spans=note)
    for _ in range(10):
        with tracing.call("f"):
            pass
    began = time.perf_counter()
    tracing.close()
    assert time.perf_counter() - began < 20
    assert outcomes.total() == 10
    assert set(outcomes) <= {"failed", "dropped"}, "not taken, or given up"
    for thread in threading.enumerate():  # a pause before another try ends, too: its thread draws random numbers for later tests
        if thread.name == "last spans":
            thread.join(120)
            assert not thread.is_alive()
