"""Shares and how sure they are (E5)."""

from dataclasses import dataclass
from math import sqrt

Z95 = 1.959964  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval (Wilson, 1927), which holds for few cases and for shares near 0 and 1."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        """Passed of total; none of none is none."""
        return self.passed / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the share."""
        if not self.total:
            return (0.0, 1.0)
        n, p, z = self.total, self.share, Z95
        middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n)))


def percentile(values: list[float], share: float) -> float:
    """The value that at least ``share`` of all values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
