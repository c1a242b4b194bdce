"""Whether the share of answers that fail has risen: Page-Hinkley (E. S. Page, "Continuous Inspection Schemes", Biometrika, 1954).

The deviations of each score from the mean so far are added up, less what is tolerated; the test says yes when the sum stands
`LIMIT` above the least that it ever was. It finds a change, not a level: an answer quality that was always bad is the objective's
business (`deploy/slo/slos.toml`). After a finding it begins anew, so a level that stays is found once.

Chosen by simulation, 300 runs of 5,000 scores at each share of failures, some of them again in `tests/unit/evals/test_drift.py`:
no false alarm at 2, 5 and 10 %; in 2 % of the runs at 20 %, in 8 % at 40 %. A rise by 20 points is found after some 100 scores in
the median, one by 40 points after some 35. A rise of less than `TOLERATED` is never sure to be found.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.audit.quality import DRIFT_FIRST, DRIFT_LIMIT, DRIFT_SHOWN

TOLERATED = 0.1  # rise of the share of failures that is no drift: a score that wavers with what users ask is not worse
LIMIT = DRIFT_LIMIT  # failures beyond what is tolerated, about
FIRST = DRIFT_FIRST  # scores until it may say anything: before, the mean is chance
SHOWN = DRIFT_SHOWN  # a finding stays in the metric that long, so that a ticket outlives the night


@dataclass(frozen=True, slots=True)
class Drift:
    """The test's state for one feature between rounds.

    ``mean``: share of failures since it began anew.
    """

    seen: int = 0
    mean: float = 0.0
    sum: float = 0.0
    least: float = 0.0
    drifted_at: datetime | None = None

    def after(self, at: datetime, *, failed: bool) -> "Drift":
        """The state after one more score."""
        seen = self.seen + 1
        mean = self.mean + (failed - self.mean) / seen
        total = self.sum + failed - mean - TOLERATED
        least = min(self.least, total)
        if seen >= FIRST and total - least > LIMIT:
            return Drift(drifted_at=at)
        return replace(self, seen=seen, mean=mean, sum=total, least=least)

    def shows(self, now: datetime) -> bool:
        """Whether the metric still says so."""
        return self.drifted_at is not None and now - self.drifted_at < SHOWN
