"""Open load of a rehearsal, with the result of each caller."""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.products import REQUESTS

TEXT = "Please tell me, in a sentence or two, what I should look at when choosing a tent. " * 6
MESSAGES = [{"role": "user", "content": TEXT}]
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "whole": ("/v1/chat/completions", {"model": "smart", "messages": MESSAGES}),
    "stream": ("/v1/messages", {"model": "smart", "max_tokens": 200, "stream": True, "messages": MESSAGES}),
    **dict(zip(("product",), REQUESTS.values(), strict=False)),
}
MIX = ("whole",) * 11 + ("stream",) * 6 + ("product",) * 3 * ("product" in KINDS)
DEADLINES = (10.0, 20.0, None)  # seconds that callers allow; None: what the service allows
ANSWERED = frozenset({"answered", "degraded"})
LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of one caller. ``what``: ``answered``, ``degraded`` (a product's static answer), or an error's code.

    ``sent``: seconds since the phase began; ``late``: seconds that it left after its time.
    """

    kind: str
    what: str
    provider: str
    sent: float
    seconds: float
    fallbacks: int
    attempts: int
    dollars: float | None
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Callers:
    """The callers: a rate, kinds of requests and deadlines, each drawn by a seed."""

    http: aiohttp.ClientSession
    rate: float
    kinds: Sequence[str] = MIX
    deadlines: Sequence[float | None] = DEADLINES

    async def send(self, seconds: float) -> list[asyncio.Task[Seen]]:
        """Send at a steady rate: the next request leaves whether the last has its answer or not."""
        chance = random.Random(4)  # noqa: S311 - a mix of requests
        started = time.perf_counter()
        tasks = []
        for number in range(round(self.rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / self.rate - time.perf_counter()))
            kind, deadline = chance.choice(self.kinds), chance.choice(self.deadlines)
            sent = time.perf_counter() - started
            tasks.append(asyncio.create_task(self._ask(kind, deadline, sent, max(0.0, sent - number / self.rate))))
        return tasks

    async def _ask(self, kind: str, deadline: float | None, sent: float, late: float) -> Seen:
        path, body = KINDS[kind]
        headers = {"octant-deadline-ms": str(round(deadline * 1000))} if deadline else {}
        began = time.perf_counter()
        try:
            async with self.http.post(path, json=body, headers=headers) as answer:
                text = await answer.text()
                what, about = _what(kind, answer, text), answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            return Seen(kind, type(error).__name__, "", sent, time.perf_counter() - began, 0, 0, None, late)
        dollars = float(about["octant-cost-usd"]) if "octant-cost-usd" in about else None
        fallbacks, attempts = int(about.get("octant-fallbacks", 0)), int(about.get("octant-attempts", 0))
        took = time.perf_counter() - began
        return Seen(kind, what, about.get("octant-provider", ""), sent, took, fallbacks, attempts, dollars, late)


def _what(kind: str, answer: aiohttp.ClientResponse, text: str) -> str:
    if answer.status != 200:
        code = text.partition('"code": "')[2].partition('"')[0]
        return code or f"HTTP {answer.status}"
    if kind == "stream":
        return "answered" if "message_stop" in text else "broken off, said so" if '"error"' in text else "broken off in silence"
    return "degraded" if "last_resort" in answer.headers.get("octant-degraded", "") else "answered"


def answered(seen: Sequence[Seen]) -> float:
    """Per cent of callers that got an answer."""
    return share(seen, lambda s: s.what in ANSWERED)


def share(seen: Sequence[Seen], holds: Callable[[Seen], bool]) -> float:
    """Per cent of ``seen`` that ``holds`` is true of."""
    return 100 * sum(map(holds, seen)) / max(1, len(seen))


def quantile(seen: Sequence[Seen], part: float) -> float:
    """Milliseconds that ``part`` of the callers waited at most."""
    ordered = sorted(s.seconds for s in seen)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def attempts(seen: Sequence[Seen]) -> float:
    """Attempts an answer."""
    made = [s.attempts for s in seen if s.what == "answered"]
    return statistics.mean(made) if made else 0.0


def dollars(seen: Sequence[Seen]) -> float:
    """The mean cost of the answers that report one: a stream's headers leave before its cost is known."""
    reported = [s.dollars for s in seen if s.dollars is not None and s.what == "answered"]
    return statistics.mean(reported) if reported else 0.0
