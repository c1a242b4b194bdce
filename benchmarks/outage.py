"""`make outage`: the worst hour, rehearsed. Anthropic away for 30 minutes at peak, time-scaled, with each of four faces.

The faces: connections refused, HTTP 529, hanging (accepts and says nothing), flapping (hangs and is well by turns). Then both
providers hang. Callers allow 10 s, 20 s or what the service allows, for whole answers, streams and the product's answers.

Only the outage is scaled: timeouts, back-off and rests are those of production. So what detecting it and probing cost weighs
``scale`` times more here than in the real half hour, and the availability printed is a lower bound for it.

Exit code 1 if callers got less than promised: 99.9 % answered with each face, from the first second on; after the first five
seconds 95 % of callers waiting at most two seconds longer than before; with both away, an honest answer within the deadline.
Exit code 3 if the service was not well before a face, or not after one that broke a promise, or the machine was too busy for the
load: then there is no verdict (`app.stack.baseline`).
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from app.releases import rehearsals
from app.releases.rehearsals import Rehearsal
from app.settings import load
from app.stack import baseline
from app.stack.baseline import Limits, Sample, Verdict
from app.stack.commit import commit
from benchmarks.callers import (
    ANSWERED,
    DEADLINES,
    LONGEST_SECONDS,
    MIX,
    Callers,
    Seen,
    answered,
    attempts,
    dollars,
    quantile,
    share,
)
from benchmarks.service import Service, break_providers, running_service

REAL_MINUTES = 30
PROMISED = 99.9
PROMISED_ADDED_MS = 2000  # at the 95th percentile
SETTLED_SECONDS = 5.0  # after which that holds
MEDIAN_MS = 150
LATENCY = {"kind": "latency", "median_ms": MEDIAN_MS, "sigma": 0.4}
WELL = Limits(answered=PROMISED, median=5 * MEDIAN_MS / 1000)  # otherwise the run would measure the machine
WARM_UP_SECONDS = 3.0
BEFORE_SECONDS = 2.5
HEALING_SECONDS = 75.0  # the longest rest of a circuit, and a probe
BOTH_SECONDS, BOTH_DEADLINE = 4.0, 5.0
GRACE_SECONDS = 1.0  # for the answer's way back on a busy machine
HONEST = {"providers_unavailable", "providers_rate_limited", "deadline_exceeded", "answered", "degraded"}
FACES: Mapping[str, dict[str, Any]] = {
    "refusing": {"kind": "refuse"},
    "5xx": {"kind": "status", "status": 529},
    "hanging": {"kind": "hang"},
    "flapping": {"kind": "hang", "for_seconds": 2.0, "every_seconds": 4.0},
}


@dataclass(slots=True)
class Phase:
    """One face: the callers just before it, during it and after it, and the seconds until Anthropic answered again."""

    before: list[Seen]
    during: list[Seen]
    healed: float | None = None
    after: list[Seen] = field(default_factory=list)
    requests: int = field(init=False)

    def __post_init__(self) -> None:
        """Count."""
        self.requests = len(self.during)

    def sickness(self, *, broken: bool) -> tuple[str, ...]:
        """Why it cannot be judged. ``broken``: it broke a promise; then the callers after it must have been well, too."""
        found = [f"before it, {reason}" for reason in _sickness(self.before)]
        if broken and self.healed is not None and self.after:
            found += [f"after it, {reason}" for reason in _sickness(self.after)]
        return tuple(found)

    def added(self, part: float, seen: Sequence[Seen] | None = None) -> float:
        """Milliseconds that ``part`` of the callers waited longer than before."""
        return quantile(self.during if seen is None else seen, part) - quantile(self.before, part)

    @property
    def settled(self) -> list[Seen]:
        """The callers after the first seconds."""
        return [s for s in self.during if s.sent >= SETTLED_SECONDS]


def main() -> None:
    """Rehearse and print."""
    parser = argparse.ArgumentParser(
        prog="make outage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=60, help="how many times shorter than 30 minutes each face is")
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--faces", nargs="+", choices=FACES, default=list(FACES))
    parser.add_argument("--kinds", nargs="+", choices=sorted(set(MIX)), default=list(MIX), help="of requests")
    parser.add_argument("--deadlines", nargs="+", type=float, default=DEADLINES, help="seconds; 0: the service's own")
    parser.add_argument("--log", action="store_true", help="append the result to the log of rehearsals (OCTANT_REHEARSALS_FILE)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with running_service(workers=arguments.workers) as running:
        seconds = REAL_MINUTES * 60 / arguments.scale
        print(f"{REAL_MINUTES} minutes as {seconds:.1f} s, {arguments.rate:.0f} requests a second, {arguments.workers} workers.")
        phases, both = asyncio.run(_rehearse(running, seconds, arguments))
    _print(phases, both)
    verdict = judge(phases, both)
    print(f"\nVerdict: {verdict}.")
    if arguments.log:
        _log(phases, verdict, arguments.scale, arguments.rate)
    sys.exit(verdict.exit_code)


async def _rehearse(running: Service, seconds: float, arguments: argparse.Namespace) -> tuple[dict[str, Phase], Phase]:
    """Play every face under load, each after the one before it is healed; then both away."""
    headers = {"authorization": f"Bearer {running.key}"}
    timeout, connector = aiohttp.ClientTimeout(total=LONGEST_SECONDS), aiohttp.TCPConnector(limit=0)
    phases: dict[str, Phase] = {}
    async with aiohttp.ClientSession(running.url, headers=headers, timeout=timeout, connector=connector) as http:
        callers = Callers(http, arguments.rate, arguments.kinds, tuple(d or None for d in arguments.deadlines))
        await _put(running)
        await asyncio.gather(*await callers.send(WARM_UP_SECONDS))
        before = await asyncio.gather(*await callers.send(BEFORE_SECONDS))
        for name in arguments.faces:
            await _put(running, {**FACES[name], "provider": "anthropic"})
            sent = await callers.send(seconds)
            await _put(running)
            phases[name] = Phase(before, await asyncio.gather(*sent))
            phases[name].healed = await _healed(callers)
            before = phases[name].after = await asyncio.gather(*await callers.send(BEFORE_SECONDS))
        await _put(running, {"kind": "hang"})
        impatient = Callers(http, arguments.rate, arguments.kinds, (BOTH_DEADLINE,))
        both = Phase(before, await asyncio.gather(*await impatient.send(BOTH_SECONDS)))
        await _put(running)
    return phases, both


async def _put(running: Service, *faults: Mapping[str, Any]) -> None:
    await asyncio.to_thread(break_providers, running.control, LATENCY, *faults)


async def _healed(callers: Callers) -> float | None:
    """Seconds until Anthropic answers every caller again; None if it does not within `HEALING_SECONDS`."""
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < HEALING_SECONDS:
        seen = await asyncio.gather(*await callers.send(0.5))
        if all(s.provider == "anthropic" and s.what == "answered" for s in seen):
            return passed
    return None


def _print(phases: Mapping[str, Phase], both: Phase) -> None:
    print(f"\n{'':34}" + "".join(f"{name:>12}" for name in phases))
    for title, cells in _rows(phases):
        print(f"{title:34}" + "".join(f"{cell:>12}" for cell in cells))
    print("\nWhat callers saw:")
    for name, phase in [*phases.items(), ("both hang", both)]:
        counts = Counter(s.what for s in phase.during).most_common()
        print(f"  {name:10} " + ", ".join(f"{what} {count}" for what, count in counts))
    print(f"With both hanging and {BOTH_DEADLINE:g} s to answer, the longest wait was {quantile(both.during, 1.0):.0f} ms.")


def _rows(phases: Mapping[str, Phase]) -> list[tuple[str, list[str]]]:
    found = list(phases.values())
    kinds = sorted({s.kind for p in found for s in p.during})
    return [
        ("requests", [f"{p.requests}" for p in found]),
        ("answered, %", [f"{answered(p.during):.2f}" for p in found]),
        *((f"  {kind}", [f"{answered([s for s in p.during if s.kind == kind]):.2f}" for p in found]) for kind in kinds),
        ("p50 before, ms", [f"{quantile(p.before, 0.5):.0f}" for p in found]),
        ("p95 before, ms", [f"{quantile(p.before, 0.95):.0f}" for p in found]),
        ("p50 added, ms", [f"{p.added(0.5):+.0f}" for p in found]),
        ("p95 added, ms", [f"{p.added(0.95):+.0f}" for p in found]),
        (f"p95 added after {SETTLED_SECONDS:g} s, ms", [f"{p.added(0.95, p.settled):+.0f}" for p in found]),
        ("longest, ms", [f"{quantile(p.during, 1.0):.0f}" for p in found]),
        ("by Anthropic, %", [f"{share(p.during, lambda s: s.provider == 'anthropic'):.0f}" for p in found]),
        ("after a fallback, %", [f"{share(p.during, lambda s: s.fallbacks > 0):.1f}" for p in found]),
        ("attempts an answer", [f"{attempts(p.during):.2f}" for p in found]),
        ("cost an answer, times before", [_times(p) for p in found]),
        ("Anthropic back after, s", ["never" if p.healed is None else f"{p.healed:.1f}" for p in found]),
    ]


def _times(phase: Phase) -> str:
    before = dollars(phase.before)
    return f"{dollars(phase.during) / before:.2f}" if before else "-"


def result(phases: Mapping[str, Phase], scale: float, rate: float) -> str:
    """The words of the log of rehearsals: how many callers noticed, in how long if not the whole half hour, how many a second."""
    seen = [one for phase in phases.values() for one in phase.during]
    failed = sum(one.what not in ANSWERED for one in seen)
    p99 = max(quantile(phase.during, 0.99) for phase in phases.values())
    real = f"{REAL_MINUTES:g} minutes"
    lasted = real if scale == 1 else f"{REAL_MINUTES * 60 / scale:.3g} s that stand for {real}"
    return (
        f"{failed:,} of {len(seen):,} callers noticed in {lasted} ({', '.join(phases)}), at {rate:g} requests a second;"
        f" {answered(seen):.2f} % were answered, p99 {p99:.0f} ms"
    )


def _log(phases: Mapping[str, Phase], verdict: Verdict, scale: float, rate: float) -> None:
    """Append the rehearsal and its result to the log, unless it was not judged: then nothing was rehearsed."""
    settings = load()
    path = settings.rehearsals_file
    if verdict == Verdict.NOT_JUDGED:
        print(f"Not appended to {path}: a rehearsal that is not judged is none.")
        return
    command = f'make outage ARGS="{" ".join(sys.argv[1:])}"'
    done = Rehearsal(
        at=datetime.now(UTC), what=rehearsals.OUTAGE, kept=verdict == Verdict.KEPT, note=result(phases, scale, rate),
        command=command, code=commit(),
    )  # fmt: skip
    rehearsals.append(path, done, secret=settings.secret)
    print(f"Appended to {path}.")


def judge(phases: Mapping[str, Phase], both: Phase) -> Verdict:
    """Return the verdict; print broken promises, and those that are not judged."""
    found: list[str] = []
    sick: list[str] = []
    for name, phase in phases.items():
        broken = _broken_promises(name, phase)
        reasons = phase.sickness(broken=bool(broken))
        found += [] if reasons else broken
        sick += [f"{name}: {reason}" for reason in reasons]
    dishonest = Counter(s.what for s in both.during if s.what not in HONEST)
    late = sum(s.seconds > BOTH_DEADLINE + GRACE_SECONDS for s in both.during)
    reasons = both.sickness(broken=False)
    sick += [f"both hang: {reason}" for reason in reasons]
    if (dishonest or late) and not reasons:
        found.append(f"with both away {late} callers waited over {BOTH_DEADLINE:g} s; not honest: {dict(dishonest)}.")
    for line in found:
        print(f"Not kept: {line}")
    for line in sick:
        print(f"Not judged: {line}.")
    return baseline.verdict(broken=found, sick=sick)


def _sickness(seen: Sequence[Seen]) -> tuple[str, ...]:
    """Why these callers were in no steady state."""
    found = baseline.sickness([Sample(s.what in ANSWERED, s.seconds, s.late) for s in seen], WELL)
    own = share(seen, lambda s: s.provider == "anthropic")
    return (*found, *([f"Anthropic answered {own:.0f} % of the callers"] if seen and own < 90 else []))


def _broken_promises(name: str, phase: Phase) -> list[str]:
    found = []
    if answered(phase.during) < PROMISED:
        found.append(f"{name}: {answered(phase.during):.2f} % answered; {PROMISED} % is promised.")
    added = phase.added(0.95, phase.settled)
    if phase.settled and added > PROMISED_ADDED_MS:
        found.append(f"{name}: 95 % waited {added:.0f} ms longer than before; {PROMISED_ADDED_MS} ms is promised.")
    if phase.healed is None:
        found.append(f"{name}: Anthropic was well again and got no calls for {HEALING_SECONDS:g} s.")
    return found


if __name__ == "__main__":
    main()
