"""Connections that never stand, over real TLS and through a real proxy (R1): nothing was sent, and the error says why."""

import asyncio
import os
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.domain.errors import Misconfigured, OutOfSockets, ProviderDenied, ProviderError, ProviderTimeout, ProviderUnreachable
from app.domain.messages import Message, Sampling, Text
from app.domain.proxies import proxy_of
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai import OpenAIProvider

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = ModelRequest(
    model="m",
    system=(),
    messages=(Message("user", (Text("hello"),)),),
    sampling=Sampling(max_output_tokens=50),
    timeouts=Timeouts(connect=2.0, first_token=20.0, idle=20.0, total=20.0, stream=20.0),
)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def certificate(folder: Path, *, host: str = "localhost", days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """A server's context with a certificate that it signed itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(text: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()

    return serve


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def closing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(10)


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


async def failure(url: str, *, stream: bool = False, vendor: str = "openai") -> ProviderError:
    """The error of one attempt. Fails where there is none."""
    made = OpenAIProvider if vendor == "openai" else AnthropicProvider
    provider = made("upstream", base_url=url, api_key="k")
    try:
        if stream:
            async for _ in provider.stream(REQUEST):
                pass
        else:
            await provider.complete(REQUEST)
    except ProviderError as error:
        return error
    finally:
        await provider.aclose()
    raise AssertionError("it answered")


@contextmanager
def without_descriptors() -> Iterator[None]:
    """Every descriptor that this process may have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as taken:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd.name) for fd in Path("/proc/self/fd").iterdir()) + 1, hard))
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with suppress(OSError):
            while True:
                taken.enter_context(Path(os.devnull).open())
        yield


@pytest.mark.skipif(sys.platform != "linux", reason="the descriptors of a process are counted in /proc")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_machine_that_is_out_of_descriptors_blames_no_provider(host: str, stream: bool) -> None:
    async with serving(silent) as port:
        with without_descriptors():
            error = await failure(f"http://{host}:{port}/v1", stream=stream)
    assert isinstance(error, OutOfSockets)
    assert str(error) == "This machine has no socket left to connect with (EMFILE)."
    assert not error.perhaps_paid


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_certificate_that_is_not_trusted_is_named_as_the_cause(tmp_path: Path, vendor: str, stream: bool) -> None:
    async with serving(silent, certificate(tmp_path)) as port:
        error = await failure(f"https://localhost:{port}/v1", stream=stream, vendor=vendor)
    assert isinstance(error, ProviderUnreachable)
    assert "Its certificate is not valid here: self-signed certificate. SSL_CERT_FILE" in str(error)
    assert not error.perhaps_paid


@pytest.mark.parametrize(
    ("days", "host", "words"),
    [((-9, -1), "localhost", "certificate has expired"), ((-1, 1), "other.example", "Hostname mismatch")],
)
async def test_a_trusted_certificate_of_another_time_or_host_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[int, int], host: str, words: str
) -> None:
    context = certificate(tmp_path, host=host, days=days)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    async with serving(silent, context) as port:
        error = await failure(f"https://localhost:{port}/v1")
    assert words in str(error)
    assert "SSL_CERT_FILE" not in str(error)


async def test_a_server_without_tls_a_closed_handshake_and_silence_have_their_own_words() -> None:
    found = []
    for serve in (plain, closing, silent):
        async with serving(serve) as port:
            found.append(await failure(f"https://localhost:{port}/v1"))
    assert [str(error).partition(":")[0] for error in found[:2]] == [
        "No TLS with this server",
        "Connection refused, or closed before it stood.",
    ]
    assert isinstance(found[2], ProviderTimeout)
    assert found[2].phase == "connect"
    assert not any(error.perhaps_paid for error in found)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "The proxy refuses to connect: HTTP 407."),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n\r\n<p>", "The proxy refuses to connect: HTTP 502."),
        (b"", "The proxy broke off before the connection stood."),
        (b"no HTTP\r\n\r\n", "The proxy broke off before the connection stood."),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_the_cause_and_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    async with serving(answering(answer)) as port:
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{port}")
        error = await failure("https://api.example/v1")
    assert (type(error), str(error), error.perhaps_paid) == (ProviderUnreachable, words, False)


async def test_a_proxy_that_is_away_hangs_or_wants_a_password_of_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert "The proxy that the environment names is not reached." in str(await failure("https://api.example/v1"))
    async with serving(silent) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        hung = await failure("https://api.example/v1")
    assert (type(hung), hung.perhaps_paid) == (ProviderTimeout, False)
    refusing = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(refusing)) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert isinstance(await failure("http://api.example/v1"), ProviderDenied)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_reached_without_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """As Go has it. A demo behind a company's proxy asks its own simulator."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert proxy_of("http", host) is None
    assert proxy_of("http", "models.example") == "http://proxy.example:3128"


def test_a_proxy_that_is_not_of_http_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "proxy.example:3128")
    assert proxy_of("https", "api.example") == "http://proxy.example:3128", "as curl reads it"
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    with pytest.raises(Misconfigured, match=r"Set HTTPS_PROXY to http://HOST:PORT, or NO_PROXY to api\.example\."):
        OpenAIProvider("openai", base_url="https://api.example/v1", api_key="k")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"])
async def test_a_server_that_sends_only_interim_answers_is_cut_off_at_once(stream: bool, interim: bytes) -> None:
    """Read one after the other, they would stop every other call of the worker."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(interim * 100)
            await writer.drain()

    async with serving(serve) as port, asyncio.timeout(10):
        error = await failure(f"http://127.0.0.1:{port}/v1", stream=stream)
    assert isinstance(error, ProviderUnreachable)
    assert error.perhaps_paid


async def test_an_answer_behind_interim_ones_is_read() -> None:
    body = b'{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 102 Processing\r\n\r\n" * 20
    async with serving(answering(interim + head + body)) as port:
        provider = OpenAIProvider("upstream", base_url=f"http://127.0.0.1:{port}/v1", api_key="k")
        try:
            assert (await provider.complete(REQUEST)).parts == (Text("hi"),)
        finally:
            await provider.aclose()
