"""One trace from the caller to the providers (O4)."""

import json
import re

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from app.domain.calls import Usage
from app.telemetry.spans import Tracing, current_trace_id, current_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def ended(tracing: Tracing, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    tracing.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent else ""


def id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    return f"{context.span_id:016x}" if context else ""


def test_the_callers_trace_goes_on_through_everything_and_out_to_the_provider(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.request("POST", SENT) as request:
        with tracing.retrieval("help-1", 4):
            pass
        with tracing.call("support.answer") as call:
            assert call.trace_id == current_trace_id() == TRACE
            outgoing = call.traceparent
            with call.attempt("anthropic", "claude-haiku-5-5") as attempt:
                attempt.usage(Usage(input=10, cached_input=3, output=5, reasoning=2))
        with tracing.tool("get_order", "toolu_1") as tool:
            inside = current_traceparent()
        request.answered("POST", "/v1/support/answer", 200)
    spans = ended(tracing, exporter)
    root, of_call = spans["POST /v1/support/answer"], spans["call support.answer"]
    assert (parent_of(root), root.kind, root.status.is_ok) == (PARENT, SpanKind.SERVER, True)
    for name in ("retrieval help-1", "call support.answer", "execute_tool get_order"):
        assert parent_of(spans[name]) == id_of(root)
    assert parent_of(spans["chat claude-haiku-5-5"]) == id_of(of_call)
    assert outgoing == f"00-{TRACE}-{id_of(of_call)}-01"
    assert inside == f"00-{TRACE}-{id_of(spans['execute_tool get_order'])}-01" == tool.traceparent
    assert current_traceparent() is None
    assert dict(spans["chat claude-haiku-5-5"].attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-5-5",
        "gen_ai.request.stream": False,
        "gen_ai.usage.input_tokens": 13,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_a_job_belongs_to_the_trace_that_submitted_it(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.job("job_1", 2, SENT) as job, tracing.request("POST", job.traceparent):
        pass
    spans = ended(tracing, exporter)
    assert (parent_of(spans["process jobs"]), spans["process jobs"].kind) == (PARENT, SpanKind.CONSUMER)
    assert parent_of(spans["POST"]) == id_of(spans["process jobs"])


@pytest.mark.parametrize("traceparent", [None, "", "garbage", f"00-{'0' * 32}-{PARENT}-01", "00-zz-zz-01"])
def test_without_a_valid_traceparent_a_new_trace_begins(traceparent: str | None) -> None:
    tracing = Tracing("octant", "1", None)
    with tracing.request("GET", traceparent) as request:
        assert re.fullmatch(r"[0-9a-f]{32}", request.trace_id)
        assert request.trace_id != "0" * 32
    tracing.close()


def test_a_failure_is_marked_with_our_code_and_no_message(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.request("POST", None) as request, tracing.call("f") as call, call.attempt("openai", "m") as attempt:
        attempt.fail("provider_timeout")
        call.fail("deadline_exceeded")
        request.answered("POST", "/v1/x", 504)
    spans = ended(tracing, exporter)
    assert (spans["chat m"].attributes or {})["error.type"] == "provider_timeout"
    assert (spans["call f"].attributes or {})["error.type"] == "deadline_exceeded"
    assert (spans["POST /v1/x"].attributes or {})["error.type"] == "504"
    assert not any(span.status.is_ok for span in spans.values())


def test_a_span_ends_without_the_text_of_what_was_raised(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with pytest.raises(KeyError), tracing.request("POST", None), tracing.tool("t", "1"), tracing.call("f"):
        raise KeyError("secret")
    spans = ended(tracing, exporter)
    assert set(spans) == {"POST", "execute_tool t", "call f"}
    assert not any(span.events for span in spans.values()), "an exception event would carry its text"


def test_content_is_on_spans_only_if_switched_on_and_then_redacted(exporter: InMemorySpanExporter) -> None:
    said = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "I am jo@example.org"}]}]}
    for redact in (None, lambda value, tenant: json.loads(json.dumps(value).replace("jo@example.org", f"<email of {tenant}>"))):
        tracing = Tracing("octant", "1", None, exporter, redact_json=redact)
        with tracing.call("f") as call:
            call.content("acme", lambda: said)
        tracing.close()
    off, on = exporter.get_finished_spans()
    assert "gen_ai.input.messages" not in (off.attributes or {})
    assert "jo@example.org" not in str((on.attributes or {})["gen_ai.input.messages"])
    assert "<email of acme>" in str((on.attributes or {})["gen_ai.input.messages"])


class Deaf(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_traces_is_sent_and_every_one_with_an_error_whole(exporter: InMemorySpanExporter, share: float) -> None:
    fates: dict[str, int] = {}

    def on_spans(fate: str, number: int) -> None:
        fates[fate] = fates.get(fate, 0) + number

    tracing = Tracing("octant", "1", None, exporter, sample=share, on_spans=on_spans)
    failed = set()
    for number in range(400):
        with tracing.request("POST", None) as request, tracing.call("f") as call, call.attempt("openai", "m") as attempt:
            if number % 10 == 0:
                attempt.fail("provider_failed")  # the call itself was answered by another
                failed.add(request.trace_id)
    tracing.close()
    sent: dict[str, int] = {}
    for span in exporter.get_finished_spans():
        trace_id = f"{span.context.trace_id:032x}" if span.context else ""
        sent[trace_id] = sent.get(trace_id, 0) + 1
    assert set(sent.values()) == {3}, "a trace is sent whole or not at all"
    assert failed <= set(sent)
    others = len(set(sent) - failed) / 360
    assert abs(others - share) < 0.15
    assert sum(fates.values()) == 1200
    assert fates["sent"] == 3 * len(sent)


def test_an_error_in_one_of_two_requests_of_a_trace_keeps_both(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter, sample=0)
    with tracing.request("POST", SENT):
        with tracing.request("GET", SENT), tracing.call("f") as call:
            call.fail("x")
        assert not exporter.get_finished_spans()
    assert set(ended(tracing, exporter)) == {"POST", "GET", "call f"}


def test_what_a_receiver_does_not_take_is_counted() -> None:
    fates: list[tuple[str, int]] = []
    tracing = Tracing("octant", "1", None, Deaf(), on_spans=lambda fate, number: fates.append((fate, number)))
    with tracing.call("f"):
        pass
    tracing.close()
    assert fates == [("failed", 1)]
