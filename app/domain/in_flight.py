"""Requests and calls under way in this process; a stop ends them with a readable error.

A task that serves a request is registered for as long as it runs. `InFlight.end` cancels it and leaves the error it is ended
with; the code that meets the cancellation calls `ended` and raises that error instead. So the call is recorded and settled under
the right outcome, and a stream ends in an error event.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from app.domain.errors import OctantError

Task = asyncio.Task[object]


@dataclass(slots=True, eq=False)
class _Run:
    """One task under way. ``subjects``: what it works on now, such as a model call."""

    task: Task
    subjects: list[object] = field(default_factory=list)
    error: OctantError | None = None
    raised: bool = False


_RUNS: dict[Task, _Run] = {}


class InFlight:
    """The tasks under way in one application."""

    def __init__(self) -> None:
        """Nothing runs yet. ``draining``: the process stops, and what has no end of its own ends itself."""
        self._runs: set[_Run] = set()
        self.draining = False

    @property
    def count(self) -> int:
        """The number of tasks under way."""
        return len(self._runs)

    def track(self, subject: object = None, *, task: Task | None = None) -> AbstractContextManager[None]:
        """Register the current task, given where it is known, until the end of the block; within it, what it works on."""
        return _Tracking(self._runs, subject, task)

    def end(self, make: Callable[[], OctantError], matches: Callable[[object], bool] = lambda _: True) -> int:
        """End every task whose subject ``matches``, each with an error from ``make``. Returns their number."""
        ending = [run for run in self._runs if run.error is None and any(matches(subject) for subject in run.subjects)]
        for run in ending:
            run.error = make()
            run.task.cancel()
        return len(ending)


class _Tracking:
    """See `InFlight.track`. A class, since each request enters two of them: a generator costs three times as much."""

    __slots__ = ("_mine", "_run", "_runs", "_subject", "_task")

    def __init__(self, runs: set[_Run], subject: object, task: Task | None) -> None:
        self._runs, self._subject, self._task = runs, subject, task

    def __enter__(self) -> None:
        task = self._task or asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be in flight")
        run = _RUNS.get(task)
        self._mine = run is None
        if run is None:
            run = _RUNS[task] = _Run(task)
            self._runs.add(run)
        run.subjects.append(self._subject)
        self._run = run

    def __exit__(self, *_: object) -> None:
        run = self._run
        run.subjects.remove(self._subject)
        if self._mine:
            self._runs.discard(run)
            _RUNS.pop(run.task, None)


def ended() -> OctantError | None:
    """The error that ended the current task; None if none did. For the handler of a `CancelledError`.

    Gives the error once, and takes the cancellation back: from here on the task fails like any other.
    """
    task = asyncio.current_task()
    run = _RUNS.get(task) if task else None
    if run is None or run.error is None or run.raised:
        return None
    run.raised = True
    run.task.uncancel()
    return run.error
