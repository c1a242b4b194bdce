"""A chunk that holds nothing but text is read without a validation, and as any other is read."""

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


def test_plain_text_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(REQUEST, "p")
    reading.deltas(text("One"))
    monkeypatch.setattr(reading, "_read", None)
    assert [delta.text for delta in reading.deltas(text(" word"))] == [" word"]  # type: ignore[union-attr]
