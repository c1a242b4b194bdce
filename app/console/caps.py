"""How full each cap is, in figures and a word: those of a tenant, of its users, and the fullest of all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from app.budget import fullest, standing
from app.budget.fullest import UserSpent
from app.budget.scopes import ANONYMOUS, Scope, scopes_of
from app.budget.standing import Counted, Everything
from app.console import formats
from app.console.console import Console, link
from app.domain.calls import Tenant
from app.domain.money import MicroUSD
from app.domain.turns import Turns

NEAR, FULL = 0.8, 0.95  # shares of a cap: the alerts' second and third
WORDS = {
    "global-day": "the global cap a day", "tenant-day": "its cap a day", "tenant-month": "its cap a month",
    "user-day": "the user's cap a day", "user-month": "the user's cap a month",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """One counter: ``held`` is None where only the ledger is known. ``began``: the start of its day or month."""

    name: str
    spent: int
    held: int | None
    cap: int | None
    began: datetime
    resets_at: datetime

    @property
    def share(self) -> float | None:
        """Of the cap, spent or held; None without a cap."""
        if self.cap is None:
            return None
        used = self.spent + (self.held or 0)
        return used / self.cap if self.cap else float(used > 0)

    @property
    def left(self) -> int | None:
        """Of the cap, neither spent nor held."""
        return None if self.cap is None else max(0, self.cap - self.spent - (self.held or 0))

    @property
    def state(self) -> tuple[str, str]:
        """A kind and a word."""
        share = self.share
        if share is None:
            return "none", "no cap"
        if share >= 1:
            return "bad", "used up"
        return ("bad", "nearly used up") if share >= FULL else ("warn", "near the cap") if share >= NEAR else ("good", "within")


def window(scope: Scope, tenant: Tenant, counted: Counted | None, ledger: int | None = None) -> Window:
    """A counter as it stands. ``ledger``: spent as the ledger has it, while Valkey is away; it is the newer then."""
    spent, held = counted or (0, None)
    spent = max(spent, ledger) if ledger is not None else spent
    return Window(scope.name, spent, held, scope.limit, began(scope.window, tenant.time_zone), scope.resets_at)


def began(label: str, time_zone: str) -> datetime:
    """The start of a day or month such as ``2026-11-27`` in a time zone, in UTC."""
    first = date.fromisoformat(label if len(label) > 7 else f"{label}-01")
    return datetime.combine(first, time(), UTC if time_zone == "UTC" else ZoneInfo(time_zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap and whose it is: a user's of a tenant, a tenant's, or of all where both are empty."""

    tenant: str
    user: str
    window: Window

    @property
    def share(self) -> float:
        """Of the cap, spent or held."""
        return self.window.share or 0.0

    @property
    def who(self) -> str:
        """Whose it is; empty for the global one."""
        return f"{'no user' if self.user == ANONYMOUS else self.user} of {self.tenant}" if self.user else self.tenant

    @property
    def whose(self) -> str:
        """Whose it is, and which one: ``mallory of acme, the user's cap a day``."""
        return ", ".join(filter(None, (self.who, WORDS[self.window.name])))

    @property
    def address(self) -> str:
        """The page on it; empty for the global one."""
        page = f"/console/budgets/{self.tenant}"
        return link(f"{page}/user", {"id": self.user}) if self.user else page if self.tenant else ""


def caps_of(
    tenants: Mapping[str, Iterable[Window]], users: Sequence[Cap], everything: Everything | None, now: datetime
) -> list[Cap]:
    """All caps that are known, the fullest first. ``tenants``: the windows of each."""
    found = [*users, *(Cap(tenant, "", one) for tenant, windows in tenants.items() for one in windows)]
    if everything:
        whole = Window("global-day", everything.spent, everything.held, everything.cap, now, everything.resets_at)
        found.append(Cap("", "", whole))
    return sorted((one for one in found if one.window.share is not None), key=lambda one: -one.share)


async def full_users(console: Console, tenants: Sequence[Tenant], now: datetime) -> list[Cap]:
    """The users' caps that are the fullest, with what is held of them, where Valkey says it. Raises SQLAlchemyError."""
    parts, own, turns = console.parts, dict[str, dict[str, tuple[MicroUSD | None, MicroUSD | None]]](), Turns()
    for tenant, user, *caps in await fullest.all_own_caps(parts.engine):
        own.setdefault(tenant, {})[parts.redactor.ledger_name(user, tenant=tenant)] = caps[0], caps[1]
        await turns.give()
    users = await fullest.fullest_users(parts.engine, tenants, own, now)
    by_id = {tenant.id: tenant for tenant in tenants}
    scopes = [_scopes(by_id[user.tenant], user, now) for user in users]
    read = standing.counted(parts.valkey, [scope.key for both in scopes for scope in both])
    counters = (await console.known.read("users' counters", read)).value or {}
    return [
        Cap(user.tenant, user.name, window(scope, by_id[user.tenant], counters.get(scope.key), spent))
        for user, both in zip(users, scopes, strict=True)
        for scope, spent in zip(both, (user.day, user.month), strict=True)
    ]


def _scopes(tenant: Tenant, user: UserSpent, now: datetime) -> Sequence[Scope]:
    return scopes_of(tenant, "" if user.name == ANONYMOUS else user.name, now, user.own)[2:]


def near_words(caps: Sequence[Cap]) -> str:
    """Whose users' caps are nearly used, as a sentence; empty where none is. ``caps``: the fullest first."""
    near = [one for one in caps if one.user and one.share >= NEAR]
    if not near:
        return ""
    first, which = near[0], WORDS[near[0].window.name]
    used = f"used up {which}, and its calls are refused" if first.share >= 1 else f"used {formats.share(first.share)} of {which}"
    others = formats.number(len(near) - 1, "more cap of a user is", "more caps of users are")
    more = f"; {others} near" if len(near) > 1 else ""
    return f"{first.who} has {used}{more}."
