"""The allowed addresses of webhooks, and their signatures."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.domain.errors import InvalidRequest
from app.security import webhooks
from app.security.webhooks import PublicOnly, check_url, is_public, origin_of, secret_of, signature


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com./hook",
        "HTTPS://EXAMPLE.COM:8443/a%20b?token=c@d#e",
        "https://xn--bcher-kva.example/hook",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        "http://inside.test:8000/x",
        "http://inside.test.:8000/x",
    ],
)
def test_public_addresses_and_listed_hosts_are_allowed(url: str) -> None:
    check_url(url, frozenset({"inside.test"}))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://user:secret@example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://vault.internal/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///nothing",
        "example.com",
        "",
        "https://",
        "https://[",
        "https://[::1",
        "https://[abc]/",
        "https://[]p@/",
        "https://[]%@@",
        "https://[v1.x]/",
        "https://a:b/",
        "https://a.example:99999/",
        # Spellings of 127.0.0.1 and of localhost.
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11:23443/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://2130706433/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://0/",
        "https://localhost./",
        "https://LOCALHOST/",
        "https://a.localhost/",
        "https://local\u017fhost/",
        "https://127.0.0.1%00.example.com/",
        "https://ex%61mple.com/",
        # Addresses that stand for others, or are no servers.
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        "https://[2606:2800:21f:cb07:0:5efe:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:0:7f00:1]/",
        "https://[::]/",
        "https://0.0.0.0/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c%25eth0]/",
        "https://[fec0::1]/",
        "https://[fd00::1]/",
        "https://[ff02::1]/",
        "https://224.0.0.1/",
        "https://239.255.255.250/",
        "https://255.255.255.255/",
        "https://240.0.0.1/",
        "https://100.64.0.1/",
        "https://198.18.0.1/",
        "https://192.0.2.1/",
        "https://192.0.0.10/",
        "https://192.88.99.1/",
        # Ports, users, and what a header or a log line would take for its end.
        "https://example.com:22/",
        "https://example.com:0/",
        "https://user@example.com/",
        "https://:@example.com/",
        "https://@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/a b",
        "https://example.com/a\r\nx: y",
        "https://example.com/\x00",
        "https://example.com/\ud800",
        " https://example.com/",
        "https://exam\tple.com/",
        "https://intranet/",
        "https://a..example.com/",
        "https://metadata.google.internal./",
    ],
)
def test_what_leads_inside_or_is_not_https_is_refused(url: str) -> None:
    """Server-side request forgery: the address is the caller's choice."""
    with pytest.raises(InvalidRequest):
        check_url(url, frozenset())


@given(st.text(max_size=60).map(lambda text: f"https://{text}") | st.text(max_size=60))
def test_any_text_is_an_address_or_is_refused_by_name(url: str) -> None:
    with contextlib.suppress(InvalidRequest):
        check_url(url, frozenset())
        assert URL(url).raw_host
        assert url.isascii()


@given(st.ip_addresses())
def test_no_address_is_public_that_python_does_not_call_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert ip.is_global or not is_public(str(ip))
    low = int(ip) % 2**32
    for high in (0, 0xFFFF << 32, 0xFFFF << 48, 0x64FF9B << 96, 0x2002 << 112 | low << 80):
        assert not is_public(str(ipaddress.IPv6Address(high | low)))


async def test_a_name_that_resolves_to_an_inner_address_is_refused_when_connecting() -> None:
    """It may have resolved to another one when it was submitted."""
    with pytest.raises(OSError, match="not public"):
        await PublicOnly().resolve("localhost", 80)


async def test_names_that_never_resolve_leave_the_loops_own_threads_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller chooses names; the threads of the loop write files."""
    answered = threading.Event()

    def hangs(*_: object, **__: object) -> list[object]:
        answered.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    resolving = [asyncio.create_task(PublicOnly().resolve(f"{n}.hangs.example", 443)) for n in range(30)]
    try:
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        answered.set()
        await asyncio.gather(*resolving)


class Rebinding(AbstractResolver):
    """Passes every check of names, and leads to our own listener."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[Any]]]:
    """Count connections on a port of 127.0.0.1."""
    seen: list[Any] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"location": "/elsewhere"})

    server = web.Application()
    server.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("host", ["rebound.example.com", "127.0.0.1", "[::ffff:127.0.0.1]"])
async def test_the_connected_peer_is_checked_whatever_the_earlier_checks_allowed(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The checks of address and name are switched off: only the check of the socket remains."""
    monkeypatch.setattr(webhooks, "check_url", lambda *_: None)
    monkeypatch.setattr(webhooks, "PublicOnly", Rebinding)
    async with listener() as (port, seen), webhooks.session(frozenset()) as http:
        url = f"http://{host}:{port}/hook"
        assert not await webhooks.deliver(http, url, b"{}", secret=secret_of(b"m", "t"), message_id="1")
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await http.public.get(url)
        assert "not public" in str(refused.value.os_error)
    assert seen == []


async def test_a_listed_host_is_reached_and_its_redirect_is_not_followed() -> None:
    async with listener() as (port, seen), webhooks.session(frozenset({"127.0.0.1"})) as http:
        url = f"http://127.0.0.1:{port}/hook"
        assert not await webhooks.deliver(http, url, b"{}", secret=secret_of(b"m", "t"), message_id="1")
    assert seen == ["/hook"]


@pytest.mark.parametrize(("interim", "delivered"), [(2, True), (1_000_000, False)], ids=["a few", "without end"])
async def test_interim_answers_without_end_are_given_up_long_before_the_time_is_over(interim: int, delivered: bool) -> None:
    """They are read in a loop, which takes half of a core for as long as it lasts."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(interim):
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as receiver, webhooks.session(frozenset({"127.0.0.1"})) as http:
        url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/hook"
        async with asyncio.timeout(webhooks.SECONDS / 2):
            assert await webhooks.deliver(http, url, b"{}", secret=secret_of(b"m", "t"), message_id="1") is delivered


async def test_only_hosts_that_the_operator_lists_are_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy looks names up by itself: a caller's address would pass every guard here."""
    monkeypatch.setattr(webhooks, "PublicOnly", Rebinding)
    async with listener() as (port, seen), webhooks.session(frozenset({"pager.example"})) as http:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert not await webhooks.deliver(http, "https://caller.example/a", b"{}", secret=secret_of(b"m", "t"), message_id="1")
        assert seen == []
        await webhooks.deliver(http, "http://pager.example/b", b"{}", secret=secret_of(b"m", "t"), message_id="2")
    assert seen == ["/b"]


def test_a_delivered_webhook_keeps_no_more_of_its_address_than_where_it_went() -> None:
    assert origin_of("https://hooks.example.com:8443/T000/secret?token=abc#x") == "https://hooks.example.com:8443"
    assert origin_of("https://[") == ""


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Computed here from the words of the specification: HMAC-SHA256 over ``id.timestamp.body``, base64, after ``v1,``."""
    secret = secret_of(b"master", "acme")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b'job_1.1700000000.{"a": 1}', hashlib.sha256).digest()).decode()
    assert signature(secret, "job_1", 1_700_000_000, b'{"a": 1}') == f"v1,{expected}"
    assert secret_of(b"master", "other") != secret
