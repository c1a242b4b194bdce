"""Paths of the vendors that this service does not have: refused by name, never repeated by an SDK (G1a)."""

from collections.abc import Awaitable, Callable

import anthropic
import httpx2
import openai
import pytest
from aiohttp import ClientSession
from client import post

from app.api.refused.endpoints import ALL, TABLE

BATCH = {"custom_id": "a", "params": {"model": "smart", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]}}
OPENAI: dict[str, Callable[[openai.AsyncOpenAI], Awaitable[object]]] = {
    "batches": lambda c: c.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-1"),
    "a batch": lambda c: c.batches.retrieve("batch_1"),
    "files": lambda c: c.files.create(file=("a.jsonl", b"{}"), purpose="batch"),
    "a file": lambda c: c.files.content("file-1"),
    "uploads": lambda c: c.uploads.create(bytes=1, filename="a", mime_type="text/plain", purpose="batch"),
    "stored completions": lambda c: c.chat.completions.list(),
    "a stored completion": lambda c: c.chat.completions.retrieve("chatcmpl-1"),
    "its messages": lambda c: c.chat.completions.messages.list("chatcmpl-1"),
    "its deletion": lambda c: c.chat.completions.delete("chatcmpl-1"),
    "compaction": lambda c: c.responses.compact(model="smart", input="a"),
    "text completions": lambda c: c.completions.create(model="smart", prompt="a"),
    "images": lambda c: c.images.generate(prompt="a"),
    "speech": lambda c: c.audio.speech.create(input="a", model="m", voice="alloy"),
    "transcriptions": lambda c: c.audio.transcriptions.create(file=("a.wav", b"RIFF"), model="m"),
    "moderations": lambda c: c.moderations.create(input="a"),
    "fine-tuning": lambda c: c.fine_tuning.jobs.create(model="m", training_file="file-1"),
    "vector stores": lambda c: c.vector_stores.create(),
    "deleting a model": lambda c: c.models.delete("smart"),
}
ANTHROPIC: dict[str, Callable[[anthropic.AsyncAnthropic], Awaitable[object]]] = {
    "batches": lambda c: c.messages.batches.create(requests=[BATCH]),  # type: ignore[list-item] # plain JSON
    "a batch": lambda c: c.messages.batches.retrieve("msgbatch_1"),
    "all batches": lambda c: c.messages.batches.list(),
    "beta batches": lambda c: c.beta.messages.batches.list(),
    "files": lambda c: c.beta.files.list(),
}


class Counting(httpx2.AsyncHTTPTransport):
    """Counts the requests that leave."""

    sent = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent += 1
        return await super().handle_async_request(request)


@pytest.mark.parametrize("request_", OPENAI.values(), ids=OPENAI.keys())
async def test_openai_s_sdk_raises_not_found_with_a_reason_at_once(
    service_url: str, api_key: str, request_: Callable[[openai.AsyncOpenAI], Awaitable[object]]
) -> None:
    transport = Counting()
    http = httpx2.AsyncClient(transport=transport)
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=3, http_client=http) as client:
        with pytest.raises(openai.NotFoundError, match="not supported by this service") as refused:
            await request_(client)
    assert (refused.value.code, refused.value.type, transport.sent) == ("unsupported_endpoint", "invalid_request_error", 1)


@pytest.mark.parametrize("request_", ANTHROPIC.values(), ids=ANTHROPIC.keys())
async def test_anthropic_s_sdk_raises_not_found_with_a_reason_at_once(
    service_url: str, api_key: str, request_: Callable[[anthropic.AsyncAnthropic], Awaitable[object]]
) -> None:
    transport = Counting()
    http = httpx2.AsyncClient(transport=transport)
    async with anthropic.AsyncAnthropic(base_url=service_url, api_key=api_key, max_retries=3, http_client=http) as client:
        with pytest.raises(anthropic.NotFoundError, match="not supported by this service"):
            await request_(client)
    assert transport.sent == 1


async def test_batches_lead_to_jobs(http: ClientSession) -> None:
    for path in ("/v1/messages/batches", "/v1/batches"):
        assert "/v1/jobs" in (await post(http, path, {})).body["error"]["message"]


async def test_every_path_of_the_table_is_refused_whatever_the_method(http: ClientSession) -> None:
    for path in TABLE:
        for method in ALL:
            async with http.request(method, path) as answer:
                assert (answer.status, answer.headers["x-should-retry"]) == (404, "false")
        async with http.get(f"{path}/x/y") as answer:
            code = (await answer.json())["error"]["code"]
        assert code == "unsupported_endpoint"


async def test_a_refused_path_needs_a_key_and_is_no_job(http: ClientSession) -> None:
    answer = await post(http, "/v1/batches", {}, authorization="Bearer wrong")
    assert answer.status == 401
    job = await post(http, "/v1/jobs", {"path": "/v1/batches", "body": {}})
    assert (job.status, job.body["error"]["param"]) == (400, "path")


async def test_a_slash_at_the_end_of_a_path_is_answered_with_the_path_and_no_other_reason(http: ClientSession) -> None:
    answer = await post(http, "/v1/chat/completions/", {"model": "smart", "messages": [{"role": "user", "content": "a"}]})
    assert (answer.status, answer.body["error"]["code"]) == (404, "not_found")
    assert "/v1/chat/completions:" in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("POST", "/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/models", "/v1/models"),
        ("POST", "/v1/responses/responses", "/v1/responses"),
        ("GET", "/v1/models/", "/v1/models"),
    ],
)
async def test_a_base_url_with_the_endpoint_in_it_is_recognized(http: ClientSession, method: str, path: str, meant: str) -> None:
    """Applications ask for "the URL of the API", and get the address of one endpoint."""
    async with http.request(method, path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["message"] == f"No such path. Here it is {meant}: check the base URL."


@pytest.mark.parametrize(("upgrade", "status"), [("websocket", 426), ("WebSocket", 426), ("h2c", 405), (None, 405)])
async def test_a_websocket_is_refused_as_codex_understands_it(http: ClientSession, upgrade: str | None, status: int) -> None:
    """Codex tries a WebSocket first. After 426 it sends the request by HTTP at once; after any other status it tries again."""
    headers = {"upgrade": upgrade, "connection": "Upgrade"} if upgrade else {}
    async with http.get("/v1/responses", headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == ("no_websocket" if status == 426 else "method_not_allowed")
