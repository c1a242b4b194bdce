"""The console's parts."""

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import ActionLog
from app.budget.ledger import Ledger
from app.console.parts import ConsoleParts
from app.domain.in_flight import InFlight
from app.oncall.paging.paging import Paging
from app.oncall.switch import KillSwitch
from app.releases.releases import Releases
from app.security.keys.administration import KeyAdministration
from app.security.redaction.redactor import Redactor
from app.settings import Settings
from app.stores import budget_policy


def console_parts(
    settings: Settings, engine: AsyncEngine, valkey: Redis, *, actions: ActionLog, redactor: Redactor, switch: KillSwitch,
    releases: Releases, paging: Paging | None, running: InFlight,
) -> ConsoleParts:  # fmt: skip
    """Put them together."""
    return ConsoleParts(
        engine=engine, valkey=valkey, actions=actions, redactor=redactor, switch=switch, releases=releases, paging=paging,
        keys=KeyAdministration(engine, secret=settings.secret), ledger=Ledger(engine, valkey), policy=budget_policy(settings),
        running=running, secret=settings.secret, environment=settings.environment, state_dir=settings.state_dir,
        rotation_file=settings.rotation_file, workers=settings.workers, releases_dir=settings.releases_dir,
    )  # fmt: skip
