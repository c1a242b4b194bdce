"""What operators do with a shadow: start one, end it, see how it answers beside the live release."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.releases import shadows
from app.releases.catalogue import Catalogue
from app.releases.manifest import load
from app.releases.shadows import Shadow

Beside = Mapping[str, Any]


class ShadowControl(Catalogue):
    """See the module. A shadow needs no eval results: it is a way to them, and no user gets its answers."""

    async def start_shadow(self, release_id: str, share: float, *, by: str, reason: str, budget: MicroUSD, days: float) -> Shadow:
        """Let a release answer a share of the calls too, for at most ``days``.

        Raises Misconfigured, with every problem, where it does not resolve, is live, or another shadow runs.
        """
        release = load(release_id, self._places)
        live = await self.live()
        problems = []
        if not 0 < share <= 1:
            problems.append("The share lies between 0 and 100 %.")
        if budget <= 0:
            problems.append("The budget is more than $0: the shadow ends when it is used up.")
        if not 0 < days <= 30:
            problems.append("The shadow ends after at most 30 days.")
        if live is None or live.id == release_id:
            problems.append(
                f"{release_id} is live already." if live else "No release is live: there is nothing to answer beside."
            )
        if problems or live is None:
            raise Misconfigured(f"No shadow of {release_id}:\n  " + "\n  ".join(problems))
        async with self._engine.begin() as connection:
            await self._take_in(connection, release)
            until = datetime.now(UTC) + timedelta(days=days)
            choices = {"share": share, "budget": budget, "until": until, "by": by, "reason": reason}
            await shadows.start(connection, release=release_id, against=live.id, **choices)
            begun = await shadows.running(connection)
        await self._announce("shadow")
        if begun is None:
            raise Misconfigured("The shadow has ended in this moment.")
        return begun

    async def stop_shadow(self, *, by: str, reason: str) -> Shadow:
        """End the shadow that runs. Raises Misconfigured where none does."""
        async with self._engine.begin() as connection:
            ended = await shadows.end(connection, by=by, why=reason)
        if ended is None:
            raise Misconfigured("No shadow runs. `octant release shadow ID --share 5% --budget 1` starts one.")
        await self._announce("shadow")
        return ended

    async def shadow(self) -> tuple[Shadow, Beside] | None:
        """The shadow that runs, and its answers beside those of the live release."""
        async with self._engine.connect() as connection:
            found = await shadows.running(connection)
            return (found, await shadows.beside_live(connection, found)) if found else None

    async def last_shadow(self, release_id: str) -> tuple[Shadow, Beside] | None:
        """The last shadow of a release, and its answers beside those of the release that was live then."""
        async with self._engine.connect() as connection:
            found = await shadows.newest(connection, release_id)
            return (found, await shadows.beside_live(connection, found)) if found else None
