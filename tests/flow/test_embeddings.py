"""Embeddings through the running service: the SDK unchanged, money, records, fallback (G1b)."""

import base64
import json
import math
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any

import openai
import pytest
import pytest_asyncio
from aiohttp import ClientSession
from client import eventually, get, post
from commands import run
from conftest import Simulator

TEXTS = ["How do I return a jacket?", "I want to return my jacket", "Opening hours of the museum"]


@pytest_asyncio.fixture
async def sdk(service_url: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=0) as client:
        yield client


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


async def recorded(env: dict[str, str], request_id: str) -> dict[str, Any]:
    """The record of a request's one call, as `octant calls show` prints it."""

    async def shown() -> str:
        return run(env, "calls", "show", request_id, "--json").stdout

    record: dict[str, Any] = json.loads(await eventually(shown))
    return record


async def test_the_sdk_gets_vectors_in_order_with_usage(sdk: openai.AsyncOpenAI, simulator: Simulator) -> None:
    """G1b: near texts have near vectors."""
    answer = await sdk.embeddings.create(model="embed", input=TEXTS)
    vectors = [item.embedding for item in answer.data]
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert [len(vector) for vector in vectors] == [1536] * 3
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.2
    assert (answer.object, answer.model) == ("list", "embed")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


async def test_numbers_and_base64_are_the_same_vectors(
    sdk: openai.AsyncOpenAI, http: ClientSession, simulator: Simulator
) -> None:
    by_sdk = (await sdk.embeddings.create(model="embed", input="a jacket")).data[0].embedding
    numbers = (await post(http, "/v1/embeddings", {"model": "embed", "input": "a jacket"})).body["data"][0]["embedding"]
    encoded = await post(http, "/v1/embeddings", {"model": "embed", "input": "a jacket", "encoding_format": "base64"})
    assert list(array("f", numbers)) == list(array("f", by_sdk))
    assert list(array("f", base64.b64decode(encoded.body["data"][0]["embedding"]))) == list(array("f", by_sdk))


async def test_every_form_of_input_is_taken(sdk: openai.AsyncOpenAI, simulator: Simulator) -> None:
    forms: list[tuple[Any, int]] = [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)]
    assert [len((await sdk.embeddings.create(model="embed", input=form)).data) for form, _ in forms] == [n for _, n in forms]


async def test_fewer_dimensions_are_done_and_more_refused(sdk: openai.AsyncOpenAI, simulator: Simulator) -> None:
    shorter = await sdk.embeddings.create(model="embed", input="a", dimensions=256, user="ada")
    assert len(shorter.data[0].embedding) == 256
    with pytest.raises(openai.BadRequestError, match="at most 1536") as refused:
        await sdk.embeddings.create(model="embed", input="a", dimensions=4096)
    assert refused.value.param == "dimensions"


REFUSED: list[tuple[dict[str, Any], str | None]] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": ["a", 1]}, "input[1]"),
    ({"input": [1, "a"]}, "input"),
    ({"input": [[1], []]}, "input[1]"),
    ({"input": [[1], "a"]}, "input[1]"),
    ({"input": [True]}, "input[0]"),
    ({"input": [-1]}, "input"),
    ({"input": [1.5]}, "input[0]"),
    ({"input": None}, "input"),
    ({"input": {"text": "a"}}, "input"),
    ({"input": ["a"] * 2049}, "input"),
    ({"input": [[1] * 60_000] * 5 + [[1]]}, None),  # one value more than a body may hold
    ({"input": "a", "dimensions": 0}, "dimensions"),
    ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ({"input": "a", "input_type": "query"}, "input_type"),
    ({}, "input"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[f"{n}-{param}" for n, (_, param) in enumerate(REFUSED)])
async def test_a_wrong_value_is_refused_by_name(http: ClientSession, fields: dict[str, Any], param: str | None) -> None:
    answer = await post(http, "/v1/embeddings", {"model": "embed", **fields})
    assert (answer.status, answer.body["error"]["param"]) == (400, param)


async def test_an_alias_of_the_wrong_kind_is_refused_with_the_way_out(http: ClientSession) -> None:
    """A chat alias has no vectors, and an alias of embeddings no answers, in any API."""
    turns = [{"role": "user", "content": "a"}]
    wrong = [
        await post(http, "/v1/embeddings", {"model": "smart", "input": "a"}),
        await post(http, "/v1/chat/completions", {"model": "embed", "messages": turns}),
        await post(http, "/v1/chat/completions", {"model": "embed", "messages": turns, "stream": True}),
        await post(http, "/v1/messages", {"model": "embed", "max_tokens": 9, "messages": turns}),
        await post(http, "/v1/messages/count_tokens", {"model": "embed", "messages": turns}),
    ]
    assert [(answer.status, answer.body["error"]["code"]) for answer in wrong] == [(400, "wrong_endpoint")] * 5
    assert all("/v1/" in answer.body["error"]["message"] for answer in wrong)
    unknown = await post(http, "/v1/embeddings", {"model": "text-embedding-9", "input": "a"})
    assert (unknown.status, unknown.body["error"]["code"]) == (404, "model_not_found")


async def test_a_call_is_priced_recorded_and_described_in_headers(
    http: ClientSession, stack_env: dict[str, str], simulator: Simulator
) -> None:
    """O1, C1, G10: texts are recorded and redacted, vectors are not recorded."""
    texts = ["my address is ada@engine.example", "zebra crossing " * 500]
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": texts, "user": "ada"})
    billed = simulator.stats()["openai"]["billed"]["text-embedding-3-small"]  # type: ignore[index]
    cost = math.ceil(billed[0] * 20_000 / 1_000_000)
    assert answer.body["usage"]["prompt_tokens"] == billed[0]
    assert answer.headers["octant-cost-usd"] == f"{cost / 1e6:.6f}"
    assert (answer.headers["octant-provider"], answer.headers["octant-model"]) == ("openai", "text-embedding-3-small")
    call = await recorded(stack_env, answer.headers["x-request-id"])
    assert (call["feature"], call["outcome"], call["cost"]) == ("embeddings", "ok", cost)
    assert (call["input_tokens"], call["output_tokens"], call["user"]) == (billed[0], 0, "ada")
    request, response = json.loads(call["request"]), json.loads(call["response"])
    assert "ada@engine.example" not in json.dumps(request)
    assert request["input"][1] == texts[1]
    assert response == {"vectors": 2, "dimensions": 1536}


async def test_token_ids_are_counted_and_not_recorded(
    http: ClientSession, stack_env: dict[str, str], simulator: Simulator
) -> None:
    """They spell text that no redaction can read."""
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": [[90210, 8675309], [42424]]})
    request = (await recorded(stack_env, answer.headers["x-request-id"]))["request"]
    assert json.loads(request)["input"] == [{"token_ids": 2}, {"token_ids": 1}]
    assert answer.body["usage"]["prompt_tokens"] == 3


async def test_a_failing_provider_is_tried_again_and_then_reported(http: ClientSession, simulator: Simulator) -> None:
    """No model of another space stands in: its vectors would be useless beside those that the caller has."""
    simulator.put_faults({"kind": "status", "provider": "openai", "status": 500, "times": 1})
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": "a"})
    assert (answer.status, answer.headers["octant-attempts"], answer.headers["octant-fallbacks"]) == (200, "2", "0")
    simulator.put_faults({"kind": "status", "provider": "openai", "status": 500})
    down = await post(http, "/v1/embeddings", {"model": "embed", "input": "a"})
    assert (down.status, down.body["error"]["code"]) == (503, "providers_unavailable")


@pytest.mark.parametrize("fault", ["garbage_json", "truncated_json", "empty", "wrong_content_type"])
async def test_a_garbled_answer_is_an_error_and_never_a_vector(http: ClientSession, simulator: Simulator, fault: str) -> None:
    simulator.put_faults({"kind": fault, "provider": "openai"})
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": "a"})
    assert (answer.status, answer.body["error"]["code"]) == (503, "providers_unavailable")


async def test_usage_that_is_missing_is_counted_at_its_bound(http: ClientSession, simulator: Simulator) -> None:
    """C2: an unknown count is never free."""
    simulator.put_faults({"kind": "wrong_usage", "provider": "openai", "input_tokens": 0, "output_tokens": 0})
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": "a" * 100})
    assert answer.body["usage"]["prompt_tokens"] == 108


async def test_an_idempotency_key_gives_the_same_vectors_and_one_bill(http: ClientSession, simulator: Simulator) -> None:
    """G8."""
    body = {"model": "embed", "input": "once", "encoding_format": "base64"}
    first, again = [await post(http, "/v1/embeddings", body, idempotency_key="embeddings-once") for _ in range(2)]
    assert first.body == again.body
    assert again.headers["idempotency-replayed"] == "true"
    assert simulator.stats()["openai"]["requests"] == 1


async def test_a_deadline_holds(http: ClientSession, simulator: Simulator) -> None:
    simulator.put_faults({"kind": "hang", "provider": "openai"})
    answer = await post(http, "/v1/embeddings", {"model": "embed", "input": "a"}, octant_deadline_ms="500")
    assert (answer.status, answer.body["error"]["code"]) == (504, "deadline_exceeded")


async def test_the_largest_request_is_answered_whole(sdk: openai.AsyncOpenAI, simulator: Simulator) -> None:
    answer = await sdk.embeddings.create(model="embed", input=[f"text {n}" for n in range(2048)])
    assert [item.index for item in answer.data] == list(range(2048))


async def test_aliases_of_embeddings_are_listed(http: ClientSession) -> None:
    listed = {model["id"] for model in (await get(http, "/v1/models"))["data"]}
    assert {"smart", "fast", "embed", "embed-large"} <= listed
