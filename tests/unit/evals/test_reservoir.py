"""The sample of a stream is fair."""

import random

from evals.online.reservoir import Reservoir

# Chi-square, 99.9 % quantile of 99 degrees of freedom.
MOST = 148.2


def test_every_one_of_a_stream_has_the_same_chance() -> None:
    chance, runs, size, stream = random.Random(5), 4_000, 10, 100  # noqa: S311 - a simulation
    counts = [0] * stream
    for _ in range(runs):
        reservoir: Reservoir[int] = Reservoir(size, chance)
        for item in range(stream):
            reservoir.offer(item)
        assert len(set(reservoir.held)) == size
        assert reservoir.passed_over == stream - size
        for item in reservoir.held:
            counts[item] += 1
    expected = runs * size / stream
    # each run draws without replacement, which shrinks the statistic by (n - k) / (n - 1)
    statistic = sum((count - expected) ** 2 / expected for count in counts) * (stream - 1) / (stream - size)
    assert statistic < MOST


def test_a_stream_that_fits_is_held_whole() -> None:
    reservoir: Reservoir[int] = Reservoir(5, random.Random(1))  # noqa: S311 - a simulation
    for item in range(3):
        reservoir.offer(item)
    assert (reservoir.held, reservoir.passed_over) == ([0, 1, 2], 0)
