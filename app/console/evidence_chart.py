"""The evidence of a canary as a drawing: up is towards a promotion, down towards a rollback. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.releases.evidence_line import Point

WIDTH, HALF = 720, 80  # of the drawing: the middle is no evidence, either edge a verdict


@dataclass(frozen=True, slots=True)
class Drawn:
    """``promote`` and ``stop``: points of a line; ``times`` of the beginning, the middle and the end."""

    promote: str
    stop: str
    times: tuple[datetime, datetime, datetime]
    last: Point
    points: Sequence[Point]


def drawn(points: Sequence[Point]) -> Drawn:
    """Draw a line. Steps, not slopes: between two counted users nothing was known."""
    first, last = points[0].at, points[-1].at
    whole = max(1e-9, (last - first).total_seconds())

    def line(shares: Sequence[float], sign: int) -> str:
        corners: list[str] = []
        y: float = HALF
        for point, share in zip(points, shares, strict=True):
            x = (point.at - first).total_seconds() / whole * WIDTH
            corners.append(f"{x:.1f},{y:.1f}")
            y = HALF - sign * share * HALF
            corners.append(f"{x:.1f},{y:.1f}")
        return " ".join(corners)

    return Drawn(
        line([p.promote for p in points], 1), line([p.stop for p in points], -1), (first, first + (last - first) / 2, last),
        points[-1], points,
    )  # fmt: skip
