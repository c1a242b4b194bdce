"""The timeouts of one attempt, enforced here because no transport knows what a token is (R1).

connect
    the transport's, passed down with the request (it alone sees the handshake); also covers waiting for a pooled connection.
first_token
    from the start of a stream to its first delta. Headers, `message_start` and role chunks are not tokens.
idle
    between two deltas. Pings and comments do not count: a stream that only pings is stuck.
total
    a whole answer, and a stream up to its first token. A reply that is not streamed has no first token, so only connect and
    total bound it; its silence is noticed by `recovery.patience`.
stream
    all of a stream. It is long: a stream that flows is an answer, however long it takes, and only its silence is a failure.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable

from app.domain.errors import ProviderTimeout, TimeoutPhase
from app.gateway.providers.base import Timeouts


class AttemptTimeouts:
    """One attempt's clock. Made when the attempt starts; it starts the count.

    ``with`` it: wait for the provider, not longer than the nearest timeout allows. Raises ProviderTimeout. Entered for each wait,
    never held across a ``yield`` to the consumer: the timeout cancels the task that entered it.
    """

    def __init__(self, timeouts: Timeouts, *, provider: str, model: str, streamed: bool) -> None:
        """``provider`` and ``model`` are named in the error."""
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._provider = provider
        self._model = model
        self._streamed = streamed
        self._started = self._last_token = self._loop.time()
        self._any_token = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None  # the one that waits
        self._cancelling = 0
        self._expired: TimeoutPhase | None = None

    def token(self) -> None:
        """Output came, and the consumer has taken it (no silence of the provider): from now on the idle timeout counts."""
        if not self._any_token:
            self._any_token = True
            self.close()  # that timeout may be shorter than the one that is set
        self._last_token = self._loop.time()

    def __enter__(self) -> None:
        """Begin to wait. A timer that is set stays: the end only moves on, and it looks then how long there is left."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("only a task can wait")
        self._task, self._cancelling = task, task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_at(self._nearest()[0], self._look)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        """Wait no longer. The timer of a stream stays for its next wait: to set one for each event would cost more."""
        task, self._task = self._task, None
        if not self._streamed:
            self.close()
        if self._expired and task is not None:
            phase, self._expired = self._expired, None
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise timed_out(phase, provider=self._provider, model=self._model) from None

    def close(self) -> None:
        """Set no timer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        until, phase = self._nearest()
        if self._loop.time() < until:
            self._timer = self._loop.call_at(until, self._look)
            return
        self._expired = phase
        self._task.cancel()

    def _nearest(self) -> tuple[float, TimeoutPhase]:
        timeouts, begun = self._timeouts, self._streamed and self._any_token
        total = self._started + (timeouts.stream if begun else timeouts.total)
        if not self._streamed:
            return total, "total"
        phase: TimeoutPhase = "idle" if begun else "first_token"
        at = self._last_token + (timeouts.idle if begun else timeouts.first_token)
        return (at, phase) if at < total else (total, "total")


def in_time(documents: AsyncGenerator[object, None], until: float | None) -> Awaitable[object]:
    """The next document, None at the end. Raises TimeoutError where it does not come before ``until``."""
    return anext(documents, None) if until is None else _before(documents, until)


async def _before(documents: AsyncGenerator[object, None], until: float) -> object:
    async with asyncio.timeout_at(until):
        return await anext(documents, None)


def timed_out(phase: TimeoutPhase, *, provider: str, model: str) -> ProviderTimeout:
    """The error that names the timeout."""
    error = ProviderTimeout(f"No answer in time ({phase.replace('_', ' ')}).", provider=provider, model=model)
    error.phase = phase
    error.perhaps_paid = phase != "connect"
    return error
