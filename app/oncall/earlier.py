"""Stops that an earlier version kept, in Valkey alone: an upgrade must not release them (P5)."""

import json

from redis.asyncio import Redis

from app.oncall.switch import KillSwitch

EARLIER_KEY = "octant:kill"  # a hash: `all`, `provider:NAME` or `tenant:NAME` to operator and reason


async def carry_over(valkey: Redis, switch: KillSwitch) -> int:
    """Put the earlier version's stops into both memories. Returns how many there were. May be repeated.

    Raises RedisError, and what `KillSwitch.stop` raises.
    """
    found = await valkey.hgetall(EARLIER_KEY)
    for field, entry in found.items():
        scope, _, name = str(field).partition(":")
        stop = json.loads(entry)
        await switch.stop(scope, name, by=stop["by"], reason=stop["reason"])
        await valkey.hdel(EARLIER_KEY, field)
    return len(found)
