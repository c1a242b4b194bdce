"""The way back from the live release, for an operator who is woken: since when it is live, what it changed, and the command."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured
from app.releases import canaries, history
from app.releases.canaries import Canary
from app.releases.manifest import Manifest, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """``release`` is empty where none is live, ``previous`` where there is none to go back to, ``canary`` None where none runs.

    ``changes``: the pins in which the live release differs from the one before it. ``left``: the release that a rollback has
    just taken back; empty where the newest change was no rollback. ``unproven``: the one before lacked eval results when it went
    live; ``proven``: then the newest before it that did not, if there is one.
    """

    release: str = ""
    live_since: datetime | None = None
    by: str = ""
    previous: str = ""
    changes: tuple[str, ...] = ()
    left: str = ""
    canary: Canary | None = None
    unproven: bool = False
    proven: str = ""

    def command(self, reason: str, *, of_canary: bool = False) -> str:
        """The command that goes back; ``of_canary``: the running canary is to blame. Empty where there is no way back."""
        why = f"--reason {shlex.quote(reason)}"
        if of_canary and self.canary:
            return f"octant release abort {why}"
        force = "--force " if self.unproven and not self.proven else ""
        return f"octant rollback --to {self.proven or self.previous} {force}{why}" if self.previous else ""

    def as_json(self) -> dict[str, Any]:
        """For the evidence of a trigger."""
        return {
            "release": self.release,
            "live_since": self.live_since.isoformat() if self.live_since else None,
            "made_live_by": self.by,
            "previous": self.previous,
            "changes": list(self.changes),
            "canary": {"release": self.canary.release, "share": self.canary.share} if self.canary else None,
        }


async def way_back(engine: AsyncEngine) -> WayBack:
    """Read it. Raises SQLAlchemyError or OSError."""
    async with engine.connect() as connection:
        past = await history.read(connection)
        if not past:
            return WayBack()
        live, canary = past[0], await canaries.running(connection)
        left = (live.previous or "") if live.kind == history.ROLLBACK and live.previous != live.release else ""
        try:
            previous = history.path_of(past)[-2]
        except Misconfigured:  # the first release
            return WayBack(release=live.release, live_since=live.at, by=live.by, canary=canary, left=left)
        texts = [await history.text_of(connection, name) for name in (previous, live.release)]
    changes: tuple[str, ...] = ()
    with suppress(Misconfigured):  # a manifest of other code: the way back is known without its pins
        changes = tuple(_changes(*(parse(text, "a kept manifest") for text in texts)))
    unproven = bool(history.unproven(past, previous))
    return WayBack(
        release=live.release, live_since=live.at, by=live.by, previous=previous, changes=changes, canary=canary, left=left,
        unproven=unproven, proven=history.passed_before(past) if unproven else "",
    )  # fmt: skip


def _changes(before: Manifest, now: Manifest) -> Iterator[str]:
    for kind, old, new in (
        ("prompt", before.prompts, now.prompts),
        ("model", before.routes, now.routes),
        ("index", before.indexes, now.indexes),
        ("embeddings", before.embeddings, now.embeddings),
    ):
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield f"{kind} {name}" + (" (new)" if name not in old else " (removed)" if name not in new else "")
    if before.prices != now.prices:
        yield "prices"
    if before.code != now.code:
        yield f"code {before.code} -> {now.code}"
