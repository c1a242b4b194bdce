"""A load generator: a fixed number of connections, or a fixed rate."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load. Latencies in milliseconds."""

    requests: int
    failures: int
    seconds: float
    p50: float
    p99: float


async def closed(url: str, body: bytes, headers: Mapping[str, str], *, connections: int, seconds: float) -> Load:
    """Every connection sends its next request when it has its answer."""
    latencies: list[float] = []
    failures = 0
    started = time.perf_counter()

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal failures
        while time.perf_counter() - started < seconds:
            ok, took = await _send(session, url, body)
            latencies.append(took)
            failures += not ok

    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(one(session) for _ in range(connections)))
    return _load(latencies, failures, time.perf_counter() - started)


async def paced(url: str, body: bytes, headers: Mapping[str, str], *, rate: float, seconds: float) -> Load:
    """A request every ``1 / rate`` seconds, whether the last has its answer or not."""
    started = time.perf_counter()
    async with aiohttp.ClientSession(headers=headers) as session:
        tasks = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(_send(session, url, body)))
        done = await asyncio.gather(*tasks)
    return _load([took for _, took in done], sum(not ok for ok, _ in done), time.perf_counter() - started)


async def _send(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[bool, float]:
    began = time.perf_counter()
    async with session.post(url, data=body) as answer:
        await answer.read()
        return answer.status == 200, (time.perf_counter() - began) * 1000


def _load(latencies: list[float], failures: int, seconds: float) -> Load:
    ordered = sorted(latencies)
    return Load(len(ordered), failures, seconds, statistics.median(ordered), ordered[int(len(ordered) * 0.99)])
