"""Reading embeddings of OpenAI's wire in every server's accent."""

import base64
import json
import math
from array import array
from dataclasses import replace
from typing import Any

import pytest

from app.domain.calls import Reply, Usage
from app.domain.embeddings import Inputs, VectorSpace, floats
from app.domain.messages import Sampling
from app.gateway.providers import anthropic_wire, openai_embeddings
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.errors import ProtocolError

THREE = VectorSpace("m", 3, shortens=True)
REQUEST = ModelRequest(
    model="m",
    system=(),
    messages=(),
    sampling=Sampling(max_output_tokens=1),
    timeouts=Timeouts(1, 1, 1, 1),
    embed=Inputs(texts=("a", "b")),
    space=THREE,
)
A, B = [1.0, 0.5, -0.25], [0.0, 1.0, 0.0]


def packed(values: list[float]) -> str:
    return base64.b64encode(array("f", values).tobytes()).decode()


def answer(*items: Any, **fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"object": "list", "data": list(items), "model": "m-1", **fields}).encode()


def item(embedding: Any, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"object": "embedding", "embedding": embedding, **fields}


def read(content: bytes, request: ModelRequest = REQUEST) -> Reply:
    return openai_embeddings.read(content, request, "openai", "req_1")


def numbers(reply: Reply) -> list[list[float]]:
    return [list(floats(vector)) for vector in reply.vectors]


GOOD = {
    "base64": (item(packed(A), index=0), item(packed(B), index=1)),
    "numbers, as Ollama sends them whatever was requested": (item(A, index=0), item(B, index=1)),
    "whole numbers": (item([1.0, 0.5, -0.25], index=0), item([0, 1, 0], index=1)),
    "out of order": (item(packed(B), index=1), item(packed(A), index=0)),
    "without an index": (item(A), item(B)),
    "with a null index": (item(A, index=None), item(B, index=None)),
    "no index for the first, as Gemini leaves out a zero": (item(A), item(B, index=1)),
    "no index for the first, out of order": (item(B, index=1), item(A)),
    "all numbered zero, as servers do that answer each input by itself": (item(A, index=0), item(B, index=0)),
    "all with one number": (item(A, index=1), item(B, index=1)),
    "an index as text": (item(B, index="1"), item(A, index="0")),
    "one of each kind": (item(packed(A), index=0), item(B, index=1)),
}


@pytest.mark.parametrize("items", GOOD.values(), ids=GOOD.keys())
def test_a_good_answer_is_read_in_any_accent(items: tuple[Any, ...]) -> None:
    """G1a."""
    reply = read(answer(*items, usage={"prompt_tokens": 7, "total_tokens": 7}))
    assert numbers(reply) == [A, B]
    assert (reply.model, reply.usage, reply.provider_request_id) == ("m-1", Usage(input=7), "req_1")


def test_a_large_answer_of_numbers_is_read_vector_by_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: to parse all numbers in one call would hold the process."""
    longest: list[int] = []
    parse = openai_embeddings._ANSWER.validate_json

    class Noting:
        def validate_json(self, content: bytes) -> Any:  # noqa: ANN401 - as pydantic's
            longest.append(max(map(len, content.split(b'"'))))
            return parse(content)

    many = replace(REQUEST, embed=Inputs(texts=("a",) * 64), space=VectorSpace("m", 1024))
    vector = [0.123456789, *[1e-3] * 1023]
    content = answer(*(item(vector, index=n) for n in range(64)))
    assert len(content) > openai_embeddings.LARGE
    monkeypatch.setattr(openai_embeddings, "_ANSWER", Noting())
    assert numbers(read(content, many))[63] == list(array("f", vector))
    assert longest == [len(base64.b64encode(bytes(4 * 1024)))]
    for wrong in ([math.nan, *vector[1:]], [1e300, *vector[1:]], [*vector, 1.0]):
        with pytest.raises(ValueError):  # noqa: PT011 - as below
            read(answer(*(item(wrong, index=n) for n in range(64))), many)


BAD = {
    "too few": (item(A, index=0),),
    "too many": (item(A, index=0), item(B, index=1), item(B, index=2)),
    "none": (),
    "an index out of range": (item(A, index=0), item(B, index=2)),
    "an index of one alone": (item(A, index=0), item(B)),
    "a shorter vector": (item(A, index=0), item([1.0, 2.0], index=1)),
    "a longer vector": (item(A, index=0), item([*B, 1.0], index=1)),
    "an empty vector": (item(A, index=0), item([], index=1)),
    "a zero vector": (item(A, index=0), item([0.0, 0.0, 0.0], index=1)),
    "not a number": (item(A, index=0), item([0.0, math.nan, 1.0], index=1)),
    "infinite": (item(A, index=0), item([0.0, math.inf, 1.0], index=1)),
    "not a number in base64": (item(A, index=0), item(packed([0.0, math.nan, 1.0]), index=1)),
    "two infinities that cancel": (item(A, index=0), item(packed([math.inf, -math.inf, 1.0]), index=1)),
    "over 32 bits": (item(A, index=0), item([1e300, 0.0, 1.0], index=1)),
    "null numbers": (item(A, index=0), item([None, 0.0, 1.0], index=1)),
    "a null vector": (item(A, index=0), item(None, index=1)),
    "nested": (item([A], index=0), item([B], index=1)),
    "garbled base64": (item(A, index=0), item("!!!!" + packed(B), index=1)),
    "base64 of half a number": (item(A, index=0), item(packed(B)[:-8] + "AA==", index=1)),
    "base64 of 64-bit numbers": (item(A, index=0), item(base64.b64encode(array("d", B).tobytes()).decode(), index=1)),
    "texts": (item(A, index=0), item(["0", "x", "1"], index=1)),
}


@pytest.mark.parametrize("items", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_not_a_usable_vector_for_each_input_is_garbled(items: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's, or ours: the adapter makes ProviderGarbled of each
        read(answer(*items))


@pytest.mark.parametrize("numbered", [(0, 0, 1), (0, 1, 1), (2, 2, 0), (None, None, 2)])
def test_where_some_numbers_are_alike_the_order_is_not_known(numbered: tuple[int | None, ...]) -> None:
    three = replace(REQUEST, embed=Inputs(texts=("a", "b", "c")))
    with pytest.raises(ProtocolError, match="numbers are missing, double"):
        read(answer(*(item(A, index=number) for number in numbered)), three)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"data": null}', b'{"data": {}}', b"<html>", b'{"error": "no"}'])
def test_what_is_no_answer_is_garbled(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        read(content)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7, "total_tokens": 7}, 7),
        ({"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7, "prompt_tokens_details": None}, 7),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": None, "total_tokens": 9}, 9),
        ({"prompt_tokens": "7"}, 7),
        ({"prompt_tokens": 7.0}, 7),
        ({"prompt_tokens": -1}, 0),
        ({"prompt_tokens": "many"}, 0),
        ({}, 0),
        (None, 0),
        ("none", 0),
    ],
)
def test_usage_is_read_in_any_accent_and_zero_where_it_is_not_known(usage: object, counted: int) -> None:
    content = answer(item(A), item(B), usage=usage)
    assert read(content).usage == openai_embeddings.usage(content) == Usage(input=counted)


def test_usage_of_an_answer_that_cannot_be_used_is_still_read() -> None:
    assert openai_embeddings.usage(answer(item([1.0]), usage={"prompt_tokens": 5})) == Usage(input=5)


def test_the_model_that_was_requested_is_the_answering_one_where_the_answer_names_none() -> None:
    assert read(json.dumps({"data": [item(A), item(B)]}).encode()).model == "m"


def test_fewer_dimensions_are_requested_and_their_number_is_held() -> None:
    two = replace(REQUEST, embed=Inputs(texts=("a",), dimensions=2))
    assert openai_embeddings.body(two) == {"model": "m", "input": ["a"], "encoding_format": "base64", "dimensions": 2}
    assert numbers(read(answer(item([1.0, 2.0])), two)) == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="3 dimensions instead of 2"):
        read(answer(item(A)), two)


def test_all_dimensions_are_not_requested_for_servers_that_refuse_the_field() -> None:
    whole = replace(REQUEST, embed=Inputs(texts=("a",), dimensions=3))
    assert "dimensions" not in openai_embeddings.body(whole)


def test_token_ids_are_sent_as_they_came() -> None:
    ids = replace(REQUEST, embed=Inputs(token_ids=((1, 2), (3,))))
    assert openai_embeddings.body(ids)["input"] == [[1, 2], [3]]


def test_a_vendor_without_embeddings_is_passed_over() -> None:
    assert "embeddings" in anthropic_wire.LACKS
