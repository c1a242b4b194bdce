"""The rooms, built from settings: for the composition root and for operators' commands alike.

Apart from the stores, whose connections most commands need alone: the rooms load the guard, the rotation's calendar and more.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import __version__
from app.budget.budget import BudgetPolicy
from app.budget.exposure import still_allowed
from app.domain.money import from_dollars
from app.features import recall
from app.features.installed import installed
from app.gateway.providers.adapters import ADAPTERS
from app.oncall.incidents.duty import FindDuties, duties_from
from app.oncall.incidents.handoff import Allowed
from app.oncall.paging.duty import FindOnCall, from_rotation
from app.oncall.paging.pages import Pages
from app.oncall.paging.policy import Diagnose, IncidentForPage, Policy, no_diagnosis, no_incident
from app.oncall.rota.covers import FILE as COVERS_FILE
from app.oncall.rota.covers import Covers
from app.releases.code import Code, commit_of
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import ProviderKeys
from app.security.remembered import FOLDER, Remembered
from app.settings import PACKAGE, Settings

RELEASE_SECONDS = 24 * 3600.0  # a machine that was off for longer may have missed a rollback
SIMULATOR = "simulator"  # its host in compose, and the key that it is called with


def budget_policy(settings: Settings) -> BudgetPolicy:
    """The budget's figures."""
    figures = settings.budget
    return BudgetPolicy(
        global_daily_cap=from_dollars(figures.global_daily_cap),
        shares=figures.alert_shares,
        outage_allowance=from_dollars(figures.outage_allowance),
    )


def places(settings: Settings) -> Places:
    """The places of everything that releases pin."""
    return Places(
        directory=settings.releases_dir,
        prompts=settings.prompts_dir,
        indexes=settings.index_dir,
        providers=frozenset(settings.all_providers()),
        without_embeddings=frozenset(name for name, found in settings.all_providers().items() if not ADAPTERS[found.kind].embeds),
        recall_problems=recall.checks(installed()),
        version_in={index.name: index.version_in for feature in installed() for index in feature.indexes},
        simulated=frozenset(simulated_providers(settings)),
    )


def simulated_providers(settings: Settings) -> Iterator[str]:
    """The providers that the simulator stands in for: called at its host, with its key, or in development without a key.

    A provider with a key or an address of its own counts as real.
    """
    for name, provider in settings.all_providers().items():
        key, host = settings.provider_key(name), urlsplit(provider.base_url).hostname
        keyless = not key and provider.base_url == ADAPTERS[provider.kind].base_url
        if SIMULATOR in (key, host) or (keyless and settings.environment == "development"):
            yield name


def running_code(settings: Settings) -> Code:
    """The code of this process: as the deployment names it, else the checkout's commit, else the package's version."""
    checkout = PACKAGE.parent
    return Code(settings.deploy.code or commit_of(checkout) or __version__, __version__, str(checkout))


def releases_of(settings: Settings, engine: AsyncEngine, valkey: Redis) -> Releases:
    """The releases room on the settings' places."""
    return Releases(
        engine, valkey, places(settings), secret=settings.secret, remembered=remembered(settings, "release", RELEASE_SECONDS),
        code=running_code(settings),
    )  # fmt: skip


def paging_policy(settings: Settings) -> Policy:
    """The figures of paging."""
    figures = settings.paging
    return Policy(
        receivers=figures.receivers,
        fallback=figures.fallback_receivers,
        fallback_after=figures.fallback_after,
        ack_expires=figures.ack_expires,
        reopen_within=figures.reopen_within,
        incident_window=figures.incident_window,
        longest_maintenance=figures.maintenance_longest,
    )


def on_call_of(settings: Settings, engine: AsyncEngine) -> FindOnCall:
    """The people on call, by the rotation and its covers."""
    return from_rotation(settings.rotation_file, covers_of(settings, engine))


def covers_of(settings: Settings, engine: AsyncEngine) -> Covers:
    """The covers that operators enter."""
    return Covers(engine, file=settings.state_dir / COVERS_FILE)


def duties_of(settings: Settings, engine: AsyncEngine) -> FindDuties:
    """Duties for reports and the hand-over message: as everywhere, by the rotation and its covers."""
    return duties_from(settings.rotation_file, covers_of(settings, engine))


def allowed_of(engine: AsyncEngine, valkey: Redis) -> Allowed:
    """What the tenants' caps still allow of a day in UTC; None while Valkey is away. It raises SQLAlchemyError."""
    keys = KeyAdministration(engine, secret=b"")

    async def allowed(at: datetime) -> int | None:
        tenants = await keys.list_tenants()
        try:
            return await still_allowed(valkey, tenants, at)
        except (RedisError, OSError):
            return None

    return allowed


def provider_keys_of(settings: Settings) -> ProviderKeys:
    """Our own keys at the providers, as the settings and their files have them now. Raises Misconfigured."""
    return ProviderKeys(settings.key_places(), secret=settings.secret)


def pages_of(
    settings: Settings,
    engine: AsyncEngine,
    *,
    on_event: Callable[[str], None] = lambda _: None,
    incident_for: IncidentForPage = no_incident,
    diagnose: Diagnose = no_diagnosis,
    on_call: FindOnCall | None = None,
) -> Pages:
    """Pages on the settings' policy, for the service and for commands."""
    people = on_call or on_call_of(settings, engine)
    return Pages(engine, paging_policy(settings), people, on_event=on_event, incident_for=incident_for, diagnose=diagnose)


def remembered(settings: Settings, name: str, seconds: float) -> Remembered:
    """A local file of Postgres' last answer, valid for ``seconds``."""
    return Remembered(settings.state_dir / FOLDER / f"{name}.json", secret=settings.secret, seconds=seconds)
