"""What goes wrong on the way to any vendor, in our words: transport errors, statuses, Retry-After.

Both SDKs run over aiohttp behind httpx2, and the mapping between the two is lossy (a reset arrives as a connect timeout), so
the cause is looked up at the root of the exception chain.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import httpx2

from app.domain.calls import Usage
from app.domain.errors import (
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    TimeoutPhase,
)
from app.gateway.providers.base import Timeouts

DENIED = frozenset({401, 402, 403, 404})
REJECTED = frozenset({400, 405, 413, 415, 422})
OVERLOADED = frozenset({503, 529})


class Clock:
    """The timeouts of one attempt, counted from its start. `step` bounds one wait by its phase and by the total."""

    def __init__(self, timeouts: Timeouts, provider: str, model: str) -> None:
        """Starts now."""
        self._timeouts = timeouts
        self._ends = time.monotonic() + timeouts.total
        self._provider = provider
        self._model = model

    @asynccontextmanager
    async def step(self, phase: TimeoutPhase, usage: Usage | None = None) -> AsyncIterator[None]:
        """Raise ProviderTimeout with its phase if the block takes longer than it may; ``usage`` is what is owed by then."""
        left = self._ends - time.monotonic()
        own = {"first_token": self._timeouts.first_token, "idle": self._timeouts.idle}.get(phase, left)
        try:
            async with asyncio.timeout(min(own, left)):
                yield
        except TimeoutError as error:
            if isinstance(error, aiohttp.ServerTimeoutError):
                raise
            raise timed_out(phase if own < left else "total", self._provider, self._model, usage) from error


def timed_out(phase: TimeoutPhase, provider: str, model: str, usage: Usage | None = None) -> ProviderTimeout:
    """Build the error for a timeout of ``phase``."""
    error = ProviderTimeout(f"No answer in time ({phase.replace('_', ' ')}).", provider=provider, model=model, usage=usage)
    error.phase = phase
    return error


def from_transport(error: BaseException, provider: str, model: str, usage: Usage | None = None) -> ProviderError:
    """Translate what failed below HTTP, or in reading a body that is not what it says."""
    for cause in _chain(error):
        match cause:
            case aiohttp.ConnectionTimeoutError():
                return timed_out("connect", provider, model)
            case aiohttp.ServerTimeoutError():
                return timed_out("idle", provider, model, usage)
            case aiohttp.ClientConnectorError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
                return ProviderUnreachable(_name(cause), provider=provider, model=model, usage=usage)
            case aiohttp.ClientPayloadError() | json.JSONDecodeError() | UnicodeDecodeError() | aiohttp.ClientResponseError():
                return ProviderGarbled(_name(cause), provider=provider, model=model, usage=usage)
    if isinstance(error, httpx2.TimeoutException):
        return timed_out("idle", provider, model, usage)
    return ProviderUnreachable(_name(error), provider=provider, model=model, usage=usage)


def from_status(status: int, headers: Mapping[str, str], provider: str, model: str, request_id: str | None) -> ProviderError:
    """Translate an HTTP error status. The vendor's message is left out: it may quote the prompt."""
    message = f"HTTP {status}."
    if status == 429:
        limited = ProviderRateLimited(message, provider=provider, model=model, request_id=request_id)
        limited.retry_after = retry_after(headers)
        return limited
    if status in OVERLOADED:
        overloaded = ProviderOverloaded(message, provider=provider, model=model, request_id=request_id)
        overloaded.retry_after = retry_after(headers)
        return overloaded
    kind = ProviderDenied if status in DENIED else ProviderRejected if status in REJECTED else ProviderFailed
    return kind(message, provider=provider, model=model, request_id=request_id)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3)."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else None
    except ValueError:
        return None
    return number if number is None or 0 <= number < 1e9 else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, the root last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _name(error: BaseException) -> str:
    """The type alone: messages of transport errors carry addresses."""
    return type(error).__name__
