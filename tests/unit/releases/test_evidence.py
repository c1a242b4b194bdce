"""The canary's statistics: how often a good release is stopped, how soon a bad one, how often a bad one is promoted (B4a).

The simulated users are dealt by the real hash, the share grows in steps, the rate of bad events drifts, and every event judges.
"""

import math
import random
import statistics
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.releases.evidence import ALPHA, BETA, TOLERATED, Count, is_void, judge, skewed, tolerable, worse
from app.releases.split import has_canary, position

KEY = b"tests"
STEPS = ((0.01, 500), (0.1, 4_000), (0.5, 1_000))  # share, and users seen until the next step
METRICS = 3


class Canary:
    """One simulated canary. Counts are kept as the service keeps them: two integers a metric and step, a user once a metric."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.name = f"canary-{number}"
        self.rng = rng
        self.metrics: list[list[Count]] = [[] for _ in range(METRICS)]
        self.counted: list[set[int]] = [set() for _ in range(METRICS)]

    def run(self, *, rate: float, ratio: float, steps: tuple[tuple[float, int], ...] = STEPS) -> Iterator[tuple[str, int]]:
        """The verdict after each bad event, and the users that the canary had by then."""
        exposed = 0
        for share, users in steps:
            for metric in self.metrics:
                metric.append(Count(0, 0, share))
            for number in range(users):
                has = has_canary(KEY, self.name, "acme", str(number), share)  # each step meets the same users again
                exposed += has
                drifted = rate * (1 + math.sin(number / 50))  # the same for both: a provider's bad hour
                for metric, counted in zip(self.metrics, self.counted, strict=True):
                    if number not in counted and self.rng.random() < min(1.0, drifted * (ratio if has else 1.0)):
                        counted.add(number)
                        before = metric[-1]
                        metric[-1] = Count(before.canary + has, before.users + 1, share)
                        yield judge(self.metrics), exposed


def most(trials: int, probability: float) -> float:
    """The count that is exceeded with a probability of less than one in ten thousand."""
    return trials * probability + 3.72 * math.sqrt(trials * probability * (1 - probability))


def test_of_two_thousand_good_canaries_no_more_are_stopped_than_promised() -> None:
    """The promise holds for all metrics together, judged after each event, over two steps."""
    rng = random.Random(7)  # noqa: S311 - a simulation
    stopped = sum(
        any(verdict == "stop" for verdict, _ in Canary(number, rng).run(rate=0.02, ratio=1.0, steps=((0.1, 400), (0.5, 200))))
        for number in range(2_000)
    )
    assert stopped <= most(2_000, ALPHA)


@pytest.mark.parametrize(("ratio", "soonest", "latest"), [(50.0, 1, 4), (5.0, 15, 150)])
def test_a_broken_release_is_stopped_after_few_users(ratio: float, soonest: int, latest: int) -> None:
    rng = random.Random(8)  # noqa: S311
    exposed = []
    for number in range(60):
        run = Canary(number, rng).run(rate=0.02, ratio=ratio, steps=((0.1, 20_000),))
        exposed.append(next(users for verdict, users in run if verdict == "stop"))
    assert soonest <= statistics.median(exposed) <= latest


def test_a_release_that_is_twice_as_bad_is_rarely_promoted_and_a_good_one_is() -> None:
    rng = random.Random(9)  # noqa: S311
    steps = ((0.5, 6_000),)

    def promoted(ratio: float, runs: int) -> int:
        first = (
            next((v for v, _ in Canary(n, rng).run(rate=0.05, ratio=ratio, steps=steps) if v != "undecided"), "")
            for n in range(runs)
        )
        return sum(verdict == "promote" for verdict in first)

    assert promoted(TOLERATED, 60) <= most(60, BETA)
    assert promoted(1.0, 20) == 20


def test_few_events_never_promote_and_never_stop() -> None:
    assert judge([]) == "undecided"
    assert judge([[Count(0, 0, 0.1)]]) == "undecided"
    assert judge([[Count(1, 1, 0.1)], [Count(0, 5, 0.1)]]) == "undecided"


def test_one_metric_without_evidence_holds_a_promotion_back() -> None:
    well = [Count(100, 1_000, 0.1)]
    assert judge([well, well]) == "promote"
    assert judge([well, [Count(0, 0, 0.1)]]) == "undecided"


def test_a_wrong_split_voids_and_a_right_one_does_not() -> None:
    rng = random.Random(10)  # noqa: S311
    dealt = sum(has_canary(KEY, "split", "acme", str(user), 0.1) for user in range(20_000))
    assert not is_void([Count(dealt, 20_000, 0.1)])
    assert is_void([Count(sum(rng.random() < 0.08 for _ in range(20_000)), 20_000, 0.1)])


def test_positions_are_even_and_a_growing_share_keeps_its_users() -> None:
    places = [position(KEY, "c", "acme", str(user)) for user in range(10_000)]
    tenths = [sum(int(place * 10) == tenth for place in places) for tenth in range(10)]
    assert (
        sum((count - 1_000) ** 2 / 1_000 for count in tenths) < 33.7
    )  # chi-squared, nine degrees of freedom: one in ten thousand
    assert all(has_canary(KEY, "c", "acme", str(u), 0.5) for u in range(10_000) if has_canary(KEY, "c", "acme", str(u), 0.1))
    assert position(KEY, "c", "a", "b\0c") != position(KEY, "c", "a\0b", "c") or position(b"x", "c", "a", "b") != position(
        b"y", "c", "a", "b"
    )


counts = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.001, 0.999)).map(
    lambda drawn: Count(drawn[0], drawn[0] + drawn[1], drawn[2])
)


@given(st.lists(counts, max_size=4))
def test_evidence_is_a_finite_factor_and_grows_with_the_canarys_bad_events(steps: list[Count]) -> None:
    for evidence in (worse(steps), tolerable(steps), skewed(steps)):
        assert 0 <= evidence < math.inf
    if steps:
        more = [*steps[:-1], Count(steps[-1].canary + 1, steps[-1].users + 1, steps[-1].share)]
        assert worse(more) >= worse(steps)
        assert tolerable(more) <= tolerable(steps)


@pytest.mark.parametrize(("canary", "users", "share"), [(2, 1, 0.1), (-1, 1, 0.1), (0, 0, 0.0), (0, 0, 1.0)])
def test_counts_that_cannot_be_are_refused(canary: int, users: int, share: float) -> None:
    with pytest.raises(ValueError, match="canary"):
        Count(canary, users, share)
