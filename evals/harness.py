"""Sends cases to a running service over HTTP, as a client would, and scores what comes back.

Three ends, never confused: passed; failed, because the product answered wrongly; broken, because nothing could be judged.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import ValidationError

from evals.cases import Case
from evals.measures import measure
from evals.scorers import Finding, score

CONCURRENCY = 4
TIMEOUT = 60.0  # seconds for one case; a service with a longer deadline of its own needs `--timeout`
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
    """How one trial of a case went. ``broken`` says why it could not be judged: that is never a pass.

    ``measures`` are shares from 0 to 1 by name, more is better (`evals.measures`).
    """

    case: Case
    findings: tuple[Finding, ...]
    broken: str | None
    trail: Trail
    trial: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Judged, and nothing wrong."""
        return not self.findings and self.broken is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run goes: how often each case, how many at a time, how many seconds for one, and what was done before."""

    repeat: int = 1
    concurrency: int = CONCURRENCY
    timeout: float = TIMEOUT
    done: Mapping[tuple[str, int], Result] = field(default_factory=dict)


def _silently(_: Result) -> None:
    """Tells nobody."""


async def run(
    cases: Sequence[Case], service: Service, tell: Callable[[Result], None] = _silently, plan: Plan | None = None
) -> list[Result]:
    """Run all cases, a few at a time. Returns one result for each case and trial, in their order. Raises Unreachable."""
    plan = plan or Plan()
    places = asyncio.Semaphore(plan.concurrency)
    broken = 0
    headers = {"authorization": f"Bearer {service.key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=plan.timeout)) as session:
        await _knock(service, session)

        async def one(case: Case, trial: int) -> Result:
            nonlocal broken
            if (case.id, trial) in plan.done:
                return plan.done[case.id, trial]
            async with places:
                hopeless = broken >= MOST_BROKEN
                result = (
                    Result(case, (), "not sent, too many broke before", Trail(), trial)
                    if hopeless
                    else await _send(case, trial, service, session)
                )
                broken += result.broken is not None
            tell(result)
            return result

        return await asyncio.gather(*(one(case, trial) for trial in range(plan.repeat) for case in cases))


async def _knock(service: Service, session: aiohttp.ClientSession) -> None:
    """Ask for the list of models, which proves address, service and key at once."""
    try:
        async with session.get(service.url + "/v1/models", timeout=aiohttp.ClientTimeout(total=FIRST_TIMEOUT)) as response:
            if response.status != 200:
                raise Unreachable(f"{service.url} answers HTTP {response.status} to GET /v1/models")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unreachable(f"nobody answers at {service.url}: {type(error).__name__}") from error


async def _send(case: Case, trial: int, service: Service, session: aiohttp.ClientSession) -> Result:
    started = time.monotonic()
    try:
        async with session.post(f"{service.url}/v1/{case.endpoint}", json=case.input.wire) as response:
            content = await response.read()
            status, trail = response.status, _trail(response.headers, time.monotonic() - started)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Result(case, (), type(error).__name__, Trail(seconds=time.monotonic() - started), trial)
    except ValueError as error:
        return Result(case, (), f"headers out of form: {error}", Trail(seconds=time.monotonic() - started), trial)
    return _judge(case, trial, (status, content), trail)


def _judge(case: Case, trial: int, answer: tuple[int, bytes], trail: Trail) -> Result:
    status, content = answer
    try:
        told: Any = json.loads(content)
        if status == 200:
            findings = score(case, told)
            return Result(case, findings, None, trail, trial, measure(case, told, findings))
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) or "body" for e in error.errors(include_url=False))
        return Result(case, (), f"the body is no answer of {case.endpoint}: {where}", trail, trial)
    except ValueError:
        return Result(case, (), f"HTTP {status} without JSON", trail, trial)
    code = _code(told)
    if code in PRODUCT_FAILURES:
        return Result(case, (Finding("service", f"HTTP {status} {code}"),), None, trail, trial)
    return Result(case, (), f"HTTP {status} {code}".strip(), trail, trial)


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
