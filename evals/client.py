"""HTTP to the service under evaluation, as a client of it would speak."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

FIRST_TIMEOUT = 10.0  # seconds for the first request, which only finds out whether a service is there


class Unreachable(Exception):  # noqa: N818 - the service is
    """No service answers, or it does not know the key."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, a key for it, and its simulator's control endpoint where one is known."""

    url: str
    key: str
    control: str = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """How an answer came about, by the service's own headers. ``model`` is empty where no model was called."""

    seconds: float = 0.0
    cost_usd: float = 0.0
    provider: str = ""
    model: str = ""
    release: str = ""
    fallbacks: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the service, not yet parsed."""

    status: int
    content: bytes
    trail: Trail


class Client:
    """Sends requests of a suite with the run's key and timeout."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        """``session`` is the caller's, and closed by it."""
        self.url = service.url
        self.session = session

    async def check(self) -> None:
        """Ask for the list of models, which proves address, service and key at once. Raises Unreachable."""
        timeout = aiohttp.ClientTimeout(total=FIRST_TIMEOUT)
        try:
            async with self.session.get(self.url + "/v1/models", timeout=timeout) as response:
                if response.status != 200:
                    raise Unreachable(f"{self.url} answers HTTP {response.status} to GET /v1/models")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"no service answers at {self.url}: {type(error).__name__}") from error

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Post JSON. Raises aiohttp.ClientError, TimeoutError, and ValueError for headers out of form."""
        started = time.monotonic()
        async with self.session.post(self.url + path, json=body) as response:
            content = await response.read()
            return Reply(response.status, content, trail_of(response.headers, time.monotonic() - started))


def trail_of(headers: Mapping[str, str], seconds: float) -> Trail:
    """Raises ValueError for a header out of form."""
    return Trail(
        seconds=seconds,
        cost_usd=float(headers.get("octant-cost-usd") or 0),
        provider=headers.get("octant-provider", ""),
        model=headers.get("octant-model", ""),
        release=headers.get("octant-release", ""),
        fallbacks=int(headers.get("octant-fallbacks") or 0),
        request_id=headers.get("x-request-id", ""),
    )
