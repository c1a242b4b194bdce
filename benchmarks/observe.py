"""`make observe`: many mixed calls while providers fail; then the service's accounts are compared, call by call.

The service in two workers and a worker of jobs, on real stores and the provider simulator, export to an OTLP receiver. Callers
send whole, streamed and deferred requests, with schemas and tools, also to the products; some leave in the middle, one tenant
has no money, one is stopped. Then records, metrics, spans, ledger and log lines must agree exactly: every call in each of
them, with the same outcome and the same cost. Exit code 1 for one call or one micro-dollar of difference.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.call_filter import CallFilter
from app.audit.query import find_calls
from app.jobs.tables import jobs
from app.settings import load
from app.stack.embedded import free_port
from app.stores import build_engine
from benchmarks.accounts import Sample, lost, read_accounts, summed, torn
from benchmarks.products import REQUESTS
from benchmarks.receiver import Received, receiving
from benchmarks.service import (
    STOP_SECONDS,
    activate_shortened,
    break_providers,
    octant,
    serving,
    set_up,
    simulator_stats,
    stores_and_simulator,
    wait_until_up,
)

AT_ONCE = 32
LEAVES = 0.04  # the share of callers that leave in the middle
WATCHED = 0.02  # the share of callers that look for their record at once
KEYED = 0.03  # the share of callers that send an Idempotency-Key, and send it again
LOOK_EVERY = 0.02
SIZE_OF_RECORDS = """
SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = ANY (ARRAY['calls', 'attempts']::regclass[])
"""
QUIET_SECONDS = 90.0
FAULTS: tuple[Mapping[str, object], ...] = (
    *({"kind": "status", "status": status, "probability": 0.02} for status in (500, 503, 529)),
    {"kind": "rate_limit", "probability": 0.02},
    *({"kind": k, "probability": 0.01} for k in ("reset", "garbage_json", "truncated_json", "cut_stream")),
    {"kind": "schema_violation", "probability": 0.05},
    {"kind": "hang", "probability": 0.002},
    {"kind": "refuse", "provider": "anthropic", "after_seconds": 5, "for_seconds": 1, "every_seconds": 15},
    {"kind": "status", "status": 400, "probability": 0.002},
)
ASKED = [{"role": "user", "content": "What should I look at when choosing a tent? Write to ada@example.com."}]
FORM = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": FORM, "strict": True}}
TOOL = {"name": "look_up", "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "whole": ("/v1/chat/completions", {"model": "smart", "messages": ASKED}),
    "stream": ("/v1/messages", {"model": "fast", "max_tokens": 200, "stream": True, "messages": ASKED}),
    "schema": ("/v1/chat/completions", {"model": "smart", "messages": ASKED, "response_format": FORMAT}),
    "tool": ("/v1/messages", {"model": "smart", "max_tokens": 200, "messages": ASKED, "tools": [TOOL]}),
    "later": ("/v1/jobs", {"path": "/v1/chat/completions", "body": {"model": "fast", "messages": ASKED}}),
    "unknown": ("/v1/chat/completions", {"model": "no-such-model", "messages": ASKED}),
    **REQUESTS,
}
MIX = ("whole",) * 6 + ("stream",) * 6 + ("schema",) * 3 + ("tool", "later", "unknown", *REQUESTS)
TENANTS = ("rehearsal",) * 18 + ("poor", "stopped")


@dataclass(slots=True)
class Traffic:
    """Callers under way."""

    url: str
    keys: Mapping[str, str]
    engine: AsyncEngine
    chance: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)

    async def run(self, count: int) -> None:
        """Make ``count`` requests, `AT_ONCE` at a time."""
        numbers = iter(range(count))
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(self.url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:

            async def one_after_another() -> None:
                for _ in numbers:
                    await self._one(http)

            await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def _one(self, http: aiohttp.ClientSession) -> None:
        kind, tenant = self.chance.choice(MIX), self.chance.choice(TENANTS)
        if kind == "later":
            tenant = "rehearsal"  # a job of the others would wait until their money or the operator comes back
        path, body = KINDS[kind]
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        keyed = self.chance.random() < KEYED
        if keyed:
            headers["idempotency-key"] = uuid.uuid4().hex
        leaves, watched = self.chance.random() < LEAVES, self.chance.random() < WATCHED
        try:
            async with asyncio.timeout(self.chance.uniform(0.0, 0.05) if leaves else 60.0):
                answer = await self._post(http, path, body, headers)
                if keyed:  # now its answer is given again
                    await self._post(http, path, body, headers)
        except TimeoutError:
            self.ended["caller left"] += 1
            return
        except aiohttp.ClientError:
            self.ended["stream broke off"] += 1
            return
        if watched and "octant-attempts" in answer.headers:
            await self._see_record(answer.headers["x-request-id"])

    async def _post(
        self, http: aiohttp.ClientSession, path: str, body: object, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        async with http.post(path, json=body, headers=headers) as answer:
            await answer.read()
        self.ended[str(answer.status)] += 1
        return answer

    async def _see_record(self, request_id: str) -> None:
        """Time from the end of an answer until its record is found by the search of `octant calls`."""
        ended = time.perf_counter()
        async with asyncio.timeout(60):
            while not await find_calls(self.engine, CallFilter(request_id=request_id, limit=1)):  # noqa: ASYNC110 - in Postgres
                await asyncio.sleep(LOOK_EVERY)  # as an operator's search would
        self.lags.append(time.perf_counter() - ended)


def main() -> None:
    """Send, compare, print."""
    parser = argparse.ArgumentParser(
        prog="make observe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000, help="requests to send; some make several calls")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with stores_and_simulator() as (env, control):
        problems = asyncio.run(_observe(env, control, arguments))
    for problem in problems:
        print(f"DIFFERENCE: {problem}")
    print("The accounts differ." if problems else "Records, metrics, spans, ledger and log lines agree.")
    sys.exit(1 if problems else 0)


async def _observe(env: dict[str, str], control: str, arguments: argparse.Namespace) -> list[str]:
    async with receiving() as received:
        env |= {
            "OCTANT_WORKERS": "2", "OCTANT_LOG_LEVEL": "info", "OCTANT_OTLP_ENDPOINT": received.url,
            "OCTANT_WORKER_METRICS_PORT": str(free_port()),
        }  # fmt: skip
        keys = await asyncio.to_thread(_tenants, env)
        os.environ.update(env)
        engine = build_engine(load())
        try:
            with serving(env) as (url, _), _worker(env):
                break_providers(control, *FAULTS)
                traffic = Traffic(url, keys, engine, random.Random(arguments.seed))  # noqa: S311 - a mix of requests
                started = time.perf_counter()
                await traffic.run(arguments.calls)
                seconds = time.perf_counter() - started
                break_providers(control)  # jobs go on until they are answered
                await _until_quiet(engine, control, env)
                metrics = await asyncio.to_thread(_scraped, env)
            return await _compared(env, engine, received, metrics, traffic, seconds)  # the service has sent its last spans
        finally:
            await engine.dispose()


def _tenants(env: dict[str, str]) -> dict[str, str]:
    """A key for each tenant: one with money, one without, one that is stopped."""
    keys = {"rehearsal": set_up(env)}
    activate_shortened(env)
    for tenant, cap in (("poor", "0.000100"), ("stopped", "1000")):
        octant(env, "tenant", "create", tenant, "--day", cap, "--user-day", cap)
        keys[tenant] = octant(env, "key", "create", tenant, "--name", "rehearsal", "--quiet")
    octant(env, "kill", "tenant", "stopped", "--reason", "rehearsal")
    return keys


@contextmanager
def _worker(env: Mapping[str, str]) -> Generator[None, None, None]:
    """A worker of jobs, once it is ready."""
    log = Path(env["OCTANT_STATE_DIR"]) / "worker.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env=env, stdout=out, stderr=out) as worker,
    ):
        try:
            wait_until_up(f"http://127.0.0.1:{env['OCTANT_WORKER_METRICS_PORT']}/metrics", worker, log)
            yield
        finally:
            worker.terminate()
            worker.wait(STOP_SECONDS)


async def _until_quiet(engine: AsyncEngine, control: str, env: Mapping[str, str]) -> None:
    """Wait until no call runs, no job waits and nothing is queued. The comparison is done once, not repeated until it agrees."""
    until, quiet = time.monotonic() + QUIET_SECONDS, 0
    while quiet < 3:
        await asyncio.sleep(0.5)
        busy = await _busy(engine, control, env)
        quiet = 0 if busy else quiet + 1
        if busy and time.monotonic() > until:
            raise SystemExit(f"The service did not come to rest: {busy}")


async def _busy(engine: AsyncEngine, control: str, env: Mapping[str, str]) -> dict[str, float]:
    """The work that still goes on, by name."""
    unfinished = select(func.count()).select_from(jobs).where(jobs.c.finished_at.is_(None))
    async with engine.connect() as connection:
        found: dict[str, float] = {"jobs": (await connection.execute(unfinished)).scalar_one()}
    stats = await asyncio.to_thread(simulator_stats, control)
    found |= {f"open at {provider}": seen["open"] for provider, seen in stats.items()}
    waiting = ("octant_records_queued", "octant_ledger_pending", "octant_spill_bytes")
    samples = await asyncio.to_thread(_scraped, env)
    found |= {name: sum(value for _, value in summed(samples, name)) for name in waiting}
    return {name: number for name, number in found.items() if number}


def _scraped(env: Mapping[str, str]) -> list[Sample]:
    """Every sample of the service and of the worker of jobs."""
    found: list[Sample] = []
    for port in (env["OCTANT_METRICS_PORT"], env["OCTANT_WORKER_METRICS_PORT"]):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        found += [(s.name, s.labels, s.value) for family in text_string_to_metric_families(page) for s in family.samples]
    return found


async def _compared(
    env: Mapping[str, str], engine: AsyncEngine, received: Received, metrics: list[Sample], traffic: Traffic, seconds: float
) -> list[str]:
    logs = [Path(env["OCTANT_STATE_DIR"]) / name for name in ("service.log", "worker.log")]
    accounts = await read_accounts(engine, received.spans, metrics, logs)
    accounts.print()
    await _print_figures(engine, metrics, traffic, seconds, len(accounts.records))
    return [*accounts.differences(), *torn(received.spans), *lost(metrics)]


async def _print_figures(engine: AsyncEngine, metrics: list[Sample], traffic: Traffic, seconds: float, count: int) -> None:
    overhead = {name: sum(v for _, v in summed(metrics, f"octant_overhead_seconds_{name}")) for name in ("sum", "count")}
    async with engine.connect() as connection:
        size = (await connection.execute(text(SIZE_OF_RECORDS))).scalar_one()
    lags = sorted(traffic.lags)
    late = lags[int(len(lags) * 0.99)]
    print(f"\n{sum(traffic.ended.values())} requests, {count} calls in {seconds:.0f} s, {count / seconds:.0f} calls a second")
    print("ended: " + ", ".join(f"{what} {number}" for what, number in traffic.ended.most_common()))
    print(f"record found after its answer: p50 {statistics.median(lags):.2f} s, p99 {late:.2f} s (n {len(lags)})")
    print(f"bytes per call in Postgres, attempts and indexes included: {size / count:.0f}")
    print(f"own overhead per call: {overhead['sum'] / overhead['count'] * 1000:.1f} ms on average")


if __name__ == "__main__":
    main()
