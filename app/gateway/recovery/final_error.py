"""Why no target answered, summed up as what the caller can do about it."""

from collections.abc import Sequence

from app.domain.errors import (
    OctantError,
    OutputInvalid,
    ProviderError,
    ProviderOutputInvalid,
    ProviderRateLimited,
    ProvidersRateLimited,
    ProvidersUnavailable,
    Stopped,
)

RETRY_LATER = 5.0
LONGEST_ADVICE = 60.0


def final_error(failures: Sequence[ProviderError], rest: float | None = None) -> OctantError:
    """Choose the caller's error. ``rest``: seconds until a target that was passed over may be tried again, if one was."""
    if not failures and rest is None:
        return Stopped("Every provider of this model is stopped by an operator.")
    for failure in failures:
        if isinstance(failure, ProviderOutputInvalid):
            return OutputInvalid("No model gave output that satisfies the schema.", violations=failure.violations)
    if failures and rest is None and all(isinstance(failure, ProviderRateLimited) for failure in failures):
        hints = [f.retry_after for f in failures if isinstance(f, ProviderRateLimited) and f.retry_after is not None]
        after = min(hints, default=RETRY_LATER)
        return ProvidersRateLimited("Every model provider is limiting our rate.", retry_after=min(after, LONGEST_ADVICE))
    after = RETRY_LATER if rest is None else rest if not failures else min(rest, RETRY_LATER)
    return ProvidersUnavailable("No model provider could answer.", retry_after=max(1.0, after))
