"""All releases that the console can show: the files of this machine, and the manifests that were ever live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy import text as sql

from app.domain.calls import Usage
from app.domain.errors import Misconfigured, NotFound
from app.releases import canaries, evidence_line, files
from app.releases.canaries import Canary, Judgement
from app.releases.control import ReleaseControl
from app.releases.difference import Traffic
from app.releases.evidence_line import Point
from app.releases.manifest import Manifest, Release, parse, resolve
from app.releases.tables import manifests
from app.releases.texts import text_of

_TRAFFIC = sql(
    """
    SELECT target, count(*) AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output,
           sum(cached_input_tokens) AS cached_input, sum(cache_write_tokens) AS cache_write, sum(reasoning_tokens) AS reasoning
    FROM calls WHERE outcome = 'ok' AND at > now() - interval '7 days' GROUP BY target
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One release of the list. ``first_live``: None where it never was; ``problem``: why its text cannot be read."""

    id: str
    created: date | None
    note: str
    first_live: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One release. ``release``: None where a pin does not resolve, for the reason in ``problem``.

    ``first_live``: None where it never was live; what was live is read as it was then.
    """

    manifest: Manifest
    text: str
    release: Release | None
    problem: str
    first_live: datetime | None


class Catalogue(ReleaseControl):
    """See the module."""

    async def listed(self) -> Sequence[Listed]:
        """Every release, the newest id first. Raises SQLAlchemyError or OSError."""
        async with self._engine.connect() as connection:
            columns = manifests.c.id, manifests.c.text, manifests.c.first_activated_at
            kept = {row.id: (str(row.text), row.first_activated_at) for row in await connection.execute(select(*columns))}
        files = {path.stem: path for path in self._places.directory.glob("*.toml")}
        return [_listed(name, *(kept.get(name) or (files[name], None))) for name in sorted(files | kept, reverse=True)]

    async def find(self, release_id: str) -> Found:
        """One release by its id. Raises NotFound, SQLAlchemyError or OSError; Misconfigured where its text cannot be read."""
        async with self._engine.connect() as connection:
            columns = manifests.c.text, manifests.c.first_activated_at
            row = (await connection.execute(select(*columns).where(manifests.c.id == release_id))).one_or_none()
        if row:
            text, first_live = str(row.text), row.first_activated_at
        else:
            known = {path.stem: path for path in self._places.directory.glob("*.toml")}  # never a path made of what came
            if release_id not in known:
                raise NotFound(f"No release {release_id[:64]!r}. `octant release list` shows all.")
            text, first_live = text_of(known[release_id]), None
        where = f"release {release_id}"
        manifest = parse(text, where)
        await files.fetch(self._engine, manifest, self._places)
        try:
            release, problem = resolve(text, self._places, where=where, indexes_elsewhere=True), ""
        except Misconfigured as error:
            release, problem = None, str(error)
        return Found(manifest=manifest, text=text, release=release, problem=problem, first_live=first_live)

    async def traffic(self) -> dict[str, Traffic]:
        """The answered calls of the last seven days, by model alias or prompt."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_TRAFFIC)
            return {
                r.target: Traffic(r.calls, Usage(r.input, r.output, r.cached_input, r.cache_write, r.reasoning)) for r in rows
            }

    async def latest_canary(self, release_id: str | None = None) -> tuple[Canary, Judgement, Sequence[Point]] | None:
        """The last canary, of one release if it is named, how it stands, and its evidence over time."""
        async with self._engine.connect() as connection:
            canary = await canaries.newest(connection, release_id)
            if canary is None:
                return None
            judged = await canaries.judgement(connection, canary.id)
            return canary, judged, await evidence_line.read(connection, canary)


def _listed(name: str, kept: str | Path, first_live: datetime | None) -> Listed:
    """A line of the list. ``kept``: the text as it was live, or the file of a release that never was."""
    try:
        manifest = parse(text_of(kept) if isinstance(kept, Path) else kept, name)
    except Misconfigured as error:
        return Listed(id=name, created=None, note="", first_live=first_live, problem=str(error))
    return Listed(id=name, created=manifest.created, note=manifest.note, first_live=first_live)
