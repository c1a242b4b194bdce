"""`make bench ARGS=--scale`: one, two and four workers, two replicas behind HAProxy, and whether a cap holds over both replicas.

All shapes share the stores, the provider and the load's machine. So requests a second grow until the machine has no idle core:
its busy share stands beside each figure. A request's own CPU must not grow with the workers.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from sqlalchemy import func, select

from app.budget.scopes import scopes_of
from app.budget.tables import ledger
from app.domain.calls import Tenant
from app.domain.money import from_dollars
from app.settings import load as load_settings
from app.stack.embedded import free_port
from app.stores import build_engine, build_valkey
from benchmarks.speed import load
from benchmarks.speed.contestants import Ground
from benchmarks.speed.measure import Plan
from benchmarks.speed.processes import Contestant, Server, running, started, until_it_answers

CORES = os.cpu_count() or 1
WORKERS = (1, 2, 4)
CONNECTIONS = 64
SHARE = 0.3  # of the replicas' CPU, that each must have at least
GROWTH = 1.1  # times the requests a second of one worker, that two must answer at least, where a core is free for them
TENANT, CAP, REFUSED = "capped", "0.05", "budget_exceeded"
SETTLED_SECONDS = 10.0
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 330s
    timeout server 330s
    option redispatch
    retries 2
frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance leastconn
    option httpchk GET /readyz
{servers}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape under as much load as it takes. ``cpu``: µs a request of its own processes; ``busy``: share of the machine."""

    name: str
    rate: float
    cpu: float
    busy: float
    shares: Sequence[float]


@dataclass(frozen=True, slots=True)
class Capped:
    """A tenant that spends over two replicas until its cap refuses. Amounts in micro-dollars.

    ``left``: a last call, alone, was still answered after all that were sent at once.
    """

    cap: int
    answered: int
    refused: int
    reported: int
    spent: int
    held: int
    booked: int
    left: bool

    def problems(self) -> list[str]:
        """What is not exact."""
        checks = {
            f"the cap of {self.cap} micro-dollars was passed: {self.spent}": self.spent <= self.cap,
            f"answers reported {self.reported} micro-dollars, the counters have {self.spent}": self.reported == self.spent,
            f"the ledger has {self.booked} micro-dollars, the counters {self.spent}": self.booked == self.spent,
            f"{self.held} micro-dollars are still held": self.held == 0,
            "no request was refused: the cap was not reached": self.refused > 0,
            "no call was refused at the end: the cap was not used up": not self.left,
        }
        return [problem for problem, fine in checks.items() if not fine]


def measured(ground: Ground, plan: Plan) -> tuple[list[Shape], Capped]:
    """Measure every shape in turn, then the cap over two replicas."""
    shapes = []
    for workers in WORKERS:
        contestant = ground.octant(f"{workers} worker" + "s" * (workers > 1), settings={"OCTANT_WORKERS": str(workers)})
        with running(contestant, plan.body(), cpus=set(range(min(workers, CORES)))) as server:
            shapes.append(_shape(contestant.name, contestant.url, [server], plan))
    with _replicas(ground, plan) as (url, servers):
        shapes.append(_shape("2 replicas behind HAProxy", url, servers, plan))
        capped = asyncio.run(_capped(ground, plan, url))
    return shapes, capped


def problems(shapes: Sequence[Shape], capped: Capped) -> list[str]:
    """What does not scale, or is not exact."""
    one, two, replicas = shapes[0], shapes[1], shapes[-1]
    found = capped.problems()
    if CORES > 1 and two.rate < GROWTH * one.rate:
        found.append(f"two workers answer {two.rate / one.rate:.2f} times as many requests as one, less than {GROWTH:g}")
    found += [f"a replica has {share:.0%} of the work" for share in replicas.shares if share < SHARE]
    return found


def read(results: Mapping[str, Any]) -> tuple[list[Shape], Capped]:
    """The figures of kept raw results."""
    return [Shape(**one) for one in results["shapes"]], Capped(**results["capped"])


def table(shapes: Sequence[Shape], capped: Capped) -> str:
    """Both results as lines of Markdown."""
    lines = ["| shape | req/s | to one worker | CPU µs a request | machine busy |", "| --- | --: | --: | --: | --: |"]
    lines += [
        f"| {one.name} | {one.rate:,.0f} | {one.rate / shapes[0].rate:.2f} | {one.cpu:,.0f} | {one.busy:.0%} |" for one in shapes
    ]
    used = f"${Decimal(capped.spent) / 1_000_000} of a cap of ${Decimal(capped.cap) / 1_000_000} spent over two replicas"
    return "\n".join([*lines, "", f"{used}: {capped.answered} calls answered, {capped.refused} refused."])


def _shape(name: str, url: str, servers: Sequence[Server], plan: Plan) -> Shape:
    body, headers = plan.body(), servers[0].headers
    load.saturate(url, body, headers, connections=CONNECTIONS, seconds=1)  # warms up
    psutil.cpu_percent()
    before = [server.cpu() for server in servers]
    busy = load.saturate(url, body, headers, connections=CONNECTIONS, seconds=plan.seconds)
    spent = [server.cpu() - first for server, first in zip(servers, before, strict=True)]
    machine = psutil.cpu_percent() / 100
    shares = [one / sum(spent) for one in spent]
    return Shape(name, busy.requests / busy.seconds, sum(spent) / busy.requests * 1e6, machine, shares)


@contextmanager
def _replicas(ground: Ground, plan: Plan) -> Generator[tuple[str, list[Server]], None, None]:
    """Two services of one worker behind HAProxy; yields its address and theirs."""
    if shutil.which("haproxy") is None:
        raise SystemExit("`haproxy` is not installed. Install it: make tools")
    chosen = [ground.octant(f"replica {number}") for number in (1, 2)]
    port = free_port()
    with ExitStack() as stack, tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        servers = [stack.enter_context(running(one, plan.body(), cpus=set(range(CORES)))) for one in chosen]
        rows = "\n".join(f"    server r{number} {_place(one)} check inter 500ms" for number, one in enumerate(chosen, 1))
        Path(file.name).write_text(HAPROXY.format(port=port, servers=rows).lstrip(), encoding="utf-8")
        stack.enter_context(started(["haproxy", "-db", "-f", file.name], set(range(CORES)), {}))
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        asyncio.run(until_it_answers(url, {"content-type": "application/json", **servers[0].headers}, plan.body()))
        yield url, servers


def _place(contestant: Contestant) -> str:
    return contestant.url.removeprefix("http://").partition("/")[0]


async def _capped(ground: Ground, plan: Plan, url: str) -> Capped:
    """Send until the cap refuses, on many connections at once; compare answers, counters and ledger."""
    key = ground.tenant(TENANT, CAP)
    answers: list[tuple[int, int]] = []

    async def client(http: aiohttp.ClientSession) -> bool:
        """Send until refused. Returns whether that came."""
        deadline = time.monotonic() + load.LONGEST_SECONDS
        while time.monotonic() < deadline:
            async with http.post(url, data=plan.body()) as answer:
                body = await answer.json()
                if answer.status != 200 and body["error"]["code"] != REFUSED:
                    raise SystemExit(f"{url}: status {answer.status} is neither an answer nor a refusal by the cap: {body}")
                answers.append((answer.status, from_dollars(answer.headers["octant-cost-usd"]) if answer.status == 200 else 0))
            if answer.status != 200:
                return True
        return False

    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        await asyncio.gather(*(client(http) for _ in range(CONNECTIONS)))  # refused while the others hold money
        await asyncio.sleep(1)
        left = not await client(http)  # alone: refused only where less is left than one call may cost
    costs = [cost for status, cost in answers if status == 200]
    spent, held, booked = await _counted(ground.env, sum(costs))
    return Capped(from_dollars(CAP), len(costs), len(answers) - len(costs), sum(costs), spent, held, booked, left)


async def _counted(env: Mapping[str, str], expected: int) -> tuple[int, int, int]:
    """Spent and held by the counters, and the ledger's sum, once nothing is held and the ledger is written, or after a while."""
    kept = dict(os.environ)
    os.environ.update(env)
    try:
        settings, cap = load_settings(), from_dollars(CAP)
    finally:
        os.environ.clear()
        os.environ.update(kept)
    valkey, engine = build_valkey(settings), build_engine(settings)
    day = scopes_of(Tenant(TENANT, TENANT, cap, cap), "", datetime.now(UTC), (None, None))[0]
    ends = time.monotonic() + SETTLED_SECONDS
    try:
        while True:
            spent, held = (int(n or 0) for n in await valkey.hmget(day.key, "spent", "held"))
            async with engine.connect() as connection:
                booked = await connection.scalar(select(func.sum(ledger.c.amount)).where(ledger.c.tenant == TENANT))
            if (not held and booked == expected) or time.monotonic() > ends:
                return spent, held, int(booked or 0)
            await asyncio.sleep(0.2)
    finally:
        await valkey.aclose()
        await engine.dispose()
