"""Sends cases to a running service over HTTP, as a client would, and scores what comes back."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from evals.cases import Case
from evals.scorers import failures

PATHS = {"answer": "/v1/support/answer", "tickets": "/v1/support/tickets"}
CONCURRENCY = 4
TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went. ``broken`` says why it could not be judged: that is never a pass."""

    case: Case
    problems: tuple[str, ...]
    broken: str | None
    seconds: float
    cost_usd: float
    model: str

    @property
    def passed(self) -> bool:
        """Judged, and nothing wrong."""
        return not self.problems and self.broken is None


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, and a key for it."""

    url: str
    key: str


async def run(cases: Sequence[Case], service: Service, tell: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Run all cases, a few at a time. Returns their results in the order of the cases."""
    gate = asyncio.Semaphore(CONCURRENCY)
    headers = {"authorization": f"Bearer {service.key}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

        async def one(case: Case) -> Result:
            async with gate:
                result = await _run_one(case, service, session)
            tell(result)
            return result

        return await asyncio.gather(*(one(case) for case in cases))


async def _run_one(case: Case, service: Service, session: aiohttp.ClientSession) -> Result:
    started = time.monotonic()
    try:
        async with session.post(service.url + PATHS[case.endpoint], json=case.input) as response:
            body: dict[str, Any] = await response.json()
            model = response.headers.get("octant-model", "")
            cost = body.get("cost_usd") or response.headers.get("octant-cost-usd") or 0
            broken = None if response.status == 200 else f"HTTP {response.status}: {body.get('error', {}).get('code')}"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        body, model, cost, broken = {}, "", 0, f"{type(error).__name__}"
    problems = () if broken else tuple(failures(case.expect, body))
    return Result(case, problems, broken, time.monotonic() - started, float(cost), model)
