"""`make soak`: many calls through the gateway with everything breaking at random; at the end nothing may be left over.

The gateway runs in this process on real parts: the official SDKs over real HTTP, Valkey, Postgres. Calls are whole, streamed,
with schemas and with tools; some callers leave in the middle. Exit code 1 if a task, a connection, a file descriptor, a lease or
a micro-dollar is left, if a call is not recorded, or if one ends in anything but an answer or a typed error.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import psutil
import uvloop
from redis.asyncio import Redis
from sqlalchemy import func, select

from app.audit.tables import calls
from app.budget.hold import leases_key
from app.budget.scopes import key, shard_of
from app.domain.calls import Call, Deadline, Identity
from app.domain.errors import OctantError
from app.domain.messages import Message, OutputSchema, Text, ToolChoice, ToolSpec
from app.gateway.gateway import Gateway
from app.settings import Settings, load
from app.stores import build_engine, build_valkey
from app.telemetry.metrics import Metrics
from app.wiring import open_parts
from benchmarks.service import activate_shortened, break_providers, set_up, simulator_stats, stores_and_simulator

AT_ONCE = 48
LEAVES = 0.05  # the share of callers that leave in the middle
MOST_GROWTH_MB = 40.0
FAULTS: tuple[Mapping[str, object], ...] = (
    *({"kind": "status", "status": status, "probability": 0.02} for status in (500, 503, 529)),
    {"kind": "rate_limit", "probability": 0.02},
    {"kind": "rate_limit", "probability": 0.01, "retry_after": 30},
    *({"kind": k, "probability": 0.01} for k in ("reset", "garbage_json", "truncated_json", "wrong_content_type", "empty")),
    {"kind": "cut_stream", "probability": 0.02},
    {"kind": "schema_violation", "probability": 0.05},
    {"kind": "sloppy_json", "probability": 0.05},
    {"kind": "wrong_usage", "probability": 0.01},
    {"kind": "hang", "probability": 0.002},
    {"kind": "idle", "probability": 0.002, "seconds": 3},
    {"kind": "slow_first_token", "probability": 0.002, "seconds": 3},
    {"kind": "refuse", "provider": "anthropic", "after_seconds": 10, "for_seconds": 1, "every_seconds": 20},
    {"kind": "refuse", "provider": "openai", "after_seconds": 20, "for_seconds": 1, "every_seconds": 20},
)
OUTPUT = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
TOOL = ToolSpec("look_up", "Look up an order.", {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})


@dataclass(slots=True)
class Soak:
    """A soak under way."""

    gateway: Gateway
    identity: Identity
    chance: random.Random
    ended: Counter[str]

    async def run(self, count: int) -> None:
        """Make ``count`` calls, `AT_ONCE` at a time."""
        numbers = iter(range(count))

        async def one_after_another() -> None:
            for _ in numbers:
                await self._one()

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def _one(self) -> None:
        leaves = self.chance.random() < LEAVES
        patience = self.chance.uniform(0.0, 0.05) if leaves else 60.0
        try:
            async with asyncio.timeout(patience):
                await self._call(read_on=not leaves)
            self.ended["answered"] += 1
        except TimeoutError:
            self.ended["caller left"] += 1
        except OctantError as error:
            self.ended[error.code] += 1
        except Exception as error:  # noqa: BLE001 - the very thing that must not happen; it is counted and fails the soak
            self.ended[f"NOT TYPED: {type(error).__name__}"] += 1

    async def _call(self, *, read_on: bool) -> None:
        kind = self.chance.choice(("whole", "stream", "stream", "schema", "tool"))
        call = Call(
            id=f"req_soak{self.chance.getrandbits(60):015x}",
            identity=self.identity,
            feature="chat",
            target=self.chance.choice(("smart", "fast")),
            deadline=Deadline.after(10.0),
            messages=(Message("user", (Text("What should I look at when choosing a tent? " * self.chance.randint(1, 8)),)),),
            tools=(TOOL,) if kind == "tool" else (),
            tool_choice=ToolChoice("any") if kind == "tool" else ToolChoice(),
            output=OUTPUT if kind == "schema" else None,
            stream=kind == "stream",
        )
        if kind != "stream":
            await self.gateway.complete(call)
            return
        async with self.gateway.stream(call) as streaming:
            async for _ in streaming.chunks:
                if not read_on and self.chance.random() < 0.3:
                    raise TimeoutError


Run = Callable[[Soak, int], Awaitable[None]]


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with stores_and_simulator() as (env, control):
        key = set_up(env)
        activate_shortened(env)
        os.environ.update(env)
        problems = uvloop.run(_soak(load(), key, control, arguments))
    for problem in problems:
        print(f"LEFT OVER: {problem}")
    sys.exit(1 if problems else 0)


async def _soak(settings: Settings, key: str, control: str, arguments: argparse.Namespace) -> list[str]:
    problems: list[str] = []
    process = psutil.Process()
    chance = random.Random(arguments.seed)  # noqa: S311 - a mix of calls
    await _round(
        settings, key, Soak.run, 200, chance, Counter(), []
    )  # some things are opened once and stay: imports, resolvers, threads
    files, tasks = process.num_fds(), len(asyncio.all_tasks())
    break_providers(control, *FAULTS)
    ended: Counter[str] = Counter()
    memory: list[float] = []

    async def watched(soak: Soak, count: int) -> None:
        for number in range(10):
            await soak.run(count // 10)
            memory.append(process.memory_info().rss / 1e6)
            print(f"{(number + 1) * 10:3} %  {sum(soak.ended.values()):7} calls  {memory[-1]:5.0f} MB", flush=True)

    started = time.perf_counter()
    await _round(settings, key, watched, arguments.calls, chance, ended, problems)
    seconds = time.perf_counter() - started
    open_upstream = {name: seen["open"] for name, seen in simulator_stats(control).items()}
    count = sum(ended.values())
    print(f"\n{count} calls in {seconds:.0f} s, {count / seconds:.0f} a second")
    print("ended: " + ", ".join(f"{what} {number}" for what, number in ended.most_common()))
    print(f"tasks {tasks} before, {len(asyncio.all_tasks())} after; file descriptors {files} before, {process.num_fds()} after")
    print(f"memory {memory[1]:.0f} MB after a fifth, {memory[-1]:.0f} MB at the end; open at the providers: {open_upstream}")
    if len(asyncio.all_tasks()) > tasks:
        problems.append(f"tasks: {[t.get_coro() for t in asyncio.all_tasks()]}")
    if process.num_fds() > files:
        problems.append(f"{process.num_fds() - files} file descriptors")
    if any(open_upstream.values()):
        problems.append(f"requests at the providers: {open_upstream}")
    if memory[-1] - memory[1] > MOST_GROWTH_MB:
        problems.append(f"{memory[-1] - memory[1]:.0f} MB of memory")
    problems += [f"{number} calls: {what}" for what, number in ended.items() if what.startswith("NOT TYPED")]
    return problems


async def _round(
    settings: Settings, key: str, run: Run, count: int, chance: random.Random, ended: Counter[str], problems: list[str]
) -> None:
    """Open the parts, make the calls, look at money and records, close the parts."""
    metrics = Metrics()
    recorded = await _recorded(settings)
    async with open_parts(settings, metrics) as parts:
        identity = await parts.edge.keys.authenticate(key)
        await run(Soak(parts.features.gateway, identity, chance, ended), count)
    spent, held, leases = await _money(settings, identity)
    now = await _recorded(settings)
    if now[0] - recorded[0] != sum(ended.values()) and ended:
        problems.append(f"records: {now[0] - recorded[0]} for {sum(ended.values())} calls")
    if held or leases:
        problems.append(f"money: {held} micro-dollars held in {leases} leases")
    if spent != now[1]:
        problems.append(f"money: {spent} micro-dollars spent by the counters, {now[1]} by the records")


async def _recorded(settings: Settings) -> tuple[int, int]:
    """The number of recorded calls, and their cost."""
    engine = build_engine(settings)
    async with engine.connect() as connection:
        totals = select(func.count(), func.coalesce(func.sum(calls.c.cost), 0)).select_from(calls)
        count, cost = (await connection.execute(totals)).one()
    await engine.dispose()
    return int(count), int(cost)


async def _money(settings: Settings, identity: Identity) -> tuple[int, int, int]:
    """Spent and held by the tenant's counters of all days, and its leases."""
    valkey: Redis = build_valkey(settings)
    shard = shard_of(identity.tenant.id)
    spent = held = 0
    async for name in valkey.scan_iter(match=key(shard, identity.tenant.id, "day", "*")):
        if ":user:" not in str(name):
            figures = await valkey.hmget(str(name), "spent", "held")
            spent, held = spent + int(figures[0] or 0), held + int(figures[1] or 0)
    leases = int(await valkey.zcard(leases_key(shard)))
    await valkey.aclose()
    return spent, held, leases


if __name__ == "__main__":
    main()
