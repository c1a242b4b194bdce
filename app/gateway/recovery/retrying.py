"""Retries of one target: conditions and pauses.

A retry needs an error typed Retryable, attempts left, time left before the deadline, room in the provider's retry budget, and a
circuit that this very failure did not open. Else the next target is tried at once. A target that was silent gets no retry while
there is another one.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.domain.errors import ProviderError, Retryable
from app.domain.routes import Target
from app.gateway.call_state import CallState
from app.gateway.recovery.policy import RetryPolicy

T = TypeVar("T")


async def retrying(
    state: CallState,
    policy: RetryPolicy,
    once: Callable[[Target], Awaitable[T]],
    target: Target,
    *,
    may_retry: Callable[[BaseException | None], bool],
) -> T:
    """Try one target until it succeeds or no retry may help; raises the last failure.

    ``may_retry`` is called last, with the failure, once for each possible retry.
    """
    number = 1
    while True:
        try:
            return await once(target)
        except ProviderError as error:
            hint = retry_after(error)
            if not isinstance(error, Retryable) or (hint or 0.0) > policy.longest_asked:
                raise
            pause = backoff(policy, number) if hint is None else hint
            if number >= state.pin.route.attempts_per_target or state.remaining() <= pause or not may_retry(error):
                raise
        if not state.spending.running:
            state.spending.waited_ms += pause * 1000
        await asyncio.sleep(pause)
        number += 1


def backoff(policy: RetryPolicy, number: int) -> float:
    """Seconds before the retry after attempt ``number``: full jitter, see `RetryPolicy`."""
    return random.uniform(0, min(policy.most, policy.first * 2.0 ** (number - 1)))  # noqa: S311 - jitter, not security


def retry_after(error: BaseException | None) -> float | None:
    """Seconds that a provider asked us to wait, if it did."""
    hint: float | None = getattr(error, "retry_after", None)
    return hint
