"""The callers of a game day: an open load from its begin to its end, with what each of them saw and when."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from app.domain.periodic import end
from app.stack.baseline import Sample
from app.stack.gameday.scenario import Kind, Measure, Traffic

MESSAGES = [{"role": "user", "content": "Please tell me, in a sentence, what to look at when choosing a tent."}]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "advice", "strict": True, "schema": SCHEMA}}
REQUESTS: dict[Kind, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "smart", "messages": MESSAGES}),
    "stream": ("/v1/messages", {"model": "smart", "max_tokens": 100, "stream": True, "messages": MESSAGES}),
    "structured": ("/v1/chat/completions", {"model": "fast", "messages": MESSAGES, "response_format": FORM}),
}
ANSWERED = "answered"
GRACE = 5.0  # seconds over the deadline that a caller waits for the service to say so


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one caller saw. ``at``: seconds from the begin of the game day; ``what``: ``answered`` or an error's code."""

    at: float
    kind: Kind
    what: str
    seconds: float
    first_byte: float
    attempts: int = 0
    provider: str = ""
    request_id: str = ""
    late: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model that answered, with its provider; empty where no model did."""
        return f"{self.provider}/{self.headers.get('octant-model', '')}" if self.provider else ""

    @property
    def fallbacks(self) -> int:
        """How many targets the route prefers to the one that answered."""
        return int(self.headers.get("octant-fallbacks") or 0)

    @property
    def sample(self) -> Sample:
        """For the check of the steady state."""
        return Sample(self.what == ANSWERED, self.seconds, self.late)


class Callers:
    """Sends from `start` to `stop`; ``seen`` grows as answers come."""

    def __init__(self, http: aiohttp.ClientSession, traffic: Traffic, *, user: str = "", says: str = "") -> None:
        """Nothing is sent yet. ``user`` and ``says``: the name and the question of a caller of its own."""
        self._own = {**({"user": user} if user else {}), **({"messages": [{"role": "user", "content": says}]} if says else {})}
        self.http = http
        self._first = 0.0
        self._traffic = traffic
        self._began = time.monotonic()
        self._sender: asyncio.Task[None] | None = None
        self._under_way: dict[asyncio.Task[None], float] = {}
        self.seen: list[Seen] = []

    @property
    def now(self) -> float:
        """Seconds from the begin."""
        return time.monotonic() - self._began

    @property
    def deadline(self) -> float:
        """Seconds that a caller waits."""
        return self._traffic.deadline

    def start(self, beside: "Callers | None" = None) -> None:
        """Begin to send, on the clock of other callers or on a new one."""
        self._began = time.monotonic() - (beside.now if beside else 0.0)
        self._first = self.now
        self._sender = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Send no more, and wait for the answers that are under way."""
        if self._sender:
            await end(self._sender)
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=self._traffic.deadline + GRACE)
        await end(*self._under_way)

    @property
    def settled(self) -> float:
        """Up to when every caller has an answer: later ones would show the quick answers alone."""
        return min(self._under_way.values(), default=self.now)

    def between(self, begin: float, until: float) -> list[Seen]:
        """The callers that asked in this time."""
        return [one for one in self.seen if begin <= one.at < until]

    def alive(self) -> bool:
        """Whether requests are still sent."""
        return self._sender is not None and not self._sender.done()

    async def _send(self) -> None:
        number = 0
        while True:
            due = self._first + number / self._traffic.rate
            await asyncio.sleep(max(0.0, due - self.now))
            kind = self._traffic.kinds[number % len(self._traffic.kinds)]
            task = asyncio.create_task(self._ask(kind, self.now, max(0.0, self.now - due)))
            self._under_way[task] = due
            task.add_done_callback(self._under_way.pop)
            number += 1

    async def _ask(self, kind: Kind, at: float, late: float) -> None:
        path, body = REQUESTS[kind][0], {**REQUESTS[kind][1], **self._own}
        headers = {"octant-deadline-ms": str(round(self._traffic.deadline * 1000))}
        began = time.monotonic()
        first = 0.0
        try:
            timeout = aiohttp.ClientTimeout(total=self._traffic.deadline + GRACE)
            async with self.http.post(path, json=body, headers=headers, timeout=timeout) as answer:
                chunk = await answer.content.readany()
                first = time.monotonic() - began
                text = (chunk + await answer.content.read()).decode(errors="replace")
                what, about = _what(kind, answer.status, text), answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            seconds = time.monotonic() - began
            self.seen.append(
                Seen(at=at, kind=kind, what=type(error).__name__, seconds=seconds, first_byte=first or seconds, late=late)
            )
            return
        self.seen.append(
            Seen(
                at=at, kind=kind, what=what, seconds=time.monotonic() - began, first_byte=first, late=late,
                attempts=int(about.get("octant-attempts", 0)), provider=about.get("octant-provider", ""),
                request_id=about.get("x-request-id", about.get("request-id", "")),
                headers={name.lower(): value for name, value in about.items() if name.lower().startswith("octant-")},
            )
        )  # fmt: skip


def _what(kind: Kind, status: int, text: str) -> str:
    if status != 200:
        return text.partition('"code": "')[2].partition('"')[0] or f"HTTP {status}"
    if kind == "stream":
        return ANSWERED if "message_stop" in text else "broken off"
    if kind == "structured":
        return ANSWERED if _fits(text) else "does not fit its schema"
    return ANSWERED


def _fits(text: str) -> bool:
    """Whether an answer's content follows `SCHEMA`."""
    try:
        content = json.loads(json.loads(text)["choices"][0]["message"]["content"])
    except (ValueError, KeyError, IndexError, TypeError):
        return False
    return isinstance(content, dict) and set(content) == {"answer", "sure"} and isinstance(content["sure"], bool)


def usual_provider(seen: Sequence[Seen]) -> str:
    """The provider that answered most; empty where no answer names one."""
    counted = Counter(one.provider for one in seen if one.provider)
    return counted.most_common(1)[0][0] if counted else ""


def usual_model(seen: Sequence[Seen], provider: str) -> dict[str, str]:
    """The model of a provider that answered most, as the runbook's word for it; empty where none did."""
    counted = Counter(one.headers["octant-model"] for one in seen if one.provider == provider and "octant-model" in one.headers)
    return {"MODEL": counted.most_common(1)[0][0]} if counted else {}


def refusals(seen: Sequence[Seen], honest: Sequence[str]) -> tuple[int, int]:
    """How many calls without an answer were refused with an honest code, and how many had none."""
    refused = [one.what for one in seen if one.what != ANSWERED]
    return sum(what in honest for what in refused), len(refused)


def measure(what: Measure, seen: Sequence[Seen], *, honest: Sequence[str] = (), usual: str = "") -> float | None:
    """One figure of some callers: per cent or seconds. None without callers. ``usual``: the provider of the steady state."""
    if what == "usual_provider":
        seen = [one for one in seen if one.provider]
    if not seen:
        return None
    shares: dict[str, Callable[[Seen], bool]] = {
        "answered": lambda s: s.what == ANSWERED,
        "honest": lambda s: s.what in {ANSWERED, *honest},
        "second_attempt": lambda s: s.attempts > 1,
        "usual_provider": lambda s: s.provider == usual,
    }
    if what in shares:
        return 100 * sum(map(shares[what], seen)) / len(seen)
    part = {"p50_seconds": 0.5, "slowest_seconds": 1.0}.get(what, 0.95)
    ordered = sorted(s.first_byte if what == "first_byte_p95_seconds" else s.seconds for s in seen)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
