"""How soon the workers follow a change of the live release, by their own reports; and the words that keep it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.releases.reports import Report

WITHIN = 5.0  # seconds, as promised
EVERY = 0.1
_NOTED = re.compile(r"(\S+) on the last of (\d+) workers? after (\d+\.\d+) s")


@dataclass(frozen=True, slots=True)
class Followed:
    """The workers that serve a release, and the seconds from the begin of the change until the last of them did."""

    release: str
    workers: int
    seconds: float

    @property
    def noted(self) -> str:
        """The words for the operators' log, from which `noted_in` reads it."""
        return f"{self.release} on the last of {self.workers} worker{'s' * (self.workers != 1)} after {self.seconds:.3f} s"


async def until_followed(read: Callable[[], Awaitable[Sequence[Report]]], release: str) -> Sequence[Report]:
    """The reports as soon as every worker that is there serves the release, or as they are after `WITHIN`."""
    until = time.monotonic() + WITHIN
    while (reports := await read()) and any(report.release != release for report in reports):
        if time.monotonic() > until:
            break
        await asyncio.sleep(EVERY)
    return reports


def followed(reports: Sequence[Report], release: str, started: float) -> Followed | None:
    """What was measured from ``started``, of `time.monotonic`; None where no worker is there, or one does not follow."""
    if not reports or any(report.release != release for report in reports):
        return None
    return Followed(release, len(reports), round(time.monotonic() - started, 3))  # as it is noted: one figure everywhere


def noted_in(text: str) -> Followed | None:
    """What a line of the operators' log holds; None where nothing was measured."""
    found = _NOTED.search(text)
    return Followed(found[1], int(found[2]), float(found[3])) if found else None
