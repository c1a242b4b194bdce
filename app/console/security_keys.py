"""The keys of the Security page: API keys and our keys at providers, with their states, ages and uses, and in a sentence."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.audit.provider_use import Use
from app.console import formats
from app.security.keys.administration import KeyInfo
from app.security.keys.provider_keys import KeyStatus

OLD = timedelta(days=90)  # an alert fires then, too (deploy/slo/alerts.toml)
IDLE = timedelta(days=30)
CHOICES = {
    "": "usable", "unused": "never used", "idle": f"not used for {IDLE.days} days",
    "old": f"over {OLD.days} days old", "gone": "revoked or expired", "all": "in all",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the list shows it."""

    info: KeyInfo
    kind: str
    word: str
    age: timedelta
    idle: bool = False

    @property
    def works(self) -> bool:
        """Whether it opens anything."""
        return self.word in ("live", "old")


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One of our keys at a provider. ``age``: None for a variable, which carries no date.

    ``at_least``: the time since its first call on record; None where there is none, or the age is known. ``simulated``: the
    simulator answers for the provider.
    """

    status: KeyStatus
    kind: str
    word: str
    age: timedelta | None
    use: Use | None
    at_least: timedelta | None = None
    simulated: bool = False

    @property
    def file(self) -> str:
        """The name of the secret file that can hold the key of a variable: that of our own variable, in small letters."""
        source = self.status.source
        return source.lower() if "__" in source else f"octant_{self.status.provider}__api_key"


def key_of(info: KeyInfo, now: datetime) -> Key:
    """A key with its state and age."""
    age = now - info.created_at
    if info.revoked_at:
        return Key(info, "none", "revoked", age)
    if info.expires_at and info.expires_at <= now:
        return Key(info, "none", "expired", age)
    idle = now - (info.last_used_at or info.created_at) > IDLE
    return Key(info, "warn", "old", age, idle) if age > OLD else Key(info, "good", "live", age, idle)


def chosen(keys: Sequence[Key], choice: str) -> list[Key]:
    """The keys of a choice of `CHOICES`; of one that there is not, those that work."""
    return [
        key
        for key in keys
        if {
            "all": True,
            "gone": not key.works,
            "unused": key.works and key.info.last_used_at is None,
            "idle": key.works and key.idle,
            "old": key.works and key.age > OLD,
        }.get(choice, key.works)
    ]


def provider_key(
    status: KeyStatus,
    uses: Mapping[tuple[str, str], Use],
    now: datetime,
    first: Mapping[tuple[str, str], datetime] = {},
    *,
    simulated: Collection[str] = (),
) -> ProviderKey:
    """A key with its state: denied is worse than old, and a denial counts until the provider accepts the key again.

    ``first``: the first call on record with each key. ``simulated``: the providers for which the simulator answers.
    """
    age = timedelta(seconds=status.age) if status.age is not None else None
    if status.fingerprint is None:
        return ProviderKey(status, "none", "no key", None, None)
    use, begun = uses.get((status.provider, status.fingerprint)), first.get((status.provider, status.fingerprint))
    at_least = now - begun if begun and age is None else None
    never = datetime.min.replace(tzinfo=UTC)
    if use and use.denied_at and use.denied_at > (use.accepted_at or never) and now - use.denied_at < timedelta(days=7):
        kind, word = "bad", "denied"
    elif (age or at_least or timedelta()) > OLD:
        kind, word = "warn", "old"
    else:
        kind, word = "good" if use and use.accepted_at else "none", "accepted" if use and use.accepted_at else "not used"
    return ProviderKey(status, kind, word, age, use, at_least, status.provider in simulated)


def answer(keys: Sequence[Key] | None, ours: Sequence[ProviderKey]) -> tuple[str, str]:
    """How the keys stand: those that work, the oldest, the unused; then ours at providers. ``keys``: None while not known."""
    at_providers, bad = _of_providers(ours)
    if keys is None:
        return "bad" if bad else "warn", f"The API keys are not known right now. {at_providers}"
    live, unused = chosen(keys, ""), chosen(keys, "unused")
    if not live:
        return "bad" if bad else "warn", f"No API key works. {at_providers}"
    oldest, old = max(key.age for key in live), chosen(keys, "old")
    words = f"{formats.number(len(live), 'API key works', 'API keys work')}; the oldest is {formats.span(_minutes(oldest))} old"
    words += f", {len(old)} over {OLD.days} days: rotate" if old else ""
    words += f"; {formats.number(len(unused), 'was', 'were')} never used" if unused else "; each was used"
    warn = old or any(key.word == "old" or (key.status.fingerprint and key.age is None) for key in ours)
    return "bad" if bad else "warn" if warn else "good", f"{words}. {at_providers}"


def _of_providers(ours: Sequence[ProviderKey]) -> tuple[str, bool]:
    """Our keys at providers in a sentence, and whether one was denied."""
    set_ = [key for key in ours if key.status.fingerprint]
    if not set_:
        return "No provider has a key of ours.", False
    denied = [key.status.provider for key in set_ if key.word == "denied"]
    ages = [key.age for key in set_ if key.age is not None]
    parts = [formats.number(len(set_), "key") + " at providers"]
    parts.append(f"{' and '.join(denied)} denied it when it was last used" if denied else "none was denied")
    if simulated := sum(key.simulated for key in set_):
        parts.append(f"{simulated} {'is' if simulated == 1 else 'are'} the simulator's, no vendor's")
    if ages:
        parts.append(f"the oldest file is {formats.span(_minutes(max(ages)))} old")
    if undated := [key for key in set_ if key.age is None]:
        used = max((key.at_least for key in undated if key.at_least), default=None)
        since = f", first used here at least {formats.span(_minutes(used))} ago" if used else ""
        parts.append(f"{len(undated)} from a variable without a date{since}")
    return f"{', '.join(parts[:2])}{''.join(f'; {part}' for part in parts[2:])}.", bool(denied)


def _minutes(age: timedelta) -> timedelta:
    """A length of time in whole minutes once it is over one."""
    return age - (age % formats.MINUTE) if age > formats.MINUTE else age
