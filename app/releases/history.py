"""The history of what was live, and the way back through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, null, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.releases import shadows
from app.releases.tables import activations, manifests

ACTIVATE, ROLLBACK, SET_BACK = "activate", "rollback", "set back"  # the kinds of an activation
NERVOUS = timedelta(minutes=15)  # a second rollback within this time of the first must be meant


@dataclass(frozen=True, slots=True)
class Activation:
    """One line of the history. ``kind``: `ACTIVATE`, `ROLLBACK`, or `SET_BACK` for a manifest with one pin set back.

    ``unproven``: the eval results that it lacked, a sentence each.
    """

    number: int
    release: str
    previous: str | None
    kind: str
    by: str
    reason: str
    at: datetime
    unproven: Sequence[str] | None = None


async def ever_live(engine: AsyncEngine) -> frozenset[str]:
    """The ids of all releases that were ever live; their files are immutable."""
    async with engine.connect() as connection:
        return frozenset((await connection.execute(select(manifests.c.id))).scalars())


async def first_live(engine: AsyncEngine) -> datetime | None:
    """When a release was first live on this database; None where none was."""
    async with engine.connect() as connection:
        found: datetime | None = await connection.scalar(select(func.min(activations.c.at)))
    return found


def path_of(history: Sequence[Activation]) -> list[str]:
    """The releases that led to the live one, which is the last, from a history that is newest first.

    An activation goes forward; a rollback goes back to where a release was live, and what came after it is undone. So rolling
    back twice goes back twice, and never forth again to a release that was rolled back from. A manifest with one pin set back
    takes the place of the one that it was made from. Raises Misconfigured if there is nothing to go back to.
    """
    path = led_to_live(history)
    if len(path) < 2:
        raise Misconfigured("There is no earlier release to roll back to. `octant release history` shows what was live.")
    return path


def led_to_live(history: Sequence[Activation]) -> list[str]:
    """The same, also where it is the live one alone."""
    path: list[str] = []
    for activation in reversed(history):
        if activation.kind == SET_BACK:
            path[-1:] = [activation.release]
        elif activation.kind == ROLLBACK and activation.release in path:
            while path[-1] != activation.release:
                path.pop()
        elif path[-1:] != [activation.release]:
            path.append(activation.release)
    return path


def passed_before(history: Sequence[Activation]) -> str:
    """The newest release on the way back that passed when it went live: triggers print its name. Empty where none did."""
    *before, live = led_to_live(history) or [""]
    return next((name for name in reversed(before) if name != live and not unproven(history, name)), "")


def live_before(history: Sequence[Activation]) -> str | None:
    """The release that the live one took the place of, from a history that is newest first; None if no other was ever live."""
    return next((activation.release for activation in history if activation.release != history[0].release), None)


def check_nerves(history: Sequence[Activation], now: datetime) -> None:
    """Refuse a second rollback that may be a second press of the same key: it would go one further back."""
    newest = history[0] if history else None
    if newest and newest.kind in {ROLLBACK, SET_BACK} and now - newest.at < NERVOUS:
        ago = int((now - newest.at).total_seconds())
        raise Misconfigured(
            f"A rollback was done {ago} s ago by {newest.by}: {newest.release} is live ({newest.reason}). "
            "To go back one further, repeat the command with --again, or name a release with --to."
        )


async def text_of(connection: AsyncConnection, release_id: str) -> str:
    """The text of a release that was live. Raises Misconfigured."""
    text = (await connection.execute(select(manifests.c.text).where(manifests.c.id == release_id))).scalar_one_or_none()
    if text is None:
        raise Misconfigured(f"Release {release_id!r} was never live: activate it instead.")
    return str(text)


async def read(connection: AsyncConnection, limit: int = 1000) -> list[Activation]:
    """Activations, newest first."""
    statement = select(activations).order_by(activations.c.number.desc()).limit(limit)
    return [Activation(**row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - documented name


def check_ever_live(history: Sequence[Activation], release_id: str) -> None:
    """Refuse a rollback to a release that was never live, such as a canary that was stopped."""
    if all(activation.release != release_id for activation in history):
        raise Misconfigured(f"Release {release_id!r} was never live: activate it instead.")


def unproven(history: Sequence[Activation], release_id: str) -> Sequence[str]:
    """The eval results that a release lacked when it was last made live."""
    return next((activation.unproven or () for activation in history if activation.release == release_id), ())


async def point(
    connection: AsyncConnection, release_id: str, kind: str, by: str, reason: str, *, unproven: Sequence[str] = ()
) -> None:
    """Make a kept manifest the live one. ``unproven``: the eval results that it lacks."""
    newest = select(activations.c.release).order_by(activations.c.number.desc()).limit(1)
    previous = (await connection.execute(newest)).scalar_one_or_none()
    if previous != release_id:
        await shadows.end(connection, by=by, why=f"{release_id} was made live.")
    values = {"release": release_id, "previous": previous, "kind": kind, "by": by, "reason": reason}
    await connection.execute(insert(activations).values(**values, unproven=list(unproven) or null()))
