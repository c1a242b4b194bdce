"""Posting to a caller's server, signed as Standard Webhooks (standardwebhooks.com) says.

Where to is the caller's choice, so it is the attacker's: only https, only to public addresses, looked at again when connecting
(a name may resolve to another address by then), no redirects. Hosts that the operator lists may be anything.
"""

import base64
import hashlib
import hmac
import ipaddress
import logging
import socket
import time
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from app.domain.errors import InvalidRequest

SECONDS = 10.0

log = logging.getLogger(__name__)


def check_url(url: str, allowed_hosts: frozenset[str]) -> None:
    """Refuse an address that webhooks must not go to. Raises InvalidRequest."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in allowed_hosts and parts.scheme in ("http", "https"):
        return
    if parts.scheme != "https" or not host or parts.username or parts.password:
        raise InvalidRequest("webhook_url must be an https URL without a password.", param="webhook_url")
    if not _public(host):
        raise InvalidRequest("webhook_url must lead to a public address.", param="webhook_url")


def secret_of(master: bytes, tenant: str) -> str:
    """The tenant's signing secret, in the form that libraries for Standard Webhooks take."""
    return "whsec_" + base64.b64encode(hmac.digest(master, f"webhook:{tenant}".encode(), hashlib.sha256)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)).decode()


def session(allowed_hosts: frozenset[str]) -> aiohttp.ClientSession:
    """A client that reaches public addresses only, and those of ``allowed_hosts``. The caller closes it."""
    connector = aiohttp.TCPConnector(resolver=PublicOnly(allowed_hosts), limit=16)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=SECONDS))


async def deliver(
    http: aiohttp.ClientSession, url: str, body: bytes, *, secret: str, message_id: str, allowed_hosts: frozenset[str]
) -> bool:
    """Post once. True for any 2xx; the answer's body is not read."""
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, message_id, now, body),
    }
    try:
        check_url(url, allowed_hosts)
        async with http.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return 200 <= answer.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidRequest) as error:
        log.warning("webhook not delivered", extra={"webhook": message_id, "error_type": type(error).__name__})
        return False


class PublicOnly(AbstractResolver):
    """Resolves names to public addresses only, except for hosts that the operator lists."""

    def __init__(self, allowed_hosts: frozenset[str]) -> None:
        """``allowed_hosts`` may resolve to anything."""
        self._allowed_hosts = allowed_hosts
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Resolve. Raises OSError where an address is not public."""
        found = await self._resolver.resolve(host, port, family)
        if host not in self._allowed_hosts and not all(_public(result["host"]) for result in found):
            message = "the host has an address that is not public"
            raise OSError(message)
        return found

    async def close(self) -> None:
        """Close."""
        await self._resolver.close()


def _public(host: str) -> bool:
    """Whether an address is public; a name counts as such until it is resolved."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))
