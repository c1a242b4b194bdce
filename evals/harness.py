"""Sends cases to a running service over HTTP, as a client would, and scores what comes back.

Three ends, never confused: passed; failed, because the product answered wrongly; broken, because nothing could be judged.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import ValidationError

from evals.cases import Case
from evals.scorers import Finding, score

CONCURRENCY = 4
TIMEOUT = 60.0  # seconds for one case
FIRST_TIMEOUT = 10.0  # seconds for the first question: is anybody there?
MOST_BROKEN = 5  # then the rest is not sent: the run cannot be judged any more, and a hanging service would take an hour

# The product's own failures, told as HTTP errors: no model gave valid output, or the input was refused. All other errors say
# that the service could not do its work, which says nothing about the product's answers.
PRODUCT_FAILURES = frozenset({"output_invalid", "content_refused"})


class Unreachable(Exception):  # noqa: N818 - the service is
    """Nobody answers, or nobody who knows the key."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, and a key for it."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Trail:
    """How an answer came about, by the service's own headers. ``model`` is empty where no model was asked."""

    seconds: float = 0.0
    cost_usd: float = 0.0
    provider: str = ""
    model: str = ""
    release: str = ""
    fallbacks: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went. ``broken`` says why it could not be judged: that is never a pass."""

    case: Case
    findings: tuple[Finding, ...]
    broken: str | None
    trail: Trail

    @property
    def passed(self) -> bool:
        """Judged, and nothing wrong."""
        return not self.findings and self.broken is None


async def run(cases: Sequence[Case], service: Service, tell: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Run all cases, a few at a time. Returns one result for each case, in their order. Raises Unreachable."""
    places = asyncio.Semaphore(CONCURRENCY)
    broken = 0
    headers = {"authorization": f"Bearer {service.key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
        await _knock(service, session)

        async def one(case: Case) -> Result:
            nonlocal broken
            async with places:
                hopeless = broken >= MOST_BROKEN
                result = (
                    Result(case, (), "not sent, too many broke before", Trail())
                    if hopeless
                    else await _send(case, service, session)
                )
                broken += result.broken is not None
            tell(result)
            return result

        return await asyncio.gather(*(one(case) for case in cases))


async def _knock(service: Service, session: aiohttp.ClientSession) -> None:
    """Ask for the list of models, which proves address, service and key at once."""
    try:
        async with session.get(service.url + "/v1/models", timeout=aiohttp.ClientTimeout(total=FIRST_TIMEOUT)) as response:
            if response.status != 200:
                raise Unreachable(f"{service.url} answers HTTP {response.status} to GET /v1/models")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unreachable(f"nobody answers at {service.url}: {type(error).__name__}") from error


async def _send(case: Case, service: Service, session: aiohttp.ClientSession) -> Result:
    started = time.monotonic()
    body = case.input.model_dump(mode="json", exclude_defaults=True)
    try:
        async with session.post(f"{service.url}/v1/{case.endpoint}", json=body) as response:
            content = await response.read()
            status, trail = response.status, _trail(response.headers, time.monotonic() - started)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Result(case, (), type(error).__name__, Trail(seconds=time.monotonic() - started))
    except ValueError as error:
        return Result(case, (), f"headers out of form: {error}", Trail(seconds=time.monotonic() - started))
    return _judge(case, status, content, trail)


def _judge(case: Case, status: int, content: bytes, trail: Trail) -> Result:
    try:
        told: Any = json.loads(content)
        if status == 200:
            return Result(case, score(case, told), None, trail)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) or "body" for e in error.errors(include_url=False))
        return Result(case, (), f"the body is no answer of {case.endpoint}: {where}", trail)
    except ValueError:
        return Result(case, (), f"HTTP {status} without JSON", trail)
    code = _code(told)
    if code in PRODUCT_FAILURES:
        return Result(case, (Finding("service", f"HTTP {status} {code}"),), None, trail)
    return Result(case, (), f"HTTP {status} {code}".strip(), trail)


def _code(told: Any) -> str:  # noqa: ANN401 - any JSON
    error = told.get("error") if isinstance(told, dict) else None
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _trail(headers: Mapping[str, str], seconds: float) -> Trail:
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
