"""One trace from the caller to the providers (O4)."""

import json
import re
from collections import Counter
from contextlib import ExitStack

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from app.domain.calls import Usage
from app.telemetry import sampling
from app.telemetry.spans import (
    CORE_SCHEMA_URL,
    MOST_CONTENT,
    SCHEMA_URL,
    Redact,
    Tracing,
    current_trace_id,
    current_traceparent,
    withheld,
)

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


def test_a_call_knows_the_steps_since_the_one_before_it() -> None:
    tracing = Tracing("octant", "1", None)
    with tracing.request("POST", None):
        with tracing.retrieval("help-1", 4):
            pass
        with tracing.call("support.answer") as first:
            before, steps = first.before()
        with tracing.tool("get_order", "toolu_1") as tool:
            tool.fail("not_found")
        with tracing.call("support.answer") as second:
            later, more = second.before()
            assert second.before()[1] == (), "each step is taken once"
    assert [step[:2] for step in steps] == [("retrieval", "help-1")]
    assert steps[0][2] <= steps[0][3] <= first.span.started
    assert [(*step[:2], step[4]) for step in more] == [("tool", "get_order", True)]
    assert before is not None
    assert later is not None
    assert 0 <= before <= later
    with tracing.call("support.answer") as alone:
        assert alone.before() == (None, ())


def test_the_callers_trace_goes_on_through_everything_and_out_to_the_provider(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.request("POST", SENT) as request:
        with tracing.retrieval("help-1", 4):
            pass
        with tracing.call("support.answer") as call:
            assert call.trace_id == current_trace_id() == TRACE
            with call.attempt("anthropic", "claude-haiku-5-5") as attempt:
                outgoing = attempt.traceparent
                attempt.usage(Usage(input=10, cached_input=3, output=5, reasoning=2))
        with tracing.tool("get_order", "toolu_1") as tool:
            inside = current_traceparent()
        request.answered("/v1/support/answer", 200)
    spans = ended(tracing, exporter)
    root, of_call = spans["POST /v1/support/answer"], spans["call support.answer"]
    assert (parent_of(root), root.kind, root.status.is_ok) == (PARENT, SpanKind.SERVER, True)
    for name in ("retrieval help-1", "call support.answer", "execute_tool get_order"):
        assert parent_of(spans[name]) == id_of(root)
    assert parent_of(spans["chat claude-haiku-5-5"]) == id_of(of_call)
    assert outgoing == f"00-{TRACE}-{id_of(spans['chat claude-haiku-5-5'])}-01", "the attempt is what makes the request"
    assert inside == f"00-{TRACE}-{id_of(spans['execute_tool get_order'])}-01" == tool.traceparent
    assert current_traceparent() is None
    assert dict(spans["chat claude-haiku-5-5"].attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-5-5",
        "gen_ai.usage.input_tokens": 13,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_an_attempt_at_embeddings_is_named_by_the_conventions(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.call("embeddings") as call, call.attempt("openai", "m", operation="embeddings"):
        pass
    assert (ended(tracing, exporter)["embeddings m"].attributes or {})["gen_ai.operation.name"] == "embeddings"


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
        request.answered("/v1/x", 504)
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


def redact(text: str, tenant: str) -> str:
    return text.replace("jo@example.org", f"<email of {tenant}>")


def test_content_is_on_spans_only_if_switched_on_and_then_redacted() -> None:
    messages = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "tool_call", "arguments": {"jo@example.org": 1}}]}]}
    shown_of: list[dict[str, object]] = []
    for content in (False, True):
        exporter = InMemorySpanExporter()
        tracing = Tracing("octant", "1", None, exporter, redact=redact, content=content)
        with tracing.call("f") as call:
            call.content("acme", lambda: {**messages, "gen_ai.output.messages": "x" * MOST_CONTENT})
        shown_of.append(dict(ended(tracing, exporter)["call f"].attributes or {}))
    off, on = shown_of
    assert not any(name.startswith("gen_ai") for name in off)
    shown = str(on["gen_ai.input.messages"])
    assert "jo@example.org" not in shown, "not even as a name in an object"
    assert json.loads(shown)[0]["parts"][0]["arguments"] == {"<email of acme>": 1}
    assert "gen_ai.output.messages" not in on, "too long to be redacted while a caller waits"


@pytest.mark.parametrize(
    ("how", "of_provider", "of_tool"), [(redact, "<email of acme>", "<email of >"), (withheld, "<withheld>", "<withheld>")]
)
def test_a_providers_own_words_are_redacted(exporter: InMemorySpanExporter, how: Redact, of_provider: str, of_tool: str) -> None:
    tracing = Tracing("octant", "1", None, exporter, redact=how)
    with tracing.tool("t", "jo@example.org"), tracing.call("f") as call, call.attempt("openai", "m") as attempt:
        attempt.quote("acme", {"gen_ai.response.id": "jo@example.org", "gen_ai.response.model": None})
    spans = ended(tracing, exporter)
    assert (spans["chat m"].attributes or {})["gen_ai.response.id"] == of_provider
    assert "gen_ai.response.model" not in (spans["chat m"].attributes or {})
    assert (spans["execute_tool t"].attributes or {})["gen_ai.tool.call.id"] == of_tool


def test_the_schema_is_stated_where_the_specification_wants_it(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "7", None, exporter)
    with tracing.call("f"):
        pass
    span = ended(tracing, exporter)["call f"]
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.version, span.instrumentation_scope.schema_url) == ("7", SCHEMA_URL)
    assert (span.resource.attributes["service.name"], span.resource.schema_url) == ("octant", CORE_SCHEMA_URL)


@pytest.mark.parametrize(
    ("method", "route", "name", "noted"),
    [
        ("POST", "/v1/x", "POST /v1/x", {"http.request.method": "POST", "http.route": "/v1/x"}),
        ("GET", None, "GET", {"http.request.method": "GET"}),
        ("JO@EXAMPLE.ORG", None, "HTTP", {"http.request.method": "_OTHER"}),
    ],
)
def test_a_request_that_no_route_met_names_none(
    exporter: InMemorySpanExporter, method: str, route: str | None, name: str, noted: dict[str, str]
) -> None:
    tracing = Tracing("octant", "1", None, exporter)
    with tracing.request(method, None) as request:
        request.answered(route, 404)
    assert dict(ended(tracing, exporter)[name].attributes or {}) == {**noted, "http.response.status_code": 404}


def test_a_caller_cannot_have_our_errors_left_out(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter, sample=0)
    with tracing.request("POST", f"00-{TRACE}-{PARENT}-00") as request, tracing.call("f") as call:
        call.fail("x")
        request.answered("/v1/x", 500)
    assert set(ended(tracing, exporter)) == {"POST /v1/x", "call f"}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_traces_is_sent_and_every_one_with_an_error_whole(exporter: InMemorySpanExporter, share: float) -> None:
    outcomes: dict[str, int] = {}

    def on_spans(outcome: str, number: int) -> None:
        outcomes[outcome] = outcomes.get(outcome, 0) + number

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
    assert sum(outcomes.values()) == 1200
    assert outcomes["sent"] == 3 * len(sent)


def test_an_error_in_one_of_two_requests_of_a_trace_keeps_both(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter, sample=0)
    with tracing.request("POST", SENT):
        with tracing.request("GET", SENT), tracing.call("f") as call:
            call.fail("x")
        assert not exporter.get_finished_spans()
    assert set(ended(tracing, exporter)) == {"POST", "GET", "call f"}


def test_what_ends_late_belongs_to_a_trace_that_was_kept(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("octant", "1", None, exporter, sample=0)
    with ExitStack() as late, tracing.request("POST", SENT):
        late.enter_context(tracing.call("stream"))
        with tracing.call("f") as call:
            call.fail("x")
    with tracing.request("GET", SENT), tracing.call("again"):
        pass
    with tracing.request("GET", None), tracing.call("another"):
        pass
    assert set(ended(tracing, exporter)) == {"POST", "call stream", "call f", "GET", "call again"}


def test_traces_that_never_end_do_not_pile_up(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_WAITING", 10)
    outcomes: Counter[str] = Counter()

    def on_spans(outcome: str, number: int) -> None:
        outcomes[outcome] += number

    tracing = Tracing("octant", "1", None, exporter, sample=0, on_spans=on_spans)
    with ExitStack() as open_ones:
        for _ in range(100):
            open_ones.enter_context(tracing.request("POST", None))
            with tracing.call("f"):
                pass
        assert outcomes["sampled_out"] >= 90, "the oldest were decided on"
    tracing.close()
    assert outcomes == {"sampled_out": 200}
