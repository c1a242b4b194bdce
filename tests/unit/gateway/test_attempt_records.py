"""The record of an attempt holds its reply and the violations (O1, R4)."""

import json
from contextlib import aclosing

import pytest
from scripted import Scripted, call_state, error, recovery

from app.domain.calls import Chunk, TextDelta, ToolUseStart
from app.domain.errors import OctantError, OutputInvalid, ProviderError, ProviderFailed, ProviderGarbled
from app.domain.messages import OutputSchema
from app.domain.quick import replace
from app.domain.routes import Prompt
from app.gateway import tracing
from app.gateway.call_record import record_of
from app.gateway.rendering import render

SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
WRONG = '{"n": "many"}'


def text_of(response: str | None) -> str:
    return str(json.loads(response or "{}")["parts"][0]["text"])


async def test_a_repaired_attempt_holds_the_output_that_was_repaired() -> None:
    state = call_state(output=SCHEMA)
    state.reply = await recovery(Scripted("a", WRONG, '{"n": 1}'), Scripted("b", "unused")).complete(state)
    first, second = record_of(state).attempts
    assert (text_of(first.response), first.violations) == (WRONG, ('$.n: type "integer"',))
    assert (second.response, second.violations) == (None, ()), "the call's own response is kept once"


async def test_refused_attempts_hold_their_output_and_the_call_has_no_response() -> None:
    state = call_state(output=SCHEMA, attempts=1)
    with pytest.raises(OutputInvalid):
        await recovery(Scripted("a", WRONG), Scripted("b", WRONG)).complete(state)
    record = record_of(state)
    assert record.response == ""
    assert [(text_of(a.response), len(a.violations)) for a in record.attempts] == [(WRONG, 1)] * 4


async def test_a_broken_stream_holds_what_had_arrived() -> None:
    state = call_state()
    script: list[Chunk | ProviderError] = [
        TextDelta(0, "half "),
        ToolUseStart(1, "u", "order"),
        TextDelta(0, "a word"),
        error(ProviderGarbled),
    ]
    chunks = await recovery(Scripted("a", script), Scripted("b", "unused")).open(state)
    with pytest.raises(OctantError):
        async with aclosing(chunks):
            _ = [chunk async for chunk in chunks]
    (attempt,) = record_of(state).attempts
    assert text_of(attempt.response) == "half a word"


async def test_a_stream_that_its_caller_left_holds_what_had_arrived() -> None:
    state = call_state()
    chunks = await recovery(Scripted("a", [TextDelta(0, "half"), TextDelta(0, "more")]), Scripted("b", "x")).open(state)
    await anext(chunks)
    await chunks.aclose()
    assert text_of(record_of(state).attempts[0].response) == "half"


async def test_output_that_was_read_leniently_is_kept_as_it_came() -> None:
    fenced = '```json\n{"n": 1}\n```'
    state = call_state(output=SCHEMA)
    state.reply = await recovery(Scripted("a", fenced), Scripted("b", "unused")).complete(state)
    assert text_of(record_of(state).attempts[0].response) == fenced


async def test_an_attempt_to_which_nothing_came_back_holds_nothing() -> None:
    state = call_state(attempts=1)
    with pytest.raises(OctantError):
        await recovery(Scripted("a", error(ProviderFailed)), Scripted("b", error(ProviderFailed))).complete(state)
    assert [a.response for a in record_of(state).attempts] == [None, None]


def test_the_canary_of_a_prompt_is_sent_and_stands_in_no_record_and_no_span() -> None:
    """Who knows it from a record could leave it out of a leak that it is there to stop (S4)."""
    state = call_state()
    prompt = Prompt(name="chat/help", version="v1", sha256="0" * 64, system="Help the customer.", user="Question:", route="smart")
    state.pin = replace(state.pin, prompt=prompt)
    state.change(render(state.call, state.pin, canary="ocudamos"))
    assert "ocudamos" in state.request.system[0].text
    system = json.loads(record_of(state).request)["system"][0]
    assert "Help the customer." in system
    assert "ocudamos" not in system
    assert "ocudamos" not in json.dumps(tracing._texts(state.request, None))
