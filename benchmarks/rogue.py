"""`make rogue`: one tenant's clients spend as fast as they can, while workers and Valkey are killed at random.

The truth is the provider's bill: the simulator counts what it would charge, streams as far as they were made. At the end the
bill is not above what we counted, what we counted is not above the cap, at no moment was spent and held together, and the ledger
says what the counters say. Exit code 1 if any of that fails, or if there was no attack: no request refused, no process killed.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select

from app.budget.hold import LEASE_MARGIN, leases_key
from app.budget.pricing import cost, tiers_of
from app.budget.scopes import scopes_of, shard_of
from app.budget.tables import ledger
from app.domain.calls import Tenant, Usage
from app.domain.money import MicroUSD, from_dollars, to_dollars
from app.domain.routes import PriceTable
from app.releases.manifest import load as load_release
from app.rooms import places
from app.settings import load
from app.stack.embedded import embedded_valkey, free_port
from app.stack.fitting import fitting
from app.stores import build_engine, build_valkey
from benchmarks.service import break_providers, octant, serving, simulator_stats, stores_and_simulator

TENANT = "rogue"
DEADLINE = 8.0  # seconds a call may take; a dead worker's lease ends half a minute later
WORKER_EVERY, VALKEY_EVERY = 4.0, 9.0
FAULTS: tuple[Mapping[str, object], ...] = (
    {"kind": "latency", "median_ms": 150, "sigma": 0.5},
    {"kind": "status", "status": 500, "probability": 0.05},
    {"kind": "rate_limit", "probability": 0.02},
    {"kind": "cut_stream", "probability": 0.03},
    {"kind": "truncated_json", "probability": 0.02},
    {"kind": "reset", "probability": 0.02},
    {"kind": "hang", "probability": 0.005},
)


@dataclass(slots=True)
class Attack:
    """The clients' results, and the highest sum of the counters."""

    url: str
    key: str
    chance: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    most: int = 0

    async def client(self, http: aiohttp.ClientSession, number: int, until: float) -> None:
        """Send request after request; some leave in the middle, all try again at once after any failure."""
        while time.monotonic() < until:
            stream = self.chance.random() < 0.4
            body = {
                "model": self.chance.choice(("smart", "fast")),
                "messages": [{"role": "user", "content": f"Please count to {self.chance.randint(1, 120)}."}],
                "max_tokens": self.chance.choice((50, 200, 1000)),
                "user": f"user-{number % 20}",
                "stream": stream,
            }
            headers = {"authorization": f"Bearer {self.key}", "octant-deadline-ms": str(round(DEADLINE * 1000))}
            try:
                async with asyncio.timeout(DEADLINE + 4):
                    async with http.post(self.url + "/v1/chat/completions", json=body, headers=headers) as answer:
                        if stream and answer.status == 200 and self.chance.random() < 0.3:
                            await answer.content.readany()
                            self.ended["left in the middle"] += 1
                            continue
                        received = await answer.read()
                    self.ended[_outcome(answer.status, received, stream=stream)] += 1
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.ended["connection lost"] += 1
                await asyncio.sleep(0.05)

    async def watch(self, valkey: Redis, tenant: Tenant, until: float) -> None:
        """Look at spent and held together, ten times a second."""
        while time.monotonic() < until:
            day = scopes_of(tenant, "", _now(), (None, None))[0]
            try:
                spent, held = await valkey.hmget(day.key, "spent", "held")
                self.most = max(self.most, int(spent or 0) + int(held or 0))
            except (RedisError, OSError):
                pass
            await asyncio.sleep(0.1)

    async def kill_workers(self, first: int, until: float) -> None:
        """SIGKILL to one worker after the other; their master starts new ones."""
        while time.monotonic() < until - WORKER_EVERY:
            await asyncio.sleep(WORKER_EVERY * self.chance.uniform(0.5, 1.5))
            workers = psutil.Process(first).children()
            if workers:
                self.chance.choice(workers).kill()
                self.killed["workers"] += 1


class Store:
    """A Valkey that keeps an append-only file, and that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        """Starts it."""
        self._folder = folder
        self._port = free_port()
        self._running = embedded_valkey(folder, port=self._port)
        self.url = self._running.__enter__()

    def crash(self) -> None:
        """SIGKILL, and a new one on its file."""
        os.kill(int((self._folder / "valkey.pid").read_text()), signal.SIGKILL)
        self.close()
        self._running = embedded_valkey(self._folder, port=self._port)
        self._running.__enter__()

    def close(self) -> None:
        """Stop it."""
        self._running.__exit__(None, None, None)

    async def kill_at_random(self, attack: Attack, until: float) -> None:
        """Every few seconds."""
        while time.monotonic() < until - VALKEY_EVERY:
            await asyncio.sleep(VALKEY_EVERY * attack.chance.uniform(0.5, 1.5))
            await asyncio.to_thread(self.crash)
            attack.killed["Valkey"] += 1


def main() -> None:
    """Attack, wait until all leases have ended, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cap", default="2.00", help="dollars a day")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="octant-rogue-") as folder:
        store = Store(Path(folder))
        try:
            with stores_and_simulator(store.url) as (env, control):
                env["OCTANT_WORKERS"] = str(options.workers)
                env["OCTANT_RECOVERY__BREAKER_FAILURES"] = "1000000"  # all of it is to reach the providers
                octant(env, "setup")
                octant(env, "tenant", "create", TENANT, "--day", options.cap, "--user-day", options.cap)
                key = octant(env, "key", "create", TENANT, "--name", "rogue", "--quiet")
                break_providers(control, *FAULTS)
                os.environ.update({name: value for name, value in env.items() if name.startswith("OCTANT_")})
                with serving(env) as (url, first):
                    attack = Attack(url, key, random.Random(options.seed))  # noqa: S311 - repeatable, not secret
                    problems = uvloop.run(_run(attack, store, first, options, env, control))
        finally:
            store.close()
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    raise SystemExit(1 if problems else 0)


async def _run(
    attack: Attack, store: Store, first: int, options: argparse.Namespace, env: Mapping[str, str], control: str
) -> list[str]:
    settings, cap = load(), from_dollars(options.cap)
    tenant = Tenant(TENANT, TENANT, cap, cap)
    valkey, engine = build_valkey(settings), build_engine(settings)
    until = time.monotonic() + options.seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as http:
        clients = (attack.client(http, number, until) for number in range(options.clients))
        others = (attack.watch(valkey, tenant, until), attack.kill_workers(first, until), store.kill_at_random(attack, until))
        await asyncio.gather(*clients, *others)
    await _leases_gone(valkey)
    reconciled = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "budget", "reconcile", env=dict(env), stdout=asyncio.subprocess.PIPE
    )
    reconciled_output = (await reconciled.communicate())[0].decode().strip()
    day = scopes_of(tenant, "", _now(), (None, None))[0]
    spent, held = (int(n or 0) for n in await valkey.hmget(day.key, "spent", "held"))
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                select(ledger.c.kind, func.count(), func.sum(ledger.c.amount))
                .where(ledger.c.tenant == TENANT)
                .group_by(ledger.c.kind)
            )
        ).all()
    booked = {kind: (count, int(amount)) for kind, count, amount in rows}
    release = load_release(fitting(settings.releases_dir)[-1], places(settings))
    bill = _bill(simulator_stats(control), release.prices)
    await valkey.aclose()
    await engine.dispose()
    _show(attack, cap, spent, held, bill, booked, reconciled_output)
    return _judge(attack, cap, spent, held, bill, sum(amount for _, amount in booked.values()), reconciled.returncode or 0)


async def _leases_gone(valkey: Redis) -> None:
    """Wait until the sweepers have settled the leases of killed workers."""
    deadline = time.monotonic() + DEADLINE + LEASE_MARGIN + 20
    while time.monotonic() < deadline:
        try:
            if not await valkey.zcard(leases_key(shard_of(TENANT))):
                return
        except (RedisError, OSError):
            pass
        await asyncio.sleep(0.5)


def _show(
    attack: Attack, cap: int, spent: int, held: int, bill: int, booked: Mapping[str, tuple[int, int]], reconciled: str
) -> None:
    rows: list[tuple[str, Any]] = [
        ("cap", f"${to_dollars(cap)}"),
        ("spent, by the counters", f"${to_dollars(spent)}"),
        *((f"  in the ledger: {kind}", f"${to_dollars(amount)} in {n} entries") for kind, (n, amount) in sorted(booked.items())),
        ("held, after all", f"${to_dollars(held)}"),
        ("the providers' bill", f"${to_dollars(bill)} ({100 * bill / max(1, spent):.1f} % of what was counted)"),
        ("most ever spent and held", f"${to_dollars(attack.most)}"),
        ("overshoot", f"${to_dollars(max(0, attack.most - cap, spent - cap, bill - cap))}"),
        ("ledger and counters", reconciled),
        ("killed", ", ".join(f"{count} {what}" for what, count in attack.killed.items()) or "nothing"),
        *attack.ended.most_common(),
    ]
    print("\n".join(f"{name:32} {value:>10}" for name, value in rows))


def _judge(attack: Attack, cap: int, spent: int, held: int, bill: int, booked: int, reconciled: int) -> list[str]:
    checks = {
        f"the cap was passed: {max(attack.most, spent) - cap} micro-dollars": max(attack.most, spent) <= cap,
        f"the providers bill more than was counted: {bill - spent} micro-dollars": bill <= spent,
        f"{held} micro-dollars are still held": held == 0,
        f"the ledger has {booked} micro-dollars, the counters {spent}": booked == spent,
        "ledger and counters differ": reconciled == 0,
        "no worker was killed": attack.killed["workers"] > 0,
        "Valkey was not killed": attack.killed["Valkey"] > 0,
        "no request was refused: there was no attack": attack.ended["refused: budget_exceeded"] > 0,
        "no request was answered": attack.ended["answered"] + attack.ended["answered by a stream"] > 0,
    }
    return [problem for problem, fine in checks.items() if not fine]


def _bill(stats: Mapping[str, Mapping[str, Any]], prices: PriceTable) -> MicroUSD:
    """The providers' charge for every answer that they began."""
    total = 0
    for provider, seen in stats.items():
        for model, (tokens_in, tokens_out) in seen["billed"].items():
            price = tiers_of(prices, provider, model)[:1]
            total += cost(Usage(input=tokens_in, output=tokens_out), price)
    return MicroUSD(total)


def _outcome(status: int, body: bytes, *, stream: bool) -> str:
    if status == 200:
        whole = not stream or body.rstrip().endswith(b"[DONE]")
        return ("answered by a stream" if stream else "answered") if whole else "broken off, and said so"
    try:
        return f"refused: {json.loads(body)['error']['code']}"
    except (ValueError, KeyError):
        return f"status {status} without our error"


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
