"""A service set up for coding agents and browsers: their release live, CORS on, signs of life often."""

import gzip
import json
import re
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from client import eventually, post, session
from conftest import Simulator, key_of, octant, own_stores, running_service

ORIGIN = "http://localhost:5173"
RELEASE = "examples/coding-agents"
HELLO = [{"role": "user", "content": "hello"}]
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 60, "messages": HELLO}
CHAT: dict[str, Any] = {"model": "gpt-5.1-codex", "messages": HELLO}
BASH = {
    "name": "Bash",
    "description": "Runs a command.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"],
    },
}
LIMIT = 200_000


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with own_stores(stack_env, database_url, "agents") as env:
        octant(env, "release", "activate", RELEASE, "--reason", "coding agents")
        env |= {
            "OCTANT_WORKERS": "1",
            "OCTANT_HTTP__CORS_ORIGINS": ORIGIN,
            "OCTANT_HTTP__KEEP_ALIVE": "0.2",
            "OCTANT_HTTP__FIRST_BYTE": "1",
            "OCTANT_MAX_BODY_BYTES": str(LIMIT),
            "OCTANT_REQUEST_DEADLINE": "2",
        }
        with running_service(env, tmp_path_factory.mktemp("agents") / "service.log") as url:
            yield {**env, "URL": url, "KEY": key_of(env)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(env: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(env["URL"], env["KEY"]) as http:
        yield http


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(env: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    """Without a key."""
    async with aiohttp.ClientSession(env["URL"]) as http:
        yield http


async def sent(http: aiohttp.ClientSession, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    async with http.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.text()


def exchanged(env: dict[str, str], request: bytes) -> bytes:
    """The whole answer to raw bytes."""
    with socket.create_connection(("127.0.0.1", int(env["OCTANT_PORT"])), timeout=120) as link:
        link.sendall(request)
        return b"".join(iter(lambda: link.recv(65536), b""))


# --- names, lists and envelopes


async def test_a_route_answers_under_the_names_that_clients_know(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """G3."""
    for name in ("smart", "claude-sonnet-4-5-20250929", "gpt-5.1-codex"):
        status, headers, body = await post(http, "/v1/chat/completions", {**CHAT, "model": name})
        assert (status, body["model"], headers["octant-model"]) == (200, name, "claude-sonnet-5-5")


async def test_long_answers_stay_long_and_a_temperature_costs_no_claude(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "flood", "provider": "anthropic", "tokens": 9000})
    status, headers, body = await post(http, "/v1/messages", {**MESSAGE, "max_tokens": 32000, "temperature": 0})
    assert (status, headers["octant-model"]) == (200, "claude-sonnet-5-5")
    assert headers["octant-degraded"] == "ignored_temperature"
    assert len(body["content"][0]["text"].split()) == 9000


async def test_the_list_of_models_has_every_field_and_pages(env: dict[str, str], simulator: Simulator) -> None:
    """G1: the SDK with strict validation."""
    async with AsyncAnthropic(
        base_url=env["URL"], api_key=env["KEY"], max_retries=0, _strict_response_validation=True
    ) as anthropic:
        pages = [model.id async for model in anthropic.models.list(limit=2)]
        whole = await anthropic.models.list(limit=1000)
        assert pages == [model.id for model in whole.data]
        assert len(pages) == len(set(pages)) > 4
        assert {model.lifecycle for model in whole.data} == {"active"}
        assert (await anthropic.models.retrieve("gpt-6-sol")).max_tokens == 64000
        back = await anthropic.models.list(limit=2, before_id=pages[3])
        assert ([model.id for model in back.data], back.has_more) == (pages[1:3], True)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/models/no/such", "/v1/models?after_id=nope", "/nowhere"])
@pytest.mark.parametrize("mark", ["x_api_key", "anthropic_version"])
async def test_an_anthropic_client_gets_its_envelope_on_every_path(
    bare: aiohttp.ClientSession, env: dict[str, str], path: str, mark: str
) -> None:
    marks = {"x_api_key": env["KEY"]} if mark == "x_api_key" else {"authorization": f"Bearer {env['KEY']}", mark: "2023-06-01"}
    status, headers, body = await sent(bare, "GET", path, **marks)
    found = json.loads(body)
    assert (status, found["type"]) == ((400, "error") if "after_id" in path else (404, "error"))
    assert found["error"]["type"] == ("invalid_request_error" if "after_id" in path else "not_found_error")
    assert headers["request-id"] == found["request_id"]
    status, _, body = await sent(bare, "GET", path, authorization=f"Bearer {env['KEY']}")
    assert "type" not in json.loads(body)


async def test_refusals_before_any_handler_have_the_envelope_too(bare: aiohttp.ClientSession) -> None:
    version = {"anthropic_version": "2023-06-01"}
    for status, method, path, headers in (
        (401, "GET", "/v1/models", {}),
        (405, "DELETE", "/v1/models", {}),
        (414, "GET", "/v1/files?" + "x" * 9000, {}),
        (431, "GET", "/v1/files", {"x_much": "y" * 7000, "x_more": "y" * 7000, **{f"x_{n}": "y" * 1000 for n in range(25)}}),
    ):
        got, _, body = await sent(bare, method, path, **version, **headers)
        assert (got, json.loads(body)["type"]) == (status, "error"), path


# --- health, HEAD, CORS


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/version"])
def test_head_and_options_need_no_key_and_have_no_body(env: dict[str, str], path: str) -> None:
    answer = exchanged(env, f"HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    answer = exchanged(env, f"OPTIONS {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"allow: GET, HEAD, OPTIONS" in answer


def test_options_of_the_server_as_a_whole_is_answered(env: dict[str, str]) -> None:
    """HAProxy's manual checks a server so."""
    answer = exchanged(env, b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"allow: GET, HEAD, OPTIONS" in answer


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/smart", "/v1/calls", "/v1/nothing", "/docs", "/console"])
def test_head_is_answered_as_get_is_without_a_body(env: dict[str, str], path: str) -> None:
    request = f"{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {env['KEY']}\r\nconnection: close\r\n\r\n"
    got, head = (exchanged(env, f"{method} {request}".encode()) for method in ("GET", "HEAD"))
    assert head.endswith(b"\r\n\r\n")
    status, length = (re.search(pattern, got) for pattern in (rb"HTTP/1.1 \d+", rb"content-length: \d+"))
    assert status
    assert status[0] in head
    assert length is None or length[0] in head


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("DELETE", "/v1/messages", "POST"),
        ("GET", "/v1/responses", "POST"),
        ("HEAD", "/v1/responses", "POST"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_405_names_the_methods_of_its_path(
    bare: aiohttp.ClientSession, env: dict[str, str], method: str, path: str, methods: str
) -> None:
    status, headers, _ = await sent(bare, method, path, authorization=f"Bearer {env['KEY']}")
    assert (status, headers["allow"]) == (405, methods)


async def test_a_listed_page_may_ask_and_read_without_cookies(bare: aiohttp.ClientSession, env: dict[str, str]) -> None:
    ask = {
        "origin": ORIGIN,
        "access_control_request_method": "POST",
        "access_control_request_headers": "authorization,x-stainless-os",
    }
    status, headers, body = await sent(bare, "OPTIONS", "/v1/chat/completions", **ask)
    assert (status, body, headers["access-control-allow-origin"]) == (204, "", ORIGIN)
    assert headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    async with session(env["URL"], env["KEY"]) as http:
        _, answer, _ = await post(http, "/v1/chat/completions", CHAT, origin=ORIGIN)
        refused = await post(http, "/v1/chat/completions", {"model": "none"}, origin=ORIGIN)
    assert {"octant-cost-usd", "x-request-id", "octant-degraded"} <= set(answer["access-control-expose-headers"].split(", "))
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (400, ORIGIN)
    for found in (headers, answer, refused.headers):
        assert "access-control-allow-credentials" not in found
        assert "origin" in found["vary"].lower()


async def test_another_page_and_the_operators_paths_get_no_cors_header(bare: aiohttp.ClientSession) -> None:
    ask = {"access_control_request_method": "POST"}
    for origin, path in (("https://evil.example", "/v1/messages"), (ORIGIN, "/v1/admin/calls"), ("null", "/v1/messages")):
        status, headers, _ = await sent(bare, "OPTIONS", path, origin=origin, **ask)
        assert status in (404, 405)
        assert not [name for name in headers if name.startswith("access-control")]


# --- credentials


async def test_of_two_credentials_the_one_of_our_form_counts(bare: aiohttp.ClientSession, env: dict[str, str]) -> None:
    foreign, ours = "sk-ant-a-vendors-own-key", env["KEY"]
    for bearer, x_api_key in ((foreign, ours), (ours, foreign), (ours, "")):
        for _ in range(25):  # more than the guesses that an address may make
            headers = {"authorization": f"Bearer {bearer}", "x_api_key": x_api_key}
            status, _, _ = await sent(bare, "GET", "/v1/models", **headers)
            assert status == 200


# --- bodies


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGE)])
async def test_a_byte_order_mark_before_a_body_is_no_part_of_it(http: aiohttp.ClientSession, path: str, body: object) -> None:
    """A file from an editor on Windows, sent by curl (RFC 8259, 8.1)."""
    status, _, _ = await post(http, path, b"\xef\xbb\xbf" + json.dumps(body).encode())
    assert status == 200


async def test_a_base_url_with_v1_twice_is_answered_with_the_path(http: aiohttp.ClientSession) -> None:
    status, _, body = await post(http, "/v1/v1/messages", MESSAGE, anthropic_version="2023-06-01")
    assert (status, body["error"]["type"]) == (404, "not_found_error")
    assert "/v1/messages" in body["error"]["message"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:])),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
    ],
    ids=["gzip", "two members", "GZIP", "deflate", "identity"],
)
async def test_a_compressed_body_is_read(
    http: aiohttp.ClientSession, simulator: Simulator, encoding: str, packed: Callable[[bytes], bytes]
) -> None:
    body = packed(json.dumps({**MESSAGE, "system": "long " * 5000}).encode())
    status, _, answer = await post(http, "/v1/messages", body, content_encoding=encoding)
    assert (status, answer["content"][0]["text"]) == (200, "Hello! How can I help you today?")


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("gzip", gzip.compress(b"0" * 50_000_000), 413, "request_too_large"),
        ("deflate", zlib.compress(b"[" * 50_000_000), 413, "request_too_large"),
        ("gzip", gzip.compress(b"{}")[:-4], 400, "invalid_request"),
        ("gzip", b"{}", 400, "invalid_request"),
        ("gzip", gzip.compress(b"") * 9_000, 400, "invalid_request"),
        ("br", b"{}", 415, "unsupported_encoding"),
        ("zstd", b"{}", 415, "unsupported_encoding"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), 415, "unsupported_encoding"),
    ],
    ids=["bomb", "brackets", "cut", "plain", "empty members", "br", "zstd", "twice"],
)
async def test_a_bad_compressed_body_is_refused_by_name(
    http: aiohttp.ClientSession, encoding: str, body: bytes, status: int, code: str
) -> None:
    """S8."""
    answer = await post(http, "/v1/messages", body, content_encoding=encoding)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    if status == 415:
        assert "gzip, deflate" in answer.body["error"]["message"]
        assert answer.headers["accept-encoding"] == "gzip, deflate"


def test_nothing_is_decompressed_for_a_caller_without_a_key(env: dict[str, str]) -> None:
    """S8: the refusal is that of the key. `test_a_body_is_decompressed_once_its_caller_is_known_and_not_before` has the rest."""
    bomb = gzip.compress(b"0" * (LIMIT - 1000))
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\nconnection: close\r\n"
    )
    answer = exchanged(env, head.encode() + b"x-api-key: sk-wrong\r\n\r\n" + bomb)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"authentication_error" in answer


# --- streams


async def test_a_silent_model_does_not_leave_its_client_without_a_byte(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    for path, body, sign in (
        ("/v1/chat/completions", CHAT, ": keep-alive\n\n"),
        ("/v1/messages", MESSAGE, 'event: ping\ndata: {"type":"ping"}\n\n'),
    ):
        simulator.put_faults({"kind": "idle", "seconds": 1.5, "after_tokens": 3})
        status, _, text = await post(http, path, {**body, "stream": True})
        assert status == 200
        assert text.count(sign) >= 3, text
        assert text.endswith("data: [DONE]\n\n") or "message_stop" in text


async def test_a_model_that_thinks_in_secret_does_not_leave_its_client_without_a_byte(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """Its first token comes later than the first byte; a refusal that comes at once still has its status."""
    simulator.put_faults({"kind": "slow_first_token", "seconds": 1.5})
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGE)):
        status, headers, text = await post(http, path, {**body, "stream": True})
        assert status == 200
        assert text.startswith(": keep-alive\n\n"), text
        assert "octant-model" not in headers
        assert '"model":"claude-sonnet-5-5"' in text.split("octant")[-1]
    simulator.put_faults({"kind": "status", "status": 400})
    assert (await post(http, "/v1/messages", {**MESSAGE, "stream": True})).status == 400


async def test_a_stream_that_flows_outlives_the_deadline_of_its_start(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """R1: the deadline here is 2 seconds; idle and total are different things."""
    simulator.put_faults({"kind": "idle", "seconds": 4, "after_tokens": 3})
    _, _, text = await post(http, "/v1/messages", {**MESSAGE, "stream": True})
    assert "message_stop" in text
    _, _, text = await post(http, "/v1/messages", {**MESSAGE, "stream": True}, octant_deadline_ms="1500")
    assert '"code": "deadline_exceeded"' in text or '"code":"deadline_exceeded"' in text, text
    status, _, _ = await post(http, "/v1/messages", MESSAGE)
    assert status == 200


# --- the kill switch


@pytest.mark.parametrize("name", ["smart", "gpt-5.1-codex"])
async def test_a_stop_of_an_alias_holds_under_each_of_its_names(
    env: dict[str, str], http: aiohttp.ClientSession, name: str
) -> None:
    """P5. A stop of one further name leaves the others."""

    async def status(model: str) -> int:
        return (await post(http, "/v1/chat/completions", {**CHAT, "model": model})).status

    async def refused() -> bool:
        return await status("gpt-5.1-codex") == 503

    async def answered() -> bool:
        return await status("gpt-5.1-codex") == 200

    octant(env, "kill", "model", name, "--reason", "test")
    try:
        await eventually(refused)
        assert [await status(model) for model in ("smart", "fast")] == [503 if name == "smart" else 200, 200]
    finally:
        octant(env, "resume", "model", name)
    await eventually(answered)


# --- an agent's loop


async def test_the_demo_plays_an_agents_loop_with_thinking(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """G5."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Run `echo one`, then `echo two` with Bash."}]
    body = {
        **MESSAGE,
        "model": "smart",
        "tools": [BASH],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "max_tokens": 4096,
    }
    commands: list[str] = []
    answer: dict[str, Any] = {}
    for _ in range(5):
        _, _, answer = await post(http, "/v1/messages", {**body, "messages": turns})
        assert answer["content"][0]["type"] == "thinking"
        assert answer["content"][0]["signature"]
        uses = [block for block in answer["content"] if block["type"] == "tool_use"]
        if not uses:
            break
        commands += [use["input"]["command"] for use in uses]
        results = [{"type": "tool_result", "tool_use_id": use["id"], "content": f"{use['input']['command']} ran"} for use in uses]
        turns += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
    assert commands == ["echo one", "echo two"]
    assert answer["stop_reason"] == "end_turn"
    assert "echo two ran" in answer["content"][-1]["text"]


@pytest.mark.parametrize("model", ["smart", "fast"])
async def test_json_mode_gives_a_json_object(http: aiohttp.ClientSession, simulator: Simulator, model: str) -> None:
    body = {**CHAT, "model": model, "response_format": {"type": "json_object"}}
    for provider in ("none", "anthropic"):
        simulator.put_faults({"kind": "refuse", "provider": provider}) if provider != "none" else simulator.clear()
        status, _, answer = await post(http, "/v1/chat/completions", body)
        assert status == 200, answer
        assert isinstance(json.loads(answer["choices"][0]["message"]["content"]), dict)
