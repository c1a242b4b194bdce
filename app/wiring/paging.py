"""Builds paging on the settings: its keys, receivers and parts. Off without receivers."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from app.domain.errors import Misconfigured
from app.edge.parts import Check, Health
from app.oncall.incidents.store import Clean, incident_for_page
from app.oncall.paging.answers import Answers
from app.oncall.paging.deadman import Heartbeat, Watchdog
from app.oncall.paging.deliveries import Deliveries
from app.oncall.paging.duty import first_person
from app.oncall.paging.message import Receiver
from app.oncall.paging.paging import Paging, PagingParts
from app.oncall.paging.policy import Diagnose, IncidentForPage
from app.oncall.paging.receivers import IncidentIo, PagerDuty, SignedWebhook, apprise_of
from app.oncall.paging.relay import Relay
from app.oncall.paging.settings import PagingSettings
from app.oncall.paging.spool import FOLDER, Spool
from app.rooms import on_call_of, pages_of, paging_policy
from app.security import webhooks
from app.security.keys.provider_keys import ProviderKeys
from app.security.webhooks import Sessions
from app.settings import Settings
from app.telemetry.gauge_sampler import Sample
from app.telemetry.metrics import Metrics

LOOPBACK = "127.0.0.1"
STUCK_SECONDS = 120.0  # a page that waits so long keeps the heartbeat back


@dataclass(frozen=True, slots=True)
class OpenedPaging:
    """Paging, None where it is off; Alertmanager's token and the secret of PagerDuty's webhooks, as they are now.

    ``announce`` sends a message that pages no person, by the signed webhook; None without that receiver.
    """

    paging: Paging | None
    token: Callable[[], str]
    pagerduty_secret: Callable[[], str]
    announce: Callable[[str, str], Awaitable[bool]] | None

    def checks(self) -> dict[str, Check]:
        """Its part of readiness."""
        return {"paging": paging_check(self.paging)} if self.paging else {}

    def samples(self, metrics: Metrics) -> dict[str, Sample]:
        """Its gauges."""
        return {"paging": partial(sample_pages, self.paging, metrics)} if self.paging else {}


async def open_paging(
    stack: AsyncExitStack,
    settings: Settings,
    engine: AsyncEngine,
    metrics: Metrics,
    clean: Clean,
    diagnose: Diagnose,
) -> OpenedPaging:
    """Start paging; it closes with ``stack``. Off without receivers. Raises Misconfigured for a receiver without its key.

    ``clean`` redacts the texts of incidents.
    """
    figures = settings.paging
    if not figures.receivers:
        return OpenedPaging(None, str, str, None)
    keys = ProviderKeys(figures.key_places(settings.secrets_dir), secret=settings.secret, what="key of paging")
    http = await stack.enter_async_context(webhooks.session(settings.webhook_allowed_hosts | _on_this_machine(settings)))
    receivers = _receivers(figures, keys, http, settings.secret)
    await keys.start()
    stack.push_async_callback(keys.aclose)
    paging = Paging(
        _parts(settings, engine, metrics, receivers, http, keys, partial(incident_for_page, clean=clean), diagnose),
        on_event=lambda event: metrics.pages.inc(event=event),
    )
    await paging.start()
    stack.push_async_callback(paging.aclose)
    webhook = receivers.get("webhook")
    announce = webhook.announce if isinstance(webhook, SignedWebhook) else None
    return OpenedPaging(
        paging, lambda: keys.current("alertmanager_token"), lambda: keys.current("pagerduty_webhook_secret"), announce
    )


def _on_this_machine(settings: Settings) -> frozenset[str]:
    """The host of the operator's receiver, where a service in development pages this machine: for pages alone."""
    paging = settings.paging
    local = (
        settings.environment == "development"
        and "webhook" in (*paging.receivers, *paging.fallback_receivers)
        and URL(paging.webhook_url).host == LOOPBACK
    )
    return frozenset({LOOPBACK}) if local else frozenset()


def _parts(
    settings: Settings,
    engine: AsyncEngine,
    metrics: Metrics,
    receivers: Mapping[str, Receiver],
    http: Sessions,
    keys: ProviderKeys,
    incident_for: IncidentForPage,
    diagnose: Diagnose,
) -> PagingParts:
    figures, policy = settings.paging, paging_policy(settings)

    def counted(event: str) -> None:
        metrics.pages.inc(event=event)

    def ended(receiver: str, outcome: str) -> None:
        metrics.page_deliveries.inc(receiver=receiver, outcome=outcome)

    on_call = on_call_of(settings, engine)
    person = partial(first_person, on_call)
    pages = pages_of(settings, engine, on_event=counted, incident_for=incident_for, diagnose=diagnose, on_call=on_call)
    deliveries = Deliveries(engine, policy, receivers, on_outcome=ended, on_event=counted)
    spool = Spool(settings.state_dir / FOLDER)

    async def pages_get_out() -> bool:
        return spool.waiting() == 0 and (await deliveries.unsent())[1] < STUCK_SECONDS

    return PagingParts(
        pages=pages,
        answers=Answers(engine, policy, on_call, on_event=counted),
        first_person=person,
        deliveries=deliveries,
        spool=spool,
        relay=Relay(
            spool, pages, policy, receivers,
            first_person=person, on_outcome=ended,
        ),
        watchdog=Watchdog(
            engine, pages, after=figures.watchdog_after, runbook_url=settings.runbook_url, on_age=metrics.watchdog_age.set
        ),
        heartbeat=Heartbeat(
            engine, http, url=lambda: keys.current("heartbeat_url"), method=figures.heartbeat_method,
            every=figures.heartbeat_every, healthy=pages_get_out,
            on_outcome=lambda outcome: metrics.heartbeats.inc(outcome=outcome),
        ),
    )  # fmt: skip


def _receivers(figures: PagingSettings, keys: ProviderKeys, http: Sessions, secret: bytes) -> Mapping[str, Receiver]:
    """The receivers that the policy names. Raises Misconfigured for one that lacks a setting."""

    def key(name: str) -> Callable[[], str]:
        _need(keys.current(name), name)
        return lambda: keys.current(name)

    build: Mapping[str, Callable[[], Receiver]] = {
        "pagerduty": lambda: PagerDuty(http, figures.pagerduty_url, key("pagerduty_routing_key")),
        "incident_io": lambda: IncidentIo(http, _need(figures.incident_io_url, "incident_io_url"), key("incident_io_token")),
        "webhook": lambda: SignedWebhook(http, _need(figures.webhook_url, "webhook_url"), webhooks.secret_of(secret, "")),
        "apprise": lambda: apprise_of(key("apprise_urls")),
    }
    return {name: build[name]() for name in dict.fromkeys((*figures.receivers, *figures.fallback_receivers))}


def _need(value: str, setting: str) -> str:
    if not value:
        raise Misconfigured(f"OCTANT_PAGING__{setting.upper()} is not set, and a receiver of pages needs it.")
    return value


def paging_check(paging: Paging) -> Check:
    """Whether pages get out. Calls do not depend on it, so it is never failing, also with Postgres away."""

    async def check() -> Health:
        try:
            stuck = await paging.spooled() or (await paging.late())[0]
        except (SQLAlchemyError, OSError):
            return "degraded"
        return "degraded" if stuck else "ok"

    return check


async def sample_pages(paging: Paging, metrics: Metrics) -> None:
    """Set the gauges of pages. Raises what SQLAlchemy raises while Postgres is away; the files are counted all the same."""
    metrics.pages_unsent.set(await paging.spooled(), where="file")
    count, _ = await paging.late()
    metrics.pages_unsent.set(count, where="postgres")
    for status, number in (await paging.parts.pages.open_by_status()).items():
        metrics.pages_open.set(number, status=status)
