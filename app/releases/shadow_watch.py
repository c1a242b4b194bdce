"""One worker's part in a shadow: which calls it answers too, and their cost. From memory; `refresh` reads Postgres."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import BudgetExceeded, Misconfigured, UnknownModel
from app.domain.records import CallRecord
from app.domain.routes import Pin
from app.releases import history, shadows
from app.releases.manifest import Release
from app.releases.shadows import Shadow
from app.releases.split import position

ANSWERED = frozenset(
    {"ok", "output_invalid"}
)  # outcomes that are the live release's own; after others it could not answer either

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Shown:
    shadow: Shadow
    release: Release


class ShadowWatch:
    """See the module. ``load`` resolves a manifest's text with kept files."""

    def __init__(self, engine: AsyncEngine, *, key: bytes, load: Callable[[str, str], Awaitable[Release]]) -> None:
        """Nothing is read yet. ``key`` decides which requests are answered too."""
        self._engine = engine
        self._key = key
        self._load = load
        self._shown: _Shown | None = None
        self._broken = 0
        self._spent = 0
        self._refused = False

    @property
    def shadow(self) -> Shadow | None:
        """The shadow that this worker takes part in."""
        return self._shown.shadow if self._shown else None

    @property
    def callable(self) -> tuple[str, ...]:
        """The names that the shadow's release can answer."""
        return self._shown.release.callable if self._shown else ()

    def wants(self, record: CallRecord) -> bool:
        """Whether a call of the live release is to be answered by the shadow, too. All passes of a request or none are."""
        shadow = self.shadow
        if shadow is None or self._refused or record.release != shadow.against or record.outcome not in ANSWERED:
            return False
        return position(self._key, f"shadow {shadow.id}", record.tenant, record.request_id) < shadow.share

    def pin(self, target: str, _: Identity | None = None) -> Pin:
        """Pin a call to the shadow's release. Raises UnknownModel where it has no such target, or has ended."""
        if self._shown is None:
            raise UnknownModel("The shadow has ended.")
        return self._shown.release.pin(target)

    def note(self, record: CallRecord) -> None:
        """Count what an answer of the shadow has cost."""
        self._spent += record.cost
        self._refused |= record.outcome == BudgetExceeded.code

    def note_bad_rating(self, identity: Identity, request_id: str) -> None:
        """No user rates an answer of a shadow."""

    async def refresh(self) -> None:
        """Write what was spent, and read which shadow runs. Raises SQLAlchemyError or OSError."""
        shadow = self.shadow
        if shadow and (self._spent or self._refused or datetime.now(UTC) >= shadow.until):
            spent, self._spent = self._spent, 0
            try:
                await shadows.note_spent(self._engine, shadow, spent, refused=self._refused)
            except (SQLAlchemyError, OSError):
                self._spent += spent
                raise
        async with self._engine.connect() as connection:
            running = await shadows.running(connection)
            fresh = running is not None and (shadow is None or shadow.id != running.id)
            text = await history.text_of(connection, running.release) if running and fresh else ""
        if running is None:
            self._shown = None
        elif fresh:
            await self._begin(running, text)
        elif self._shown:
            self._shown = _Shown(running, self._shown.release)

    async def _begin(self, running: Shadow, text: str) -> None:
        self._shown, self._refused = None, False
        try:
            self._shown = _Shown(running, await self._load(text, f"the shadow {running.release}"))
        except Misconfigured as error:
            if self._broken != running.id:
                log.warning("shadow refused", extra={"release": running.release, "reason": str(error)})
            self._broken = running.id
