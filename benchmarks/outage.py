"""`make outage`: the worst hour, rehearsed. Anthropic away for 30 minutes at peak, time-scaled, then both providers away.

Only the outage is scaled: timeouts, back-off and rests are those of production. So what detecting it and probing cost weighs
``scale`` times more here than in the real half hour, and the availability told is a lower bound for it.

In the outage Anthropic first answers 529, then hangs, then refuses connections. Exit code 1 if callers got less than promised:
99.9 % answered while one provider is there, an honest answer within the deadline when none is.
"""

import argparse
import asyncio
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from app.releases import rehearsals
from app.releases.rehearsals import Rehearsal
from app.settings import load
from benchmarks.stage import Stage, break_providers, stage

REAL_MINUTES = 30
PROMISED = 99.9
LATENCY = {"kind": "latency", "median_ms": 150, "sigma": 0.4}
DEADLINE_MS = 8000  # what callers allow while both providers are away
WARM_UP_SECONDS = 3.0
GRACE_SECONDS = 1.0  # for the answer's way back on a busy machine
HONEST = {"providers_unavailable", "providers_rate_limited", "deadline_exceeded"}
TEXT = "Please tell me, in a sentence or two, what I should look at when choosing a tent. " * 6
MESSAGES = [{"role": "user", "content": TEXT}]
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "whole": ("/v1/chat/completions", {"model": "smart", "messages": MESSAGES}),
    "stream": ("/v1/messages", {"model": "smart", "max_tokens": 200, "stream": True, "messages": MESSAGES}),
    "product": ("/v1/support/answer", {"question": "How long does standard shipping take?", "user": "ada"}),
}
MIX = ("whole",) * 11 + ("stream",) * 6 + ("product",) * 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What one caller saw. ``what``: ``answered``, ``degraded`` (the product's static answer), or an error's code."""

    what: str
    provider: str
    seconds: float
    fallbacks: int
    attempts: int
    dollars: float | None


def main() -> None:
    """Rehearse and print."""
    parser = argparse.ArgumentParser(
        prog="make outage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=60, help="how many times shorter than 30 minutes the outage is")
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--log", action="store_true", help="append the result to the log of rehearsals (OCTANT_REHEARSALS_FILE)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with stage(workers=arguments.workers) as running:
        seconds = REAL_MINUTES * 60 / arguments.scale
        print(f"{REAL_MINUTES} minutes as {seconds:.0f} s, {arguments.rate:.0f} requests a second, {arguments.workers} workers.")
        phases = asyncio.run(_rehearse(running, seconds, arguments.rate))
    _print(phases)
    kept = _kept(phases)
    if arguments.log:
        _log(phases, kept=kept)
    sys.exit(0 if kept else 1)


async def _rehearse(running: Stage, seconds: float, rate: float) -> dict[str, list[Seen]]:
    """Send at a steady rate through all phases."""
    third = seconds / 3
    outage = [
        {"kind": kind, "provider": "anthropic", "after_seconds": third * number, "for_seconds": third, **parameters}
        for number, (kind, parameters) in enumerate([("status", {"status": 529}), ("hang", {}), ("refuse", {})])
    ]
    both: list[dict[str, Any]] = [
        {"kind": "hang", "provider": "anthropic"},
        {"kind": "status", "status": 503, "provider": "openai"},
    ]
    plan: list[tuple[str, float, list[dict[str, Any]], dict[str, str]]] = [
        ("before", max(5.0, seconds / 2), [], {}),
        ("during", seconds, outage, {}),
        ("after", max(8.0, seconds / 2), [], {}),
        ("both away", max(12.0, seconds / 3), both, {"octant-deadline-ms": str(DEADLINE_MS)}),
    ]
    headers = {"authorization": f"Bearer {running.key}"}
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    tasks: dict[str, list[asyncio.Task[Seen]]] = {}
    async with aiohttp.ClientSession(running.url, headers=headers, timeout=timeout, connector=connector) as http:
        await asyncio.gather(*await _send_steadily(http, rate, WARM_UP_SECONDS, {}))
        for name, length, faults, extra in plan:
            if name == "both away":  # what was sent before is not to be judged by it
                await asyncio.gather(*(task for sent in tasks.values() for task in sent))
            await asyncio.to_thread(break_providers, running.control, LATENCY, *faults)
            tasks[name] = await _send_steadily(http, rate, length, extra)
        return {name: await asyncio.gather(*sent) for name, sent in tasks.items()}


async def _send_steadily(
    http: aiohttp.ClientSession, rate: float, seconds: float, headers: Mapping[str, str]
) -> list[asyncio.Task[Seen]]:
    """Open load: the next request is sent whether the last has its answer or not."""
    chance = random.Random(4)  # noqa: S311 - a mix of requests
    started = time.perf_counter()
    tasks = []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_ask(http, chance.choice(MIX), headers)))
    return tasks


async def _ask(http: aiohttp.ClientSession, kind: str, headers: Mapping[str, str]) -> Seen:
    path, body = KINDS[kind]
    began = time.perf_counter()
    try:
        async with http.post(path, json=body, headers=headers) as answer:
            text = await answer.text()
            what = _what(kind, answer, text)
            about = answer.headers
    except (aiohttp.ClientError, TimeoutError) as error:
        return Seen(type(error).__name__, "", time.perf_counter() - began, 0, 0, None)
    dollars = float(about["octant-cost-usd"]) if "octant-cost-usd" in about else None
    fallbacks, attempts = int(about.get("octant-fallbacks", 0)), int(about.get("octant-attempts", 0))
    return Seen(what, about.get("octant-provider", ""), time.perf_counter() - began, fallbacks, attempts, dollars)


def _what(kind: str, answer: aiohttp.ClientResponse, text: str) -> str:
    if answer.status != 200:
        code = text.partition('"code": "')[2].partition('"')[0]
        return code or f"HTTP {answer.status}"
    if kind == "stream":
        return "answered" if "message_stop" in text else "broken off, said so" if '"error"' in text else "broken off in silence"
    return "degraded" if "last_resort" in answer.headers.get("octant-degraded", "") else "answered"


def _print(phases: Mapping[str, list[Seen]]) -> None:
    names = list(phases)
    print(f"\n{'':28}" + "".join(f"{name:>14}" for name in names))
    rows: list[tuple[str, list[str]]] = [
        ("requests", [f"{len(phases[n])}" for n in names]),
        ("answered, %", [f"{_answered(phases[n]):.2f}" for n in names]),
        ("p50, ms", [f"{_quantile(phases[n], 0.5):.0f}" for n in names]),
        ("p99, ms", [f"{_quantile(phases[n], 0.99):.0f}" for n in names]),
        ("longest, ms", [f"{_quantile(phases[n], 1.0):.0f}" for n in names]),
        ("by Anthropic, %", [f"{_share(phases[n], lambda s: s.provider == 'anthropic'):.0f}" for n in names]),
        ("after a fallback, %", [f"{_share(phases[n], lambda s: s.fallbacks > 0):.1f}" for n in names]),
        ("attempts an answer", [f"{_attempts(phases[n]):.2f}" for n in names]),
        ("cost an answer, $ (whole)", [f"{_dollars(phases[n]):.6f}" for n in names]),
    ]
    for title, cells in rows:
        print(f"{title:28}" + "".join(f"{cell:>14}" for cell in cells))
    before, during = _dollars(phases["before"]), _dollars(phases["during"])
    print(f"\nAn answer cost {during / before:.2f} times as much during the outage as before it.")
    print("What callers saw:")
    for name, seen in phases.items():
        print(f"  {name:10} " + ", ".join(f"{what} {count}" for what, count in Counter(s.what for s in seen).most_common()))


def _log(phases: Mapping[str, list[Seen]], *, kept: bool) -> None:
    """Note that it was rehearsed, and how it went."""
    path = load().rehearsals_file
    note = f"{_answered(phases['during']):.2f} % answered, p99 {_quantile(phases['during'], 0.99):.0f} ms"
    rehearsals.append(path, Rehearsal(at=datetime.now(UTC), what=rehearsals.OUTAGE, kept=kept, note=note))
    print(f"\nAppended to {path}.")


def _kept(phases: Mapping[str, list[Seen]]) -> bool:
    """Whether what was promised was kept; says what was not."""
    kept = True
    for name in ("before", "during", "after"):
        if _answered(phases[name]) < PROMISED:
            print(f"Not kept: {_answered(phases[name]):.2f} % answered {name} the outage; {PROMISED} % is promised.")
            kept = False
    limit = DEADLINE_MS / 1000 + GRACE_SECONDS
    dishonest = Counter(s.what for s in phases["both away"] if s.what not in HONEST | {"answered", "degraded"})
    late = sum(s.seconds > limit for s in phases["both away"])
    if dishonest or late:
        print(f"Not kept: with both away {late} callers waited over {limit:.0f} s; not honest: {dict(dishonest)}.")
        kept = False
    return kept


def _answered(seen: list[Seen]) -> float:
    return _share(seen, lambda s: s.what in ("answered", "degraded"))


def _share(seen: list[Seen], holds: Callable[[Seen], bool]) -> float:
    return 100 * sum(map(holds, seen)) / max(1, len(seen))


def _quantile(seen: list[Seen], share: float) -> float:
    ordered = sorted(s.seconds for s in seen)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


def _attempts(seen: list[Seen]) -> float:
    made = [s.attempts for s in seen if s.what == "answered"]
    return statistics.mean(made) if made else 0.0


def _dollars(seen: list[Seen]) -> float:
    """The mean of those answers whose headers could tell: a stream's headers leave before its cost is known."""
    told = [s.dollars for s in seen if s.dollars is not None and s.what == "answered"]
    return statistics.mean(told) if told else 0.0


if __name__ == "__main__":
    main()
