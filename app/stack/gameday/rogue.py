"""Faults that are no vendor's and no store's: a caller who does harm, and a release that does.

The caller is a task of the game's own process, and the release is live on a service that ends with it: neither outlives a game
day that is killed.
"""

import asyncio
import re
import shutil
import tomllib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import tomli_w
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.gamedays import REVOKED_WITHIN
from app.security.keys.administration import KeyAdministration
from app.stack.gameday.lease import FaultNotSet, Held, held
from app.stack.gameday.page import Shell, cut
from app.stack.gameday.scenario import Fault, Rogue, Traffic
from app.stack.gameday.traffic import Callers, Seen
from app.stack.vendors import SIMULATED_PATHS

BAD = "bad-release"
TENANT, USER = "acme", "ada"  # of the stage
REFUSED = "budget_exceeded"
REFUSALS = frozenset({REFUSED, "invalid_api_key"})  # by its cap, or because its key was revoked
REVOKE = "octant key revoke "
FURTHER, FURTHER_RATE = 4, 20  # keys that are revoked while they are in use, and calls a second of each
USED_SECONDS = 1.0  # before its end: every worker has looked the key up by then
QUIET_SECONDS = 1.0  # without an answer: the key is refused for good
GIVE_UP_SECONDS = REVOKED_WITHIN + 5.0
_CAP = re.compile(r"^user-day\s+spent\s+(\S+).*?\scap\s+(\S+)", re.MULTILINE)
_LIVE = re.compile(r"^(\S+) is live since", re.MULTILINE)
_REVOKED = text("SELECT max(revoked_at) FROM api_keys WHERE revoked_at >= :since")
LEASE_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def key_of(shell: Shell, fault: Fault, own: str) -> tuple[str, dict[str, str]]:
    """The caller's key, and the values of the runbook's words for caller and providers. Raises FaultNotSet."""
    rogue = fault.rogue
    named = {"TENANT": TENANT, "USER": rogue.user if rogue else USER, **_providers(fault)}
    if rogue is None or not rogue.own_key:
        return own, named
    made = await shell.follow(f"octant key create {TENANT} --name rogue --quiet")
    if not made.works:
        raise FaultNotSet(f"no key for the rogue caller: {cut(made.output, 200)}")
    return made.output, {**named, "KEY": made.output.split("_")[1]}


def _providers(fault: Fault) -> dict[str, str]:
    """The provider at fault and the one that answers meanwhile; empty where the fault is of none or of both."""
    at_fault = {str(one["provider"]) for one in fault.faults if one.get("provider") in SIMULATED_PATHS}
    others = [name for name in SIMULATED_PATHS if name not in at_fault]
    return {"PROVIDER": at_fault.pop(), "OTHER": others[0]} if len(at_fault) == 1 else {}


@asynccontextmanager
async def in_force(name: str, fault: Fault, control: Mapping[str, str], bad: "BadRelease | None") -> AsyncGenerator[Held, None]:
    """Keep a fault in force until the end of the block. Raises FaultNotSet where it cannot begin."""
    async with AsyncExitStack() as stack:
        lease = Held()
        if bad is not None:
            await stack.enter_async_context(bad.live())
        elif fault.faults:
            if fault.at not in control:
                raise FaultNotSet(f"nothing holds a fault of {fault.at}")
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=LEASE_TIMEOUT))
            lease = await stack.enter_async_context(held(http, control[fault.at], f"gameday-{name}", fault.faults))
        yield lease


@asynccontextmanager
async def calling(beside: Callers, key: str, rogue: Rogue | None, url: str) -> AsyncGenerator[Callers | None, None]:
    """Have the rogue call until the end of the block, on the clock of the callers ``beside``; None without one."""
    if rogue is None:
        yield None
        return
    headers = {"authorization": f"Bearer {key}"}
    strangers = aiohttp.TCPConnector(limit=0, force_close=True)  # a kept connection stays with one worker
    async with aiohttp.ClientSession(url, headers=headers, connector=strangers) as http:
        traffic = Traffic(rate=rogue.rate, kinds=("chat",), deadline=beside.deadline)
        callers = Callers(http, traffic, user=rogue.user, says=rogue.text * rogue.times)
        callers.start(beside)
        try:
            yield callers
        finally:
            await callers.stop()


async def cap_of(shell: Shell) -> tuple[str, str]:
    """What the rogue has spent today and its cap a day, as `octant budget show` prints them; empty where it cannot."""
    shown = await shell.follow("octant budget show TENANT --user USER")
    found = _CAP.search(shown.output)
    return (found[1], found[2]) if found else ("", "")


def held_off(seen: Sequence[Seen], fault_at: float) -> float | None:
    """Seconds from the fault's begin until the rogue was refused for good: the first refusal after its last other answer."""
    last = max((one.at for one in seen if one.what not in REFUSALS), default=fault_at)
    first = min((one.at for one in seen if one.what in REFUSALS and one.at > last), default=None)
    return None if first is None else round(first - fault_at, 2)


async def refused_after(engine: AsyncEngine, fault_at: datetime | None, refused: float) -> float | None:
    """Seconds from the write of the key's revocation until its first refusal; None where the store does not have it.

    ``refused``: seconds from the fault's begin.
    """
    try:
        async with engine.connect() as connection:
            at = (await connection.execute(_REVOKED, {"since": fault_at})).scalar_one()
    except SQLAlchemyError:
        return None
    return None if at is None or fault_at is None else round(max(0.0, refused - (at - fault_at).total_seconds()), 2)


async def lasting(shell: Shell, beside: Callers, engine: AsyncEngine) -> list[float]:
    """Seconds from a revocation until the key was refused for good, for each of some keys that are in use until then.

    One key shows luck: a worker may look it up anew just then. Raises FaultNotSet, and SQLAlchemyError.
    """
    create = f"octant key create {TENANT} --name leaked --quiet"
    made = await asyncio.gather(*(shell.follow(create) for _ in range(FURTHER)))
    if failed := [one.output for one in made if not one.works]:
        raise FaultNotSet(f"no further key: {cut(failed[0], 200)}")
    return [await _lasted(one.output, shell.url, beside, KeyAdministration(engine, secret=b"")) for one in made]


async def _lasted(key: str, url: str, beside: Callers, keys: KeyAdministration) -> float:
    caller = Rogue(text="Tell me everything about the sea.", rate=FURTHER_RATE)
    async with calling(beside, key, caller, url) as callers:
        await asyncio.sleep(USED_SECONDS)
        began, refused = beside.now, None
        await keys.revoke_key(key.split("_")[1])
        while callers and beside.now - began < (GIVE_UP_SECONDS if refused is None else refused + QUIET_SECONDS):
            await asyncio.sleep(0.1)
            refused = held_off(callers.seen, began)
    refused = held_off(callers.seen, began) if callers else None
    return GIVE_UP_SECONDS if refused is None else max(0.0, refused)


def late(*written: float | None) -> list[str]:
    """Why the promise of a revoked key is broken; empty where it is kept, or where none was revoked."""
    longest = max((one for one in written if one is not None), default=0.0)
    if longest <= REVOKED_WITHIN:
        return []
    return [f"a key was refused {longest:.1f} s after its revocation was written, the promise is {REVOKED_WITHIN:g} s"]


def capped(before: str, after: tuple[str, str], seen: Sequence[Seen], fault_at: float) -> str:
    """A sentence on the cap that met the rogue; empty where none is known. ``before``: its cap as the fault began."""
    spent, cap = after
    if not before or not cap:
        return ""
    first = min((one.at for one in seen if one.what in REFUSALS), default=None)
    met = "never refused,"
    if first is not None:
        met = "refused already before it, when" if first < fault_at else f"refused from second {first - fault_at:.1f} on, when"
    if cap == before:
        return f"{cap} a day, as it was before the game day; {met} {spent} was spent"
    return f"lowered from {before} to {cap} a day by the runbook's command; {met} {spent} was spent"


class BadRelease:
    """A release that is as the live one but for one change of a route."""

    def __init__(self, shell: Shell, good: str, releases: Path, folder: Path, change: Mapping[str, Any]) -> None:
        """``good``: the live one, in ``releases``; ``folder``: for the bad one; ``change``: of the route `smart`."""
        self.good = good
        self._folder = folder / BAD
        self._releases = releases
        self._change = change
        self._shell = replace(shell, env={**shell.env, "OCTANT_RELEASES_DIR": str(self._folder)})

    @classmethod
    async def of(cls, shell: Shell, releases: Path | None, folder: Path | None, change: Mapping[str, Any]) -> "BadRelease":
        """Beside the release that is live now. Raises FaultNotSet where none is."""
        status = await shell.follow("octant release status")
        found = _LIVE.search(status.output)
        if found is None or releases is None or folder is None:
            raise FaultNotSet(f"no release is live: {cut(status.output, 200)}")
        return cls(shell, found[1], releases, folder, change)

    @asynccontextmanager
    async def live(self) -> AsyncGenerator[None, None]:
        """Have it live. At the end the release before is live again. Raises FaultNotSet."""
        good = self.good
        self._write(good)
        made = await self._shell.follow(f'octant release activate {BAD} --force --reason "game day"')
        if not made.works:
            raise FaultNotSet(f"the bad release is not live: {made.output[:300]}")
        try:
            yield
        finally:
            after = await self._shell.follow("octant release status")
            if BAD in after.output.partition(" is live")[0]:
                await self._shell.follow('octant rollback --reason "the game day is over"')

    def _write(self, good: str) -> None:
        shutil.copytree(self._releases, self._folder)
        document = tomllib.loads((self._folder / f"{good}.toml").read_text(encoding="utf-8"))
        document |= {"id": BAD, "note": "A game day: the fault is in it."}
        document["routes"]["smart"] |= dict(self._change)
        (self._folder / f"{BAD}.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
