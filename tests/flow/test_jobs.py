"""Jobs on the running service, with real workers of their own."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from client import done, eventually, get, post, session
from conftest import Simulator, key_of, octant, own_stores, running_service, running_worker
from sqlalchemy import create_engine, text

from app.features.installed import samples
from app.stack.embedded import free_port

CHAT = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
JOB = {"path": "/v1/chat/completions", "body": CHAT}


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str) -> Iterator[dict[str, str]]:
    short_leases = {"OCTANT_JOBS_LEASE": "3", "OCTANT_IDEMPOTENCY_LEASE": "2", "OCTANT_WEBHOOK_ALLOWED_HOSTS": '["127.0.0.1"]'}
    with own_stores({**stack_env, **short_leases}, database_url, "jobs") as env:
        yield env


@pytest.fixture(scope="module")
def api_key(env: dict[str, str]) -> str:
    return key_of(env)


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("jobs")
    with running_service(env, folder / "service.log") as url, running_worker(env, folder / "worker.log"):
        yield url


@pytest_asyncio.fixture(scope="module")
async def http(url: str, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(url, api_key) as http:
        yield http


def make_due(env: Mapping[str, str], job_id: str) -> None:
    """End the wait that a provider requested for a job, so that the test need not wait as long."""
    engine = create_engine(env["OCTANT_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET due_at = now() WHERE id = :id AND state = 'queued'"), {"id": job_id})
    engine.dispose()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/messages", {**CHAT, "max_tokens": 50}),
        ("/v1/responses", {"model": "fast", "input": "hello"}),
        ("/v1/embeddings", {"model": "embed", "input": ["a text", "another"]}),
        *samples().items(),
    ],
)
async def test_a_job_gives_what_the_request_would_have_given(
    http: aiohttp.ClientSession, simulator: Simulator, env: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    """G9."""
    status, headers, job = await post(http, "/v1/jobs", {"path": path, "body": body})
    assert status == 202, job
    assert (headers["location"], job["object"]) == (f"/v1/jobs/{job['id']}", "job")
    job = await done(http, job["id"])
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    _, _, direct = await post(http, path, body)
    assert job["response"]["status"] == 200
    assert job["response"]["body"].keys() == direct.keys()
    assert float(job["response"]["headers"]["octant-cost-usd"]) > 0

    async def recorded() -> bool:
        return job["id"] in octant(env, "calls", "--request-id", job["id"], "--json")

    await eventually(recorded)


async def test_a_request_that_is_refused_is_a_failed_job_that_says_why(http: aiohttp.ClientSession) -> None:
    _, _, job = await post(http, "/v1/jobs", {"path": "/v1/chat/completions", "body": {"model": "nope", "messages": []}})
    job = await done(http, job["id"])
    assert (job["state"], job["attempts"], job["response"]["status"]) == ("failed", 1, 400)
    assert job["response"]["body"]["error"]["param"] == "messages"


async def test_a_running_job_is_cancelled_all_the_way_to_the_provider(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.put_faults({"kind": "hang"})
    _, _, job = await post(http, "/v1/jobs", JOB)

    async def reached() -> bool:
        return simulator.stats()["anthropic"]["open"] == 1

    async def cancelled() -> bool:
        return simulator.stats()["anthropic"]["cancelled"] == 1

    await eventually(reached)
    status, _, answer = await post(http, f"/v1/jobs/{job['id']}/cancel", {})
    assert (status, answer["state"]) == (200, "cancelling")
    await eventually(cancelled)
    assert (await done(http, job["id"]))["state"] == "cancelled"
    status, _, answer = await post(http, f"/v1/jobs/{job['id']}/cancel", {})
    assert (status, answer["error"]["code"]) == (409, "job_finished")


async def test_what_every_provider_limits_lands_in_the_queue_if_the_caller_allows_it(
    http: aiohttp.ClientSession, env: dict[str, str], simulator: Simulator
) -> None:
    """R3, G9."""
    simulator.put_faults({"kind": "rate_limit", "retry_after": 30})
    status, _, answer = await post(http, "/v1/chat/completions", CHAT)
    assert (status, answer["error"]["code"]) == (503, "providers_rate_limited")
    status, headers, job = await post(http, "/v1/chat/completions", CHAT, octant_when_limited="queue")
    assert (status, headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    status, _, _ = await post(http, "/v1/chat/completions", {**CHAT, "stream": True}, octant_when_limited="queue")
    assert status == 503
    status, _, answer = await post(http, "/v1/chat/completions", CHAT, octant_when_limited="later")
    assert (status, answer["error"]["param"]) == (400, "octant-when-limited")
    simulator.clear()
    make_due(env, job["id"])
    job = await done(http, job["id"], 90)
    assert (job["state"], job["response"]["status"]) == ("succeeded", 200)


async def test_a_webhook_tells_of_the_end_and_its_signature_holds(http: aiohttp.ClientSession, env: dict[str, str]) -> None:
    """The first delivery is refused by the receiver: it comes again."""
    received: asyncio.Queue[tuple[Mapping[str, str], bytes]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        received.put_nowait((dict(request.headers), await request.read()))
        return web.Response(status=500 if received.qsize() == 1 else 204)

    application = web.Application()
    application.router.add_post("/hook", hook)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        _, _, job = await post(http, "/v1/jobs", {**JOB, "webhook_url": f"http://127.0.0.1:{port}/hook"})
        async with asyncio.timeout(120):
            first = await received.get()
            received.put_nowait(first)
            await received.get()
            headers, body = await received.get()
    finally:
        await runner.cleanup()
    answer = json.loads(body)
    assert (answer["type"], answer["data"]["id"], answer["data"]["state"]) == ("job.finished", job["id"], "succeeded")
    lowered = {name.lower(): value for name, value in headers.items()}
    secret = octant(env, "webhook", "secret", "acme").strip()
    signed = f"{lowered['webhook-id']}.{lowered['webhook-timestamp']}.".encode() + body
    expected = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert lowered["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert lowered["webhook-id"] == job["id"]


async def test_jobs_are_listed_and_a_key_makes_the_same_job_once(http: aiohttp.ClientSession) -> None:
    key = f"once-{time.monotonic_ns()}"
    _, _, first = await post(http, "/v1/jobs", JOB, idempotency_key=key)
    _, headers, second = await post(http, "/v1/jobs", JOB, idempotency_key=key)
    assert (first["id"], headers["idempotency-replayed"]) == (second["id"], "true")
    listed = await get(http, "/v1/jobs?limit=2")
    assert listed["data"][0]["id"] == first["id"]
    assert listed["has_more"]
    for path in ("/v1/jobs", f"/v1/jobs/{first['id']}"):
        async with http.get(path) as answer:
            assert answer.headers["cache-control"] == "no-store", "no cache between keeps one caller's jobs for another"
    await done(http, first["id"])


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "path"),
    ({"path": "/v1/jobs", "body": {}}, "path"),
    ({"path": "/readyz", "body": {}}, "path"),
    ({"path": "/v1/messages"}, "body"),
    ({"path": "/v1/messages", "body": []}, "body"),
    ({"path": "/v1/messages", "body": {"stream": True}}, "body.stream"),
    ({**JOB, "webhook_url": "https://10.0.0.1/"}, "webhook_url"),
    ({**JOB, "webhook_url": "http://example.com/"}, "webhook_url"),
    ({**JOB, "deadline_ms": 0}, "deadline_ms"),
    ({**JOB, "unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("body", "param"), BAD)
async def test_bad_jobs_are_refused_with_the_field_named(http: aiohttp.ClientSession, body: dict[str, Any], param: str) -> None:
    status, _, answer = await post(http, "/v1/jobs", body)
    assert (status, answer["error"]["param"]) == (400, param), answer


async def test_another_callers_job_does_not_exist(http: aiohttp.ClientSession, url: str, env: dict[str, str]) -> None:
    _, _, job = await post(http, "/v1/jobs", JOB)
    octant(env, "tenant", "create", "nosy", "--day", "1", "--user-day", "1")
    key = octant(env, "key", "create", "nosy", "--name", "t", "--quiet").strip()
    async with (
        aiohttp.ClientSession(url, headers={"x-api-key": key}) as nosy,
        nosy.get(f"/v1/jobs/{job['id']}") as seen,
        nosy.post(f"/v1/jobs/{job['id']}/cancel") as cancelled,
    ):
        assert (seen.status, cancelled.status) == (404, 404)
    await done(http, job["id"])


async def test_a_key_that_was_revoked_before_its_job_ran_spends_nothing(
    http: aiohttp.ClientSession, url: str, env: dict[str, str], simulator: Simulator
) -> None:
    key = octant(env, "key", "create", "acme", "--name", "soon-gone", "--quiet").strip()
    simulator.put_faults({"kind": "rate_limit", "retry_after": 30, "times": 2})
    async with aiohttp.ClientSession(url, headers={"x-api-key": key}) as soon_gone:
        _, _, job = await post(soon_gone, "/v1/jobs", JOB)

        async def put_back() -> bool:
            answer = await get(http, f"/v1/jobs/{job['id']}")
            return (answer["state"], answer["attempts"]) == ("queued", 1)

        await eventually(put_back)
        octant(env, "key", "revoke", key.split("_")[1])
    make_due(env, job["id"])
    answer = await done(http, job["id"], 90)
    assert (answer["state"], answer["response"]["status"]) == ("failed", 401)
