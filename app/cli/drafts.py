"""`octant release new` and `diff`: write a release from another, and see what it would change."""

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.releases import ReleaseId, app, opened

if TYPE_CHECKING:
    from collections.abc import Container

    from app.releases.manifest import Release
    from app.releases.releases import Releases

MOST_READ = 1000  # activations of the history
NEWEST = "newest"  # of those that can be live here; asks no store
COPIED = f"Release to copy, or {NEWEST}: of those that can be live here. The live one if left out."

COMPARED = "Release to compare with. If left out the live one; for the live one, the release that was live before it."


@app.command("new")
def new(
    release_id: ReleaseId,
    note: Annotated[str, typer.Option(help="What it changes, in a sentence.")],
    source: Annotated[str | None, typer.Option("--from", metavar="ID", help=COPIED)] = None,
) -> None:
    """Write the manifest of a new release, as a copy to edit. Then: `octant release pin`, `diff`, `verify`."""
    asyncio.run(_new(release_id, note, source))


@app.command("diff")
def diff(
    release_id: ReleaseId,
    against: Annotated[str | None, typer.Option(metavar="ID", help=COMPARED)] = None,
) -> None:
    """Show what a release changes: prompts as text, routes, prices, the cost of last week's calls, and the evals."""
    asyncio.run(_diff(release_id, against))


async def _new(release_id: str, note: str, source: str | None) -> None:
    from app.domain.errors import InvalidRequest
    from app.releases.manifest import parse
    from app.rooms import places
    from app.settings import load

    path = places(load()).manifest_path(release_id)
    if path.exists():
        raise InvalidRequest(f"{path} exists. A release is immutable: choose another id.")
    text = await _text(source)
    for key, value in (("id", f'"{release_id}"'), ("created", f"{datetime.now(UTC).date()}"), ("note", _quoted(note))):
        text = re.sub(rf"^{key} = .*$", lambda _, line=f"{key} = {value}": line, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
    parse(text, str(path))
    path.write_text(text, encoding="utf-8")
    print(f"{path} is written. Edit it, then `octant release pin {release_id}` and `octant release diff {release_id}`.")


async def _text(source: str | None) -> str:
    """The text of a release's file, or of the live release."""
    from app.domain.errors import Misconfigured, NotFound
    from app.releases.texts import text_of
    from app.rooms import places
    from app.settings import load
    from app.stack.fitting import fitting

    if source == NEWEST:
        found = fitting(load().releases_dir)
        if not found:
            raise NotFound("No release can be live with the products that are installed: name one to copy with --from.")
        source = found[-1]
    if source:
        path = places(load()).manifest_path(source)
        if not path.is_file():
            raise NotFound(f"No file {path}.")
        return text_of(path)
    async with opened() as releases:
        live = await releases.live_text()
    if live is None:
        raise Misconfigured("No release is live: name one to copy with --from.")
    return live


async def _diff(release_id: str, against: str | None) -> None:
    from app.budget.pricing import cost
    from app.domain.errors import Misconfigured
    from app.releases.difference import differences
    from app.releases.eval_delta import deltas
    from app.releases.eval_history import filed
    from app.releases.history import live_before
    from app.settings import load

    async with opened() as releases:
        past = await releases.history(MOST_READ)
        live = past[0].release if past else None
        before = live_before(past) if release_id == live else live
        if against is None and before is None:
            none = f"No other release was live before {live}" if live else "No release is live"
            raise Misconfigured(f"{none}: name one to compare with by --against.")
        was_live = {activation.release for activation in past}
        old, new = [await _release(releases, one, was_live) for one in (against or before or "", release_id)]
        lines = list(differences(old, new, await releases.traffic(), cost))
    print(
        f"{old.id} -> {new.id}" + (", which is live: compared with the one before it" if new.id == live and not against else "")
    )
    evals = [one.line for one in deltas(filed(load().releases_dir)[0], old.id, new.id)]
    print("\n".join([*lines, *(f"evals {line}" for line in evals or ["no suite has results of either release"])]))


async def _release(releases: "Releases", release_id: str, was_live: "Container[str]") -> "Release":
    """A release as it was live, else its file. Raises Misconfigured."""
    from app.releases.manifest import load as load_release
    from app.releases.manifest import resolve
    from app.rooms import places
    from app.settings import load

    where = places(load())
    if release_id not in was_live:
        return load_release(release_id, where)
    text = await releases.kept_text(release_id)  # one that a rollback of a pin made has no file; the index may be on the workers
    return resolve(text, where, where=f"release {release_id}", indexes_elsewhere=True)


def _quoted(text: str) -> str:
    """A TOML string (v1.0.0, basic strings escape as JSON does)."""
    import json

    return json.dumps(text, ensure_ascii=False)
