"""`octant index …`: the retrieval indexes that releases pin."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.amounts import MOST_DAYS
from app.cli.audited import changes, unchanged
from app.features.installed import installed

if TYPE_CHECKING:
    from pathlib import Path

    from app.features.feature import Feature, Index

app = typer.Typer(no_args_is_help=True, help="Retrieval indexes.")

Version = Annotated[str, typer.Option(metavar="VERSION", help="A released version; by default the content as it is now.")]


@app.callback()
def _group() -> None:
    """Retrieval indexes."""


@app.command("build")
def build(version: Version = "") -> None:
    """Build the products' indexes unless they are there, or one released version again from its sources.

    Prints the versions to pin; the rest goes to stderr. The live index is another file and stays as it is.
    """
    from app.settings import load

    indexes = [index for feature in installed() for index in feature.indexes]
    if not indexes:
        typer.echo("Nothing to do: no installed product has an index.", err=True)
    for index in indexes:
        if version and not version.startswith(f"{index.name}-"):
            continue
        built = index.build(load().index_dir, _sources_of(version) if version else None)
        print(built.version)
        typer.echo(f"{built.content}, {'built' if built.fresh else 'already there'}: {built.path}", err=True)


@app.command("check")
def check(version: Version = "") -> None:
    """Search an index for the suite's labelled queries. Exit code 1: it finds less than a release may pin."""
    from app.settings import load

    problems: list[str] = []
    for feature, index in ((product, found) for product in installed() for found in product.indexes if found.search):
        if not version or version.startswith(f"{index.name}-"):
            problems += _checked(feature, index, _file_of(index, version, load().index_dir))
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)


@app.command("collect")
@changes("index collect")
def collect(
    keep: Annotated[int, typer.Option(min=1, help="How many of each index stay, whatever pins them.")] = 5,
    days: Annotated[
        int, typer.Option(min=1, max=MOST_DAYS, help="Indexes of releases that were live in so many days stay.")
    ] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
) -> None:
    """Delete indexes that no release needs, on this machine and in Postgres. Run it on each machine that serves."""
    asyncio.run(_collect(keep, days, dry_run=dry_run))


async def _collect(keep: int, days: int, *, dry_run: bool) -> None:
    from app.cli.database import database
    from app.releases import collecting
    from app.rooms import places

    names = [index.name for feature in installed() for index in feature.indexes]
    async with database() as (engine, settings):
        since = datetime.now(UTC) - timedelta(days=days)
        found = await collecting.old(engine, places(settings), names, keep=keep, since=since)
        if dry_run or not found:
            unchanged()
        else:
            await collecting.remove(engine, found)
    for one in found:
        where = " and ".join([*(["this machine"] if one.file else []), *(["Postgres"] if one.kept else [])])
        print(f"{'would delete' if dry_run else 'deleted'} {one.version} of {one.at:%Y-%m-%d} ({where})")
    if not found:
        print(f"Nothing to collect: every index is one of the newest {keep}, or pinned by a release of the last {days} days.")


def _checked(feature: "Feature", index: "Index", path: "Path") -> list[str]:
    """Print what an index finds. Returns what it does not find enough of."""
    from app.features import recall

    queries = recall.queries_of(feature).get(index.name)
    if queries and index.search:
        for first, share in recall.measure(queries, partial(index.search, path)).items():
            print(f"{path.stem}: {share:.1%} of {len(queries.queries)} labelled queries among the first {first}")
    return [f"{path.stem} {problem}" for problem in recall.problems(feature, index, path)]


def _sources_of(version: str) -> str:
    """The sources of a released index. Raises NotFound."""
    from app.domain.errors import NotFound
    from app.releases.recorded import sources_path
    from app.settings import load

    path = sources_path(load().releases_dir, version)
    if not path.is_file():
        raise NotFound(f"No sources of {version}: there is no {path}.")
    return path.read_text(encoding="utf-8")


def _file_of(index: "Index", version: str, directory: "Path") -> "Path":
    """The file of a version, or of the content as it is now, built if it is not there. Raises NotFound."""
    from app.domain.errors import NotFound

    if not version:
        return index.build(directory).path
    path = directory / f"{version}.sqlite"
    if not path.is_file():
        raise NotFound(f"No file {path}: `octant index build --version {version}` makes it again from released sources.")
    return path
