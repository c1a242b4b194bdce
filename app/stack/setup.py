"""Prepare the stores: schema, indexes, sample data, tenants with their keys, a live release.

Each step may be repeated. A stamp records the files for which all steps are done, so that a second start skips them.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domain.errors import Misconfigured
from app.domain.money import from_dollars
from app.features.installed import installed
from app.releases.manifest import parse
from app.releases.recorded import sources_path
from app.settings import PACKAGE, Settings
from app.stack.fitting import fitting
from app.stack.pooling import refuse_shared_sessions
from app.stack.private import OTHERS

if TYPE_CHECKING:
    from app.security.keys.administration import KeyAdministration
    from app.security.keys.ring import KeyRing

TINY = "tiny"
CONSOLE = ":console"  # no tenant's name
KEYS_FILE, STAMP_FILE = "demo.json", "setup.stamp"
LIFE, RENEWED = timedelta(days=90), timedelta(days=30)  # of a key in development; with less left, a start makes another


def is_done(settings: Settings) -> bool:
    """Whether all steps are done for the current files."""
    stamp = settings.state_dir / STAMP_FILE
    fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < RENEWED.total_seconds()  # else its keys may end soon
    return fresh and stamp.read_text() == _fingerprint(settings) and (settings.state_dir / KEYS_FILE).exists()


def keys(settings: Settings) -> dict[str, str]:
    """The demo tenants' API keys by tenant, and the one that opens the console."""
    found: dict[str, str] = json.loads((settings.state_dir / KEYS_FILE).read_text())
    return found


def run(settings: Settings, tell: Callable[[str], None]) -> None:
    """Set everything up. Raises Misconfigured if a release does not resolve."""
    from app.migrations import upgrade

    os.umask(OTHERS)
    refuse_shared_sessions(settings)
    tell("schema")
    upgrade(settings.database_url)
    _build_indexes(settings, tell)
    asyncio.run(_fill(settings, tell))
    (settings.state_dir / STAMP_FILE).write_text(_fingerprint(settings))


def _build_indexes(settings: Settings, tell: Callable[[str], None]) -> None:
    """Build each index of the content as it is now, and of the content that the first releases pin, where that differs."""
    pinned = [
        manifest.indexes
        for name in first_releases(settings)
        for manifest in (parse((settings.releases_dir / f"{name}.toml").read_text(), name),)
    ]
    for index in (index for feature in installed() for index in feature.indexes):
        tell(f"index {index.name}")
        built = {index.build(settings.index_dir).version}
        for version in {indexes[index.name] for indexes in pinned if index.name in indexes} - built:
            sources = sources_path(settings.releases_dir, version)
            if sources.is_file():
                index.build(settings.index_dir, sources.read_text(encoding="utf-8"))


def check_live(settings: Settings) -> None:
    """Raise Misconfigured, with the remedy, if the live release pins files that this checkout lacks."""
    try:
        asyncio.run(_check_live(settings))
    except Misconfigured as error:
        (settings.state_dir / STAMP_FILE).unlink(missing_ok=True)  # the next start must say so too
        raise Misconfigured(
            f"The state in {settings.state_dir} does not fit the files of this checkout. {error}\n"
            "If the state is of an older checkout, `make reset` removes it, and the next start begins afresh."
        ) from None


async def _check_live(settings: Settings) -> None:
    from app.rooms import releases_of
    from app.stores import build_engine, build_valkey

    engine, valkey = build_engine(settings, pooled=False), build_valkey(settings)
    try:
        await releases_of(settings, engine, valkey).check_live()
    finally:
        await valkey.aclose()
        await engine.dispose()


async def _fill(settings: Settings, tell: Callable[[str], None]) -> None:
    from app.erasure.pseudonyms import put_under_pseudonyms
    from app.oncall.earlier import carry_over
    from app.oncall.switch import KillSwitch
    from app.releases.eval_results import recorded
    from app.rooms import releases_of
    from app.security.redaction.redactor import Redactor
    from app.security.redaction.tenant_patterns import TenantPatterns
    from app.stores import build_engine, build_valkey

    engine, valkey = build_engine(settings), build_valkey(settings)
    try:
        if settings.environment != "production":  # sample customers have no place there
            tell("tenants and keys")
            await _tenants(settings, engine, tell)
            for seed in (feature.seed for feature in installed() if feature.seed):
                tell(await seed(engine, settings.demo_tenant))
        patterns = TenantPatterns(engine)
        await patterns.refresh()
        await put_under_pseudonyms(engine, valkey, Redactor(settings.secret, added=patterns))
        await carry_over(valkey, KillSwitch(valkey, engine, file=None))
        tell("release")
        releases = releases_of(settings, engine, valkey)
        if not await releases.history(limit=1):  # later releases are activated by an operator, never by a start
            for release in first_releases(settings):
                # No release is live that this one could be worse than, and a refusal would leave the service without any. What it
                # lacks is kept with the activation, and fires an alert.
                if lacks := await releases.activate(release, by="setup", reason="first start", force=True):
                    tell(lacking_words(release, lacks, recorded=recorded(settings.releases_dir)))
    finally:
        await valkey.aclose()
        await engine.dispose()


def lacking_words(release: str, lacks: Sequence[str], *, recorded: bool) -> str:
    """Which eval results a release lacks. ``recorded``: whether its folder has any; that of a run of evals has none."""
    if not recorded:
        return f"release {release}, from a folder without eval results, as for a run that makes them"
    more = f" {len(lacks) - 1} more: `octant release verify {release}`" if lacks[1:] else ""
    return f"release {release}: {lacks[0]}{more}"


def first_releases(settings: Settings) -> list[str]:
    """The releases that a first start activates in turn: one to go back to, then the newest.

    Releases that cannot be live are left out. Raises Misconfigured if none is left.
    """
    found = fitting(settings.releases_dir)
    if not found and not list(settings.releases_dir.glob("*.toml")):
        raise Misconfigured(f"No release in {settings.releases_dir.resolve()}: start where it is, or set OCTANT_RELEASES_DIR.")
    if not found:
        reason = "each pins the prompts or the index of a product that is not installed (app/features/installed.py)"
        raise Misconfigured(f"No release in {settings.releases_dir} can be live: {reason}. Write one that does not.")
    return found[-2:]


async def _tenants(settings: Settings, engine: Any, tell: Callable[[str], None]) -> None:  # noqa: ANN401 - an AsyncEngine
    from app.security.keys.administration import KeyAdministration
    from app.security.keys.ring import KeyRing

    keys, ring = KeyAdministration(engine, secret=settings.secret), KeyRing(engine, secret=settings.secret)
    path = settings.state_dir / KEYS_FILE
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    known = {tenant.id for tenant in await keys.list_tenants()}
    user_cap = from_dollars(settings.default_user_daily_cap)
    development = settings.environment == "development"
    end = datetime.now(UTC) + LIFE if development else None  # a start makes the next one; elsewhere an operator would have to

    async def lasts(name: str) -> bool:
        if name not in kept or not await _works(ring, kept[name]):
            return False
        return not development or not await _ended(keys, kept[name], within=RENEWED)

    for tenant, name, cap in (
        (settings.demo_tenant, "The demo's tenant", settings.demo_daily_cap),
        (TINY, "A tenant with a tiny cap", "0.000100"),
    ):
        if tenant not in known:
            await keys.create_tenant(tenant, name, from_dollars(cap), min(from_dollars(cap), user_cap))
        if tenant in kept and not development and await _ended(keys, kept[tenant]):
            tell(f"the key of {tenant} was revoked or has expired, and stays so: `octant key create {tenant}` makes another")
        elif not await lasts(tenant):
            kept[tenant] = await keys.create_key(tenant, name="demo", expires_at=end)
    if development and not await lasts(CONSOLE):
        made = keys.create_key(settings.demo_tenant, name="operator", scopes=("admin",), expires_at=end)
        kept[CONSOLE] = await made
    path.touch(mode=0o600)
    path.write_text(json.dumps(kept))
    path.chmod(0o600)


async def _ended(keys: "KeyAdministration", token: str, *, within: timedelta = timedelta()) -> bool:
    """Whether an operator revoked the key, or its time is over, now or ``within`` a time."""
    from app.security.keys.token import key_id_of

    at = datetime.now(UTC) + within
    found = [key for key in await keys.list_keys() if key.id == key_id_of(token)]
    return any(key.revoked_at or (key.expires_at and key.expires_at <= at) for key in found)


async def _works(ring: "KeyRing", token: str) -> bool:
    """Whether a key of an earlier run is still valid: it may be revoked, or hashed with another secret."""
    from app.domain.errors import Unauthenticated

    try:
        await ring.authenticate(token)
    except Unauthenticated:
        return False
    return True


def _fingerprint(settings: Settings) -> str:
    """A hash that changes with a migration, an article, a release, or the secret that hashes keys."""
    digest = hashlib.sha256(settings.secret)
    folders = (PACKAGE / "migrations" / "versions", PACKAGE / "features", settings.releases_dir)
    for path in sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix in {".py", ".md", ".toml"}):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
