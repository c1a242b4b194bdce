"""Idempotency-Keys on the running service, two workers (G8)."""

import asyncio
import json
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import anthropic
import openai
import psutil
import pytest
import pytest_asyncio
from client import eventually
from conftest import Simulator, octant, running_service
from forked import supervisor_of

from app.features.installed import samples
from app.stack.embedded import free_port

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASK: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: ASK,
    MESSAGES: {**ASK, "max_tokens": 100},
    **{path: dict(body) for path, body in samples().items()},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotency-replayed") == "true"

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


@pytest_asyncio.fixture
async def http(service_url: str, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with client(service_url, api_key) as session:
        yield session


def client(url: str, key: str) -> aiohttp.ClientSession:
    """A new connection for each request, so that both workers are called."""
    connector = aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(url, headers={"authorization": f"Bearer {key}"}, connector=connector)


async def post(http: aiohttp.ClientSession, path: str, body: object, key: str | None) -> Answer:
    headers = {"idempotency-key": key} if key is not None else {}
    async with http.post(path, data=json.dumps(body), headers=headers) as answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())


async def until_not_in_use(http: aiohttp.ClientSession, path: str, body: object, key: str, seconds: float = 120) -> Answer:
    """Repeat the request until the answer is there, as the SDKs do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = await post(http, path, body, key)
        if answer.status != 409:
            return answer
        assert (answer.code, answer.headers["retry-after"], answer.headers["x-should-retry"]) == (
            "idempotency_key_in_use",
            "1",
            "true",
        )
        await asyncio.sleep(0.05)
    pytest.fail(f"still in use after {seconds} s")


def new_key() -> str:
    return uuid4().hex


@pytest.mark.parametrize("path", BODIES)
async def test_a_replay_gives_the_same_answer_and_asks_no_provider(
    http: aiohttp.ClientSession, simulator: Simulator, path: str
) -> None:
    key = new_key()
    first = await post(http, path, BODIES[path], key)
    assert (first.status, first.replayed) == (200, False)
    before = simulator.requests()
    for _ in range(4):
        again = await post(http, path, BODIES[path], key)
        assert (again.status, again.replayed, again.body) == (200, True, first.body)
        ours = {name for name in first.headers if name.startswith("octant-")} | {"content-type"}
        assert len(ours) >= 10
        assert {name: again.headers[name] for name in ours} == {name: first.headers[name] for name in ours}
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert simulator.requests() == before > 0


@pytest.mark.parametrize("path", [CHAT, *samples()])
async def test_a_replay_leaves_a_record_that_names_its_request_and_counts_in_no_rate(
    http: aiohttp.ClientSession, simulator: Simulator, stack_env: dict[str, str], path: str
) -> None:
    """G8, O1: found like any call, by its caller's request id."""
    key, body = uuid4().hex, {**BODIES[path], "user": "rose"}
    before = metrics(stack_env, "octant_calls_total")
    first, again = await post(http, path, body, key), await post(http, path, body, key)
    assert again.replayed
    assert metrics(stack_env, "octant_calls_total") - before == int(first.headers["octant-attempts"])
    record = await recorded(stack_env, again.headers["x-request-id"])
    assert (record["outcome"], record["cost"], record["replay_of"]) == ("replayed", 0, first.headers["x-request-id"])
    assert (record["tenant"], record["user"], record["target"], record["attempts"]) == ("acme", "rose", path, [])
    assert record["release"] == first.headers["octant-release"]
    assert not [row for row in listed(stack_env, "--failed", "--user", "rose") if row["id"] == record["id"]]
    assert [row["id"] for row in listed(stack_env, "--outcome", "replayed", "--request-id", record["request_id"])] == [
        record["id"]
    ]


async def recorded(env: dict[str, str], request_id: str) -> dict[str, Any]:
    """The one record of a request, with its attempts; it may take five seconds."""
    deadline = time.monotonic() + 120
    while not (rows := listed(env, "--request-id", request_id)):
        assert time.monotonic() < deadline, "no record"
        await asyncio.sleep(0.2)
    (row,) = rows
    return dict(json.loads(octant(env, "calls", "show", row["id"], "--json")))


def listed(env: dict[str, str], *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in octant(env, "calls", "--json", *options).splitlines()]


def metrics(env: dict[str, str], name: str) -> float:
    url = f"http://127.0.0.1:{env['OCTANT_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=120) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


@pytest.mark.parametrize("path", [CHAT, MESSAGES, *samples(streamed=True)])
async def test_a_stream_is_replayed_as_a_stream_of_the_same_bytes(
    http: aiohttp.ClientSession, simulator: Simulator, path: str
) -> None:
    key, body = new_key(), {**BODIES[path], "stream": True}
    first = await post(http, path, body, key)
    before = simulator.requests()
    again = await post(http, path, body, key)
    assert first.headers["content-type"].startswith("text/event-stream")
    assert (again.replayed, again.body, again.headers["content-type"]) == (True, first.body, first.headers["content-type"])
    assert again.headers["transfer-encoding"] == "chunked"
    assert simulator.requests() == before


async def test_twenty_requests_at_once_under_one_key_are_one_call_billed_once(
    http: aiohttp.ClientSession, simulator: Simulator, stack_env: dict[str, str]
) -> None:
    simulator.put_faults({"kind": "latency", "milliseconds": 300})
    key, user = new_key(), f"once-{uuid4().hex[:8]}"
    body = {**ASK, "user": user}
    answers = await asyncio.gather(*(post(http, CHAT, body, key) for _ in range(20)))
    assert simulator.requests() == 1
    assert {a.status for a in answers} <= {200, 409}
    assert sum(a.status == 200 and not a.replayed for a in answers) == 1
    last = await post(http, CHAT, body, key)
    assert (last.status, last.replayed) == (200, True)
    assert {a.body for a in answers if a.status == 200} == {last.body}
    await only_one_call_of(stack_env, user)


async def only_one_call_of(stack_env: dict[str, str], user: str) -> None:
    found: list[dict[str, Any]] = []

    async def recorded() -> bool:
        found[:] = [row for row in listed(stack_env, "--user", user) if row["outcome"] != "replayed"]
        return bool(found)

    await eventually(recorded)
    assert [(call["outcome"], call["cost"] > 0) for call in found] == [("ok", True)]


async def test_without_a_key_every_request_is_a_call(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    for _ in range(2):
        assert not (await post(http, CHAT, ASK, None)).replayed
    assert simulator.requests() == 2


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_another_body_under_the_key_is_refused_in_both_envelopes(
    http: aiohttp.ClientSession, simulator: Simulator, path: str
) -> None:
    key = new_key()
    assert (await post(http, path, BODIES[path], key)).status == 200
    answer = await post(http, path, {**BODIES[path], "temperature": 0.5}, key)
    assert (answer.status, answer.code, answer.headers["x-should-retry"]) == (422, "idempotency_key_reused", "false")
    assert (json.loads(answer.body).get("type") == "error") == (path == MESSAGES)
    assert simulator.requests() == 1


async def test_one_key_on_two_paths_is_refused(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    key = new_key()
    assert (await post(http, MESSAGES, BODIES[MESSAGES], key)).status == 200
    assert (await post(http, CHAT, BODIES[MESSAGES], key)).status == 422


async def test_while_the_first_is_answered_the_others_wait_in_both_envelopes(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "latency", "milliseconds": 1000})
    for path in (CHAT, MESSAGES):
        key = new_key()
        before = simulator.requests()
        first = asyncio.create_task(post(http, path, BODIES[path], key))
        await eventually(lambda before=before: reached(simulator, before + 1))  # type: ignore[misc]
        answer = await post(http, path, BODIES[path], key)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (409, "idempotency_key_in_use", "1")
        assert (json.loads(answer.body).get("type") == "error") == (path == MESSAGES)
        assert (await first).status == 200


async def reached(simulator: Simulator, count: int) -> bool:
    return simulator.requests() >= count


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_and_asks_again_gets_the_answer_of_its_one_call(
    http: aiohttp.ClientSession, simulator: Simulator, stack_env: dict[str, str], *, stream: bool
) -> None:
    """The connection breaks while the provider works. Without a key this would cancel the call (R7)."""
    fault = {"kind": "idle", "seconds": 0.7} if stream else {"kind": "latency", "milliseconds": 700}
    simulator.put_faults(fault)
    key, user = new_key(), f"leaver-{uuid4().hex[:8]}"
    body = {**ASK, "user": user, "stream": stream}
    left = asyncio.create_task(post(http, CHAT, body, key))
    await eventually(lambda: reached(simulator, 1))
    left.cancel()
    answer = await until_not_in_use(http, CHAT, body, key)
    assert (answer.status, answer.replayed) == (200, True)
    assert not stream or answer.body.endswith(b"data: [DONE]\n\n")
    assert (simulator.requests(), simulator.stats()["anthropic"]["cancelled"]) == (1, 0)
    await only_one_call_of(stack_env, user)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_providers_that_fail_free_the_key(http: aiohttp.ClientSession, simulator: Simulator, *, stream: bool) -> None:
    simulator.put_faults({"kind": "refuse"})
    key, body = new_key(), {**ASK, "stream": stream}
    answer = await post(http, CHAT, body, key)
    assert (answer.status, answer.code) == (503, "providers_unavailable")
    simulator.clear()
    answer = await post(http, CHAT, body, key)
    assert (answer.status, answer.replayed) == (200, False)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_stream_that_breaks_frees_the_key(http: aiohttp.ClientSession, simulator: Simulator, path: str) -> None:
    simulator.put_faults({"kind": "cut_stream", "after_tokens": 4})
    key, body = new_key(), {**BODIES[path], "stream": True}
    answer = await post(http, path, body, key)
    assert answer.status == 200
    assert b"providers_unavailable" in answer.body
    simulator.clear()
    answer = await post(http, path, body, key)
    assert (answer.status, answer.replayed) == (200, False)
    assert b"error" not in answer.body


async def test_a_refusal_that_will_not_change_is_given_again(http: aiohttp.ClientSession) -> None:
    key = new_key()
    first, again = [await post(http, CHAT, {"model": "smart"}, key) for _ in range(2)]
    assert (first.status, first.replayed) == (400, False)
    assert (again.status, again.replayed, again.body) == (400, True, first.body)
    assert again.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, "caf\u00e9"])
async def test_what_is_not_a_key_is_refused(http: aiohttp.ClientSession, simulator: Simulator, key: str) -> None:
    answer = await post(http, CHAT, ASK, key)
    assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "Idempotency-Key")
    assert simulator.requests() == 0


async def test_the_longest_key_and_a_quoted_one_are_keys(http: aiohttp.ClientSession) -> None:
    """A quoted key and the bare key are two keys.

    The draft's own form is a quoted string; most clients send the bare one.
    """
    key = uuid4().hex
    for sent in (key.ljust(255, "~"), f'"{key}"', key):
        answer = await post(http, CHAT, ASK, sent)
        assert (answer.status, answer.replayed) == (200, False)


async def test_an_answer_is_replayed_to_its_tenant_and_its_bound_user_alone(
    http: aiohttp.ClientSession, service_url: str, stack_env: dict[str, str]
) -> None:
    key = new_key()
    first = await post(http, CHAT, ASK, key)
    octant(stack_env, "tenant", "create", f"t-{key[:8]}", "--name", "Another")
    another = octant(stack_env, "key", "create", f"t-{key[:8]}", "--name", "x", "--quiet").strip()
    bound = octant(stack_env, "key", "create", "acme", "--name", "x", "--user", "ada", "--quiet").strip()
    for holder in (another, bound):
        async with client(service_url, holder) as theirs:
            answer = await post(theirs, CHAT, ASK, key)
            assert (answer.status, answer.replayed) == (200, False)
            assert answer.body != first.body
    async with client(service_url, "oct_made_up") as stranger:
        assert (await post(stranger, CHAT, ASK, key)).status == 401


async def test_the_official_sdks_pass_the_key_on_and_wait_for_the_answer(
    service_url: str, api_key: str, simulator: Simulator
) -> None:
    """They send none of their own. On 409 they send the request again by themselves."""
    simulator.put_faults({"kind": "latency", "milliseconds": 500})
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=4) as ours:
        headers = {"Idempotency-Key": new_key()}
        answers = await asyncio.gather(
            *(ours.chat.completions.create(model="smart", messages=ASK["messages"], extra_headers=headers) for _ in range(3))
        )
        assert len({answer.id for answer in answers}) == 1
        assert simulator.requests() == 1
        texts = []
        headers = {"Idempotency-Key": new_key()}
        for _ in range(2):
            chunks = await ours.chat.completions.create(
                model="smart", messages=ASK["messages"], extra_headers=headers, stream=True
            )
            texts.append([(chunk.id, chunk.choices[0].delta.content) async for chunk in chunks])
        assert texts[0] == texts[1]
        assert simulator.requests() == 2
    async with anthropic.AsyncAnthropic(base_url=service_url, api_key=api_key, max_retries=4) as theirs:
        headers = {"Idempotency-Key": new_key()}
        messages = await asyncio.gather(
            *(theirs.messages.create(model="smart", max_tokens=50, messages=ASK["messages"], extra_headers=headers) for _ in "ab")
        )
        assert len({message.id for message in messages}) == 1
        headers = {"Idempotency-Key": new_key()}
        finals = []
        for _ in range(2):
            async with theirs.messages.stream(
                model="smart", max_tokens=50, messages=ASK["messages"], extra_headers=headers
            ) as stream:
                finals.append(await stream.get_final_message())
        assert finals[0] == finals[1]
        assert simulator.requests() == 4


async def test_outcomes_are_counted(http: aiohttp.ClientSession, stack_env: dict[str, str], simulator: Simulator) -> None:
    async def counts() -> Counter[str]:
        async with aiohttp.request("GET", f"http://127.0.0.1:{stack_env['OCTANT_METRICS_PORT']}/metrics") as answer:
            lines = [line for line in (await answer.text()).splitlines() if line.startswith("octant_idempotency_total{")]
        return Counter({line.split('"')[1]: int(float(line.split()[-1])) for line in lines})

    before, key = await counts(), new_key()
    for body in (ASK, ASK, {**ASK, "temperature": 1}):
        await post(http, CHAT, body, key)
    simulator.put_faults({"kind": "refuse"})
    await post(http, CHAT, ASK, new_key())
    assert await counts() - before == {"stored": 1, "replayed": 1, "reused": 1, "released": 1}


@pytest.fixture
def own_env(stack_env: dict[str, str]) -> dict[str, str]:
    """A service of the test's own on the same stores, to be stopped and broken."""
    ports = {"OCTANT_PORT": str(free_port()), "OCTANT_METRICS_PORT": str(free_port())}
    return {**stack_env, **ports, "OCTANT_IDEMPOTENCY_LEASE": "2"}


async def test_a_restart_of_every_worker_forgets_no_answer(
    own_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    key = new_key()
    with running_service(own_env, tmp_path / "first.log") as url:
        async with client(url, api_key) as http:
            first = await post(http, CHAT, ASK, key)
    with running_service(own_env, tmp_path / "second.log") as url:
        async with client(url, api_key) as http:
            again = await post(http, CHAT, ASK, key)
    assert (again.status, again.replayed, again.body) == (200, True, first.body)
    assert simulator.requests() == 1


async def test_a_worker_killed_in_the_middle_of_a_call_frees_its_key_after_its_lease(
    own_env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    key = new_key()
    own_env["OCTANT_WORKERS"] = "1"
    with running_service(own_env, tmp_path / "service.log") as url:
        async with client(url, api_key) as http:
            simulator.put_faults({"kind": "hang", "times": 1})
            lost = asyncio.create_task(post(http, CHAT, ASK, key))
            await eventually(lambda: reached(simulator, 1))
            await asyncio.sleep(2.5)  # longer than the lease: while it is renewed, the key stays in use
            assert (await post(http, CHAT, ASK, key)).status == 409
            killed = time.monotonic()
            worker_on(int(own_env["OCTANT_PORT"])).send_signal(signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await lost
            answer = await until_free(http, key)
            assert (answer.status, answer.replayed) == (200, False)
            assert 0.5 < time.monotonic() - killed < 8
    assert simulator.requests() == 2


def worker_on(port: int) -> psutil.Process:
    """The one worker of the service that listens on a port: the master's child."""
    (worker,) = supervisor_of(port).children()
    return worker


async def until_free(http: aiohttp.ClientSession, key: str) -> Answer:
    """As `until_not_in_use`, while the only worker is being replaced."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            return await until_not_in_use(http, CHAT, ASK, key, seconds=deadline - time.monotonic())
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    pytest.fail("never free")
