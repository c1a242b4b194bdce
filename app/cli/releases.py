"""`octant release …` and `octant rollback`: the live release, and the way back."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import add, changes
from app.cli.operator import user_name
from app.cli.tables import print_line
from app.features.installed import installed

if TYPE_CHECKING:
    from app.releases.following import Followed
    from app.releases.manifest import Release
    from app.releases.releases import Releases
    from app.releases.setting_back import Pinned
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Releases: immutable manifests that pin prompts, models, prices and indexes.")

Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also without eval results. Audited as an action of its own; an alert fires while it is live."),
]
ReleaseId = Annotated[str, typer.Argument(help="Release id: the name of its file in releases/, without .toml.")]
MOST_SHOWN = 20


@app.command("list")
def list_releases() -> None:
    """List all releases and mark the live one."""
    asyncio.run(_list())


@app.command("verify")
def verify(release_id: ReleaseId) -> None:
    """Check every pin of a release without activating it. Exit code 1 lists the pins that do not resolve."""
    from app import __version__
    from app.releases.effective import effect_of
    from app.releases.manifest import load as load_release
    from app.releases.recall import check_recall
    from app.rooms import places
    from app.settings import load

    release = load_release(release_id, places(load()))
    counted = f"{len(release.prompts)} prompts, {len(release.routes)} routes, {len(release.embeddings)} aliases of embeddings"
    print(f"{release.id} resolves: {counted}, prices {release.prices.version}. Code {release.code}, here {__version__}.")
    check_recall(release, places(load()))
    effect = effect_of(release.prices, places(load()).prices, datetime.now(UTC).date())
    if effect.state == "not_yet":
        print(f"It cannot be live yet: its prices take effect on {release.prices.effective}.")
    elif effect.state == "superseded":
        print(f"Its prices are superseded by {effect.newer}: calls would be counted at outdated prices.")
    asyncio.run(_show_lacking(release_id))


@app.command("hashes")
def hashes() -> None:
    """Print the hashes to pin: of every prompt version and every price table, and the products' indexes as they are now."""
    from app.releases.manifest import sha256_of
    from app.settings import load

    settings = load()
    for path in sorted(settings.prompts_dir.glob("*/prompts/*/*.toml")):
        print(f"{sha256_of(path)}  prompt {path.parts[-4]}/{path.parts[-2]} {path.stem}")
    for path in sorted((settings.releases_dir / "prices").glob("*.toml")):
        print(f"{sha256_of(path)}  prices/{path.name}")
    for index in (index for feature in installed() for index in feature.indexes):
        print(f"{index.version()}  index {index.name}")


@app.command("rehearsals")
def rehearsals() -> None:
    """List the last rehearsals, newest first: of the log that OCTANT_REHEARSALS_FILE names, and of this installation's own."""
    from app.releases.rehearsals import every, is_own

    settings, began = asyncio.run(_began())
    found = every(settings.rehearsals_file, settings.state_dir)
    for one in found[: -MOST_SHOWN - 1 : -1]:
        mark = "" if is_own(one, settings.secret, began) else f" ({one.recorded})"
        print_line(f"{one.at:%Y-%m-%d %H:%M %Z}  {one.what:<10} {'kept' if one.kept else 'NOT KEPT':<9} {one.note}{mark}")
    if not found:
        print(f"Never rehearsed: {settings.rehearsals_file} is empty or missing.")


@app.command("pin")
def pin(release_id: ReleaseId) -> None:
    """Fill a draft's hashes in, as the files are now. Refused for a release that was ever live: it is immutable."""
    asyncio.run(_pin(release_id))


@app.command("record")
def record() -> None:
    """Record the hashes of new manifests and price tables in releases/released.sha256; from then on they never change."""
    from app.releases.recorded import record as add
    from app.settings import load

    added = add(load().releases_dir, {index.version(): index.sources for feature in installed() for index in feature.indexes})
    for name in added:
        print(f"recorded {name}")
    if not added:
        print("Every manifest and price table is recorded.")


@app.command("activate")
@changes("release activate")
def activate(release_id: ReleaseId, reason: Reason, force: Force = False) -> None:
    """Make a release live on every worker.

    Refused whole, before anything changes, if a pin does not resolve or the release lacks eval results.
    """
    asyncio.run(_activate(release_id, reason, force=force))


@app.command("history")
def history(count: Annotated[int, typer.Option(help="How many lines.")] = 20) -> None:
    """Show each activation: release, time, operator and reason."""
    asyncio.run(_history(count))


@app.command("status")
def status() -> None:
    """Show what is live, since when and why, and what each worker serves. Exit code 1 if a worker serves another release."""
    asyncio.run(_status())


@changes("rollback")
def rollback(
    *,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="Release, or code, to go back to; the one before if left out.")] = None,
    prompt: Annotated[str | None, typer.Option(metavar="NAME", help="Set back this prompt alone.")] = None,
    model: Annotated[str | None, typer.Option(metavar="ALIAS", help="Set back this model alias (its route) alone.")] = None,
    index: Annotated[bool, typer.Option("--index", help="Set back the indexes alone.")] = False,
    prices: Annotated[bool, typer.Option("--prices", help="Set back the price table alone.")] = False,
    code: Annotated[bool, typer.Option("--code", help="Bring earlier code back, by the deploy target's own means.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Set back the whole release, which is the default.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Go back one further, soon after another rollback.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --to: also to a release that the eval gate refuses.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --code: print the commands instead.")] = False,
    plan_done: Annotated[
        bool, typer.Option("--plan-done", help="With --code: the plan of docs/irreversible.md is done.")
    ] = False,
) -> None:
    """Put the previous release, or one pin of an earlier release, live again on every worker, without a restart.

    A release that --to names and the eval gate refuses needs --force, as its activation does. Without --to nothing is refused.
    One pin alone makes a new release from the live one, with that pin as it was; `octant release history` shows both.
    """
    from app.domain.errors import InvalidRequest
    from app.releases.setting_back import Pinned

    chosen = [
        *([Pinned("prompt", prompt)] if prompt else []),
        *([Pinned("model", model)] if model else []),
        *([Pinned("index")] if index else []),
        *([Pinned("prices")] if prices else []),
    ]
    if len(chosen) + everything + code > 1:
        raise InvalidRequest("Set back one thing at a time, or the whole release with --all.")
    if force and (code or chosen):
        raise InvalidRequest("--force goes with a whole release: a pin, or code, goes back without eval results.")
    if code:
        from app.cli.code import roll_back_code

        roll_back_code(reason, to or "", dry_run=dry_run, plan_done=plan_done)
        return
    if dry_run or plan_done:
        raise InvalidRequest("--dry-run and --plan-done go with --code.")
    asyncio.run(_roll_back(reason, to, chosen[0] if chosen else None, again=again, force=force))


@asynccontextmanager
async def opened() -> "AsyncGenerator[Releases, None]":
    """The releases room on the settings' stores."""
    from app.cli.database import database
    from app.rooms import releases_of
    from app.stores import build_valkey

    async with database() as (engine, settings):
        valkey = build_valkey(settings)
        try:
            yield releases_of(settings, engine, valkey)
        finally:
            await valkey.aclose()


async def live_release(releases: "Releases") -> "Release | None":
    """The live release; its indexes may be on the workers alone. Raises Misconfigured where a pin does not resolve."""
    from app.releases.manifest import resolve
    from app.rooms import places
    from app.settings import load

    live = await releases.live_text()
    return resolve(live, places(load()), where="the live release", indexes_elsewhere=True) if live else None


async def _pin(release_id: str) -> None:
    from app.cli.database import database
    from app.domain.errors import InvalidRequest, NotFound
    from app.releases.history import ever_live
    from app.releases.pinning import pinned
    from app.releases.recorded import is_recorded
    from app.releases.texts import text_of
    from app.rooms import places
    from app.settings import load

    settings = load()
    path = places(settings).manifest_path(release_id)
    if not path.is_file():
        raise NotFound(f"No file {path}.")
    if is_recorded(settings.releases_dir, release_id):
        raise InvalidRequest(f"Release {release_id} is recorded as released: it is immutable. Give the change an id of its own.")
    if settings.database_url:  # an author without one has nothing live
        async with database() as (engine, _):
            if release_id in await ever_live(engine):
                raise InvalidRequest(f"Release {release_id} was live: it is immutable. Give the change an id of its own.")
    old = text_of(path)
    indexes = {index.name: index.version() for feature in installed() for index in feature.indexes}
    new = pinned(old, places(settings), indexes, where=str(path))
    path.write_text(new)
    changed = sum(a != b for a, b in zip(old.splitlines(), new.splitlines(), strict=True))
    print(f"{path}: {changed} pins changed. `octant release verify {release_id}` checks all of them.")


async def _began() -> "tuple[Settings, datetime | None]":
    """The settings, and when a release was first live here; without a database only its signature tells where a line was made."""
    from app.cli.database import database
    from app.domain.errors import Misconfigured
    from app.releases.history import first_live
    from app.settings import load

    try:
        async with database() as (engine, settings):
            return settings, await first_live(engine)
    except Misconfigured:
        return load(), None


async def _list() -> None:
    from app.settings import load

    async with opened() as releases:
        newest = await releases.history(limit=1)
    live = newest[0].release if newest else None
    for path in sorted(load().releases_dir.glob("*.toml")):
        print(f"{'live' if path.stem == live else '':5} {path.stem}")


async def _history(count: int) -> None:
    async with opened() as releases:
        for a in await releases.history(limit=count):
            print_line(
                f"{a.at:%Y-%m-%d %H:%M:%S} UTC  {a.kind:8}  {a.release:16} (before: {a.previous or 'nothing'})  "
                f"by {a.by}: {a.reason}"
            )


async def _status() -> None:
    async with opened() as releases:
        newest = await releases.history(limit=1)
        if not newest:
            print("No release is live. `octant release activate ID` makes one live.")
            raise typer.Exit(1)
        live = newest[0]
        print_line(f"{live.release} is live since {live.at:%Y-%m-%d %H:%M:%S} UTC ({live.kind} by {live.by}: {live.reason})")
        for lack in live.unproven or ():
            print(f"UNPROVEN  {lack}")
        behind = 0
        for report in await releases.reports():
            behind += report.release != live.release
            print(
                f"{'' if report.release == live.release else 'BEHIND':6} {report.worker} serves {report.release or 'nothing yet'}"
            )
            if report.refused:
                print_line(f"       It refuses {report.refused}: {report.reason}")
        if running := await releases.canary():
            from app.cli.canary import show_canary

            show_canary(*running)
        if shadow := await releases.shadow():
            from app.cli.shadow import show_shadow

            show_shadow(*shadow)
    if behind:
        raise typer.Exit(1)


async def _show_lacking(release_id: str) -> None:
    """Print the eval results that a release lacks; without stores, those in its file alone are known."""
    from app.releases.eval_gate import lacking, remedy
    from app.releases.eval_results import from_file
    from app.releases.manifest import load as load_release
    from app.releases.manifest import parse
    from app.rooms import places
    from app.settings import load

    settings = load()
    where = places(settings)
    if settings.database_url:
        async with opened() as releases:
            missing = list(await releases.lacking(release_id))
    else:
        release = load_release(release_id, where)
        found, wrong = from_file(where, release_id, release.sha256)
        missing = [*lacking(parse(release.text, release_id), found, simulated=where.simulated), *wrong]
    refused = f"The eval gate refuses it: it cannot be activated without --force. {remedy(release_id, missing)}"
    print(refused if missing else "It lacks no eval result.")
    for lack in missing:
        print(f"  {lack}")


async def _activate(release_id: str, reason: str, *, force: bool) -> None:
    started = time.monotonic()
    async with opened() as releases:
        for lack in await releases.activate(release_id, by=user_name(), reason=reason, force=force):
            print(f"UNPROVEN  {lack}")
        if took := await wait_for_workers(releases, release_id, started):
            add(took.noted)


async def _roll_back(reason: str, to: str | None, only: "Pinned | None", *, again: bool, force: bool) -> None:
    started = time.monotonic()
    async with opened() as releases:
        live = await releases.rollback(by=user_name(), reason=reason, to=to, only=only, again=again, force=force)
        try:
            if took := await wait_for_workers(releases, live, started):
                add(took.noted)
        finally:  # the last lines on the screen
            if not only and (found := await releases.refusal(live)).lacking:
                print(f"WARNING   {found.head}, and it is live now.")
                print("".join(f"UNPROVEN  {lack}\n" for lack in found.worst) + found.instead)


async def wait_for_workers(releases: "Releases", release_id: str, started: float) -> "Followed | None":
    """Say when every worker serves it, as they report themselves. Exit code 1 if one does not within the promised time.

    That time runs from here, where the release is live, however long making it so took; ``started`` is for the figure alone.
    """
    from app.releases import following

    print(f"{release_id} is live ({time.monotonic() - started:.1f} s).")
    reports = await following.until_followed(releases.reports, release_id)
    took = following.followed(reports, release_id, started)
    behind = [report for report in reports if report.release != release_id]
    if not reports:
        print("No worker reports: none is running. A worker that starts now starts with it.")
    elif not behind:
        each = "The worker serves" if len(reports) == 1 else f"All {len(reports)} workers serve"
        print(f"{each} it ({time.monotonic() - started:.1f} s).")
    else:
        print(f"{len(behind)} of {len(reports)} workers do not serve it after {following.WITHIN:g} s:")
        for report in behind:
            reason = report.reason if report.refused == release_id else "it has not looked yet, or Postgres is away for it"
            print_line(f"  {report.worker} serves {report.release}: {reason}")
        raise typer.Exit(1)
    return took
