"""Chunks that differ in their text alone are read without parsing each, and as if each were parsed."""

import asyncio
import json
from typing import Any

import pytest
from answered import response
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.json_text import loads
from app.domain.messages import Sampling
from app.gateway.providers import anthropic_events, anthropic_reading, openai_events, openai_reading
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.http import Events, StatusError
from app.gateway.providers.same_shape import MOST_TRIES, SameShape

Json = dict[str, Any]
Reading = anthropic_reading.Reading | openai_reading.Reading
REQUEST = ModelRequest(
    model="m", system=(), messages=(), sampling=Sampling(max_output_tokens=9), timeouts=Timeouts(1, 1, 1, 1),
    requested=frozenset(),
)  # fmt: skip
# Words of the protocols, what JSON writes otherwise than it is, and halves of a character.
ODD = [" word", "a", "b", "m", "content", "text", "text_delta", '"', "\\", '","', "\n", "\x7f", "\u2028", "é", "\ud83d", "\ude00"]
TEXTS = st.one_of(st.text(max_size=4), st.sampled_from(ODD))


def of_openai(text: str, kind: str) -> Json:
    delta: Json = {"reasoning": text} if kind == "reasoning" else {"content": text}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    more = {"obfuscation": text} if kind == "obfuscated" else {}
    model = text if kind == "another model" else "m"
    return {"id": "1", "object": "chat.completion.chunk", "model": model, "choices": [choice], "usage": None, **more}


def of_anthropic(text: str, kind: str) -> Json:
    if kind == "another model":
        return {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": text}}
    index = 1 if kind == "obfuscated" else 0
    delta = {"type": "thinking_delta", "thinking": text} if kind == "reasoning" else {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


READINGS = [(openai_reading.Reading, of_openai), (anthropic_reading.Reading, of_anthropic)]
EVENTS = st.lists(st.tuples(TEXTS, st.sampled_from(["text"] * 5 + ["reasoning", "obfuscated", "another model"])), max_size=9)


def read(reading: Reading, lines: list[str], *, parse_each: bool) -> list[object]:
    """The result of each event, and of the usage; an error by its kind."""
    results: list[object] = []
    for line in lines:
        try:
            results.append((reading.deltas(loads(line) if parse_each else reading.document(line)), reading.usage()))
        except ValueError as error:
            results.append(type(error))
    return [*results, reading._assembly.parts()]


@pytest.mark.parametrize(("made", "event"), READINGS, ids=["openai", "anthropic"])
@given(events=EVENTS, ascii_only=st.booleans(), compact=st.booleans())
def test_each_text_is_read_as_if_its_chunk_were_parsed(
    made: Any,  # noqa: ANN401 - a class of either vendor
    event: Any,  # noqa: ANN401 - a function
    events: list[tuple[str, str]],
    ascii_only: bool,
    compact: bool,
) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    lines = [json.dumps(event(text, kind), ensure_ascii=ascii_only, separators=separators) for text, kind in events]
    long = made(REQUEST, "p")
    setattr(long, "_more_text", lambda _: None)  # noqa: B010 - a method of this one alone
    assert read(made(REQUEST, "p"), lines, parse_each=False) == read(long, lines, parse_each=True)


@pytest.mark.parametrize(("made", "event"), READINGS, ids=["openai", "anthropic"])
def test_a_shape_that_is_known_is_not_parsed_again(made: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    reading = made(REQUEST, "p")
    for text in ("One", " two"):
        reading.deltas(reading.document(json.dumps(event(text, "text"))))
    monkeypatch.setattr(openai_reading, "loads", None)
    monkeypatch.setattr(anthropic_reading, "loads", None)
    assert [delta.text for delta in reading.deltas(reading.document(json.dumps(event(" three", "text"))))] == [" three"]


NAMED = b"event: content_block_delta\n"
# How a server writes an event: with and without its name, the two line ends, and a space that may lack.
FRAMES = [
    b"data: %s\n\n", NAMED + b"data: %s\n\n", b"data:%s\n\n", b"data: %s\r\n\r\n", b": ping\n\ndata: %s\n\n",
    b"data: %s\n", b"event: error\n", b"data: ",
]  # fmt: skip


async def read_pieces(reading: Reading, pieces: list[bytes], *, whole: bool) -> list[object]:
    """The deltas of a stream, and what was assembled; an error by its kind. ``whole``: each piece is decoded."""
    events, results = Events(response(*pieces)), list[object]()
    if not whole:
        events.known = reading.text_of
    if isinstance(reading, openai_reading.Reading):
        documents = openai_events.documents(events, reading.document, reading.done)
    else:
        documents = anthropic_events.documents(events, reading.document)
    try:
        async for document in documents:
            results += [(reading.deltas(document), reading.usage())]
    except (ValueError, StatusError) as error:
        results.append(type(error))
    return [*results, reading._assembly.parts()]


@pytest.mark.parametrize(("made", "event"), READINGS, ids=["openai", "anthropic"])
@settings(max_examples=400)
@given(
    events=st.lists(
        st.tuples(TEXTS, st.sampled_from(["text"] * 7 + ["reasoning", "another model"]), st.sampled_from(FRAMES)), max_size=9
    ),
    usual=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=3),
)
def test_a_piece_that_is_one_event_is_read_as_if_it_were_decoded(
    made: Any,  # noqa: ANN401 - a class of either vendor
    event: Any,  # noqa: ANN401 - a function
    events: list[tuple[str, str, bytes]],
    usual: bool,
    cuts: list[int],
) -> None:
    """Whatever the frame, with more or less than an event in a piece, and after an event that has not ended."""
    frame = FRAMES[0 if made is openai_reading.Reading else 1]
    pieces = []
    for text, kind, odd in [("One", "text", frame), (" two", "text", frame), *events]:  # two, and the shape is known
        data = json.dumps(event(text, kind), ensure_ascii=False).encode("utf-8", "surrogatepass")
        wanted = frame if usual else odd
        pieces.append(wanted % data if b"%s" in wanted else wanted)
    for cut in cuts:  # of one piece, two that end anywhere; of two, one
        at = cut % len(pieces)
        if cut % 2:
            pieces[at : at + 1] = [pieces[at][: cut % 97], pieces[at][cut % 97 :]]
        else:
            pieces[at : at + 2] = [b"".join(pieces[at : at + 2])]
    pieces = [piece for piece in pieces if piece]
    quick = asyncio.run(read_pieces(made(REQUEST, "p"), pieces, whole=False))
    assert quick == asyncio.run(read_pieces(made(REQUEST, "p"), pieces, whole=True))


@pytest.mark.parametrize(("made", "event"), READINGS, ids=["openai", "anthropic"])
async def test_a_piece_of_a_known_shape_is_not_decoded(made: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    reading, frame = made(REQUEST, "p"), FRAMES[0 if made is openai_reading.Reading else 1]
    events = Events(response(*[frame % json.dumps(event(text, "text")).encode() for text in ("One", " two", " three")]))
    events.known = reading.text_of
    reading.deltas(reading.document((await anext(events)).data))  # type: ignore[attr-defined] # the first is an event
    if made is openai_reading.Reading:  # whose first chunk says which choice and model it is of
        reading.deltas(reading.document((await anext(events)).data))  # type: ignore[attr-defined]
    monkeypatch.setattr(events._decoder, "feed", None)
    rest = [delta.text async for document in events for delta in reading.deltas(document)]
    assert rest[-1] == " three"


def test_a_server_whose_chunks_all_differ_costs_few_tries() -> None:
    looked = []

    def text_of(document: object) -> str | None:
        looked.append(document)
        return document["text"] if isinstance(document, dict) else None

    same = SameShape((b"data: ", b"\n\n"))
    for number in range(20):
        data = json.dumps({"text": "word", "new": number})
        assert same.text(data) is None
        same.learn(data, "word", text_of)
    assert len(looked) == MOST_TRIES
