"""The figures that recovery goes by. Times in seconds; the settings `OCTANT_RECOVERY__…` set them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Back-off between attempts, and the share of a provider's load that may be retries.

    The wait before attempt *n* is drawn from 0 to ``first * 2**(n-1)``, at most ``most`` (full jitter: Brooker, "Exponential
    Backoff And Jitter", AWS 2015). A provider that asks for a longer wait than ``longest_asked`` is left for the next one.

    ``budget_ratio`` and ``budget_burst`` bound retries per provider and worker: each first attempt earns ``budget_ratio`` of a
    retry, of which ``budget_burst`` can be saved up ("Retry budgets": Google SRE Book, chapter 21; gRPC proposal A6).
    """

    first: float = 0.2
    most: float = 5.0
    longest_asked: float = 2.0
    budget_ratio: float = 0.1
    budget_burst: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a target is given a rest, and for how long.

    Within ``window`` seconds at least ``failures`` failed and they are at least ``ratio`` of all: open. The first rest is
    ``rest`` seconds; each probe that fails doubles it, up to ``longest_rest``.
    """

    failures: int = 5
    ratio: float = 0.5
    window: float = 10.0
    rest: float = 5.0
    longest_rest: float = 60.0
