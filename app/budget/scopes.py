"""Whose caps a call falls under, and the keys that count them.

All keys of one tenant share the hash tag ``{tenant}``, so one script may touch them together on a cluster.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain.calls import Identity

ANONYMOUS = "-"


@dataclass(frozen=True, slots=True)
class Scope:
    """One counter with its cap, in micro-dollars, for one window."""

    name: str
    key: str
    limit: int
    resets_at: datetime


def scopes_of(identity: Identity, now: datetime) -> tuple[Scope, ...]:
    """The scopes of a call made ``now`` (UTC): tenant-day and user-day. Calls that name no user share one counter."""
    day = now.astimezone(UTC).strftime("%Y-%m-%d")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    tenant = identity.tenant
    prefix = f"octant:{{{tenant.id}}}"
    return (
        Scope("tenant-day", f"{prefix}:spend:{day}", tenant.daily_cap, midnight),
        Scope("user-day", f"{prefix}:spend:{day}:user:{identity.user or ANONYMOUS}", tenant.user_daily_cap, midnight),
    )
