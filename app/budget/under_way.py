"""Calls under way on all workers, from the leases that hold their money."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis

from app.budget.hold import lease_prefix, leases_key
from app.budget.scopes import SHARDS
from app.budget.valkey_answers import read_of

MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """One call. ``user`` as the ledger names them; ``held`` in micro-dollars."""

    call_id: str
    trace_id: str
    request_id: str
    tenant: str
    user: str
    key_id: str
    feature: str
    began_at: datetime
    held: int


async def under_way(valkey: Redis, *, most: int = MOST) -> tuple[int, Sequence[UnderWay]]:
    """The number of calls that hold money, and up to ``most`` of them, the longest first.

    A call whose worker died stays until its lease ends. Raises what the client raises.
    """
    async with valkey.pipeline(transaction=False) as pipeline:
        for shard in range(SHARDS):
            pipeline.zcard(leases_key(shard))
            pipeline.zrange(leases_key(shard), 0, most - 1)
        answers = await pipeline.execute()
        ids = [(shard, lease) for shard in range(SHARDS) for lease in answers[2 * shard + 1]]
        for shard, lease in ids:
            pipeline.hmget(lease_prefix(shard) + lease, "entry", "amount")
        leases = await pipeline.execute() if ids else []
    found = [_call(lease, entry, amount) for (_, lease), (entry, amount) in zip(ids, leases, strict=True) if entry]
    return sum(answers[::2]), sorted(found, key=lambda call: call.began_at)[:most]


@read_of("HMGET")
def _call(lease: str, entry: str, amount: str) -> UnderWay:
    known = json.loads(entry)
    return UnderWay(
        call_id=lease, trace_id=known.get("trace", ""), request_id=known.get("request", ""),
        tenant=known["tenant"], user=known["user"], key_id=known["key"], feature=known["feature"],
        began_at=datetime.fromtimestamp(known["at"], UTC), held=int(amount or 0),
    )  # fmt: skip
