"""Shares and how sure they are (E5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from app.releases.eval_gate import interval


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of cases with its 95 % interval (Wilson, 1927).

    The interval holds for few cases and for shares near 0 and 1.

    A case that ran several times counts as the share of its runs that passed: its runs are not independent, the cases are.
    """

    passed: float
    total: int

    @property
    def share(self) -> float:
        """Passed of total; none of none is none."""
        return self.passed / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the share."""
        return interval(self.passed, self.total)


def percentile(values: list[float], share: float) -> float:
    """The value that at least ``share`` of all values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def pass_at(k: int, trials: Sequence[tuple[int, int]]) -> float:
    """Chance that at least one of k tries of a case passes.

    Mean over cases, unbiased (Chen et al., 2021).

    ``trials``: passed and total of each case, total at least k.
    """
    return _mean([1 - comb(total - passed, k) / comb(total, k) for passed, total in trials])


def pass_all(k: int, trials: Sequence[tuple[int, int]]) -> float:
    """Chance that all of k tries of a case pass.

    "pass^k" (Yao et al., 2024): a customer with k questions relies on it.
    """
    return _mean([comb(passed, k) / comb(total, k) for passed, total in trials])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
