"""Dependencies of the console, handed in by the composition root."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import ActionLog
from app.budget.budget import BudgetPolicy
from app.budget.ledger import Ledger
from app.domain.in_flight import InFlight
from app.oncall.paging.pages import Pages
from app.oncall.switch import KillSwitch
from app.releases.releases import Releases
from app.security.keys.administration import KeyAdministration
from app.security.keys.provider_keys import KeyStatus
from app.security.redaction.redactor import Redactor

if TYPE_CHECKING:
    from app.console.oidc.provider import OpenIdProvider
    from app.oncall.paging.paging import Paging


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """``environment`` as the settings name it; ``secret`` is the service's; ``workers``: processes that serve.

    ``releases_dir``: the folder of manifests and their eval results.

    ``idle`` ends an unused session, ``lifetime`` ends every session. ``running`` is asked whether the process stops.
    ``people``: the provider of sign-ins, None where keys alone open the console.
    ``providers`` and ``products``: the names that can be stopped. ``own_products``: those of them that are no examples of this
    project. ``provider_keys`` reads the state of our keys at providers.
    """

    engine: AsyncEngine
    valkey: Redis
    actions: ActionLog
    redactor: Redactor
    keys: KeyAdministration
    ledger: Ledger
    switch: KillSwitch
    releases: Releases
    paging: "Paging | None"
    pages: Pages
    policy: BudgetPolicy
    running: InFlight
    secret: bytes
    environment: str
    state_dir: Path
    rotation_file: Path
    rehearsals_file: Path
    providers: tuple[str, ...]
    products: tuple[str, ...]
    own_products: tuple[str, ...]
    provider_keys: Callable[[], Sequence[KeyStatus]]
    workers: int
    releases_dir: Path
    people: "OpenIdProvider | None" = None
    idle: timedelta = timedelta(hours=2)
    lifetime: timedelta = timedelta(hours=12)
