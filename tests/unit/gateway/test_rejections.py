"""A request that one model refuses goes to the next; the reason reaches the caller if all refuse."""

import contextlib
from dataclasses import replace

import pytest
from scripted import A, FreeBudget, Scripted, call_state, error, outcomes, recovery

from app.domain.calls import Done, Reply, TextDelta, Usage
from app.domain.errors import (
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    OctantError,
    OutputInvalid,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProvidersUnavailable,
    TranslationRefused,
)
from app.domain.messages import OutputSchema, Sampling, Text, ToolSpec, ToolUse
from app.gateway.recovery.final_error import final_error
from app.gateway.recovery.policy import BreakerPolicy
from app.telemetry.metrics import Metrics

SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
TOOL = ToolSpec("order", "", {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})


def refused(reason: str = "invalid", *, own: bool = False, **fields: object) -> ProviderRejected:
    made = error(ProviderRejected, reason=reason, own_form=own, **fields)
    assert isinstance(made, ProviderRejected)
    return made


@pytest.mark.parametrize(
    "reason", ["invalid", "context_length", "content_policy", "too_large", "unreadable_media", "unpaired_tools"]
)
async def test_a_refused_request_is_not_retried_and_the_next_model_answers_free_of_charge(reason: str) -> None:
    a, b, state = Scripted("a", refused(reason)), Scripted("b", "backup"), call_state()
    assert (await recovery(a, b).complete(state)).text == "backup"
    assert outcomes(state) == [("a", "provider_rejected"), ("b", "ok")]
    assert [attempt.cost for attempt in state.spending.attempts] == [0, 15]


async def test_a_stream_that_is_refused_before_its_first_chunk_goes_to_the_next_model() -> None:
    state = call_state()
    chunks = await recovery(Scripted("a", refused("context_length")), Scripted("b", "backup")).open(state)
    assert isinstance([chunk async for chunk in chunks][-1], Done)
    assert outcomes(state) == [("a", "provider_rejected"), ("b", "ok")]


@pytest.mark.parametrize(
    ("reasons", "own", "kind"),
    [
        (("invalid", "invalid"), True, InvalidRequest),
        (("invalid", "invalid"), False, TranslationRefused),
        (("invalid", "context_length"), False, ContextLengthExceeded),
        (("context_length", "content_policy"), True, ContextLengthExceeded),
        (("content_policy", "invalid"), False, ContentFiltered),
        (("too_large", "content_policy"), False, BodyTooLarge),
    ],
)
async def test_if_every_model_refuses_the_caller_gets_the_reason(
    reasons: tuple[str, str], own: bool, kind: type[OctantError]
) -> None:
    a, b = (Scripted(name, refused(reason, own=own)) for name, reason in zip("ab", reasons, strict=True))
    state = call_state()
    with pytest.raises(kind) as caught:
        await recovery(a, b).complete(state)
    assert type(caught.value) is kind
    assert (a.calls, b.calls, state.spending.cost) == (1, 1, 0)
    with pytest.raises(kind):
        await recovery(a, b).open(call_state())


def test_the_message_holds_the_words_on_which_clients_match() -> None:
    messages = [final_error([refused("context_length", tokens=tokens)]).message for tokens in (None, (205284, 200000))]
    for message in messages:
        assert "prompt is too long" in message
        assert "this model's maximum context length is" in message.lower()
    assert "205284 tokens > 200000 maximum" in messages[1]


def test_of_several_limits_the_largest_is_reported() -> None:
    small, large = refused("context_length", tokens=(9000, 8192)), refused("context_length", tokens=(9100, 9000))
    assert "9100 tokens > 9000 maximum" in final_error([small, large]).message


@pytest.mark.parametrize("kind", [ProviderOverloaded, ProviderFailed, ProviderDenied, ProviderRateLimited])
@pytest.mark.parametrize("reason", ["invalid", "context_length"])
async def test_a_refusal_never_hides_that_another_model_failed(kind: type[ProviderFailed], reason: str) -> None:
    """The one that failed may take the request later, so the caller is advised to wait."""
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", error(kind)), Scripted("b", refused(reason, own=True))).complete(call_state())
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", refused(reason, own=True)), Scripted("b", error(kind))).complete(call_state())


async def test_a_refusal_is_not_final_while_another_model_rests_or_is_stopped() -> None:
    a, b = Scripted("a", error(ProviderDenied)), Scripted("b", refused(own=True))
    room = recovery(a, b, breaker=BreakerPolicy(failures=1, rest=60))
    for _ in range(2):
        with pytest.raises(ProvidersUnavailable):
            await room.complete(call_state())
    assert a.calls == 1
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", "x"), b, stopped=frozenset({"a"})).complete(call_state())


async def test_refusals_open_no_circuit() -> None:
    room = recovery(Scripted("a", refused()), Scripted("b", "backup"), breaker=BreakerPolicy(failures=2, ratio=0.1, rest=60))
    for _ in range(6):
        await room.complete(call_state())
    assert room.circuits.state(A) == "closed"


async def test_refusals_are_counted_by_reason_and_cause() -> None:
    """A request that another model answers was not at fault: its translation is suspect, or the model lacks something."""

    async def counted(a: Scripted, b: Scripted) -> dict[tuple[str, str], float]:
        room = recovery(a, b, metrics=Metrics())
        with contextlib.suppress(OctantError):
            await room.complete(call_state())
        samples = next(m for m in room.metrics.registry.collect() if m.name == "octant_rejections").samples
        return {(s.labels["reason"], s.labels["cause"]): s.value for s in samples if s.name.endswith("_total") and s.value}

    assert await counted(Scripted("a", refused()), Scripted("b", "x")) == {("invalid", "translation"): 1}
    assert await counted(Scripted("a", refused(own=True)), Scripted("b", "x")) == {("invalid", "model"): 1}
    assert await counted(Scripted("a", refused()), Scripted("b", refused())) == {("invalid", "unknown"): 2}
    assert await counted(Scripted("a", refused(own=True)), Scripted("b", error(ProviderFailed))) == {("invalid", "caller"): 1}
    assert await counted(Scripted("a", refused("too_large")), Scripted("b", "x")) == {("too_large", "limit"): 1}


async def test_a_refused_repair_leaves_the_reason_for_it_as_the_error() -> None:
    """The turns of a repair are ours: the error is about the output."""
    a, b = Scripted("a", '{"n": "x"}', refused(own=True)), Scripted("b", refused(own=True))
    with pytest.raises(OutputInvalid):
        await recovery(a, b).complete(call_state(output=SCHEMA))


async def test_a_refused_continuation_leaves_the_stream_broken_and_not_the_request_at_fault() -> None:
    a = Scripted("a", [TextDelta(0, "half "), error(ProviderGarbled)])
    chunks = await recovery(a, Scripted("b", refused(own=True))).open(call_state(continue_streams=True))
    assert await anext(chunks) == TextDelta(0, "half ")
    with pytest.raises(ProvidersUnavailable):
        await anext(chunks)


async def test_a_refusal_needs_money_for_the_next_attempt_only_once() -> None:
    state = call_state(budget=FreeBudget())
    await recovery(Scripted("a", refused()), Scripted("b", "x")).complete(state)
    assert state.spending.hold is not None
    assert state.spending.hold.amount <= state.worst_first_attempt() * 2
    assert state.spending.hold.spent == 15


def cut(*parts: Text | ToolUse) -> Reply:
    return Reply(parts=parts, stop="max_tokens", usage=Usage(10, 5), provider="a", model="model-a")


async def test_a_vendor_s_client_gets_output_that_its_length_cut_as_it_came() -> None:
    for whole in (cut(Text('{"n": ')), cut(ToolUse("1", "order", '{"id": '))):
        of_a_client = replace(call_state(output=SCHEMA, tools=(TOOL,)).call, form="openai")
        a, b, state = Scripted("a", whole), Scripted("b", "unused"), call_state(called=of_a_client)
        reply = await recovery(a, b).complete(state)
        assert (reply.stop, reply.parts, state.spending.cost) == ("max_tokens", whole.parts, 15)
        assert (outcomes(state), state.degraded, b.calls) == ([("a", "ok")], [], 0)
        stream = Scripted("a", [Done(whole)])
        chunks = [chunk async for chunk in await recovery(stream, b).open(call_state(output=SCHEMA, tools=(TOOL,)))]
        assert [chunk.reply.stop for chunk in chunks if isinstance(chunk, Done)] == ["max_tokens"]


async def test_a_streamed_invalid_call_of_a_tool_that_is_not_strict_ends_the_stream_well() -> None:
    call = ToolUse("1", "order", '{"town": 1}')
    whole = Reply(parts=(call,), stop="tool_use", usage=Usage(10, 5), provider="a", model="model-a")
    state = call_state(tools=(TOOL,))
    chunks = [chunk async for chunk in await recovery(Scripted("a", [Done(whole)]), Scripted("b", "x")).open(state)]
    assert [chunk.reply.parts for chunk in chunks if isinstance(chunk, Done)] == [(call,)]
    assert outcomes(state) == [("a", "ok")]
    assert (await recovery(Scripted("a", whole), Scripted("b", "x")).complete(call_state(tools=(TOOL,)))).parts == (call,)


async def test_a_parameter_that_a_route_ignores_costs_no_fallback_in_either_order() -> None:
    """Temperature on Claude: the target stays in the route, and the answer says that it ignored the parameter."""
    ignoring = frozenset({"temperature"})
    for failing, answered in (("a", "b"), ("b", "a")):
        steps: dict[str, ProviderError | str] = {failing: error(ProviderFailed), answered: "fine"}
        a, b = Scripted("a", steps["a"]), Scripted("b", steps["b"])
        b.cannot = ignoring
        state, room = call_state(sampling=Sampling(temperature=0.2), ignore=ignoring), recovery(a, b)
        room.choose(state)
        assert len(state.targets) == 2
        assert (await room.complete(state)).provider == answered
        assert state.receipt().degraded == (("ignored_temperature",) if answered == "b" else ())


@pytest.mark.parametrize("own", [True, False])
async def test_calls_without_results_are_named_where_the_caller_wrote_them(own: bool) -> None:
    """Where both vendors refuse our translation alone, the fault may be ours."""
    a, b = Scripted("a", refused("unpaired_tools")), Scripted("b", refused("unpaired_tools", own=own))
    with pytest.raises(InvalidRequest if own else TranslationRefused) as found:
        await recovery(a, b).complete(call_state())
    assert ("Each tool call needs a result" in found.value.message) is own


@pytest.mark.parametrize("reasons", [("unreadable_media", "unreadable_media"), ("unreadable_media", "invalid")])
async def test_an_image_that_no_model_can_read_is_named_whatever_the_caller_s_form(reasons: tuple[str, str]) -> None:
    """Coding agents match on the vendor's words, and take the image out of their history."""
    with pytest.raises(InvalidRequest, match="Could not process image"):
        await recovery(*(Scripted(name, refused(reason)) for name, reason in zip("ab", reasons, strict=True))).complete(
            call_state()
        )
