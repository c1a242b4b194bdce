"""The running service with two workers, on real stores and a real provider process."""

import asyncio
import io
import json
import time
from typing import Any

import aiohttp
import pytest
from client import eventually, post
from conftest import LIVE_RELEASE, RELEASES, Simulator, octant

from app.releases import following

CHAT = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}


async def test_the_headers_tell_how_the_answer_came_about(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """G10."""
    status, headers, _ = await post(http, "/v1/chat/completions", CHAT)
    assert status == 200
    assert (headers["octant-provider"], headers["octant-model"]) == ("anthropic", "claude-sonnet-5-5")
    assert (headers["octant-attempts"], headers["octant-fallbacks"]) == ("1", "0")
    assert headers["octant-release"] == LIVE_RELEASE
    assert float(headers["octant-cost-usd"]) > 0
    assert float(headers["octant-overhead-ms"]) >= 0
    assert len(headers["octant-trace-id"]) == 32
    assert headers["x-request-id"].startswith("req_")


async def test_the_callers_trace_goes_on_to_the_provider(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """O4."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    _, headers, _ = await post(http, "/v1/chat/completions", CHAT, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert headers["octant-trace-id"] == trace
    recent: Any = simulator.stats()["anthropic"]["recent"]
    assert recent[-1]["traceparent"].split("-")[1] == trace


async def test_an_outage_of_one_provider_is_answered_by_the_other(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """R5."""
    simulator.put_faults({"kind": "refuse", "provider": "anthropic"})
    status, headers, _ = await post(http, "/v1/chat/completions", CHAT)
    assert (status, headers["octant-provider"], headers["octant-fallbacks"]) == (200, "openai", "1")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 529},
        {"kind": "rate_limit", "retry_after": 60},
        {"kind": "garbage_json"},
        {"kind": "truncated_json"},
        {"kind": "wrong_content_type"},
        {"kind": "empty"},
        {"kind": "reset"},
    ],
    ids=lambda f: "-".join(str(v) for v in f.values()),
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_whatever_breaks_at_one_provider_the_caller_gets_an_answer(
    http: aiohttp.ClientSession, simulator: Simulator, fault: dict[str, Any], stream: bool
) -> None:
    """R2 to R6, in first form. A stream that breaks after its first token is another matter, below."""
    simulator.put_faults({**fault, "provider": "anthropic"})
    status, headers, body = await post(http, "/v1/chat/completions", {**CHAT, "stream": stream})
    assert status == 200, body
    if stream and fault["kind"] == "truncated_json":
        return  # cut after its first tokens: see the next test
    assert headers["octant-provider"] == "openai"
    assert body.endswith("data: [DONE]\n\n") if stream else body["choices"][0]["message"]["content"].startswith("Hello")


@pytest.mark.parametrize(("path", "provider"), [("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")])
async def test_a_stream_that_breaks_ends_in_an_error_event_and_never_cleanly(
    http: aiohttp.ClientSession, simulator: Simulator, path: str, provider: str
) -> None:
    """R6."""
    simulator.put_faults({"kind": "cut_stream", "after_tokens": 4})
    status, _, body = await post(http, path, {**CHAT, "stream": True, "max_tokens": 50})
    assert status == 200
    last = json.loads(body.strip().split("data: ")[-1])
    assert last["error"]["code"] == "providers_unavailable"
    assert "[DONE]" not in body
    assert "message_stop" not in body


async def test_with_every_provider_away_the_caller_gets_an_error_within_the_deadline(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """R1: a hang at both, a deadline of half a second."""
    simulator.put_faults({"kind": "hang"})
    started = time.monotonic()
    status, _, body = await post(http, "/v1/chat/completions", CHAT, octant_deadline_ms="500")
    assert (status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - started < 3


async def test_a_client_that_leaves_cancels_the_call_upstream_and_is_billed(
    http: aiohttp.ClientSession, simulator: Simulator, stack_env: dict[str, str]
) -> None:
    """R7."""
    simulator.put_faults({"kind": "hang"})
    request = asyncio.create_task(post(http, "/v1/chat/completions", {**CHAT, "user": "leaver"}))

    async def reached() -> bool:
        return simulator.stats()["anthropic"]["open"] == 1

    async def cancelled() -> bool:
        return simulator.stats()["anthropic"]["cancelled"] == 1

    await eventually(reached)
    request.cancel()
    left = time.monotonic()
    await eventually(cancelled, 2)
    assert time.monotonic() - left < 1

    async def recorded() -> bool:
        return "cancelled" in octant(stack_env, "calls", "--user", "leaver")

    await eventually(recorded)


async def test_a_record_is_there_within_five_seconds_and_holds_no_personal_data(
    http: aiohttp.ClientSession, simulator: Simulator, stack_env: dict[str, str]
) -> None:
    """O1, O2, S5."""
    text = "My mail is ada.lovelace@example.com, my card 4111 1111 1111 1111, my order NW-10001."
    body = {"model": "fast", "messages": [{"role": "user", "content": text}], "user": "recorded"}
    await post(http, "/v1/chat/completions", body)
    found: list[dict[str, Any]] = []

    async def recorded() -> bool:
        found[:] = [json.loads(line) for line in octant(stack_env, "calls", "--user", "recorded", "--json").splitlines()]
        return bool(found)

    await eventually(recorded, 5)
    record = found[0]
    assert (record["feature"], record["outcome"], record["provider"], record["tenant"]) == ("chat", "ok", "openai", "acme")
    assert record["cost"] > 0
    stored = json.dumps(record)
    assert "NW-10001" in stored
    assert "ada.lovelace" not in stored
    assert "4111" not in stored


async def test_metrics_count_calls_over_all_workers(http: aiohttp.ClientSession, stack_env: dict[str, str]) -> None:
    """O5."""
    await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
    async with aiohttp.request("GET", f"http://127.0.0.1:{stack_env['OCTANT_METRICS_PORT']}/metrics") as answer:
        text = await answer.text()
    counted = [line for line in text.splitlines() if line.startswith('octant_calls_total{feature="chat",outcome="ok"}')]
    assert float(counted[0].split()[-1]) >= 8
    assert "llm_cost_dollars_total" in text


async def test_a_cap_that_is_used_up_refuses_with_its_figures(
    service_url: str, stack_env: dict[str, str], simulator: Simulator
) -> None:
    """C4."""
    octant(stack_env, "tenant", "create", "poor", "--day", "0.000100", "--user-day", "0.000100")
    key = octant(stack_env, "key", "create", "poor", "--name", "t", "--quiet").strip()
    async with aiohttp.ClientSession(service_url, headers={"x-api-key": key}) as poor:
        status, headers, body = await post(poor, "/v1/chat/completions", CHAT)
        assert (status, body["error"]["code"], headers["x-should-retry"]) == (429, "budget_exceeded", "false")
        assert body["error"]["budget"]["limit"] == 100
        status, _, body = await post(poor, "/v1/messages", {**CHAT, "max_tokens": 10})
        assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert simulator.stats()["anthropic"]["requests"] == 0


async def test_a_revoked_key_is_refused_by_every_worker(service_url: str, stack_env: dict[str, str]) -> None:
    """S6: within the cache's five seconds."""
    key = octant(stack_env, "key", "create", "acme", "--name", "short-lived", "--quiet").strip()
    async with aiohttp.ClientSession(service_url, headers={"x-api-key": key}) as session:
        assert (await post(session, "/v1/chat/completions", CHAT))[0] == 200
        octant(stack_env, "key", "revoke", key.split("_")[1])

        async def refused() -> bool:
            answers = await asyncio.gather(*(post(session, "/v1/chat/completions", CHAT) for _ in range(6)))
            return all(status == 401 for status, _, _ in answers)

        await eventually(refused, 7)


@pytest.mark.parametrize(
    ("stop", "release", "code"),
    [
        (["all"], ["all"], 503),
        (["tenant", "acme"], ["tenant", "acme"], 503),
        (["model", "smart"], ["model", "smart"], 503),
        (["feature", "chat"], ["feature", "chat"], 503),
        (["provider", "anthropic"], ["provider", "anthropic"], 200),
        (["model", "anthropic/claude-sonnet-5-5"], ["model", "anthropic/claude-sonnet-5-5"], 200),
    ],
    ids=["all", "tenant", "alias", "feature", "provider", "model"],
)
async def test_the_kill_switch_holds_on_every_worker_within_two_seconds(
    http: aiohttp.ClientSession, stack_env: dict[str, str], stop: list[str], release: list[str], code: int
) -> None:
    """P5."""

    async def sees(expected: int, provider: str) -> bool:
        answers = await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
        return all(status == expected and headers["octant-provider"] == provider for status, headers, _ in answers)

    octant(stack_env, "kill", *stop, "--reason", "test")
    try:
        await eventually(lambda: sees(code, "openai" if code == 200 else ""), 2)
    finally:
        octant(stack_env, "resume", *release)
    assert await eventually(lambda: sees(200, "anthropic"), 2)


@pytest.mark.parametrize("stop", [["feature", "embeddings"], ["model", "embed"], ["model", "openai/text-embedding-3-small"]])
async def test_embeddings_can_be_stopped_by_each_of_their_names(
    http: aiohttp.ClientSession, stack_env: dict[str, str], stop: list[str]
) -> None:
    """P5."""

    async def refused() -> bool:
        statuses = [(await post(http, "/v1/embeddings", {"model": "embed", "input": "a text"})).status for _ in range(8)]
        return statuses == [503] * 8

    octant(stack_env, "kill", *stop, "--reason", "test")
    try:
        assert await eventually(refused, 2)
        assert (await post(http, "/v1/chat/completions", CHAT)).status == 200
    finally:
        octant(stack_env, "resume", *stop)


async def test_rollback_is_live_on_every_worker_within_five_seconds_without_a_restart(
    http: aiohttp.ClientSession, stack_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2."""
    monkeypatch.setattr(following, "WITHIN", 5.0)

    async def serves(release: str) -> bool:
        answers = await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
        return all(headers["octant-release"] == release for _, headers, _ in answers)

    output = octant(stack_env, "rollback", "--again", "--reason", "test")  # tests of other files roll back, too
    try:
        assert "All 2 workers serve it" in output
        assert await serves(RELEASES[0])
    finally:
        octant(stack_env, "release", "activate", LIVE_RELEASE, "--reason", "test over")
    await eventually(lambda: serves(LIVE_RELEASE), 5)


BAD: list[tuple[str, bytes, int, str | None]] = [
    ("/v1/chat/completions", b"{", 400, None),
    ("/v1/chat/completions", b"[]", 400, None),
    ("/v1/chat/completions", b'{"model": "smart"}', 400, "messages"),
    ("/v1/chat/completions", b'{"model": "smart", "messages": "hi"}', 400, "messages"),
    ("/v1/chat/completions", b'{"model": "nope", "messages": [{"role": "user", "content": "x"}]}', 404, "model"),
    ("/v1/chat/completions", b'{"model": "smart", "messages": [{"role": "user", "content": "x"}], "foo": 1}', 400, "foo"),
    ("/v1/chat/completions", b'{"model": "smart", "messages": [{"role": "user", "content": "x"}], "n": 2}', 400, "n"),
    ("/v1/messages", b'{"model": "smart", "messages": []}', 400, None),
    ("/v1/messages", b'{"model": "smart", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "foo": 1}', 400, None),
    ("/v1/extract", b"{}", 400, "text"),
    ("/v1/extract", b'{"text": 5}', 400, "text"),
    ("/v1/extract", b'{"text": ""}', 400, "text"),
    ("/v1/nothing", b"{}", 404, None),
    ("/v1/models", b"{}", 405, None),
]


@pytest.mark.parametrize(("path", "body", "status", "param"), BAD)
async def test_bad_input_is_refused_in_the_vendors_envelope(
    http: aiohttp.ClientSession, path: str, body: bytes, status: int, param: str | None
) -> None:
    """G1, S8: never 500."""
    got, _, answer = await post(http, path, body)
    assert got == status, answer
    if path == "/v1/messages":
        assert answer["type"] == "error"
        assert answer["error"]["message"]
    else:
        assert answer["error"]["param"] == param


async def test_a_body_over_the_limit_is_refused(http: aiohttp.ClientSession) -> None:
    """S8."""
    async with http.post("/v1/chat/completions", data=io.BytesIO(b"x" * (4 * 1024 * 1024 + 1))) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")


async def test_no_key_is_refused_in_both_envelopes(service_url: str) -> None:
    async with aiohttp.ClientSession(service_url) as stranger:
        status, headers, body = await post(stranger, "/v1/chat/completions", CHAT)
        assert (status, body["error"]["code"], headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
        status, _, body = await post(stranger, "/v1/messages", CHAT)
        assert (status, body["error"]["type"]) == (401, "authentication_error")


async def test_health_answers_three_separate_questions(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """Design §5: readiness never calls a provider."""
    simulator.put_faults({"kind": "refuse"})
    async with http.get("/livez") as live, http.get("/readyz") as ready, http.get("/version") as version:
        assert (live.status, ready.status) == (200, 200)
        assert (await ready.json())["checks"] == {
            "postgres": "ok",
            "valkey": "ok",
            "budget": "ok",
            "release": "ok",
            "stops": "ok",
        }
        assert (await version.json())["release"] == LIVE_RELEASE
