"""The evidence for and against a canary, valid however often one looks. Pure.

A canary takes a ``share`` of the users, each assigned by a keyed hash. If the release makes no difference, the next user for whom
something goes wrong is a canary's user with that probability, whatever the rate of bad events, its drift over the day or a
provider's outage, which hit both releases alike. If the release makes a user's bad event ``ratio`` times as likely, the
probability is share * ratio / (share * ratio + 1 - share).

The likelihood ratio of the two, averaged over a few ratios, is an e-process: while the canary is no worse, it ever exceeds
1 / `ALPHA` in at most a share `ALPHA` of all canaries (Ville, 1939; Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics
and safe anytime-valid inference", Statistical Science 38, 2023). So every replica may read it after each event.

A user counts once a metric in a whole canary, at the first bad event. So the users are independent, a heavy user does not decide
alone, and the share may change between steps: users who have not counted yet are assigned as if anew. The state is two integers
a metric and step, so a reader of the records gets the same verdict a year later.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

WORSE = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # risk ratios that a stop looks for
TOLERATED = 2.0  # promotion needs evidence that the canary is less than this many times as bad
GOOD = (0.5, 1.0, 1.25)  # risk ratios that a promotion looks for
SKEWED = (0.5, 0.8, 1.25, 2.0)  # the ratios by which a split may be off

ALPHA = 0.01  # of good canaries are stopped, over all metrics together
BETA = 0.05  # of canaries that are `TOLERATED` times as bad are promoted, a metric
VOID = 0.001  # of right splits are called wrong

Verdict = Literal["stop", "promote", "undecided"]


@dataclass(frozen=True, slots=True)
class Count:
    """Users counted in one step: ``canary`` of ``users`` had the canary's release. ``share``: of all users, between 0 and 1."""

    canary: int
    users: int
    share: float

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot have been counted."""
        if not 0 < self.share < 1:
            raise ValueError("A canary's share lies between 0 and 1.")
        if not 0 <= self.canary <= self.users:
            raise ValueError("The canary's users are among all users.")


def of_canary(share: float, ratio: float) -> float:
    """The probability that a bad event is the canary's, if it makes bad events ``ratio`` times as likely."""
    return share * ratio / (share * ratio + 1 - share)


def worse(steps: Sequence[Count]) -> float:
    """The evidence that the canary is worse, as a factor: at most 1 in expectation while it is not."""
    return _mixture(steps, WORSE, against=1.0)


def tolerable(steps: Sequence[Count]) -> float:
    """The evidence that the canary is less than `TOLERATED` times as bad: at most 1 in expectation while it is that bad."""
    return _mixture(steps, GOOD, against=TOLERATED)


def skewed(steps: Sequence[Count]) -> float:
    """The evidence that the split is not the one that was wanted, from all users seen, good and bad (sample ratio mismatch)."""
    return _mixture(steps, SKEWED, against=1.0)


def log10_of(evidence: float) -> float:
    """For gauges: 2 is evidence of 100 to 1, 0 none, negative evidence for the opposite."""
    return math.log10(max(evidence, 1e-300))


def judge(metrics: Iterable[Sequence[Count]], *, alpha: float = ALPHA, beta: float = BETA) -> Verdict:
    """Judge a canary by the counts of all its metrics. A stop wins; a promotion needs every metric's evidence."""
    counted = list(metrics)
    if not counted:
        return "undecided"
    if any(worse(steps) >= len(counted) / alpha for steps in counted):
        return "stop"
    return "promote" if all(tolerable(steps) >= 1 / beta for steps in counted) else "undecided"


def is_void(seen: Sequence[Count]) -> bool:
    """Whether the split is wrong, so that no verdict counts. ``seen``: all users, each once a canary."""
    return skewed(seen) >= 1 / VOID


def _mixture(steps: Sequence[Count], ratios: Sequence[float], *, against: float) -> float:
    """The likelihood ratio of each of ``ratios`` to ``against``, multiplied over the steps, then averaged over the ratios."""
    logs = [sum(_log_ratio(step, ratio, against) for step in steps) for ratio in ratios]
    largest = max(logs)
    log = largest + math.log(sum(math.exp(each - largest) for each in logs) / len(logs))
    return math.exp(min(log, 700.0))  # e^709 is the largest float


def _log_ratio(step: Count, ratio: float, against: float) -> float:
    wanted, null = of_canary(step.share, ratio), of_canary(step.share, against)
    others = step.users - step.canary
    return step.canary * math.log(wanted / null) + others * math.log((1 - wanted) / (1 - null))
