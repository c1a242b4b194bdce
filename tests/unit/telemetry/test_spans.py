"""One trace from the caller to the providers (O4)."""

import re

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.domain.calls import Usage
from app.telemetry.spans import Tracing

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def ended(tracing: Tracing, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    tracing.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def test_the_callers_trace_goes_on_through_the_call_and_out_to_the_provider(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.call("support.answer", traceparent=f"00-{TRACE}-{PARENT}-01") as call:
        assert call.trace_id == TRACE
        outgoing = call.traceparent
        with call.attempt("anthropic", "claude-haiku-5-5") as attempt:
            attempt.usage(Usage(input=10, cached_input=3, output=5), "claude-haiku-5-5-20260901")
    spans = ended(tracing, exporter)
    root, child = spans["call support.answer"], spans["chat claude-haiku-5-5"]
    own = root.get_span_context()
    assert own is not None
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    assert child.parent is not None
    assert child.parent.span_id == own.span_id
    assert outgoing == f"00-{TRACE}-{own.span_id:016x}-01"
    assert dict(child.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-5-5",
        "gen_ai.response.model": "claude-haiku-5-5-20260901",
        "gen_ai.usage.input_tokens": 13,
        "gen_ai.usage.output_tokens": 5,
    }


@pytest.mark.parametrize("traceparent", [None, "", "garbage", f"00-{'0' * 32}-{PARENT}-01", "00-zz-zz-01"])
def test_without_a_valid_traceparent_a_new_trace_begins(traceparent: str | None) -> None:
    tracing = Tracing("octant", "1", None)
    with tracing.call("f", traceparent=traceparent) as call:
        assert re.fullmatch(r"[0-9a-f]{32}", call.trace_id)
        assert call.trace_id != "0" * 32
    tracing.close()


def test_a_failure_is_marked_with_our_code_and_no_message(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.call("f", traceparent=None) as call, call.attempt("openai", "m") as attempt:
        attempt.fail("provider_timeout")
        call.fail("deadline_exceeded")
    spans = ended(tracing, exporter)
    assert (spans["chat m"].attributes or {})["error.type"] == "provider_timeout"
    assert (spans["call f"].attributes or {})["error.type"] == "deadline_exceeded"
    assert not spans["call f"].status.is_ok
    assert not any(span.events for span in spans.values()), "an exception event would carry its text"


def test_a_span_ends_when_its_call_is_cancelled_or_fails(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with pytest.raises(KeyError), tracing.call("f", traceparent=None):
        raise KeyError
    assert "call f" in ended(tracing, exporter)
