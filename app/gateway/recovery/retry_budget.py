"""The share of a provider's load that may be retries: a token bucket, so that retries do not multiply an outage.

Without it each call to a failing provider costs ``attempts_per_target`` requests, and the provider gets its worst load in its
worst minute. With it a worker adds at most ``budget_ratio`` of its first attempts, plus a burst. Local to each worker: the
share holds for the sum if it holds for each.
"""

from app.gateway.recovery.policy import RetryPolicy


class RetryBudget:
    """One provider's bucket. It starts full."""

    def __init__(self, policy: RetryPolicy) -> None:
        """``policy`` gives the ratio and the burst."""
        self._ratio = policy.budget_ratio
        self._most = self.left = policy.budget_burst

    def first_attempt(self) -> None:
        """Earn a share of a retry."""
        self.left = min(self._most, self.left + self._ratio)

    def retry(self) -> bool:
        """Take one retry, if there is one."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
