"""`octant capacity`: what a load needs, from measured costs. Connects to nothing."""

from typing import Annotated

import typer

from app.cli.amounts import MOST_DAYS, number


def capacity(
    rps: Annotated[float, typer.Option(help="Calls a second at peak.", min=0.001, max=1e9, callback=number)],
    events: Annotated[
        float, typer.Option(help="Streamed events of a call; 0 for whole answers.", min=0, max=1e6, callback=number)
    ] = 0.0,
    busy: Annotated[float, typer.Option(help="The share of a core that may be used.", min=0.05, max=0.9, callback=number)] = 0.5,
    average: Annotated[
        float, typer.Option(help="The average load of a month, as a share of the peak.", min=0.01, max=1, callback=number)
    ] = 0.4,
    workers: Annotated[int, typer.Option(help="Workers of a replica.", min=1, max=1024)] = 2,
    keep_days: Annotated[int, typer.Option(help="Days that records are kept.", min=1, max=MOST_DAYS)] = 30,
) -> None:
    """Show replicas, connections, Valkey's and Postgres' share for a load, and what is full first."""
    from app.stack.capacity import Load, lines, needed

    load = Load(rps=rps, events=events, busy=busy, average=average, workers=workers, keep_days=keep_days)
    for line in lines(load, needed(load)):
        typer.echo(line)
