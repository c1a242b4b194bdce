"""The holder's side of a fault under a lease: begins it, renews it, ends it. Killed, it renews no more, and the fault ends."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from app.domain.periodic import Periodic

SECONDS = 3.0  # without a renewal
RENEWALS = 6  # in that time


class FaultNotSet(Exception):  # noqa: N818 - it says what happened
    """The process that holds faults did not take or keep one: the tool failed, not the service."""


@dataclass(slots=True)
class Held:
    """A lease. ``lost``: why it ended before its time, at which ``ended`` is set; empty while it holds."""

    lost: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def held(
    http: aiohttp.ClientSession, control: str, name: str, faults: Sequence[Mapping[str, Any]]
) -> AsyncGenerator[Held, None]:
    """Keep faults in force until the end of the block. Raises FaultNotSet where they cannot begin."""
    url = f"{control}/leases/{name}"
    lease = Held()

    async def renew() -> None:
        if not lease.lost and (why := await _put(http, url, {"seconds": SECONDS})):
            lease.lost = why
            lease.ended.set()

    if refused := await _put(http, url, {"seconds": SECONDS, "faults": list(faults)}):
        raise FaultNotSet(refused)
    renewing = Periodic("lease of a fault", renew, every=SECONDS / RENEWALS, at_once=False)
    renewing.start()
    try:
        yield lease
    finally:
        await renewing.stop(grace=SECONDS)
        await renew()  # a lease that ended unseen is found out here
        try:
            async with http.delete(url):
                pass
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(SECONDS)  # it ends by itself


async def _put(http: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> str:
    """Send it. Returns why it was not taken; empty if it was."""
    try:
        async with http.put(url, json=body) as answer:
            return "" if answer.status == 200 else f"{answer.status}: {(await answer.text())[:200]}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__
