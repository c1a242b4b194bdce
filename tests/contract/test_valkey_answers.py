"""A Valkey that answers wrong counts as one that does not answer: no room ends in an error of its own.

Every command of every room, over real TCP, with each wrong answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import product
from uuid import uuid4

import pytest
import pytest_asyncio
from lying_valkey import ERRORS, WRONG, LyingValkey
from money import identity, make_budget, opened
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import reconcile, standing, under_way
from app.budget.budget import Budget
from app.budget.forgetting import rename_counters
from app.budget.ledger import Ledger
from app.budget.usage_shares import usage_shares
from app.domain.errors import OctantError
from app.domain.money import MicroUSD
from app.domain.routes import Target
from app.gateway.recovery import shared_circuits
from app.oncall.stops import Entry, ValkeyStops
from app.settings import Settings
from app.stores import build_valkey

AWAY = (RedisError, OSError)
EVERY = frozenset({""})
# No two of a group are of one piece of work: the second one's answer would not be read.
GROUPS = (
    frozenset({"EVALSHA"}), frozenset({"SCRIPT LOAD", "HELLO"}), frozenset({"PING"}), frozenset({"EXISTS", "SCAN"}), EVERY,
    frozenset({"GET", "HGET", "TIME", "XLEN", "ZCARD"}), frozenset({"SET", "HMGET", "HGETALL", "XRANGE", "ZRANGE"}),
)  # fmt: skip


@pytest_asyncio.fixture
async def liar(valkey_url: str) -> AsyncIterator[LyingValkey]:
    async with LyingValkey().running(int(make_url(valkey_url).port or 0)) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def lied_to(liar: LyingValkey) -> AsyncIterator[Redis]:
    client = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{liar.port}/0"))
    yield client
    await client.aclose()


async def one_call(budget: Budget) -> None:
    hold = await budget.hold(identity(), MicroUSD(10), lease_id=uuid4().hex, seconds=5)
    await budget.extend(hold, MicroUSD(5))
    budget.settle(hold)


@pytest.mark.parametrize("answer", [*WRONG, "errors"])
async def test_a_wrong_answer_is_a_store_that_is_away(
    liar: LyingValkey, lied_to: Redis, engine: AsyncEngine, answer: str
) -> None:
    """ADR 0007: of some commands, and of all."""
    budget, ledger, who = make_budget(lied_to, engine), Ledger(engine, lied_to), identity()
    await opened(budget)
    circuits, stops = shared_circuits.SharedCircuits(lied_to), ValkeyStops(lied_to)
    work: dict[str, tuple[Callable[[], Awaitable[object]], tuple[type[Exception], ...]]] = {
        "call": (lambda: one_call(budget), (OctantError,)),
        "counted": (lambda: budget.counted(who), AWAY),
        "counted globally": (budget.counted_globally, AWAY),
        "check": (budget.check, (*AWAY, OctantError)),
        "sweep": (budget.sweep, AWAY),
        "epochs": (budget.watch_epochs, (*AWAY, OctantError)),
        "ledger": (ledger.drain, (*AWAY, SQLAlchemyError)),
        "standing": (lambda: standing.counted(lied_to, ["a", "b"]), AWAY),
        "shares": (lambda: usage_shares(lied_to, budget, [who.tenant]), AWAY),
        "under way": (lambda: under_way.under_way(lied_to), AWAY),
        "reconcile": (lambda: reconcile.differences(lied_to, ledger), (*AWAY, OctantError)),
        "forgetting": (lambda: rename_counters(lied_to, "t", "u", "p"), AWAY),
        "circuits": (lambda: shared_circuits.read(lied_to), AWAY),
        "claim": (lambda: circuits.claim(Target("a", "m"), 1.0), ()),
        "stops": (stops.read, (*AWAY, ValueError)),
        "stop": (lambda: stops.write([Entry(scope="tenant", name="t", stopped=True)]), AWAY),
    }
    wrong: dict[object, str] = {}
    pairs = product(GROUPS, [WRONG[answer]]) if answer in WRONG else product((GROUPS[0], EVERY), ERRORS.values())
    for group, sent in pairs:
        if "HELLO" in group:
            liar.hang_up()
        liar.lie = lambda name, group=group, sent=sent: sent if name in group or group == EVERY else None  # type: ignore[misc]
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(*(body() for body, _ in work.values()), return_exceptions=True)
        for (name, (_, expected)), outcome in zip(work.items(), outcomes, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
                wrong[name, group, sent] = repr(outcome)
    assert wrong == {}
    liar.lie = lambda _: None
    async with asyncio.timeout(60):
        while True:
            try:
                await opened(budget)
                await one_call(budget)
                break
            except (*AWAY, OctantError):  # the next probe has not found it back yet
                await asyncio.sleep(0.05)
    await budget.aclose()
