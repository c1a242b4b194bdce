"""`make bench ARGS="--soak 100000"`: many requests to one worker, and whether its memory and its open files stay flat."""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.speed import load
from benchmarks.speed.measure import Plan
from benchmarks.speed.processes import Server

SAMPLES, FEWEST = 20, 10  # to be taken; with fewer there are hardly any settled ones to compare with
SETTLED = 0.6  # of the samples: caches are full by then, and what grows steadily shows in the rest
ALLOWED = 1.03  # times the largest of these
MOST_MB = 200.0  # of a worker alone


@dataclass(frozen=True, slots=True)
class Sample:
    """After so many requests: memory of the process tree and of its worker alone, in MB, and open files."""

    requests: int
    memory: float
    worker: float
    files: int


def soak(server: Server, plan: Plan, requests: int) -> list[Sample]:
    """Send ``requests``, as many at once as the plan says, and sample ``SAMPLES`` times.

    Raises SystemExit if the server dies.
    """
    found, sent, each = list[Sample](), 0, 2
    while sent < requests:
        done = load.saturate(server.url, plan.body(), server.headers, connections=plan.connections, seconds=each)
        sent += done.requests
        try:
            found.append(Sample(sent, server.memory(), server.largest(), server.files()))
        except psutil.NoSuchProcess:
            done = load.Saturated(0, 0.0)
        if not done.requests or not done.seconds:
            raise SystemExit(f"The server answers no more, after {sent:,} requests.")
        each = max(1, round(requests / SAMPLES / (done.requests / done.seconds)))  # `wrk` takes whole seconds
    return found


def flat(samples: Sequence[Sample]) -> bool:
    """Whether the last samples need no more than those of the first part, and no worker more than ``MOST_MB``.

    Fewer than ``FEWEST`` samples show nothing. Of open files the smaller of the last two counts: a sample may catch the load's
    connections before they are closed, and a leak is in both.
    """
    if len(samples) < FEWEST or max(sample.worker for sample in samples) > MOST_MB:
        return False
    settled, last = samples[: int(len(samples) * SETTLED)], samples[-2:]
    if min(sample.files for sample in last) > ALLOWED * max(sample.files for sample in settled):
        return False
    memory = [[sample.memory for sample in part] for part in (last, settled)]
    worker = [[sample.worker for sample in part] for part in (last, settled)]
    return all(max(now) <= ALLOWED * max(before) for now, before in (memory, worker))


def table(samples: Sequence[Sample]) -> str:
    """The samples as lines of a table."""
    lines = ["| requests | memory MB | worker alone MB | open files |", "| --: | --: | --: | --: |"]
    few = [] if len(samples) >= FEWEST else [f"Only {len(samples)} samples: send more requests."]
    return "\n".join(
        [*lines, *(f"| {one.requests:,} | {one.memory:.0f} | {one.worker:.0f} | {one.files} |" for one in samples), *few]
    )
