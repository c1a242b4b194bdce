"""`make bench`: CPU a request, requests a second, added latency, streams, start and memory of one worker, everything on.

The bare forward is in every round. ``--tracing`` adds the service with its traces sent in several ways, ``--peers`` the gateways
of others that are installed. Instead of that, ``--price`` measures the service without each of its parts in turn, ``--scale``
more workers and replicas, and ``--soak`` the memory over many requests. Raw results go to `.octant/bench/`.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.speed import contestants, peers, price, processes, scale, soak
from benchmarks.speed.contestants import Ground
from benchmarks.speed.measure import Direct, Plan, Round, direct, measure
from benchmarks.speed.processes import Contestant, Server, running
from benchmarks.speed.report import about, keep, over, ratios, results, table

TRACING = {
    "  10 % of traces sent": {"OCTANT_OTLP_SAMPLE": "0.1"},
    "  all traces sent": {"OCTANT_OTLP_SAMPLE": "1"},
    "  all, with content": {"OCTANT_OTLP_SAMPLE": "1", "OCTANT_OTLP_CONTENT": "true"},
}
FOLDER = Path(".octant/bench")


def main() -> int:
    """Run and print. Exit code 1 if a limit of the chosen measurement does not hold."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are stopped then too
    if not processes.PINNED:
        print("Processes cannot be pinned to a core on this system: the figures are rougher than the ratios suggest.")
    elif not options.scale:  # there, load and stores use whatever core the services leave
        os.sched_setaffinity(0, processes.ELSEWHERE)
    plan = Plan(seconds=options.seconds)
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.upstream())
        ground = stack.enter_context(contestants.ground(upstream))
        if options.price:
            return _price(ground, plan, options.rounds)
        if options.scale:
            return _scale(ground, plan)
        if options.soak:
            return _soak(ground, plan, options.soak)
        found = measured(_chosen(options, ground, upstream, stack), upstream, plan, options.rounds, options.starts)
    file = keep(found, FOLDER)
    print(f"\n{table(found)}\n\nMedians (and ranges) of {options.rounds} rounds; {file} has all figures.")
    each = ratios(found, "cpu", contestants.OCTANT, contestants.REFERENCE)
    print(
        f"CPU per request, {contestants.OCTANT} to {contestants.REFERENCE}: {', '.join(f'{ratio:.2f}' for ratio in each)} to 1."
    )
    wanted = {
        "cpu": options.at_most,
        "known": options.known_at_most,
        "event": options.event_at_most,
        "ready": options.ready_at_most,
    }
    limits = {figure: most for figure, most in wanted.items() if most is not None}
    broken = over(found, limits, contestants.OCTANT, contestants.REFERENCE)
    print("".join(f"FAILED: {sentence}\n" for sentence in broken), end="")
    return 1 if broken else 0


def _chosen(options: argparse.Namespace, ground: Ground, upstream: str, stack: ExitStack) -> list[Contestant]:
    """The bare forward, the service, and what the options add."""
    chosen = [contestants.forward(upstream), ground.octant()]
    if options.beside:
        chosen.append(ground.beside(options.beside))
    if options.peers:
        others, missing = peers.installed(upstream, Path(stack.enter_context(TemporaryDirectory(prefix="octant-peers-"))))
        chosen += others
        for peer in missing:
            print(f"{peer.name} is not installed, and not measured. To install it: {peer.install}")
    if options.tracing:
        collector = {"OCTANT_OTLP_ENDPOINT": stack.enter_context(processes.upstream())}
        chosen += [ground.octant(name, settings={**way, **collector}) for name, way in TRACING.items()]
    return chosen


def _price(ground: Ground, plan: Plan, rounds: int) -> int:
    whole, saved = price.prices(ground, plan, rounds)
    file = keep({**about(plan), "whole": whole, "saved": saved}, FOLDER, "price")
    print(f"{price.table(whole, saved)}\n\n{file} has all figures.")
    return 0


def _scale(ground: Ground, plan: Plan) -> int:
    shapes, capped = scale.measured(ground, plan)
    file = keep({**about(plan), "shapes": [asdict(one) for one in shapes], "capped": asdict(capped)}, FOLDER, "scale")
    print(f"{scale.table(shapes, capped)}\n\n{file} has all figures.")
    wrong = scale.problems(shapes, capped)
    for problem in wrong:
        print(f"FAILED: {problem}")
    return 1 if wrong else 0


def _soak(ground: Ground, plan: Plan, requests: int) -> int:
    with running(ground.octant(), plan.body()) as server:
        samples = soak.soak(server, plan, requests)
    print(soak.table(samples))
    return 0 if soak.flat(samples) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each part of a round")
    parser.add_argument("--starts", type=int, default=3, help="cold starts of each server")
    parser.add_argument("--beside", type=Path, help="measure the service of another checkout in the same rounds")
    parser.add_argument("--tracing", action="store_true", help="measure what sending traces costs")
    parser.add_argument(
        "--peers", action="store_true", help="measure the gateways of others that are installed, in the same rounds"
    )
    parser.add_argument("--price", action="store_true", help="measure what each part costs, by switching it off")
    parser.add_argument("--scale", action="store_true", help="measure more workers, and two replicas behind HAProxy with one cap")
    parser.add_argument("--soak", type=int, help="send this many requests; fail if memory or open files grow")
    for name, what in (
        ("--at-most", "CPU a request"),
        ("--known-at-most", "CPU a request with a known text"),
        ("--event-at-most", "CPU a streamed event"),
        ("--ready-at-most", "time to start"),
    ):
        parser.add_argument(
            name, type=float, help=f"fail where {what} is more than this many times the bare forward's, each time"
        )
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
