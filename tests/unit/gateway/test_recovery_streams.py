"""Streams fall back until the first chunk, then end or continue elsewhere (R6, R7)."""

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from scripted import A, Scripted, call_state, error, outcomes, recovery, reply

from app.domain.calls import Chunk, Deadline, Done, TextDelta, ToolUseStart, Usage
from app.domain.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    OutputInvalid,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderRejected,
    ProvidersUnavailable,
    ProviderTimeout,
)
from app.domain.messages import OutputSchema
from app.domain.waiting import LARGE
from app.gateway.attempt_in_progress import LEAST_DELTAS
from app.gateway.recovery import output
from app.gateway.recovery.policy import BreakerPolicy

SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


async def collect(chunks: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    async with aclosing(chunks):
        return [chunk async for chunk in chunks]


async def test_a_stream_falls_back_until_its_first_chunk() -> None:
    """R6."""
    state = call_state()
    chunks = await recovery(Scripted("a", error(ProviderGarbled)), Scripted("b", "backup")).open(state)
    seen = await collect(chunks)
    assert seen[0] == TextDelta(0, "backup")
    assert isinstance(seen[-1], Done)
    assert outcomes(state)[-1] == ("b", "ok")


async def test_a_stream_that_breaks_after_its_first_chunk_ends_in_an_error_and_is_paid_for() -> None:
    """R6: never a clean close; money settles either way."""
    broken: list[Chunk | ProviderError] = [TextDelta(0, "half"), error(ProviderGarbled, usage=Usage(input=10, output=2))]
    state, b = call_state(), Scripted("b", "backup")
    chunks = await recovery(Scripted("a", broken), b).open(state)
    assert await anext(chunks) == TextDelta(0, "half")
    with pytest.raises(ProvidersUnavailable):
        await anext(chunks)
    assert b.calls == 0
    assert outcomes(state) == [("a", "provider_garbled")]
    assert state.spending.cost == 12


async def test_a_stream_that_the_client_leaves_counts_all_that_the_model_can_have_made() -> None:
    """R7: tokens that were generated and never arrived are billed too."""
    state = call_state()
    chunks = await recovery(Scripted("a", [TextDelta(0, "half"), TextDelta(0, "more")]), Scripted("b", "x")).open(state)
    assert await anext(chunks) == TextDelta(0, "half")
    await chunks.aclose()
    assert outcomes(state) == [("a", "cancelled")]
    assert state.spending.attempts[0].usage == Usage(input=state.input_tokens, output=100, estimated=True)


async def test_an_empty_stream_is_a_failure() -> None:
    state = call_state()
    chunks = await recovery(Scripted("a", []), Scripted("b", "backup")).open(state)
    assert isinstance((await collect(chunks))[-1], Done)
    assert ("a", "provider_garbled") in outcomes(state)


async def test_a_stream_has_the_last_resort_too_and_a_prompt_that_is_too_long_has_not() -> None:
    """The caller can shorten a prompt; a request that the feature itself wrote wrongly it cannot mend."""
    for kind in (ProviderFailed, ProviderRejected):
        chunks = await recovery(Scripted("a", error(kind)), Scripted("b", error(kind))).open(call_state(last_resort="Static."))
        assert (await collect(chunks))[0] == TextDelta(0, "Static.")
    too_long = error(ProviderRejected, reason="context_length")
    with pytest.raises(ContextLengthExceeded):
        await recovery(Scripted("a", too_long), Scripted("b", too_long)).open(call_state(last_resort="Static."))


BROKEN: list[Chunk | ProviderError] = [TextDelta(0, "half "), error(ProviderGarbled, usage=Usage(input=10, output=2))]


async def test_a_route_may_have_a_broken_stream_continued_by_the_next_model() -> None:
    """R6: the caller gets one stream of two paid attempts; the whole reply joins both."""
    state, b = call_state(continue_streams=True), Scripted("b", "and whole")
    seen = await collect(await recovery(Scripted("a", BROKEN), b).open(state))
    assert seen[:2] == [TextDelta(0, "half "), TextDelta(0, "and whole")]
    done = seen[-1]
    assert isinstance(done, Done)
    assert done.reply.text == "half and whole"
    assert done.reply.usage == Usage(input=20, output=7)
    assert (outcomes(state), state.degraded) == ([("a", "provider_garbled"), ("b", "ok")], ["continued"])
    assert [m.role for m in b.requests[0].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ([TextDelta(0, "{"), error(ProviderGarbled)], SCHEMA),
        ([ToolUseStart(0, "use_1", "order"), error(ProviderGarbled)], None),
    ],
    ids=["schema", "tool call"],
)
async def test_what_is_more_than_text_is_not_continued(script: list[Chunk | ProviderError], output: OutputSchema | None) -> None:
    b = Scripted("b", "more")
    chunks = await recovery(Scripted("a", script), b).open(call_state(continue_streams=True, output=output))
    with pytest.raises(ProvidersUnavailable):
        await collect(chunks)
    assert b.calls == 0


async def test_a_stream_that_no_target_can_continue_ends_in_an_error() -> None:
    chunks = await recovery(Scripted("a", BROKEN), Scripted("b", error(ProviderDenied))).open(call_state(continue_streams=True))
    with pytest.raises(ProvidersUnavailable):
        await collect(chunks)


async def test_a_continued_stream_that_the_client_leaves_is_cancelled_at_the_second_model() -> None:
    """R7."""
    state = call_state(continue_streams=True)
    chunks = await recovery(Scripted("a", BROKEN), Scripted("b", [TextDelta(0, "more"), TextDelta(0, "!")])).open(state)
    assert [await anext(chunks), await anext(chunks)] == [TextDelta(0, "half "), TextDelta(0, "more")]
    await chunks.aclose()
    assert outcomes(state) == [("a", "provider_garbled"), ("b", "cancelled")]


async def test_a_stream_whose_whole_breaks_its_schema_ends_in_output_invalid() -> None:
    """R4: it is out already, so it is an error and not a repair."""
    state = call_state(output=SCHEMA)
    with pytest.raises(OutputInvalid):
        await collect(await recovery(Scripted("a", '{"n": "x"}'), Scripted("b", "unused")).open(state))
    assert outcomes(state) == [("a", "output_invalid")]


async def test_a_stream_that_ends_with_its_first_chunk_is_judged_as_any_other() -> None:
    """R4, R5: a reply without a word is checked too, and closes its target's circuit."""
    state = call_state(output=SCHEMA)
    room = recovery(Scripted("a", [Done(reply("", "a", "model-a"))]), Scripted("b", "unused"), breaker=BreakerPolicy(failures=1))
    with pytest.raises(OutputInvalid):
        await collect(await room.open(state))
    assert outcomes(state) == [("a", "output_invalid")]


async def test_a_stream_that_flows_past_its_time_ends_in_that_error_and_blames_no_target() -> None:
    """R1: the caller reads the truth, and the circuit stays closed."""
    room = recovery(
        Scripted("a", [TextDelta(0, "so far"), error(ProviderTimeout)]), breaker=BreakerPolicy(failures=1, ratio=0.1, rest=60)
    )
    state = call_state(continue_streams=True)
    chunks = await room.open(state)
    assert await anext(chunks) == TextDelta(0, "so far")
    state.call = replace(state.call, deadline=Deadline(at=0.0, total=60.0))
    with pytest.raises(DeadlineExceeded, match="not complete within 60 seconds"):
        await anext(chunks)
    assert room.circuits.state(A) == "closed"


async def test_a_stream_of_far_more_than_was_asked_for_is_broken_off() -> None:
    """C1: a server that ignores the limit of 100 tokens is not read to the end of any model's window, delta by delta."""
    endless: list[Chunk | ProviderError] = [TextDelta(0, "x")] * (LEAST_DELTAS + 9)
    state = call_state()
    chunks = await recovery(Scripted("a", endless), Scripted("b", "x")).open(state)
    assert len([await anext(chunks) for _ in range(LEAST_DELTAS)]) == LEAST_DELTAS
    with pytest.raises(ProvidersUnavailable):
        await anext(chunks)
    assert outcomes(state) == [("a", "provider_garbled")]


@pytest.mark.parametrize(("letters", "beside"), [(10, False), (LARGE + 1, True)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_large_answer_is_judged_beside_the_event_loop(
    streamed: bool,
    letters: int,
    beside: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """V3: the search for one document in 4 MB of prose, or of 400,000 keys, held up other calls for a second."""
    judges: list[int] = []

    def noted(*arguments: Any) -> Any:  # noqa: ANN401 - any function's
        judges.append(threading.get_ident())
        return violations_of(*arguments)

    violations_of = output._violations
    monkeypatch.setattr(output, "_violations", noted)
    text = '{"n": 1, "long": "' + "x" * letters + '"}'
    state, service = call_state(output=SCHEMA), recovery(Scripted("a", text), Scripted("b", "backup"))
    if streamed:
        await collect(await service.open(state))
    else:
        await service.complete(state)
    assert outcomes(state) == [("a", "ok")]
    assert [judge != threading.get_ident() for judge in judges] == [beside]
