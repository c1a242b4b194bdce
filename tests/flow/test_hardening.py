"""A service as on the open net (S6, S8).

Environment staging, operators on a listener of their own, secrets in files, one worker.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from conftest import LIVE_RELEASE, Simulator, octant, own_database, running_service

from app.security.keys.token import write
from app.stack.embedded import embedded_valkey, free_port

HEAD_SECONDS, BODY_SECONDS, BAD_KEYS = 1.0, 1.5, 5
FIRST, SECOND = "sk-first-0123456789abcdef", "sk-second-0123456789abcdef"
UNUSED = "sk-made-up-third-provider-key"
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True, slots=True)
class Service:
    """``port`` is the public one."""

    url: str
    admin_url: str
    port: int
    env: dict[str, str]
    log: Path
    key: str
    admin_key: str
    secrets: Path

    def metric(self, name: str) -> float:
        """The sum of a metric's lines whose text begins with ``name``; 0 if there are none."""
        with socket.create_connection(("127.0.0.1", int(self.env["OCTANT_METRICS_PORT"])), timeout=120) as link:
            link.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: link.recv(65536), b"")).decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@pytest.fixture(scope="module")
def service(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On stores of its own: another secret signs its records."""
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "octant_openai__api_key").write_text(FIRST + "\n")
    (secrets / "octant_secret_key").write_text("a secret of the hardening tests, long enough")
    env = {
        **{k: v for k, v in stack_env.items() if k != "OCTANT_OPENAI__API_KEY"},
        "OCTANT_ENVIRONMENT": "staging",
        "OCTANT_SECRETS_DIR": str(secrets),
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
        "OCTANT_ADMIN_PORT": str(free_port()),
        "OCTANT_WORKERS": "1",
        "OCTANT_HTTP__HEADER_TIMEOUT": str(HEAD_SECONDS),
        "OCTANT_HTTP__BODY_TIMEOUT": str(BODY_SECONDS),
        "OCTANT_HTTP__BAD_KEYS_PER_MINUTE": str(BAD_KEYS),
    }
    log = tmp_path_factory.mktemp("hardened") / "service.log"
    with embedded_valkey(None) as valkey, own_database(database_url, "hardened") as database:
        env |= {"OCTANT_VALKEY_URL": valkey, "OCTANT_DATABASE_URL": database}
        octant(env, "tenant", "create", "hard")
        # A vendor has a key of its own, so the results of the simulator do not count.
        octant(env, "release", "activate", LIVE_RELEASE, "--force", "--reason", "tests")
        key = octant(env, "key", "create", "hard", "--name", "calls", "-q").strip()
        admin = octant(env, "key", "create", "hard", "--name", "operator", "--scope", "admin", "-q").strip()
        with running_service(env, log) as url:
            admin_url = f"http://127.0.0.1:{env['OCTANT_ADMIN_PORT']}"
            yield Service(url, admin_url, int(env["OCTANT_PORT"]), env, log, key, admin, secrets)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def call(http: aiohttp.ClientSession, url: str, key: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    about = {"x-api-key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with http.post(f"{url}/v1/chat/completions", json=CHAT, headers=about) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.json()


async def connected(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", service.port)


async def dribble(service: Service, begin: bytes) -> tuple[bytes, float]:
    """Send ``begin`` and then a byte every 0.1 s until the connection closes.

    Returns the reply and the seconds until then.
    """
    reader, writer = await connected(service)
    started = time.monotonic()
    writer.write(begin)
    answer = asyncio.create_task(reader.read())
    while not answer.done() and time.monotonic() - started < 30:
        with contextlib.suppress(ConnectionError):
            writer.write(b"x")
            await writer.drain()
        await asyncio.wait({answer}, timeout=0.1)
    writer.close()
    try:
        return await answer, time.monotonic() - started
    except ConnectionError:
        return b"", time.monotonic() - started


async def test_a_client_that_dribbles_its_headers_is_cut_off(service: Service) -> None:
    """S8: slow-loris. Without a bound it would hold its connection for ever."""
    before = service.metric('octant_connections_cut_total{reason="slow_head"}')
    answer, seconds = await dribble(service, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ")
    assert seconds >= HEAD_SECONDS * 0.9
    assert seconds < HEAD_SECONDS + 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "request_too_slow"' in answer
    assert service.metric('octant_connections_cut_total{reason="slow_head"}') > before


async def test_a_client_that_dribbles_its_body_is_cut_off_and_nothing_is_called(service: Service, simulator: Simulator) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {service.key}\r\ncontent-length: 1000\r\n\r\n{{"
    answer, seconds = await dribble(service, head.encode())
    assert seconds >= BODY_SECONDS * 0.9
    assert seconds < BODY_SECONDS + 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert simulator.stats()["openai"]["requests"] == 0
    assert "unhandled error" not in service.log.read_text()


async def test_a_client_that_goes_on_sending_after_it_was_refused_is_cut_off(service: Service) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"
    answer, seconds = await dribble(service, head)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert seconds < BODY_SECONDS + 5


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize(("key", "refused"), [(True, b"413 "), (False, b"401 ")], ids=["too-large", "no-key"])
async def test_a_client_that_sends_all_of_its_body_before_it_reads_sees_its_refusal(
    service: Service, connection: str, key: bool, refused: bytes
) -> None:
    """As urllib, with ``connection: close``. A connection that closes with bytes unread is reset, and the answer is lost."""
    size = 16 * 2**20
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\ncontent-length: {size}\r\n"
    named = f"authorization: Bearer {service.key}\r\n" if key else ""

    def sent() -> bytes:
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
            client.sendall(f"{head}{named}content-type: application/json\r\n\r\n".encode())
            for _ in range(size // 2**16):
                client.sendall(b"x" * 2**16)
            return client.recv(2**16)

    assert (await asyncio.to_thread(sent)).startswith(b"HTTP/1.1 " + refused)


HTTP_2 = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
WEBSOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize("wish", [HTTP_2, WEBSOCKET], ids=["http-2", "websocket"])
@pytest.mark.parametrize("form", ["whole", "in pieces", "chunked", "pipelined"])
async def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(service: Service, wish: str, form: str) -> None:
    """Java's own HTTP client asks for HTTP/2 with each first request; its body must not be lost (RFC 9110, 7.8)."""
    body = json.dumps({**CHAT, "model": "smart"}).encode()  # Anthropic's: OpenAI's usual time stays unknown to later tests
    length = "Transfer-Encoding: chunked" if form == "chunked" else f"Content-Length: {len(body)}"
    lines = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-API-Key: {service.key}\r\nX-Request-ID: asks-for-more\r\n"
    head = f"{lines}{length}\r\n{wish}\r\n".encode()
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if form == "chunked" else body
    pieces = [head[:40], head[40:], sent[:10], sent[10:]] if form == "in pieces" else [head + sent]
    reader, writer = await connected(service)
    for piece in pieces * (2 if form == "pipelined" else 1):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)
    for _ in range(2 if form == "pipelined" else 1):
        answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert answered.startswith(b"HTTP/1.1 200 "), answered
        assert b"x-request-id: asks-for-more" in answered
        found = re.search(rb"content-length: (\d+)", answered)
        assert found
        assert json.loads(await reader.readexactly(int(found[1])))["object"] == "chat.completion"
    writer.close()


async def test_idle_connections_are_closed_and_keep_no_caller_waiting(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """One worker: if a silent client held it, no caller would be answered."""
    links = [await connected(service) for _ in range(300)]
    started = time.monotonic()
    status, _, _ = await call(http, service.url, service.key)
    assert status == 200
    assert time.monotonic() - started < 10
    ends = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in links)), HEAD_SECONDS + 20)
    assert set(ends) == {b""}
    for _, writer in links:
        writer.close()


def posted(key: str, begun: bytes) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + begun


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (None, b"y" * 16_384),
        (b"1\r\n{\r\n0\r\nx-endless: ", b"y" * 16_384),
        (b"1\r\n{\r\n0\r\n", b"x-one: y\r\n" * 1_600),
        (b"1;", b"y" * 16_384),
    ],
    ids=["header", "trailer", "trailers", "extension of a chunk"],
)
async def test_what_is_around_a_body_is_refused_at_its_limit(service: Service, begun: bytes | None, more: bytes) -> None:
    """The parser copies an unfinished trailer for each piece that comes: 60 MB of one took a worker twenty seconds."""
    reader, writer = await connected(service)
    writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-endless: " if begun is None else posted(service.key, begun))
    sent, answer = 0, asyncio.create_task(reader.read())
    while not answer.done() and sent < 10_000_000:
        writer.write(more)
        sent += len(more)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(0)
    with contextlib.suppress(ConnectionError):
        assert (await answer).startswith(b"HTTP/1.1 431 ")
    writer.close()
    assert sent < 10_000_000


async def test_a_body_in_chunks_of_one_byte_is_read(service: Service) -> None:
    """Their sizes and line breaks are five times its length."""
    body = json.dumps({"model": "smart", "messages": [{"role": "user", "content": "n " * 5_000}]}).encode()
    reader, writer = await connected(service)
    writer.write(posted(service.key, b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in body) + b"0\r\nx-sum: 1\r\n\r\n"))
    assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"200"
    writer.close()


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("?x=" + "y" * 9000, {}, 414, "url_too_long"),
        ("", {f"x-{n}": "y" for n in range(120)}, 431, "headers_too_large"),
        ("", {f"x-{n}": "y" * 4000 for n in range(10)}, 431, "headers_too_large"),
    ],
    ids=["url", "many headers", "long headers"],
)
async def test_input_that_is_too_long_is_refused_in_the_envelope(
    service: Service, http: aiohttp.ClientSession, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with http.post(f"{service.url}/v1/messages{query}", headers=headers, data=b"{}") as answer:
        body = await answer.json()
        assert (answer.status, body["type"], body["error"]["code"]) == (status, "error", code)


async def test_only_operators_are_served_on_their_own_listener(service: Service, http: aiohttp.ClientSession) -> None:
    """S8."""
    operator = {"x-api-key": service.admin_key}
    async with http.get(f"{service.url}/v1/admin/calls", headers=operator) as public:
        assert public.status == 404
    async with http.get(f"{service.admin_url}/v1/admin/calls", headers=operator) as own:
        assert own.status == 200
    async with http.get(f"{service.admin_url}/v1/admin/calls", headers={"x-api-key": service.key}) as other:
        assert (other.status, (await other.json())["error"]["code"]) == (403, "permission_denied")
    assert (await call(http, service.admin_url, service.key))[0] == 404
    for path in ("/console", "/console/calls", "/console/sign-in"):
        async with http.get(service.url + path, allow_redirects=False) as public:
            assert public.status == 404, path
        async with http.get(service.admin_url + path, allow_redirects=False) as own:
            assert own.status in (200, 303), path
    for url in (service.url, service.admin_url):
        async with http.get(f"{url}/readyz") as ready:
            assert ready.status == 200


@pytest.mark.parametrize("key", ["admin_key", None])
async def test_operators_answers_carry_strict_headers_errors_too(
    service: Service, http: aiohttp.ClientSession, key: str | None
) -> None:
    """S8. Outside development also that only TLS will do."""
    headers = {"x-api-key": getattr(service, key)} if key else {}
    async with http.get(f"{service.admin_url}/v1/admin/calls", headers=headers) as answer:
        assert answer.status == (200 if key else 401)
        received = answer.headers
    assert "default-src 'none'" in received["content-security-policy"]
    assert "frame-ancestors 'none'" in received["content-security-policy"]
    assert "unsafe" not in received["content-security-policy"]
    assert received["x-content-type-options"] == "nosniff"
    assert received["referrer-policy"] == "no-referrer"
    assert received["cache-control"] == "no-store"
    assert received["strict-transport-security"].startswith("max-age=31536000")


async def test_outside_development_the_apis_description_is_not_served(service: Service, http: aiohttp.ClientSession) -> None:
    for url in (service.url, service.admin_url):
        for path in ("/", "/docs", "/docs/style.css", "/openapi.json", "/redoc"):
            async with http.get(url + path) as answer:
                assert answer.status == 404


async def answers(service: Service, *requests: bytes) -> list[bytes]:
    """Send bytes as they are, and read until the connection closes.

    Returns the answers, each from its status line on.
    """
    reader, writer = await connected(service)
    writer.write(b"".join(requests))
    got = await asyncio.wait_for(reader.read(), HEAD_SECONDS + 20)
    writer.close()
    return [b"HTTP/1.1 " + answer for answer in got.split(b"HTTP/1.1 ")[1:]]


LIVE = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "hosts",
    [b"host: a\r\nhost: b\r\n", b"host: a\r\nhost: a\r\n", b"", b"host: a b\r\n", b"host: a/b\r\n", b"host: [::1\r\n",
     b"host: a:b\r\n", b"host: a@b\r\n", b"host: \xff\r\n"],
)  # fmt: skip
async def test_a_request_without_one_good_host_is_refused(service: Service, hosts: bytes) -> None:
    """RFC 9112, 3.2."""
    (refused,) = await answers(service, b"GET /livez HTTP/1.1\r\n" + hosts + b"\r\n")
    assert refused.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "invalid_request"' in refused


@pytest.mark.parametrize(
    ("version", "coding"),
    [
        (b"2.0", b""),
        (b"0.9", b""),
        (b"1.0", b"transfer-encoding: chunked\r\n"),
        (b"1.1", b"transfer-encoding: identity, chunked\r\n"),
        (b"1.1", b"transfer-encoding: gzip, chunked\r\n"),
    ],
)
async def test_a_body_whose_end_a_proxy_could_see_elsewhere_is_refused(service: Service, version: bytes, coding: bytes) -> None:
    """RFC 9112, 6.1: a coding that is not known, or that the version does not have, is refused, and the connection closes."""
    head = b"POST /v1/chat/completions HTTP/" + version + b"\r\nhost: x\r\n" + coding + b"\r\n"
    (refused,) = await answers(service, head + b"0\r\n\r\n" + LIVE)
    assert refused.startswith(b"HTTP/1.1 400 ")


async def test_whole_requests_are_answered_before_a_malformed_one_ends_the_connection(service: Service) -> None:
    for malformed in (b"\x00\x01 garbage\r\n\r\n", b"GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"):
        got = await answers(service, LIVE, LIVE, malformed)
        assert [answer.split()[1] for answer in got] == [b"200", b"200"]


async def test_no_answer_redirects_to_a_host_that_the_caller_names(service: Service, http: aiohttp.ClientSession) -> None:
    for url in (service.url, service.admin_url):
        for path in ("/v1/jobs/", "/v1/admin/calls/", "/livez/"):
            headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-api-key": service.key}
            async with http.get(url + path, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 404
                assert "location" not in answer.headers


async def test_every_answer_says_that_its_type_is_not_to_be_guessed(service: Service, http: aiohttp.ClientSession) -> None:
    for path in ("/livez", "/v1/models", "/nowhere", "/v1/jobs/%00"):
        for headers in ({}, {"x-api-key": service.key}):
            async with http.get(service.url + path, headers=headers) as answer:
                assert answer.headers.getall("x-content-type-options") == ["nosniff"]
    (refused,) = await answers(service, b"not http\r\n\r\n")
    assert b"x-content-type-options: nosniff" in refused


async def test_changing_values_of_x_forwarded_for_are_one_address_behind_a_proxy(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """The proxy at 127.0.0.1 appends 203.0.113.9 to its client's made-up value."""
    made_up = ["garbage", "1.2.3.4, garbage", "", "198.51.100.1", "[::1", "127.0.0.1", "999.1.1.1", "198.51.100.2"]
    for number, value in enumerate(made_up[:BAD_KEYS]):
        guess = write(f"{number:08x}", "w" * 43)
        assert (await call(http, service.url, guess, x_forwarded_for=f"{value}, 203.0.113.9"))[0] == 401
    for number, value in enumerate(made_up):
        guess = write(f"{number:08x}", "v" * 43)
        assert (await call(http, service.url, guess, x_forwarded_for=f"{value}, 203.0.113.9"))[0] == 429


async def test_an_address_that_guesses_keys_must_wait_and_no_other_must(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """S8. Our tests come from 127.0.0.1, which is a trusted proxy: it names the address it speaks for."""
    guesser, other = "203.0.113.7", "203.0.113.8"
    rate_limited = service.metric('octant_bad_keys_total{outcome="rate_limited"}')
    assert (await call(http, service.url, service.key, x_forwarded_for=guesser))[0] == 200
    guesses = [write(f"{number:08x}", "x" * 43) for number in range(BAD_KEYS)]
    for guess in guesses:
        assert (await call(http, service.url, guess, x_forwarded_for=guesser))[0] == 401
    status, headers, body = await call(http, service.url, write("0000ffff", "y" * 43), x_forwarded_for=guesser)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert (await call(http, service.url, "not-even-a-key", x_forwarded_for=guesser))[0] == 429
    fresh = octant(service.env, "key", "create", "hard", "--name", "fresh", "-q").strip()
    for right in (service.key, fresh):  # one came before, one never
        assert (await call(http, service.url, right, x_forwarded_for=guesser))[0] == 200
    assert (await call(http, service.url, guesses[0], x_forwarded_for=other))[0] == 401
    assert service.metric('octant_bad_keys_total{outcome="rate_limited"}') == rate_limited + 2
    assert service.metric('octant_bad_keys_total{outcome="refused"}') >= BAD_KEYS


async def test_a_rotated_key_file_is_used_within_seconds_and_calls_in_flight_end_well(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """S6, on the real SDK and a provider that accepts one key only.

    Nothing is restarted, and no key is shown anywhere.
    """

    def accepted(key: str, *more: dict[str, object]) -> None:
        simulator.put_faults({"kind": "wrong_key", "provider": "openai", "accepts": key}, *more)

    accepted(FIRST, {"kind": "latency", "provider": "openai", "milliseconds": 2500})
    status = octant(service.env, "provider-key", "status")
    in_flight = asyncio.create_task(call(http, service.url, service.key))
    for _ in range(500):
        if simulator.stats()["openai"]["open"]:
            break
        await asyncio.sleep(0.02)
    accepted(SECOND)
    assert (await call(http, service.url, service.key))[1]["octant-provider"] == "anthropic"  # ours is refused now
    file = service.secrets / "octant_openai__api_key"
    fresh = file.with_suffix(".new")
    fresh.write_text(SECOND)
    fresh.replace(file)
    started = time.monotonic()
    while (await call(http, service.url, service.key))[1]["octant-provider"] != "openai":
        assert time.monotonic() - started < 10
        await asyncio.sleep(0.1)
    code, headers, _ = await in_flight
    assert (code, headers["octant-provider"]) == (200, "openai")

    file.write_text("")  # as in the middle of a careless rotation: the key before stays
    await asyncio.sleep(2.2)
    assert (await call(http, service.url, service.key))[1]["octant-provider"] == "openai"
    file.write_text(SECOND)

    after = octant(service.env, "provider-key", "status")
    lines = [next(line for line in output.splitlines() if line.startswith("openai ")) for output in (status, after)]
    fingerprints = [line.split()[1] for line in lines]
    assert fingerprints[0] != fingerprints[1]
    assert all(str(file) in line for line in lines)
    assert 0 <= service.metric('octant_provider_key_age_seconds{provider="openai"}') < 60
    async with http.get(f"{service.url}/version") as version:
        outputs = [status, after, await version.text(), service.log.read_text()]
    assert "provider key changed" in outputs[-1]
    assert "provider key not read" in outputs[-1]
    for key in (FIRST, SECOND, service.key, os.environ.get("OPENAI_API_KEY") or "-no key-"):
        assert not any(key in text for text in outputs)
    assert json.loads(outputs[2])["environment"] == "staging"


async def test_the_status_says_when_a_key_was_last_accepted_and_denied(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    (service.secrets / "octant_openai__api_key").write_text(SECOND)
    for accepted in (SECOND, "another"):
        simulator.put_faults({"kind": "wrong_key", "provider": "openai", "accepts": accepted})
        assert (await call(http, service.url, service.key))[0] == 200
    line, deadline = "never", time.monotonic() + 120
    while "never" in line and time.monotonic() < deadline:
        line = next(x for x in octant(service.env, "provider-key", "status").splitlines() if x.startswith("openai "))
        await asyncio.sleep(0.2)
    assert "accepted 20" in line
    assert "denied 20" in line

    (service.secrets / "octant_openai__api_key").write_text(UNUSED)
    line = next(x for x in octant(service.env, "provider-key", "status").splitlines() if x.startswith("openai "))
    assert line.endswith("accepted never in 7 days  denied never in 7 days"), "no call was made with this key"
