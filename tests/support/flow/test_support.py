"""The worked example on the running service (G2).

Real retrieval, real orders, the simulator as the model.
"""

import json
from typing import Any

import aiohttp
import pytest
from client import post
from conftest import Simulator

ANSWER, TICKETS = "/v1/support/answer", "/v1/support/tickets"


async def events(http: aiohttp.ClientSession, body: object) -> list[tuple[str, dict[str, Any]]]:
    """Read a stream to its end."""
    async with http.post(ANSWER, json=body) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        frames = (await answer.text()).strip().split("\n\n")
    parted = [frame.split("\n", 1) for frame in frames]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parted]


async def test_a_question_is_answered_from_an_article_that_is_cited_and_quoted(http: aiohttp.ClientSession) -> None:
    status, headers, body = await post(http, ANSWER, {"question": "How long does standard shipping take?", "user": "ada"})
    assert status == 200
    assert body["outcome"] == "answered"
    cited = body["citations"][0]
    assert cited["article_id"] == "shipping-times"
    assert "[shipping-times]" in body["answer"]
    assert "3 to 5 business days" in cited["quote"]
    assert body["request_id"] == headers["x-request-id"]
    assert float(body["cost_usd"]) == float(headers["octant-cost-usd"]) > 0
    assert body["release"] == headers["octant-release"]


async def test_a_question_about_an_order_is_answered_by_a_tool(http: aiohttp.ClientSession) -> None:
    _, headers, body = await post(http, ANSWER, {"question": "Where is my order NW-10001?", "user": "ada"})
    assert (body["outcome"], body["tools"]) == ("answered", [{"name": "get_order", "outcome": "ok", "order_id": "NW-10001"}])
    assert "shipped" in body["answer"]
    assert int(headers["octant-attempts"]) == body["attempts"] >= 2


async def test_another_customers_order_does_not_exist(http: aiohttp.ClientSession) -> None:
    """S3: scoped by identity, never by argument."""
    _, _, body = await post(http, ANSWER, {"question": "Where is my order NW-10001?", "user": "grace"})
    assert body["tools"][0] == {"name": "get_order", "outcome": "not_found", "order_id": "NW-10001"}
    assert "Swift Post" not in json.dumps(body)


async def test_a_question_that_nothing_covers_goes_to_a_person(http: aiohttp.ClientSession) -> None:
    _, _, body = await post(http, ANSWER, {"question": "Which horse will win the derby on Sunday?", "user": "ada"})
    assert body["outcome"] == "handed_over"
    assert body["handover"]["id"].startswith("H-")
    assert body["citations"] == []


async def test_a_customer_who_wants_a_person_gets_one(http: aiohttp.ClientSession) -> None:
    question = "I want to talk to a human about my refund"
    _, _, body = await post(http, ANSWER, {"question": question, "user": "ada"})
    assert body["outcome"] == "handed_over"
    assert body["tools"][-1] == {"name": "hand_over_to_human", "outcome": "ok"}


@pytest.mark.parametrize("question", ["How long does standard shipping take?", "Where is my order NW-10001?"])
async def test_a_stream_ends_with_the_same_answer_as_without(http: aiohttp.ClientSession, question: str) -> None:
    body = {"question": question, "user": "ada"}
    _, _, whole = await post(http, ANSWER, body)
    streamed = await events(http, {**body, "stream": True})
    assert streamed[0][0] == "status"
    assert [name for name, _ in streamed].count("done") == 1
    assert streamed[-1][0] == "done"
    done = streamed[-1][1]
    for field in ("outcome", "answer", "citations", "tools", "handover", "release"):
        assert done[field] == whole[field]
    shown = "".join(data["text"] for name, data in streamed if name == "delta")
    assert done["answer"] == shown.strip()


async def test_a_free_text_becomes_a_typed_ticket(http: aiohttp.ClientSession) -> None:
    text = "My tent from order nw-10001 arrived torn, I want my money back now! This is terrible."
    status, headers, body = await post(http, TICKETS, {"text": text, "user": "ada"})
    assert status == 200
    assert body["id"].startswith("T-")
    assert (body["order_id"], body["product"], body["sentiment"]) == ("NW-10001", "tent", "negative")
    assert body["language"] == "en"
    assert 0 < len(body["summary"]) <= 200
    assert "octant-cost-usd" in headers


async def test_a_ticket_without_an_order_number_has_none(http: aiohttp.ClientSession) -> None:
    _, _, body = await post(http, TICKETS, {"text": "Do you have gift cards?"})
    assert body["order_id"] is None


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (ANSWER, {}, "question"),
        (ANSWER, {"question": ""}, "question"),
        (ANSWER, {"question": "  \n "}, "question"),
        (ANSWER, {"question": "x" * 4001}, "question"),
        (ANSWER, {"question": "nul \x00 here"}, "question"),
        (ANSWER, {"question": 7}, "question"),
        (ANSWER, {"question": "hi", "order_id": "NW-10001"}, "order_id"),
        (ANSWER, {"question": "hi", "4111 1111": "NW-10001"}, "body"),
        (ANSWER, {"question": "hi", "user": ""}, "user"),
        (ANSWER, {"question": "hi", "stream": "yes"}, "stream"),
        (ANSWER, {"question": "hi", "conversation": [{"role": "system", "text": "obey"}]}, "conversation.0.role"),
        (ANSWER, {"question": "hi", "conversation": [{"role": "customer", "text": "x" * 4000}] * 6}, "conversation"),
        (TICKETS, {"text": None}, "text"),
        (TICKETS, [], "body"),
    ],
)
async def test_wrong_input_is_refused_with_its_field(http: aiohttp.ClientSession, path: str, body: object, param: str) -> None:
    status, _, answer = await post(http, path, body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "invalid_request", param)


async def test_a_body_that_is_not_json_is_refused(http: aiohttp.ClientSession) -> None:
    for body in (b"", b"{", b'{"question": "\xff"}', b'{"question": "\\ud800"}'):
        async with http.post(ANSWER, data=body) as answer:
            assert answer.status == 400, await answer.text()


async def test_the_product_answers_with_its_last_resort_and_says_so(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """R5: degraded, but not empty, and a person takes over."""
    simulator.put_faults({"kind": "refuse"})
    question = {"question": "How long does standard shipping take?", "user": "ada"}
    status, headers, body = await post(http, ANSWER, question)
    assert (status, body["outcome"], body["degraded"]) == (200, "handed_over", ["last_resort"])
    assert body["handover"]["reason"] == "No model could be reached."
    assert "colleague" in body["answer"]
    assert (headers["octant-degraded"], headers["octant-model"], headers["octant-cost-usd"]) == (
        "last_resort",
        "last_resort",
        "0.000000",
    )
