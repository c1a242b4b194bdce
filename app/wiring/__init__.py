"""The composition root: settings in, concrete parts out, opened and closed once. Nothing else builds adapters."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app import __version__
from app.audit import shadow_answers
from app.audit.actions import NOTES, ActionLog
from app.audit.failed_answers import FailedAnswers
from app.audit.partitions import Keeper
from app.audit.recorder import FEW_AT_ONCE, MOST_AT_ONCE, Recorder
from app.audit.spill import Spill
from app.budget import journal
from app.budget.alerts import Alerts, Receivers
from app.budget.budget import Budget
from app.budget.caps import UserCaps
from app.budget.journal import Journal
from app.budget.ledger import Ledger
from app.budget.reconcile import Reconciler
from app.console import sessions
from app.console.page_words import diagnosing
from app.console.parts import ConsoleParts
from app.domain.in_flight import InFlight
from app.domain.money import MICROS_PER_DOLLAR
from app.domain.records import CallRecord, FailedAnswer, Replay
from app.edge.failed_logins import FailedLogins
from app.edge.parts import Check, EdgeParts
from app.edge.proxies import Proxies
from app.features.feature import FeatureParts
from app.features.installed import link_hosts
from app.gateway.gateway import Gateway, GatewayParts
from app.gateway.providers.adapters import ADAPTERS
from app.gateway.providers.base import KeyedProvider, Provider
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.gateway.recovery.recovery import Recovery
from app.gateway.recovery.shared_circuits import SharedCircuits
from app.gateway.replays import Replays
from app.gateway.shadowing import Answers, Payer, Shadowing, Write
from app.idempotency.idempotency import Idempotency
from app.jobs.jobs import Jobs
from app.oncall.paging.paging import Paging
from app.oncall.retention import forget
from app.oncall.self_test import DailySelfTest, Sightings
from app.oncall.store_outages import StoreOutages
from app.oncall.switch import KillSwitch
from app.releases import reports
from app.releases.shadow_watch import ShadowWatch
from app.rooms import allowed_of, budget_policy, releases_of, remembered
from app.security import webhooks
from app.security.guard.guard import Guard
from app.security.guard.stored_text import KeptTexts
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import ProviderKeys
from app.security.keys.ring import KeyRing
from app.security.redaction import ner as names
from app.security.redaction.pseudonyms import pseudonym_of
from app.security.redaction.redactor import Redactor
from app.security.redaction.tenant_patterns import TenantPatterns
from app.settings import ProviderSettings, Settings
from app.stores import build_engine, build_valkey
from app.telemetry import logs
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing
from app.triggers.found import calls_dearer
from app.wiring.console import console_parts
from app.wiring.owner import require_own
from app.wiring.paging import open_paging
from app.wiring.watching import build_switch, health_checks, open_handoffs, open_sampled_gauges, show_drift, show_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the application."""

    features: FeatureParts
    edge: EdgeParts
    actions: ActionLog
    paging: Paging | None
    alertmanager_token: Callable[[], str]
    console: ConsoleParts
    pagerduty_secret: Callable[[], str]


def build_provider(name: str, settings: ProviderSettings, key: str | None = None) -> KeyedProvider:
    """One adapter for one configured endpoint. ``key`` goes before the settings' own."""
    key = settings.api_key.get_secret_value() if key is None else key
    options = settings.model_dump(exclude={"kind", "base_url", "api_key", "headers"})
    options["headers"] = {name: value.get_secret_value() for name, value in settings.headers.items()}
    return ADAPTERS[settings.kind].build(name, base_url=settings.base_url, api_key=key, **options)


def build_recovery(settings: Settings, providers: Mapping[str, Provider], switch: KillSwitch, metrics: Metrics) -> Recovery:
    """The recovery room with the settings' figures."""
    figures = settings.recovery
    breaker = BreakerPolicy(
        failures=figures.breaker_failures,
        ratio=figures.breaker_ratio,
        window=figures.breaker_window,
        rest=figures.breaker_rest,
        longest_rest=figures.breaker_longest_rest,
    )
    return Recovery(
        providers=providers,
        stopped=switch.target_stopped,
        message_for=switch.message_for,
        metrics=metrics,
        retries=RetryPolicy(budget_ratio=figures.retry_budget_ratio, budget_burst=figures.retry_budget_burst),
        circuits=Circuits(breaker, on_trip=lambda t: metrics.breaker_trips.inc(provider=t.provider, model=t.model)),
    )


async def _open_providers(
    stack: AsyncExitStack, settings: Settings, metrics: Metrics
) -> tuple[Mapping[str, Provider], ProviderKeys]:
    """Every provider, with its key as it is now and as it changes, and these keys; all closed with ``stack``."""
    keys = ProviderKeys(
        settings.key_places(),
        secret=settings.secret,
        on_change=lambda name, key: providers[name].use_key(key),
        on_age=lambda name, seconds: metrics.provider_key_age.set(seconds, provider=name),
    )
    providers = {name: build_provider(name, p, keys.current(name)) for name, p in settings.all_providers().items()}
    for provider in providers.values():
        stack.push_async_callback(provider.aclose)
    await _start(stack, keys)
    return providers, keys


async def _open_recovery(
    stack: AsyncExitStack, settings: Settings, valkey: Redis, switch: KillSwitch, metrics: Metrics
) -> tuple[Recovery, Recovery]:
    """The recovery room with its providers, its circuits shared; all closed with ``stack``.

    The second is of shadow releases, whose circuits are their own: what fails there must not close a model for users.
    """
    providers, keys = await _open_providers(stack, settings, metrics)
    recovery, of_shadow = (build_recovery(settings, providers, switch, metrics) for _ in range(2))
    recovery.key_of = of_shadow.key_of = keys.fingerprint
    shared = SharedCircuits(valkey, on_state=partial(show_state, metrics))
    shared.start(recovery.circuits)
    stack.push_async_callback(shared.aclose)
    return recovery, of_shadow


async def _open_budget(
    stack: AsyncExitStack, settings: Settings, engine: AsyncEngine, valkey: Redis, metrics: Metrics, redactor: Redactor,
    switch: KillSwitch,
) -> Budget:  # fmt: skip
    """Build the budget. The ledger is started and closes with ``stack``; the budget itself is not. Raises Misconfigured."""
    await require_own(engine, valkey)
    ledger = Ledger(engine, valkey, on_pending=metrics.ledger_pending.set)
    caps = UserCaps(engine, remembered=remembered(settings, "caps", settings.keys_remembered))
    await _start(stack, caps, ledger)
    receivers = Receivers(
        webhook_url=settings.budget.alert_webhook_url,
        alertmanager_url=settings.budget.alertmanager_url,
        secret=webhooks.secret_of(settings.secret, ""),
        allowed_hosts=settings.webhook_allowed_hosts,
        runbook_url=settings.runbook_url,
    )
    alerts = Alerts(
        engine,
        receivers,
        on_alert=lambda scope: metrics.budget_alerts.inc(scope=scope),
        on_drift=partial(show_drift, metrics, set()),
        on_rise=partial(calls_dearer, engine),
        user_stopped=switch.user_stopped,
    )
    await _start(stack, alerts)
    reconciler = Reconciler(engine, valkey, ledger, on_difference=lambda d: metrics.budget_difference.set(d / MICROS_PER_DOLLAR))
    await _start(stack, reconciler)
    return Budget(
        valkey,
        ledger,
        caps,
        policy=budget_policy(settings),
        on_settle_failure=metrics.settle_failures.inc,
        name_of=lambda tenant, user: redactor.ledger_name(user, tenant=tenant),
        journal=Journal(settings.state_dir / journal.FOLDER),
    )


async def _open_audit(
    stack: AsyncExitStack, settings: Settings, engine: AsyncEngine, redactor: Redactor, metrics: Metrics
) -> tuple[Recorder, FailedAnswers]:
    """The recorder, the count of failed answers and the keeper of their tables, started; all close with ``stack``."""

    def spilled(records: int, size: int) -> None:
        metrics.records_spilled.inc(records)
        metrics.spill_bytes.set(size)

    said = redactor.with_names(names.load()) if settings.records_ner else None
    recorder = Recorder(
        engine,
        redactor,
        Spill(settings.state_dir / "spill", max_bytes=settings.records_spill_max_bytes),
        on_drop=metrics.records_dropped.inc,
        on_depth=metrics.records_queued.set,
        on_spill=spilled,
        on_lag=metrics.records_lag.observe,
        text_redactor=said,
        batch=MOST_AT_ONCE if said is None else FEW_AT_ONCE,
    )
    failed = FailedAnswers(engine, clean=lambda text, tenant: redactor.redact(text, tenant=tenant))
    await _start(stack, recorder, failed)
    keeper = Keeper(
        engine, keep_days=settings.records_keep,
        also=("feedback", "eval_scores", "eval_candidates", "eval_marks", "shadow_answers", "failed_answers"),
        sweeps=(partial(forget, days=settings.oncall_keep), sessions.forget),
    )  # fmt: skip
    await _start(stack, keeper)
    return recorder, failed


async def _open_shadowing(
    stack: AsyncExitStack, parts: GatewayParts, recovery: Recovery, watch: ShadowWatch, write: Write
) -> Shadowing:
    """The pipeline of shadow releases, started; it closes with ``stack``."""
    answers = Answers(watch, write)
    own = replace(
        parts, releases=watch, recorder=answers, recovery=recovery, payer=Payer(watch), running=InFlight(), shadow=True
    )  # fmt: skip
    shadowing = Shadowing(Gateway(own), watch, answers, parts.metrics)
    await _start(stack, shadowing)
    return shadowing


async def _write(engine: AsyncEngine, recorder: Recorder, redactor: Redactor, shadow: int, records: Sequence[CallRecord]) -> None:
    """Write answers of a shadow, redacted as records are."""
    redacted = await recorder.redacted(records)
    await shadow_answers.write(engine, shadow, redacted, lambda tenant, user: redactor.pseudonym(user, tenant=tenant))


def _open_tracing(stack: AsyncExitStack, settings: Settings, redactor: Redactor, metrics: Metrics) -> Tracing:
    tracing = Tracing(
        "octant",
        __version__,
        settings.otlp_endpoint or None,
        sample=settings.otlp_sample,
        redact=lambda text, tenant: redactor.redact(text, tenant=tenant),
        content=settings.otlp_content,
        on_spans=lambda outcome, number: metrics.spans.inc(number, outcome=outcome),
    )
    stack.push_async_callback(asyncio.to_thread, tracing.close)
    return tracing


def build_idempotency(settings: Settings, engine: AsyncEngine, metrics: Metrics) -> Idempotency:
    """The idempotency room on the settings' limits."""
    return Idempotency(
        engine,
        secret=settings.secret,
        on_outcome=lambda outcome: metrics.idempotency.inc(outcome=outcome),
        keep=settings.idempotency_keep,
        lease=settings.idempotency_lease,
        max_bytes=settings.idempotency_max_bytes,
    )


def _build_guard(settings: Settings, metrics: Metrics) -> Guard:
    hosts = settings.allowed_link_hosts | link_hosts()
    return Guard(allowed_hosts=hosts, on_flag=lambda flag: metrics.guard_flags.inc(flag=flag), secret=settings.secret)


def _build_edge(
    settings: Settings,
    metrics: Metrics,
    *,
    keys: KeyRing,
    idempotency: Idempotency,
    replayed: Callable[[Replay], None],
    failed: Callable[[FailedAnswer], None],
    tracing: Tracing,
    jobs: Jobs,
    checks: Mapping[str, Check],
    release: Callable[[], str],
    switch: KillSwitch,
) -> EdgeParts:
    return EdgeParts(
        keys=keys,
        failed_logins=FailedLogins(settings.http.bad_keys_per_minute, Proxies(settings.http.trusted_proxies)),
        idempotency=idempotency,
        replayed=replayed,
        failed=failed,
        metrics=metrics,
        tracing=tracing,
        request_deadline=settings.request_deadline,
        max_json_depth=settings.http.max_json_depth,
        checks=checks,
        jobs=jobs,
        webhook_hosts=settings.webhook_allowed_hosts,
        keep_alive=settings.http.keep_alive,
        first_byte=settings.http.first_byte,
        switch=switch,
        version=lambda: {"version": __version__, "release": release(), "environment": settings.environment, **_worker(settings)},
    )


def _worker(settings: Settings) -> dict[str, str]:
    """Which process answers: a rehearsal follows every worker. Production does not name its machines."""
    return {} if settings.environment == "production" else {"worker": reports.worker_name()}


class _Started(Protocol):
    """A part with work of its own."""

    async def start(self) -> None:
        """Begin."""

    async def aclose(self) -> None:
        """End."""


async def _start(stack: AsyncExitStack, *parts: _Started) -> None:
    """Start parts in this order; they close with ``stack``, in reverse."""
    for part in parts:
        await part.start()
        stack.push_async_callback(part.aclose)


@asynccontextmanager
async def open_parts(settings: Settings, metrics: Metrics, running: InFlight | None = None) -> AsyncGenerator[Parts, None]:
    """Open everything, in the order of need; close it in reverse. Raises Misconfigured where start-up cannot go on.

    ``running`` is where calls under way are registered.
    """
    running = running or InFlight()
    settings.require_stores()
    async with AsyncExitStack() as stack:
        stack.callback(metrics.later.write)
        engine, unpooled, valkey = build_engine(settings), build_engine(settings, pooled=False), build_valkey(settings)
        patterns = TenantPatterns(engine, keep_days=settings.records_keep)
        redactor = Redactor(settings.secret, on_failure=metrics.redaction_failures.inc, added=patterns)
        clean = partial(redactor.redact, tenant="")
        logs.configure(settings.log_level, redact=clean)
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(valkey.aclose)
        tracing = _open_tracing(stack, settings, redactor, metrics)  # closed after what writes records and money
        stale = settings.keys_remembered
        keys = KeyRing(engine, secret=settings.secret, stale=stale, remembered=remembered(settings, "keys", stale))
        await _start(stack, patterns, keys)
        releases = releases_of(settings, engine, valkey)
        sightings, away = Sightings(engine, releases.worker), StoreOutages(engine, releases.worker)
        switch = build_switch(settings, engine, valkey, metrics, running, sightings, away, partial(pseudonym_of, redactor))
        recorder, failed = await _open_audit(stack, settings, engine, redactor, metrics)
        budget = await _open_budget(stack, settings, engine, valkey, metrics, redactor, switch)
        idempotency = build_idempotency(settings, engine, metrics)
        await _start(stack, switch, releases, budget, sightings, away, DailySelfTest(switch, engine, releases.workers))
        recovery, of_shadow = await _open_recovery(stack, settings, valkey, switch, metrics)
        await _start(stack, idempotency)
        guard = _build_guard(settings, metrics)
        parts = GatewayParts(
            switch=switch, releases=releases, guard=guard, budget=budget, recovery=recovery, recorder=recorder,
            tracing=tracing, metrics=metrics, running=running,
        )  # fmt: skip
        shadowing = await _open_shadowing(stack, parts, of_shadow, releases.shadows, partial(_write, engine, recorder, redactor))
        gateway = Gateway(replace(parts, on_end=shadowing.offer))
        jobs = Jobs(engine, lease=settings.jobs_lease, keep=settings.jobs_keep)
        paging = await open_paging(stack, settings, engine, metrics, clean, diagnosing(engine, valkey, switch, budget, releases))
        await open_sampled_gauges(
            stack, settings, metrics, keys=KeyAdministration(engine, secret=settings.secret), valkey=valkey, budget=budget,
            jobs=jobs, releases=releases, engine=engine, more=paging.samples(metrics),
        )  # fmt: skip
        await open_handoffs(stack, settings, engine, clean, send=paging.announce, allowed=allowed_of(engine, valkey))
        edge = _build_edge(
            settings, metrics, keys=keys, idempotency=idempotency, tracing=tracing, jobs=jobs,
            checks=health_checks(engine, unpooled, valkey, keys, releases, budget, switch) | paging.checks(),
            release=lambda: releases.known, replayed=Replays(recorder, tracing).record, failed=failed.note, switch=switch,
        )  # fmt: skip
        features = FeatureParts(
            gateway=gateway, engine=engine, guard=guard, kept=KeptTexts(redactor, guard.links), redactor=redactor,
            tracing=tracing, index_dir=settings.index_dir, secret=settings.secret,
        )  # fmt: skip
        actions = ActionLog(engine, secret=settings.secret, notes=settings.state_dir / NOTES)
        console = console_parts(
            settings, features, valkey, actions=actions, switch=switch, releases=releases, paging=paging.paging, running=running
        )
        yield Parts(
            features=features, edge=edge, actions=actions, paging=paging.paging, alertmanager_token=paging.token,
            pagerduty_secret=paging.pagerduty_secret, console=console,
        )  # fmt: skip
