"""One call's money: its hold, its spending, and the arguments of the scripts for both."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from app.budget.scopes import Scopes, as_number, key, shard_of
from app.budget.valkey_answers import read_of
from app.domain.calls import Identity, RateLimits, RateState
from app.domain.json_text import compact
from app.domain.money import ZERO, MicroUSD

LEASE_MARGIN = 30.0  # seconds a lease outlives its call's deadline: settling is queued
REMEMBERED = 900  # seconds that a settled lease is known as such: settling is retried
REMEMBERED_EXPIRED = 24 * 3600  # and one that was swept: its worker may come back
RATE_UNITS = ("requests", "tokens")
NO_RATES: Mapping[str, RateState] = MappingProxyType({})  # one for all


@dataclass(slots=True, kw_only=True)
class Hold:
    """One call's lease. ``amount`` is held in Valkey; ``spent`` grows as paid replies arrive; ``taking``: a take under way.

    ``tokens`` were counted against the rate limits, ``used`` were really used. ``local``: Valkey was away, and the worker's own
    allowance is used instead. ``rates``: the rest of the rate limits. ``takes``: the number of requests for money, without
    repetitions; ``amount`` includes the first ``taken`` of them. ``trace_id`` and ``request_id`` find the call while it runs.
    """

    lease_id: str
    identity: Identity
    feature: str
    at: datetime
    scopes: Scopes
    day: str
    seconds: float
    trace_id: str = ""
    request_id: str = ""
    tokens: int = 0
    takes: int = 0
    taken: int = 0
    amount: MicroUSD = ZERO
    spent: MicroUSD = ZERO
    used: int = 0
    taking: asyncio.Future[Any] | None = None
    local: MicroUSD = ZERO
    rates: Mapping[str, RateState] = field(default_factory=lambda: NO_RATES)
    shard: int = field(init=False)
    _entry: str = field(init=False, default="")
    subjects: Sequence[tuple[str, RateLimits]] = field(init=False)

    def __post_init__(self) -> None:
        """``subjects``: tenant and API key, if rate limits apply to them, each by its part of the key names."""
        tenant = self.identity.tenant
        self.shard = shard_of(tenant.id)
        who = (("tenant", tenant.limits), (f"key:{self.identity.key_id}", self.identity.limits))
        self.subjects = tuple((name, limits) for name, limits in who if limits)

    @property
    def entry(self) -> str:
        """The ledger entry. It is stored with the lease, for the process that settles it."""
        if not self._entry:
            self._entry = compact(
                {
                    "tenant": self.identity.tenant.id,
                    "user": self.identity.user,
                    "key": self.identity.key_id,
                    "feature": self.feature,
                    "at": self.at.timestamp(),
                    "day": self.scopes[0].window,
                    "month": self.scopes[1].window,
                    "all": self.day,
                    "ends": [int(s.resets_at.timestamp()) for s in self.scopes[:2]],
                    "trace": self.trace_id,
                    "request": self.request_id,
                }
            ).decode()
        return self._entry

    def is_taking(self, answer: asyncio.Future[Any]) -> None:
        """Note the take under way."""
        self.taking = answer

    def spend(self, cost: MicroUSD, tokens: int = 0) -> None:
        """Count a paid reply. It is charged even if the call fails later."""
        self.spent = MicroUSD(self.spent + cost)
        self.used += tokens

    @property
    def room(self) -> MicroUSD:
        """The money that is held and not spent yet."""
        return MicroUSD(self.amount - self.spent)

    @property
    def lease_key(self) -> str:
        """The lease's key."""
        return _shared_keys(self.shard, self.day).lease_prefix + self.lease_id

    def take_keys(self, *, limited: bool) -> list[str]:
        """The keys of ``hold.lua``; ``limited``: rate limits count this."""
        return self._keys(self._subject_keys if limited else ())

    def take_arguments(self, amount: int, granted: int, *, limited: bool, forced: bool = False) -> list[str | int]:
        """The arguments of ``hold.lua``. ``granted``: the shard's part of the global day, as last reported."""
        seconds = round(self.seconds + LEASE_MARGIN)
        rates = _rates(self.subjects) if limited else ()
        return [
            amount, self.lease_id, seconds, int(forced), granted, self.entry, *self.scopes.arguments,
            self.tokens, self.taken if forced else self.takes, *rates,
        ]  # fmt: skip

    def settle_keys(self) -> list[str]:
        """The keys of ``settle.lua``."""
        return self._keys((_shared_keys(self.shard, self.day).ledger, *self._subject_keys))

    def settle_arguments(self, shares: Sequence[int]) -> list[str | int]:
        """The arguments of ``settle.lua``. ``shares``: percentages of a limit at which an alert fires."""
        return [
            self.spent, self.lease_id, self.entry, REMEMBERED, max(0, self.tokens - self.used), *self.scopes.arguments,
            len(self.subjects), *(as_number(limits.tokens) for _, limits in self.subjects), *shares,
        ]  # fmt: skip

    @read_of("hold.lua")
    def note_rates(self, figures: Sequence[int]) -> None:
        """Keep the figures of ``hold.lua`` for each subject: requests left, ms until all are back, tokens left, ms."""
        if not figures:  # the answer to the first try was lost, and the figures with it
            return
        found: dict[str, RateState] = {}
        for number, (_, limits) in enumerate(self.subjects):
            for place, (kind, limit) in enumerate(zip(RATE_UNITS, (limits.requests, limits.tokens), strict=True)):
                if limit is None:
                    continue
                left, back = figures[4 * number + 2 * place], figures[4 * number + 2 * place + 1]
                state = RateState(limit, left, back / 1000)
                found[kind] = min(found.get(kind, state), state, key=lambda s: s.remaining)
        self.rates = found

    def _keys(self, further: Sequence[str]) -> list[str]:
        shared = _shared_keys(self.shard, self.day)
        return [shared.epoch, shared.lease_prefix + self.lease_id, shared.leases, shared.day, *self.scopes.keys, *further]

    @property
    def _subject_keys(self) -> tuple[str, ...]:
        return _subject_keys(self.shard, self.identity.tenant.id, *[name for name, _ in self.subjects]) if self.subjects else ()


class _SharedKeys(NamedTuple):
    """Keys of all calls of a shard. ``day``: the share of the global day."""

    epoch: str
    lease_prefix: str
    leases: str
    day: str
    ledger: str


@lru_cache(256)
def _shared_keys(shard: int, day: str) -> _SharedKeys:
    return _SharedKeys(
        epoch_key(shard), lease_prefix(shard), leases_key(shard), key(shard, "all", "day", day), key(shard, "ledger")
    )


def _rates(subjects: Sequence[tuple[str, RateLimits]]) -> list[int]:
    rates = [r for _, limits in subjects for r in (limits.requests, limits.tokens, limits.concurrency)]
    return [-1 if rate is None else rate for rate in rates]


@lru_cache(1024)
def _subject_keys(shard: int, tenant: str, *names: str) -> tuple[str, ...]:
    return tuple(key(shard, tenant, kind, name) for name in names for kind in ("rates", "live"))


def lease_prefix(shard: int) -> str:
    """The prefix of the keys of a shard's leases."""
    return key(shard, "lease:")


def leases_key(shard: int) -> str:
    """The sorted set of a shard's leases, by the time that they end."""
    return key(shard, "leases")


def epoch_key(shard: int) -> str:
    """A key that exists as long as the shard's counters: ``<id>:<ms since the epoch from which money is held>``."""
    return key(shard, "epoch")
