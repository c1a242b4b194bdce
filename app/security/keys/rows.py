"""Rows of keys and tenants as the words of the domain."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Table

from app.domain.calls import Identity, RateLimits, Tenant
from app.domain.money import MicroUSD
from app.security.tables import api_keys, tenants

log = logging.getLogger(__name__)

OF_TENANT = "of_tenant_"  # before the tenant's columns in a key's row


def identity_of(row: Row[Any]) -> Identity:
    """The identity that a key stands for; its row has the tenant's columns too, after `OF_TENANT`."""
    tenant = tenant_of(row, OF_TENANT)
    return Identity(
        tenant=tenant,
        key_id=row.id,
        user=row.user_id or "",
        scopes=frozenset(row.scopes),
        limits=_limits(_columns(row, api_keys)),
        bound=bool(row.user_id),
    )


def tenant_of(row: Row[Any], prefix: str = "") -> Tenant:
    """The tenant in the columns that begin with ``prefix``."""
    of = _columns(row, tenants, prefix)
    return Tenant(
        id=of["id"],
        name=of["name"],
        daily_cap=MicroUSD(of["daily_cap"]),
        user_daily_cap=MicroUSD(of["user_daily_cap"]),
        monthly_cap=_money(of["monthly_cap"]),
        user_monthly_cap=_money(of["user_monthly_cap"]),
        request_cap=_money(of["request_cap"]),
        time_zone=_calendar(of["time_zone"]),
        limits=_limits(of),
    )


@lru_cache(maxsize=512)
def _calendar(time_zone: str) -> str:
    """The time zone; UTC for one that is not known here, with another midnight for the same caps.

    A row may come from a machine with newer zones, or from SQL. Without a calendar each call of the tenant would fail.
    """
    try:
        if time_zone != "UTC":  # ours needs no time zone files
            ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        log.warning("a tenant's time zone is not known here: its days are those of UTC", extra={"time_zone": time_zone})
        return "UTC"
    return time_zone


def _columns(row: Row[Any], table: Table, prefix: str = "") -> dict[str, Any]:
    return {column.name: getattr(row, prefix + column.name) for column in table.c}


def _limits(of: Mapping[str, Any]) -> RateLimits:
    return RateLimits(of["requests_per_minute"], of["tokens_per_minute"], of["concurrency"])


def _money(amount: int | None) -> MicroUSD | None:
    return None if amount is None else MicroUSD(amount)
