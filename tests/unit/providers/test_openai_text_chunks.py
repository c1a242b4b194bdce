"""A chunk that holds nothing but text is read without a validation, and as any other is read."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.messages import Sampling
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai_reading import Reading

Json = dict[str, Any]
REQUEST = ModelRequest(
    model="m",
    system=(),
    messages=(),
    sampling=Sampling(max_output_tokens=9),
    timeouts=Timeouts(1, 1, 1, 1),
    requested=frozenset(),
)
TEXTS = st.one_of(st.text(min_size=1, max_size=3), st.sampled_from(["\ud83d", "\ude00", "", None, 5, ["a"], {"text": "b"}]))
CALLS = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]
# What a chunk of text may hold besides: at the top, in its choice, in its delta.
TOP: dict[str, list[Any]] = {
    "model": ["n", None, ""],
    "object": ["error", "", None],
    "usage": [None, {"prompt_tokens": 3, "completion_tokens": 2}],
    "error": [None, {"message": "no"}],
    "x_groq": [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}],
    "choices": [[], None],
}
OF_CHOICE: dict[str, list[Any]] = {
    "index": [1, None, True, "0"],
    "finish_reason": ["", "stop", "length"],
    "logprobs": [{"content": [{"token": "a"}]}],
    "stop_reason": ["END"],
    "usage": [{"prompt_tokens": 4, "completion_tokens": 1}],
    "message": [{"content": "all"}],
    "delta": [None],
}
OF_DELTA: dict[str, list[Any]] = {
    "role": ["assistant", 7],
    "refusal": ["no"],
    "reasoning": ["because"],
    "tool_calls": [CALLS, []],
    "content": [[], "x"],
}


def changes(possible: dict[str, list[Any]]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from([*possible]), st.integers(0, 9), max_size=1).map(
        lambda drawn: {name: possible[name][number % len(possible[name])] for name, number in drawn.items()}
    )


def text(content: object, top: Json | None = None, of_choice: Json | None = None, of_delta: Json | None = None) -> Json:
    delta = {"content": content, **(of_delta or {})}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **(of_choice or {})}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **(top or {})}


EVENTS = st.builds(text, TEXTS, changes(TOP), changes(OF_CHOICE), changes(OF_DELTA))


def seen(reading: Reading) -> tuple[object, ...]:
    return reading.grew, reading.complete, reading.usage()


def read(reading: Reading, events: list[Json]) -> list[object]:
    """The result of each event, and of the whole; an error by its kind."""
    results: list[object] = []
    for event in [*events, None]:
        try:
            results.append(reading.reply(None) if event is None else (reading.deltas(event), *seen(reading)))
        except Exception as error:  # noqa: BLE001 - both ways must fail alike
            results.append(type(error))
    return results


@given(st.lists(EVENTS, max_size=4))
def test_the_short_way_and_the_long_one_read_the_same(events: list[Json]) -> None:
    counted = text("", {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, {"finish_reason": "stop"})
    events = [text("One"), *events[:2], counted, *events[2:]]
    long = Reading(REQUEST, "p")
    setattr(long, "_more_text", lambda _: None)  # noqa: B010 - a method of this one alone
    assert read(Reading(REQUEST, "p"), events) == read(long, events)


# What a whole answer of one text may hold besides: in its choice, in its message.
OF_WHOLE: dict[str, list[Any]] = {
    "index": [1, None, "0", False],
    "finish_reason": ["length", "stop", "content_filter", "tool_calls", None, ["a"], "nonsense"],
    "logprobs": [{"content": [{"token": "a"}]}, {}],
    "stop_reason": ["END"],
    "usage": [{"prompt_tokens": 4, "completion_tokens": 1}],
    "message": [None, {"content": "one"}, {"refusal": "no"}],
}
OF_MESSAGE: dict[str, list[Any]] = {**OF_DELTA, "annotations": [[{"type": "x"}]], "reasoning_content": ["because"]}
FIGURES = st.sampled_from([None, 0, 3, 2.5, -1, "7", "x", True, 10**12])
USAGES = st.one_of(
    st.none(),
    st.builds(
        lambda prompt, output, cached: {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
        *[FIGURES] * 3,
    ),
)


def whole(content: object, usage: object, top: Json, of_choice: Json, of_message: Json) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **of_message},
        "finish_reason": "stop",
        **of_choice,
    }
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage, **top}
    return json.dumps(answer).encode()


def read_whole(reading: Reading, content: bytes) -> object:
    """The reply, or the kind of the error; and the usage so far, which an answer that cannot be used is billed by."""
    try:
        return reading.whole(content, "r"), reading.usage()
    except Exception as error:  # noqa: BLE001 - both ways must fail alike
        return type(error), reading.usage()


@given(st.builds(whole, TEXTS, USAGES, changes(TOP), changes(OF_WHOLE), changes(OF_MESSAGE)))
def test_a_whole_answer_of_one_text_is_read_as_any_other(content: bytes) -> None:
    long = Reading(REQUEST, "p")
    setattr(long, "_one_text", lambda _: False)  # noqa: B010 - a method of this one alone
    assert read_whole(Reading(REQUEST, "p"), content) == read_whole(long, content)


ONE_CHANGE = [
    tuple({name: value} if place == changed else {} for place in range(3))
    for changed, possible in enumerate((TOP, OF_WHOLE, OF_MESSAGE))
    for name, values in possible.items()
    for value in values
]


@pytest.mark.parametrize("requested", [frozenset(), frozenset({"logprobs"})])
@pytest.mark.parametrize("change", ONE_CHANGE)
def test_a_whole_answer_of_one_text_and_one_thing_more_is_read_as_any_other(
    change: tuple[Json, Json, Json], requested: frozenset[str]
) -> None:
    request = replace(REQUEST, requested=requested)
    long, content = Reading(request, "p"), whole("yes", {"prompt_tokens": 3, "completion_tokens": 2}, *change)
    setattr(long, "_one_text", lambda _: False)  # noqa: B010 - a method of this one alone
    assert read_whole(Reading(request, "p"), content) == read_whole(long, content)


def test_a_whole_answer_of_one_text_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(REQUEST, "p")
    monkeypatch.setattr(reading, "_read", None)
    reply = reading.whole(whole("yes", {"prompt_tokens": 3, "completion_tokens": 2}, {}, {}, {}), "r")
    assert (reply.text, reply.usage.input, reply.usage.output) == ("yes", 3, 2)


def test_plain_text_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(REQUEST, "p")
    reading.deltas(text("One"))
    monkeypatch.setattr(reading, "_read", None)
    assert [delta.text for delta in reading.deltas(text(" word"))] == [" word"]  # type: ignore[union-attr]
