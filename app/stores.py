"""The stores and what lives in them, built from settings: for the composition root and for operators' commands alike.

Nothing here loads a vendor's SDK, so that a command at 3 a.m. answers at once.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.budget.budget import BudgetPolicy
from app.domain.money import from_dollars
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.settings import Settings

VALKEY_TIMEOUT = 1.0
VALKEY_CONNECTIONS = 64  # a burst waits for one of these; it does not open a thousand


def build_engine(settings: Settings) -> AsyncEngine:
    """One pool for the process. The texts of its errors do not quote what was to be written."""
    return create_async_engine(settings.database_url, pool_size=5, max_overflow=5, pool_pre_ping=True, hide_parameters=True)


def build_valkey(settings: Settings) -> Redis:
    """One client for the process. It fails fast and does not retry: each use has its own rule for an outage (ADR 0007)."""
    pool = BlockingConnectionPool.from_url(
        settings.valkey_url,
        max_connections=VALKEY_CONNECTIONS,
        timeout=VALKEY_TIMEOUT,
        decode_responses=True,
        socket_timeout=VALKEY_TIMEOUT,
        socket_connect_timeout=VALKEY_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def budget_policy(settings: Settings) -> BudgetPolicy:
    """The budget's figures."""
    figures = settings.budget
    return BudgetPolicy(
        global_daily_cap=from_dollars(figures.global_daily_cap),
        shares=figures.alert_shares,
        outage_allowance=from_dollars(figures.outage_allowance),
    )


def places(settings: Settings) -> Places:
    """Where releases look for what they pin."""
    return Places(
        directory=settings.releases_dir,
        prompts=settings.prompts_dir,
        indexes=settings.index_dir,
        providers=frozenset(settings.all_providers()),
    )


def releases_of(settings: Settings, engine: AsyncEngine, valkey: Redis) -> Releases:
    """The releases room on the settings' places."""
    return Releases(engine, valkey, places(settings))
