"""`octant index …`: the retrieval indexes that releases pin."""

import typer

app = typer.Typer(no_args_is_help=True, help="Retrieval indexes.")


@app.callback()
def _group() -> None:
    """Retrieval indexes."""


@app.command("build")
def build() -> None:
    """Build the index of the help articles unless it is there. Prints the version to pin; the rest goes to stderr."""
    from app.features.support import indexing
    from app.settings import load

    built = indexing.build(load().index_dir)
    print(built.version)
    typer.echo(f"{built.articles} articles, {'built' if built.fresh else 'already there'}: {built.path}", err=True)
