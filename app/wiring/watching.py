"""Watchers of the parts: health checks, gauges, and the end of calls that a stop ends."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget
from app.budget.usage_shares import usage_shares
from app.domain.errors import Stopped
from app.domain.in_flight import InFlight
from app.domain.money import from_dollars
from app.domain.routes import Target
from app.domain.store_errors import why
from app.edge.parts import Check, Health
from app.gateway.call_state import CallState
from app.gateway.recovery.breaker import STATES, State
from app.jobs.jobs import Jobs
from app.oncall import self_test
from app.oncall.incidents.handoff import Allowed, Handoffs, Send
from app.oncall.scopes import USER
from app.oncall.scopes import parse as parse_stops
from app.oncall.self_test import Sightings
from app.oncall.store_outages import StoreOutages
from app.oncall.switch import KillSwitch, Listeners, with_message
from app.releases import canary_state, rehearsals
from app.releases.canaries import CAUSES
from app.releases.effective import WRONG
from app.releases.releases import Releases
from app.rooms import duties_of
from app.security.keys.administration import KeyAdministration
from app.security.keys.ring import KeyRing
from app.settings import Settings
from app.telemetry.gauge_sampler import GaugeSampler, Sample
from app.telemetry.loop_lag import LoopLag
from app.telemetry.metrics import Metrics

POSTGRES_CHECK_SECONDS = 1.0
NEW_CONNECTION_EVERY = 5.0  # seconds; opening one costs Postgres a process
TAKES_NO_WRITES = text("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'")
KEEPS_ALL = "noeviction"

log = logging.getLogger(__name__)


async def open_sampled_gauges(
    stack: AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    *,
    keys: KeyAdministration,
    valkey: Redis,
    budget: Budget,
    jobs: Jobs,
    releases: Releases,
    engine: AsyncEngine,
    more: Mapping[str, Sample],
) -> None:
    """Start the gauges that are sampled, with ``more``. Every worker samples, so that they are there whichever worker lives."""

    async def budget_used() -> None:
        for scope, share in (await usage_shares(valkey, budget, await keys.list_tenants())).items():
            metrics.budget_used.set(share, scope=scope)

    async def key_age() -> None:
        metrics.api_key_age.set(await keys.oldest_age())

    async def rehearsed() -> None:
        found = [r for r in rehearsals.read(settings.rehearsals_file) if r.what == rehearsals.OUTAGE]
        metrics.rehearsals.set(len(found))
        if found:
            metrics.rehearsal_age.set((datetime.now(UTC) - found[-1].at).total_seconds())

    async def jobs_wait() -> None:
        count, seconds = await jobs.waiting()
        metrics.jobs_waiting.set(count)
        metrics.jobs_waiting_seconds.set(seconds)

    async def prices() -> None:
        state = (await asyncio.to_thread(releases.price_effect)).state
        for reason in WRONG:
            metrics.price_table_wrong.set(int(state == reason), reason=reason)

    samples = {"budget": budget_used, "keys": key_age, "prices": prices, "rehearsals": rehearsed, "jobs": jobs_wait}
    sampler = GaugeSampler(
        {
            **samples,
            "unproven": partial(_unproven, metrics, releases),
            "self_test": partial(show_self_test, metrics, engine, time.monotonic()),
            "canary": partial(show_canary, metrics, engine),
            **more,
        },
        on_failure=lambda gauge: metrics.gauge_samples_failed.inc(gauge=gauge),
    )
    for watching in (sampler, LoopLag(metrics.loop_lag.observe)):
        await watching.start()
        stack.push_async_callback(watching.aclose)


async def _unproven(metrics: Metrics, releases: Releases) -> None:
    for what, count in (await releases.unproven()).items():
        metrics.release_unproven.set(count, what=what)


async def open_handoffs(
    stack: AsyncExitStack, settings: Settings, engine: AsyncEngine, redact: Callable[[str], str], send: Send | None,
    allowed: Allowed,
) -> None:  # fmt: skip
    """Send a message at each change of the shift; without a receiver nothing is sent."""
    if send is None:
        return
    handoffs = Handoffs(
        engine, duties_of(settings, engine), send, clean=redact,
        cap=from_dollars(settings.budget.global_daily_cap), allowed=allowed,
    )  # fmt: skip
    await handoffs.start()
    stack.push_async_callback(handoffs.aclose)


def build_switch(
    settings: Settings, engine: AsyncEngine, valkey: Redis, metrics: Metrics, running: InFlight, sightings: Sightings,
    away: StoreOutages, name_of: Callable[[str, str], str],
) -> KillSwitch:  # fmt: skip
    """The kill switch of a worker. ``name_of`` maps a tenant and a user's id to the user's pseudonym."""
    listeners = Listeners(
        on_state=partial(show_stops, metrics), on_end=partial(end_calls, running, name_of=name_of), on_self_test=sightings.note,
        on_store=away.note,
    )  # fmt: skip
    fixed = parse_stops(settings.stopped)
    return KillSwitch(valkey, engine, file=settings.kill_path, fixed=fixed, listeners=listeners, name_of=name_of)


def show_stops(metrics: Metrics, counts: Mapping[str, int]) -> None:
    """Show how many kills are on, by scope."""
    for scope, count in counts.items():
        metrics.kill_switch_on.set(count, scope=scope)


async def show_self_test(metrics: Metrics, engine: AsyncEngine, started: float) -> None:
    """Show what the kill switch's self-tests found; before the first success, since when this process waits for one."""
    found = await self_test.state(engine)
    metrics.kill_switch_test_age.set(time.monotonic() - started if found.passed_ago is None else found.passed_ago)
    metrics.kill_switch_test_failed.set(int(found.failed))
    if found.slowest is not None:
        metrics.kill_switch_test_seconds.set(found.slowest)


async def show_canary(metrics: Metrics, engine: AsyncEngine) -> None:
    """Show the canary that runs, and whether the service has stopped the last one."""
    found = await canary_state.read(engine)
    metrics.canary_share.set(found.share)
    metrics.canary_deadline.set(found.seconds_left)
    for release, count in zip(("canary", "live"), found.users, strict=True):
        metrics.canary_users.set(count, release=release)
    for metric, evidence in found.evidence.items():
        metrics.canary_evidence.set(evidence, metric=metric)
    for metric, evidence in found.promotion.items():
        metrics.canary_promotion.set(evidence, metric=metric)
    for cause in CAUSES:
        metrics.canary_aborted.set(int(cause == found.aborted), cause=cause)


def end_calls(
    running: InFlight, scope: str, name: str, message: str, *, name_of: Callable[[str, str], str] = lambda _tenant, user: user
) -> None:
    """End the calls under way that an operator has stopped. Their callers read ``message``.

    ``name_of`` maps a tenant and a user's id to the user's pseudonym.
    """

    def stopped(subject: object) -> bool:
        return isinstance(subject, CallState) and _is_meant(subject, scope, name, name_of)

    running.end(lambda: Stopped(with_message("The call was ended by an operator.", message)), stopped)


def _is_meant(state: CallState, scope: str, name: str, name_of: Callable[[str, str], str]) -> bool:
    """Whether a stop ends this call. Attempts at a stopped provider or model end, and the call goes on if it can."""
    call = state.call
    if scope in {"provider", "model"}:
        return name in state.called or state.leave(name)
    tenant = call.identity.tenant.id
    if scope == USER:
        return name == f"{tenant}/{name_of(tenant, call.identity.user)}"
    names = {
        "all": {name},
        "tenant": {tenant},
        "feature": {call.feature, call.feature.partition(".")[0]},
        "prompt": {call.target},
    }
    return name in names.get(scope, set())  # a tool has ended before its model goes on


def show_drift(metrics: Metrics, shown: set[str], drifting: frozenset[str]) -> None:
    """``shown``: the features shown so far, those that drift no more included."""
    shown |= drifting
    for feature in shown:
        metrics.cost_drift.set(int(feature in drifting), feature=feature)


def show_state(metrics: Metrics, target: Target, state: State) -> None:
    """Show the state of a target's circuit."""
    metrics.breaker_state.set(STATES.index(state), provider=target.provider, model=target.model)


class _Full:
    """Whether Postgres takes one more connection, found out every few seconds: those of the pool hide that all are used."""

    def __init__(self, unpooled: AsyncEngine) -> None:
        """Ask at the first check."""
        self._unpooled = unpooled
        self._asked = -NEW_CONNECTION_EVERY
        self._refused = False

    async def check(self) -> bool:
        if time.monotonic() - self._asked < NEW_CONNECTION_EVERY and not self._refused:
            return False
        before, self._asked, self._refused = self._refused, time.monotonic(), False
        try:
            async with self._unpooled.connect():
                return False
        except (SQLAlchemyError, OSError) as error:
            self._refused = True
            if not before:
                log.warning("Postgres takes no new connection: `octant stores` says why", extra=why(error))
            return True


def health_checks(
    engine: AsyncEngine,
    unpooled: AsyncEngine,
    valkey: Redis,
    keys: KeyRing,
    releases: Releases,
    budget: Budget,
    switch: KillSwitch,
) -> dict[str, Check]:
    """Whether calls work. With Postgres away, calls of known keys still do: degraded, and ready.

    Degraded is also a Postgres that takes no writes (a standby, a primary that was demoted, a disk that a host has closed) or no
    new connection of ``unpooled``, and a Valkey that may drop counters of money to make room.
    """
    evicts = read_only = refused = False
    full = _Full(unpooled)

    async def postgres() -> Health:
        nonlocal read_only, refused
        try:
            async with asyncio.timeout(POSTGRES_CHECK_SECONDS), engine.connect() as connection:
                before, read_only = read_only, bool((await connection.execute(TAKES_NO_WRITES)).scalar_one())
                refused = await full.check()
        except (SQLAlchemyError, OSError):
            return "degraded" if keys.knows_some else "failing"
        if read_only and not before:
            log.warning("Postgres takes no writes: records wait, and operators' changes are refused")
        return "degraded" if read_only or refused else "ok"

    async def valkey_answers() -> Health:
        nonlocal evicts
        await valkey.ping()
        before, evicts = evicts, await may_evict(valkey)
        if evicts and not before:  # said once: the answer is read every second, for as long as it is so
            log.warning("Valkey may drop counters when it is full: set maxmemory-policy noeviction")
        return "degraded" if evicts else "ok"

    async def money_can_be_held() -> Health:
        await budget.check()
        return "ok"

    async def release() -> Health:
        return "ok" if releases.known else "failing"

    async def stops() -> Health:
        return "ok" if switch.known else "failing"

    checks = {"postgres": postgres, "valkey": valkey_answers, "budget": money_can_be_held, "release": release}
    return {**checks, "stops": stops}


async def may_evict(valkey: Redis) -> bool:
    """Whether Valkey drops keys once it is full, as hosted ones do by default. False where it does not say. Raises RedisError.

    A counter that was dropped is raised to the ledger's sum within a minute (`app.budget.reconcile`); until then a cap is open.
    A role may lack INFO, a host may have renamed it, and a proxy may not know it: calls work without it.
    """
    try:
        memory = await valkey.info("memory")
    except ResponseError:
        return False
    return memory.get("maxmemory_policy", KEEPS_ALL) != KEEPS_ALL and bool(memory.get("maxmemory"))
