"""`octant index …`: the retrieval index of the support example."""

import typer

app = typer.Typer(no_args_is_help=True, help="Retrieval indexes.")


@app.callback()
def _group() -> None:
    """Retrieval indexes."""


@app.command("build")
def build() -> None:
    """Build the index of the help articles, unless it is there, and print the version to pin."""
    from app.features.support import indexing
    from app.settings import load

    print(indexing.build(load().index_dir))
