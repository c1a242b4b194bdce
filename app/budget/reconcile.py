"""Compare counters with the ledger, to the micro-dollar, while both change (C3).

A shard's counters, the entries of its stream that are not in the ledger yet, and the stream's last id are read in one step. The
counters should equal the ledger up to that id, without those entries, plus those entries.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.hold import epoch_key, lease_prefix, leases_key
from app.budget.ledger import Ledger
from app.budget.scopes import ANONYMOUS, DAY_SECONDS, MONTH_SECONDS, SHARDS, key
from app.budget.scripts import with_amounts
from app.budget.valkey_answers import read_of
from app.domain.errors import OctantError
from app.domain.periodic import Periodic

EVERY = 60.0
LOCK = 0x0C7C
KEPT = max(DAY_SECONDS, MONTH_SECONDS)  # of a counter that begins anew

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """One counter that differs from the ledger. Micro-dollars. ``lost``: no script can use it."""

    shard: int
    key: str
    counter: int
    ledger: int
    lost: bool = False

    @property
    def amount(self) -> int:
        """The amount that the counter lacks; negative if it is too high."""
        return self.ledger - self.counter


async def differences(valkey: Redis, ledger: Ledger) -> list[Difference]:
    """Compare every counter whose window still runs. Raises DependencyUnavailable or Valkey's errors."""
    found: list[Difference] = []
    for shard in range(SHARDS):
        found += await compared(valkey, ledger, shard, [s.key for s in await ledger.sums(shard)])
    return found


async def compared(valkey: Redis, ledger: Ledger, shard: int, names: list[str]) -> list[Difference]:
    """Compare these counters of a shard, at one moment. Raises as `differences`."""
    compare = valkey.register_script(with_amounts("compare.lua"))
    answer = _compared(await compare(keys=[epoch_key(shard), key(shard, "ledger"), *names], args=[]), names)
    if answer is None:
        return []  # lost a moment ago: it is being rebuilt from the ledger
    pending, counters, last = answer
    waiting = _per_counter(shard, pending)
    sums = await ledger.sums(shard, upto=last, without=[identity for identity, _ in pending])
    should, found = {s.key: s.amount for s in sums}, []
    for name in names:
        expected, counter = should.get(name, 0) + waiting.get(name, 0), counters[name]
        if expected != counter:
            found.append(Difference(shard, name, counter or 0, expected, lost=counter is None))
    return found


async def mend(valkey: Redis, found: list[Difference], *, lower: bool = False) -> int:
    """Raise each counter that is too low. One that is too high stays, which is safe, unless ``lower``; a lost one begins anew.

    Each correction counts once, even if the client repeats a command.
    """
    add = valkey.register_script(with_amounts("mend.lua"))
    mended, this = [d for d in found if d.amount > 0 or lower or d.lost], uuid4().hex
    for one in mended:
        await add(keys=[one.key, leases_key(one.shard)], args=[one.amount, this, int(one.lost), lease_prefix(one.shard), KEPT])
    return len(mended)


class Reconciler:
    """Compares every minute, in one worker at a time, and raises counters that are too low."""

    def __init__(self, engine: AsyncEngine, valkey: Redis, ledger: Ledger, *, on_difference: Callable[[int], None]) -> None:
        """``on_difference`` gets the total difference of counters and ledger, in micro-dollars, before it is corrected."""
        self._engine = engine
        self._valkey = valkey
        self._ledger = ledger
        self._on_difference = on_difference
        self._comparing = Periodic(
            "reconciler",
            self.compare,
            every=EVERY,
            at_once=False,
            survives=(RedisError, SQLAlchemyError, OSError, OctantError),
            complaint="counters not compared",
        )

    async def start(self) -> None:
        """Begin to compare."""
        self._comparing.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._comparing.stop()

    async def compare(self) -> None:
        """Compare once, unless another worker does."""
        async with self._engine.begin() as connection:
            if not (await connection.execute(select(func.pg_try_advisory_xact_lock(LOCK)))).scalar_one():
                return
            found = await differences(self._valkey, self._ledger)
            self._on_difference(sum(abs(d.amount) for d in found))
            if found:
                log.warning("counters differ from the ledger", extra={"counters": len(found)})
                await mend(self._valkey, found)


@read_of("compare.lua")
def _compared(
    answer: str, names: list[str]
) -> tuple[list[tuple[str, dict[str, str]]], dict[str, int | None], tuple[int, int]] | None:
    """The waiting entries, the counters, with None for a lost one, and the stream's last id. None where all are lost."""
    found = json.loads(answer)
    if not found["there"]:
        return None
    millis, _, sequence = str(found["last"]).partition("-")
    counters = {name: int(spent) if spent else None for name, spent in zip(names, found["spent"], strict=True)}
    return [_fields(entry) for entry in found["pending"]], counters, (int(millis), int(sequence))


def _fields(entry: list[Any]) -> tuple[str, dict[str, str]]:
    identity, flat = entry
    return identity, dict(zip(flat[::2], flat[1::2], strict=True))


def _per_counter(shard: int, pending: list[tuple[str, dict[str, str]]]) -> dict[str, int]:
    """The sum that the entries add to each counter. One of a newer version that is not understood adds to none."""
    sums: dict[str, int] = {}
    for _, fields in pending:
        if fields["kind"] == "alert":
            continue
        try:
            names, amount = _counters(shard, json.loads(fields["entry"])), int(fields["amount"])
        except (KeyError, ValueError):
            continue
        for name in names:
            sums[name] = sums.get(name, 0) + amount
    return sums


def _counters(shard: int, about: Mapping[str, str]) -> tuple[str, ...]:
    day, month = (key(shard, about["tenant"], label, about[label]) for label in ("day", "month"))
    who = f":user:{about['user'] or ANONYMOUS}"
    return day, month, day + who, month + who, key(shard, "all", "day", about["all"])
