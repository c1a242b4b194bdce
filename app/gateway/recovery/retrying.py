"""Retries of one target: conditions and pauses. The only user of tenacity.

A retry needs an error typed Retryable, attempts left, time left before the deadline, room in the provider's retry budget, and a
circuit that this very failure did not open. Else the next target is tried at once. A target that was silent gets no retry while
there is another one.

The first attempt is made without tenacity, whose bookkeeping costs more than all else here: it takes over once an attempt failed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

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
    try:
        return await once(target)
    except ProviderError as error:
        if not _worth_it(error, policy):
            raise
        failures = [error]

    async def attempt() -> T:
        """Tenacity's first attempt is the one that has failed already."""
        if failures:
            raise failures.pop()
        return await once(target)

    return await _retries(state, policy, may_retry)(attempt)


def _retries(state: CallState, policy: RetryPolicy, may_retry: Callable[[BaseException | None], bool]) -> AsyncRetrying:
    backoff = wait_random_exponential(multiplier=policy.first, max=policy.most)

    def wait(retry_state: RetryCallState) -> float:
        hint = retry_after(_error(retry_state))
        return backoff(retry_state) if hint is None else hint

    async def pause(seconds: float) -> None:
        if not state.spending.running:
            state.spending.waited_ms += seconds * 1000
        await asyncio.sleep(seconds)

    def exhausted(retry_state: RetryCallState) -> bool:
        if retry_state.attempt_number >= state.pin.route.attempts_per_target:
            return True
        return state.remaining() <= retry_state.upcoming_sleep or not may_retry(_error(retry_state))

    def worth_it(error: BaseException) -> bool:
        return _worth_it(error, policy)

    return AsyncRetrying(retry=retry_if_exception(worth_it), wait=wait, stop=exhausted, sleep=pause, reraise=True)


def _worth_it(error: BaseException, policy: RetryPolicy) -> bool:
    return isinstance(error, Retryable) and (retry_after(error) or 0.0) <= policy.longest_asked


def retry_after(error: BaseException | None) -> float | None:
    """Seconds that a provider asked us to wait, if it did."""
    hint: float | None = getattr(error, "retry_after", None)
    return hint


def _error(retry_state: RetryCallState) -> BaseException | None:
    return retry_state.outcome.exception() if retry_state.outcome else None
