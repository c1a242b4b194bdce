"""Post to a caller's server, signed by Standard Webhooks (standardwebhooks.com).

The caller chooses the address, so an attacker may. Three checks prevent that, each on the host of the connection itself:
`check_url` when an address is submitted and again before each delivery, the resolver for what a name leads to, and the socket for
the very address that is about to be connected to. Redirects are not followed. Hosts that the operator lists may be anything.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import re
import socket
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.domain.errors import InvalidRequest, Misconfigured
from app.domain.proxies import proxy_of
from app.domain.store_errors import why

SECONDS = 10.0
MOST_INTERIM = 5  # answers of the kind 1xx before the one that counts
PORTS = frozenset({443, 8443})  # any other port needs a host that the operator lists
LONGEST_NAME = 253  # RFC 1035, 2.3.4, without the last dot
PARAM = "webhook_url"
# Visible ASCII but for quotes, backslash, angle brackets, braces, pipe, caret and backtick: RFC 3986 has none of these in a URL.
_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_INSIDE = (
    "localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "test", "invalid",
    "onion", "alt",
)  # fmt: skip
# Addresses that represent others, or that Python calls global: none of them is a server on the open net.
_NOT_SERVERS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's own platform, as seen from every machine there
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.0.0.0/24",  # protocol assignments, also those that are global
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 of one network (RFC 8215)
        "100::/64",  # discard only
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",
        "fe80::/9",  # link-local and what was site-local
        "ff00::/8",
    )
)
_NAMES = ThreadPoolExecutor(32, "names")  # the system may ask for half a minute, three times as long as a delivery waits
_ISATAP = (0x00005EFE, 0x02005EFE)  # an interface identifier that holds an IPv4 address (RFC 5214)

log = logging.getLogger(__name__)


def check_url(url: str, allowed_hosts: frozenset[str]) -> None:
    """Refuse an address that webhooks must not go to. Raises InvalidRequest.

    The parser is yarl, which aiohttp connects with: another one may read another host in the same text.
    """
    if not _URL.fullmatch(url):
        raise InvalidRequest("webhook_url must be a URL of visible ASCII characters; encode all others.", param=PARAM)
    try:
        parts = URL(url)
        scheme, host, port = parts.scheme, _host(parts), parts.port
    except (ValueError, IndexError):  # yarl raises the latter for some forms of []@
        raise InvalidRequest("webhook_url is not a URL.", param=PARAM) from None
    authority = _AUTHORITY.match(url)
    if not authority or not host or "@" in authority.group(1) or ("[" in authority.group(1)) != (":" in host):
        raise InvalidRequest("webhook_url must be an https URL with a host, without a user name or password.", param=PARAM)
    if host in allowed_hosts:
        return
    if scheme != "https":
        raise InvalidRequest("webhook_url must be an https URL.", param=PARAM)
    if port not in PORTS:
        ports = " or ".join(str(port) for port in sorted(PORTS))
        raise InvalidRequest(f"webhook_url must use port {ports}.", param=PARAM)
    if not _may_be_public(host):
        raise InvalidRequest("webhook_url must lead to a public address.", param=PARAM)


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: without the secret that a path or query may hold. Empty for none."""
    try:
        return str(URL(url).origin())
    except (ValueError, IndexError):
        return ""


def secret_of(master: bytes, tenant: str) -> str:
    """The tenant's signing secret, in the form that libraries for Standard Webhooks take."""
    return "whsec_" + base64.b64encode(hmac.digest(master, f"webhook:{tenant}".encode(), hashlib.sha256)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)).decode()


def signed(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    """The headers of a message that is sent now (Standard Webhooks)."""
    now = int(time.time())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, message_id, now, body),
    }


@dataclass(frozen=True, slots=True)
class Sessions:
    """Two clients: ``public`` connects to public addresses only, ``listed`` to the operator's ``allowed_hosts``, wherever."""

    public: aiohttp.ClientSession
    listed: aiohttp.ClientSession
    allowed_hosts: frozenset[str]

    def request(self, method: str, url: str, **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:  # noqa: ANN401 - aiohttp's
        """Send to an address that passed `check_url`: through the environment's proxy only where the operator lists its host.

        A proxy looks names up by itself, so no guard here could hold an address that a caller gave. Raises aiohttp's errors and
        Misconfigured.
        """
        to = URL(url)
        if _host(to) not in self.allowed_hosts:
            return self.public.request(method, url, allow_redirects=False, **options)
        proxy = proxy_of(to.scheme, to.host or "")
        return self.listed.request(method, url, allow_redirects=False, proxy=proxy, **options)


@asynccontextmanager
async def session(allowed_hosts: frozenset[str]) -> AsyncGenerator[Sessions, None]:
    """Open the clients, and close them at the end of the block. Neither keeps cookies."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    guarded = aiohttp.TCPConnector(resolver=PublicOnly(), socket_factory=public_socket, limit=16)
    about: Any = {"timeout": timeout, "cookie_jar": aiohttp.DummyCookieJar(), "response_class": _Answer}
    async with aiohttp.ClientSession(connector=guarded, **about) as public, aiohttp.ClientSession(**about) as listed:
        yield Sessions(public, listed, allowed_hosts)


async def deliver(http: Sessions, url: str, body: bytes, *, secret: str, message_id: str) -> bool:
    """Post once. True for any 2xx; the answer's body is not read."""
    headers = {"content-type": "application/json", **signed(secret, message_id, body)}
    try:
        check_url(url, http.allowed_hosts)
        async with http.request("POST", url, data=body, headers=headers) as answer:
            return 200 <= answer.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidRequest, Misconfigured) as error:
        log.warning("webhook not delivered", extra={"webhook": message_id, **why(error)})
        return False


class _Answer(aiohttp.ClientResponse):
    """A receiver's answer, after a few interim ones: aiohttp reads those on and on, for half of a core until the time is over."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - aiohttp's own, which it does not export
        """Read the answer's head. Raises ClientPayloadError for one that does not come."""
        protocol, left = connection.protocol, MOST_INTERIM + 1
        read = protocol.read

        async def counted() -> Any:  # noqa: ANN401 - the same
            nonlocal left
            if not left:
                raise aiohttp.ClientPayloadError("The receiver sends interim answers without end.")
            left -= 1
            return await read()

        protocol.read = counted
        try:
            return await super().start(connection)
        finally:
            del protocol.read  # the connection may be gone, or another request's


class PublicOnly(AbstractResolver):
    """Resolves names to public addresses only, in threads of its own.

    A caller chooses the name, so it may be one whose server never answers, which keeps a thread for as long as the system asks.
    The event loop's own few threads have files to write meanwhile.
    """

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Resolve. Raises OSError where an address is not public."""
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(_NAMES, look_up)
        if not all(is_public(str(peer[0])) for *_, peer in found):
            message = "the host has an address that is not public"
            raise OSError(message)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(peer[0]), port=port, family=kind, proto=protocol, flags=numeric)
            for kind, _, protocol, _, peer in found
        ]

    async def close(self) -> None:
        """Do nothing: a look-up that was given up ends by itself."""


def public_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """The socket for a connection that is about to be made. Raises OSError where it would not lead to a public address.

    aiohttp calls it with the address as it will be connected to: nothing is resolved between this check and the connection.
    """
    family, kind, protocol, _, peer = address
    if not is_public(str(peer[0])) or (len(peer) > 3 and peer[3]):  # the fourth is an IPv6 zone
        message = "the peer is not public"
        raise OSError(message)
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Return whether an IP address is a server's on the open net; false for all that is not an address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (ip.scope_id or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_SERVERS)


def _host(url: URL) -> str:
    """The host as aiohttp connects to it, without dots at its end."""
    return (url.raw_host or "").lower().rstrip(".")


def _may_be_public(host: str) -> bool:
    """Return whether a host may lead to the open net: a public address, or a full name, judged again when it is resolved."""
    if ":" in host:
        return is_public(host)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # WHATWG URL: such a host is an IPv4 address, in any of its spellings
        return host == _four_numbers(host) and is_public(host)
    named = len(labels) > 1 and len(host) <= LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)
    return named and labels[-1] not in _INSIDE


def _four_numbers(host: str) -> str:
    """The address as it is usually written; empty where it is none."""
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return ""
