"""`make bench`: CPU a request, requests a second, added latency, streams, start and memory of one worker, everything on.

The bare forward is in every round. ``--tracing`` adds the service with its traces sent in several ways; ``--price`` the service
without each of its parts in turn; ``--soak`` sends many requests and samples memory. Raw results go to `.octant/bench/`.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.speed import contestants, price, processes, soak
from benchmarks.speed.measure import Direct, Plan, Round, direct, measure
from benchmarks.speed.processes import Contestant, Server, running
from benchmarks.speed.report import about, added, keep, results, table

TRACING = {
    "  10 % of traces sent": {"OCTANT_OTLP_SAMPLE": "0.1"},
    "  all traces sent": {"OCTANT_OTLP_SAMPLE": "1"},
    "  all, with content": {"OCTANT_OTLP_SAMPLE": "1", "OCTANT_OTLP_CONTENT": "true"},
}
FOLDER = Path(".octant/bench")


def main() -> int:
    """Run and print. Exit code 1 if the ratio passes ``--at-most``."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are stopped then too
    if processes.PINNED:
        os.sched_setaffinity(0, processes.ELSEWHERE)
    else:
        print("Processes cannot be pinned to a core on this system: the figures are rougher than the ratios suggest.")
    plan = Plan(seconds=options.seconds)
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.upstream())
        ground = stack.enter_context(contestants.ground(upstream))
        if options.price:
            whole, saved = price.prices(ground, plan, options.rounds)
            file = keep({**about(plan), "whole": whole, "saved": saved}, FOLDER, "price")
            print(f"{price.table(whole, saved)}\n\n{file} has all figures.")
            return 0
        if options.soak:
            with running(ground.octant(), plan.body()) as server:
                samples = soak.soak(server, plan, options.soak)
            print(soak.table(samples))
            return 0 if soak.flat(samples) else 1
        chosen = [contestants.forward(upstream), ground.octant()]
        if options.beside:
            chosen.append(ground.beside(options.beside))
        if options.tracing:
            collector = {"OCTANT_OTLP_ENDPOINT": stack.enter_context(processes.upstream())}
            chosen += [ground.octant(name, settings={**way, **collector}) for name, way in TRACING.items()]
        found = measured(chosen, upstream, plan, options.rounds, options.starts)
    file = keep(found, FOLDER)
    print(f"\n{table(found)}\n\nMedians (and ranges) of {options.rounds} rounds; {file} has all figures.")
    ratio = added(found, contestants.OCTANT, "cpu")[0] / added(found, contestants.REFERENCE, "cpu")[0]
    print(f"CPU per request, {contestants.OCTANT} to {contestants.REFERENCE}: {ratio:.2f} to 1.")
    if options.at_most is not None and ratio > options.at_most:
        print(f"That is more than {options.at_most:g} to 1.")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each part of a round")
    parser.add_argument("--starts", type=int, default=3, help="cold starts of each server")
    parser.add_argument("--beside", type=Path, help="measure the service of another checkout in the same rounds")
    parser.add_argument("--tracing", action="store_true", help="measure what sending traces costs")
    parser.add_argument("--price", action="store_true", help="measure what each part costs, by switching it off")
    parser.add_argument("--soak", type=int, help="send this many requests; fail if memory or open files grow")
    parser.add_argument("--at-most", type=float, help="fail above this ratio of CPU a request to the bare forward")
    return parser.parse_args()


def measured(chosen: Sequence[Contestant], upstream: str, plan: Plan, rounds: int, starts: int) -> dict[str, object]:
    """Start every contestant ``starts`` times, then measure them in turn, ``rounds`` times."""
    ready: dict[str, list[float]] = {}
    found: dict[str, list[Round]] = {contestant.name: [] for contestant in chosen}
    own: list[Direct] = []
    for contestant in chosen:
        for _ in range(starts - 1):
            with running(contestant, plan.body()) as server:
                ready.setdefault(contestant.name, []).append(server.ready)
    with ExitStack() as stack:
        servers: list[Server] = []
        for contestant in chosen:
            servers.append(stack.enter_context(running(contestant, plan.body())))
            ready.setdefault(contestant.name, []).append(servers[-1].ready)
        for _ in range(rounds):
            own.append(direct(upstream + "/chat/completions", plan))
            for server in servers:
                found[server.name].append(measure(server, plan))
    return results(plan, found, ready, own)


if __name__ == "__main__":
    sys.exit(main())
