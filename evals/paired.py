"""Two runs of the same cases: whether the second is worse (E5).

Tests are paired by case and one-sided, since a gate tests for worse only. Where each case ran once on both sides the test is
McNemar's, exact: of the cases that flipped, how likely are that many losses if a loss were as likely as a win. Where cases ran
several times, what flips is a share, and the signs of the differences are flipped instead (10,000 seeded draws).

Many tests at once find something in noise, so the chance of a false alarm is shared out: half of ALPHA for the whole suite,
half for the failure modes together, among which Holm's method (1979) keeps it. A run that changed nothing is therefore called
worse with a chance of at most ALPHA in all, overall and failure modes taken together. "Not shown worse" is not "as good".
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

ALPHA = 0.05
DRAWS = 10_000
RESAMPLES = 2_000
SEED = 8  # the same runs always get the same verdict

PairedVerdict = Literal["worse", "not shown worse", "better"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Shares of passed runs of one case, before and after.

    They are 0 or 1 where the case ran once.
    """

    before: float
    after: float

    @property
    def delta(self) -> float:
        """Above 0: better."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference of two runs over some cases.

    ``p_worse`` is one-sided and not yet adjusted; ``verdict`` is after adjusting.
    """

    cases: int
    before: float
    after: float
    interval: tuple[float, float]
    p_worse: float
    p_better: float
    verdict: PairedVerdict

    @property
    def delta(self) -> float:
        """Above 0: better."""
        return self.after - self.before


def compare(modes: Mapping[str, Sequence[Pair]], *, intervals: bool = True) -> tuple[Delta, dict[str, Delta]]:
    """Compare over all cases and by failure mode.

    ``intervals`` False leaves the bootstrap out, where only the verdict counts.
    """
    everything = [pair for pairs in modes.values() for pair in pairs]
    worse = {mode: p_worse(pairs) for mode, pairs in modes.items()}
    better = {mode: p_worse([Pair(p.after, p.before) for p in pairs]) for mode, pairs in modes.items()}
    worse_modes, better_modes = holm(worse, ALPHA / 2), holm(better, ALPHA / 2)
    deltas = {
        mode: _delta(pairs, worse[mode], better[mode], _verdict(mode in worse_modes, mode in better_modes), intervals)
        for mode, pairs in modes.items()
    }
    p, q = p_worse(everything), p_worse([Pair(pair.after, pair.before) for pair in everything])
    return _delta(everything, p, q, _verdict(p <= ALPHA / 2, q <= ALPHA / 2), intervals), deltas


def p_worse(pairs: Sequence[Pair]) -> float:
    """Chance of a loss at least as large if both runs were equally good; 1 where nothing flipped."""
    deltas = [pair.delta for pair in pairs if pair.delta]
    if not deltas:
        return 1.0
    if all(abs(delta) == 1 for delta in deltas):
        return mcnemar(losses=sum(delta < 0 for delta in deltas), wins=sum(delta > 0 for delta in deltas))
    return _sign_flips(deltas)


def mcnemar(*, losses: int, wins: int) -> float:
    """Chance of ``losses`` or more among all flips.

    One-sided exact test of McNemar (1947): a flip is as likely as its opposite.
    """
    flips = losses + wins
    return sum(comb(flips, k) for k in range(losses, flips + 1)) / float(2**flips)


def holm(p_values: Mapping[str, float], alpha: float) -> frozenset[str]:
    """Names of the significant results (Holm, 1979).

    The chance that any of them is by chance is at most ``alpha``.
    """
    found: set[str] = set()
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > alpha / (len(p_values) - rank):
            break
        found.add(name)
    return frozenset(found)


def bootstrap(pairs: Sequence[Pair]) -> tuple[float, float]:
    """95 % interval of the mean difference: percentiles over cases drawn anew (Efron, 1979)."""
    if not pairs:
        return (-1.0, 1.0)
    chance, deltas = random.Random(SEED), [pair.delta for pair in pairs]  # noqa: S311 - statistics, not security
    means = sorted(sum(chance.choices(deltas, k=len(deltas))) / len(deltas) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def _sign_flips(deltas: Sequence[float]) -> float:
    """One-sided permutation test; the observed arrangement counts as one draw, so the result is never 0."""
    chance, seen = random.Random(SEED), sum(deltas)  # noqa: S311 - statistics, not security
    draws = (sum(d if chance.getrandbits(1) else -d for d in deltas) for _ in range(DRAWS))
    return (1 + sum(total <= seen + 1e-9 for total in draws)) / (1 + DRAWS)


def _delta(pairs: Sequence[Pair], p: float, q: float, verdict: PairedVerdict, intervals: bool) -> Delta:  # noqa: FBT001 - passed on
    count = len(pairs)
    before, after = (sum(side) / count if count else 0.0 for side in ([x.before for x in pairs], [x.after for x in pairs]))
    return Delta(count, before, after, bootstrap(pairs) if intervals else (-1.0, 1.0), p, q, verdict)


def _verdict(worse: bool, better: bool) -> PairedVerdict:  # noqa: FBT001 - two verdicts into one
    return "worse" if worse else "better" if better else "not shown worse"
