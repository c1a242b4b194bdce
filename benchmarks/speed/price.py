"""The price of each part of a production service, by switching it off: `make bench ARGS=--price`.

Each part is measured beside the whole service in the same rounds, on the same stores. The price is the difference in CPU a
request. Prices do not add up: a redacted record costs less where records are off.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.speed import load
from benchmarks.speed.contestants import Ground
from benchmarks.speed.measure import Plan, saturated, spread
from benchmarks.speed.processes import running
from benchmarks.speed.reduced import EVERYTHING, PARTS

Prices = dict[str, list[float]]


def prices(ground: Ground, plan: Plan, rounds: int, parts: Sequence[str] = (*PARTS, EVERYTHING)) -> tuple[list[float], Prices]:
    """µs of CPU a request of the whole service, and the saving without each part, of each round."""
    whole: list[float] = []
    saved: Prices = {part: [] for part in parts}
    body = plan.body()
    for part in parts:
        with ExitStack() as stack:
            full, less = (
                stack.enter_context(running(contestant, body)) for contestant in (ground.octant(), ground.reduced(part))
            )
            for server in (full, less):
                load.saturate(server.url, body, server.headers, connections=plan.connections, seconds=1)  # warms up
            for _ in range(rounds):
                costs = [saturated(server, plan)[1] for server in (full, less)]
                whole.append(costs[0])
                saved[part].append(costs[0] - costs[1])
    return whole, saved


def table(whole: Sequence[float], saved: Prices) -> str:
    """The prices as a Markdown table, the dearest first."""
    full, least, most = spread(whole)
    rows = [f"| everything on | {full:,.0f} ({least:,.0f} to {most:,.0f}) | |"]
    for part, values in sorted(saved.items(), key=lambda item: -spread(item[1])[0]):
        price, least, most = spread(values)
        rows.append(f"| {part.replace('-', ' ')} | {price:,.0f} ({least:,.0f} to {most:,.0f}) | {price / full:.0%} |")
    return "\n".join(["| part | CPU µs a request | share |", "| --- | --: | --: |", *rows])
