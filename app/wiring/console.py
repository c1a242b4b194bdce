"""The console's parts."""

from typing import TYPE_CHECKING

from redis.asyncio import Redis

from app.audit.actions import ActionLog
from app.budget.ledger import Ledger
from app.console.parts import ConsoleParts
from app.domain.errors import DependencyUnavailable, Misconfigured
from app.domain.in_flight import InFlight
from app.features.feature import FeatureParts
from app.features.installed import installed, own
from app.oncall.paging.paging import Paging
from app.oncall.switch import KillSwitch
from app.releases.releases import Releases
from app.releases.used_by import BY_CLIENTS
from app.rooms import budget_policy, pages_of, provider_keys_of
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import ProviderKeys
from app.settings import Settings

if TYPE_CHECKING:  # loaded where a provider of sign-ins is set
    from app.console.oidc.provider import OpenIdProvider


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
        releases_dir=settings.releases_dir, people=people_of(settings),
        providers=tuple(settings.all_providers()), products=(*BY_CLIENTS, *(feature.name for feature in installed())),
        provider_keys=lambda: provider_keys_of(settings).status(), own_products=own(),
    )  # fmt: skip


def people_of(settings: Settings) -> "OpenIdProvider | None":
    """The provider of sign-ins, None where none is set. Its client's secret is read for each sign-in, so a new one counts."""
    if not settings.console_oidc.issuer:
        return None
    from app.console.oidc.provider import OpenIdProvider

    place = settings.console_oidc.secret_place(settings.secrets_dir)

    def read() -> str:
        return ProviderKeys({"client": place}, secret=settings.secret, what="client's secret").current("client")

    def secret() -> str:
        try:
            return read()
        except Misconfigured as error:
            raise DependencyUnavailable("The client's secret at the provider cannot be read.", retry_after=5.0) from error

    read()  # a file without a secret is found now, not at the first sign-in
    return OpenIdProvider(settings.console_oidc, client_secret=secret)
