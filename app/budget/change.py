"""Change the caps and rate limits of a tenant, a user or a key, as commands and the console do (C4).

An amount is text in dollars, a limit text in whole numbers, and `none` takes a cap or limit away where that is possible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.caps import UserCaps
from app.budget.recheck import recheck
from app.domain.calls import Identity
from app.domain.errors import InvalidRequest
from app.domain.money import MicroUSD, from_dollars, to_dollars
from app.domain.whole_numbers import whole_number
from app.security.keys.administration import KeyAdministration

NO_CAP = "none"
AMOUNTS = {
    "day": "daily_cap",
    "month": "monthly_cap",
    "user_day": "user_daily_cap",
    "user_month": "user_monthly_cap",
    "request": "request_cap",
}
LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
LIMIT_FIELDS = dict(zip(LIMITS, ("requests", "tokens", "concurrency"), strict=True))  # of `RateLimits`


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be set: micro-dollars by the name of an amount, whole numbers by that of a limit, and a time zone or ``""``.

    None takes a cap or limit away; a name that is absent stays as it is.
    """

    money: Mapping[str, MicroUSD | None]
    counts: Mapping[str, int | None]
    time_zone: str = ""


def change_of(amounts: Mapping[str, str | None], limits: Mapping[str, str | None], time_zone: str | None = None) -> Change:
    """Read a change from texts; None stays as it is. Raises InvalidRequest that names the option."""
    money = {name: _amount(name, text) for name, text in amounts.items() if text is not None}
    counts = {name: _count(name, text) for name, text in limits.items() if text is not None}
    if not (money or counts or time_zone):
        raise InvalidRequest("Nothing to set: name a cap or a limit, as --day 5.00.")
    return Change(money, counts, _zone(time_zone) if time_zone else "")


def check(change: Change, *, user: str = "", key: str = "") -> None:
    """Raise InvalidRequest where the subject cannot have what is to be set."""
    if user:
        if change.counts or change.time_zone or change.money.keys() - {"day", "month"}:
            raise InvalidRequest("A user has caps of their own for --day and --month only.")
    elif key:
        if change.money or change.time_zone:
            raise InvalidRequest("A key has rate limits only; its tenant has the caps.")
    elif any(change.money.get(name, 0) is None for name in ("day", "user_day")):
        raise InvalidRequest("A tenant always has a cap for the day, and one for each user's: set a high one.")


async def apply(
    engine: AsyncEngine, change: Change, *, tenant: str, user: str = "", key: str = "", shares: Sequence[int]
) -> Mapping[str, str]:
    """Set it, and recheck the tenant's alerts. ``shares`` in percent. Raises InvalidRequest and NotFound.

    Returns what was set before, as a command takes it.
    """
    check(change, user=user, key=key)
    keys = KeyAdministration(engine, secret=b"")
    found = await keys.tenant(tenant)
    caps = UserCaps(engine)
    await caps.read()
    before: dict[str, str] = {}
    if user:
        day, month = caps.of(Identity(tenant=found, key_id="", user=user))
        own = {"day": day, "month": month}
        before = {name: text_of(name, own[name]) for name in change.money}
        await caps.put(tenant, user, (change.money.get("day", day), change.money.get("month", month)))
    elif key:
        before = {name: text_of(name, value) for name, value in (await keys.limit_key(key, change.counts)).items()}
    else:
        before = {name: text_of(name, getattr(found, AMOUNTS[name])) for name in change.money}
        before |= {name: text_of(name, getattr(found.limits, LIMIT_FIELDS[name])) for name in change.counts}
        before |= {"time_zone": found.time_zone} if change.time_zone else {}
        named = {AMOUNTS[name]: amount for name, amount in change.money.items()}
        zone = {"time_zone": change.time_zone} if change.time_zone else {}
        found = await keys.change_tenant(tenant, **named, **change.counts, **zone)
    if change.money or change.time_zone:
        await recheck(engine, found, caps, shares, datetime.now(UTC))
    return before


def words_before(before: Mapping[str, str]) -> str:
    """What was set before, as options of the command that sets it again, for the operators' log; empty where nothing was."""
    was = " ".join(f"{option(name)} {value}" for name, value in before.items())
    return f"before: {was}" if was else ""


def text_of(name: str, value: int | None) -> str:
    """A cap in micro-dollars, or a limit, as the command takes it."""
    if value is None:
        return NO_CAP
    if name not in AMOUNTS:
        return str(value)
    whole, _, rest = to_dollars(value).partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def option(name: str) -> str:
    """The command's option of an amount, a limit or the time zone."""
    return f"--{name.replace('_', '-')}"


def _amount(name: str, text: str) -> MicroUSD | None:
    if text == NO_CAP:
        return None
    try:
        return from_dollars(text)
    except ValueError as error:
        raise InvalidRequest(f"{option(name)}: {error}.", param=name) from None


def _count(name: str, text: str) -> int | None:
    if text == NO_CAP:
        return None
    count = whole_number(text, digits=19)
    if count is None or not 0 < count < 2**31:
        raise InvalidRequest(f"{option(name)}: {text[:20]!r} is not a whole number above zero.", param=name)
    return count


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidRequest(f"--time-zone: no time zone {name!r}; they are named as Europe/Berlin.", param="time_zone") from None
    return name
