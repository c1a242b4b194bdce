"""`octant index …`: the retrieval indexes that releases pin."""

import typer

from app.features.installed import installed

app = typer.Typer(no_args_is_help=True, help="Retrieval indexes.")


@app.callback()
def _group() -> None:
    """Retrieval indexes."""


@app.command("build")
def build() -> None:
    """Build the products' indexes unless they are there. Prints the versions to pin; the rest goes to stderr."""
    from app.settings import load

    indexes = [index for feature in installed() for index in feature.indexes]
    if not indexes:
        typer.echo("Nothing to do: no installed product has an index.", err=True)
    for index in indexes:
        built = index.build(load().index_dir)
        print(built.version)
        typer.echo(f"{built.content}, {'built' if built.fresh else 'already there'}: {built.path}", err=True)
