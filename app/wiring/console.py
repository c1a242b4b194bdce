"""The console's parts."""

from redis.asyncio import Redis

from app.audit.actions import ActionLog
from app.budget.ledger import Ledger
from app.console.parts import ConsoleParts
from app.domain.in_flight import InFlight
from app.features.feature import FeatureParts
from app.features.installed import installed
from app.oncall.paging.paging import Paging
from app.oncall.switch import KillSwitch
from app.releases.releases import Releases
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import ProviderKeys
from app.settings import Settings
from app.stores import budget_policy, pages_of


def console_parts(
    settings: Settings, features: FeatureParts, valkey: Redis, *, actions: ActionLog, switch: KillSwitch, releases: Releases,
    paging: Paging | None, running: InFlight,
) -> ConsoleParts:  # fmt: skip
    """Put them together."""
    engine = features.engine
    return ConsoleParts(
        engine=engine, valkey=valkey, actions=actions, redactor=features.redactor, switch=switch, releases=releases,
        paging=paging, pages=paging.parts.pages if paging else pages_of(settings, engine),
        keys=KeyAdministration(engine, secret=settings.secret), ledger=Ledger(engine, valkey), policy=budget_policy(settings),
        running=running, secret=settings.secret, environment=settings.environment, state_dir=settings.state_dir,
        rotation_file=settings.rotation_file, rehearsals_file=settings.rehearsals_file, workers=settings.workers,
        releases_dir=settings.releases_dir,
        providers=tuple(settings.all_providers()), products=("chat", *(feature.name for feature in installed())),
        provider_keys=lambda: ProviderKeys(settings.key_places(), secret=settings.secret).status(),
    )  # fmt: skip
