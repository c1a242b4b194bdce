"""The steady state around a rehearsal. Where it is sick, the rehearsal measures the machine, and is not judged.

Every rehearsal, drill and game day uses this check: sample the service before the fault, and after it where it ends, and give the
reasons to `verdict`. "Not judged" is a verdict of its own, with an exit code of its own: it is neither a pass nor a failure.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The result of a rehearsal."""

    KEPT = "kept"
    NOT_KEPT = "not kept"
    NOT_JUDGED = "not judged"

    @property
    def exit_code(self) -> int:
        """For commands: 0, 1, or 3; 2 is a wrong option."""
        return {Verdict.KEPT: 0, Verdict.NOT_KEPT: 1, Verdict.NOT_JUDGED: 3}[self]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. ``late``: seconds that it left after its time, because the machine that sends is too busy."""

    answered: bool
    seconds: float
    late: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a well service and machine keep: per cent of ``answered`` requests, seconds of the ``median``, seconds ``late``."""

    answered: float = 99.9
    median: float
    late: float = 0.5
    least: int = 5  # samples: fewer show nothing


def sickness(samples: Sequence[Sample], limits: Limits) -> tuple[str, ...]:
    """The reasons why a steady state is none; empty where all is well."""
    if len(samples) < limits.least:
        return (f"only {len(samples)} requests were sent, at least {limits.least} are needed",)
    found = []
    answered = 100 * sum(sample.answered for sample in samples) / len(samples)
    if answered < limits.answered:
        found.append(f"{answered:.1f} % of the requests were answered")
    median = statistics.median(sample.seconds for sample in samples)
    if median > limits.median:
        found.append(f"half of the requests took longer than {median:.2f} s, at most {limits.median:g} s are well")
    late = statistics.quantiles((sample.late for sample in samples), n=20)[-1]
    if late > limits.late:
        found.append(f"requests left up to {late:.1f} s late: the machine is too busy to send them")
    return tuple(found)


async def take(ask: Callable[[], Awaitable[bool]], *, times: int, every: float) -> list[Sample]:
    """Send requests at a steady rate, ``every`` so many seconds, whether the last was answered or not.

    ``ask`` returns whether it was answered as it should be; an OSError or a TimeoutError of it counts as no answer.
    """
    began = time.perf_counter()

    async def one(late: float) -> Sample:
        sent = time.perf_counter()
        try:
            answered = await ask()
        except (OSError, TimeoutError):
            answered = False
        return Sample(answered, time.perf_counter() - sent, late)

    tasks = []
    for number in range(times):
        due = began + number * every
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(max(0.0, time.perf_counter() - due))))
    return list(await asyncio.gather(*tasks))


def verdict(*, broken: Collection[str], sick: Collection[str]) -> Verdict:
    """``broken``: promises broken by parts whose steady state was well; ``sick``: the parts where it was not."""
    return Verdict.NOT_KEPT if broken else Verdict.NOT_JUDGED if sick else Verdict.KEPT
