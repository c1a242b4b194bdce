"""One running attempt: the output so far, and its usage at the end."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from app.domain.calls import Reply, Usage
from app.domain.errors import OctantError, ProviderError
from app.domain.money import MicroUSD
from app.domain.quick import replace
from app.gateway import metering
from app.gateway.metering import Bound, Counted

Failure = OctantError | ProviderError
MOST_STREAMED = 16 * 2**20  # bytes of text, reasoning and arguments: twenty times the longest answer of any model
# Deltas cost us the most, and a server that knows no limit sends small ones. Few send a token in several; reasoning comes on top.
LEAST_DELTAS, DELTAS_A_TOKEN = 20_000, 8


@dataclass(slots=True)
class AttemptInProgress:
    """See the module. ``received`` counts the output's bytes so far; ``most`` bounds its tokens, and ``worst`` its cost.

    ``overtaken``: it was silent, and the next target has answered. ``key``: the fingerprint of our key at the provider. ``task``
    runs the attempt until its answer, or its first token, has arrived.
    """

    started: float
    most: Bound
    worst: MicroUSD
    stream: bool
    overtaken: bool = False
    key: str | None = None
    task: "asyncio.Task[Any] | None" = None
    ttft_ms: float | None = None
    received: int = 0
    reply: Reply | None = None
    counted: Counted | None = None
    pieces: list[str] = field(default_factory=list)

    def chunk(self, text: str) -> bool:
        """Note that output arrived; at the first output, note how long it took. False: it is too much for an answer."""
        if self.ttft_ms is None:
            self.ttft_ms = ms_since(self.started)
        if text:
            deltas = len(self.pieces)
            endless = deltas >= LEAST_DELTAS and deltas >= DELTAS_A_TOKEN * self.most.output
            if endless or self.received + len(text) > MOST_STREAMED:
                return False
            self.received += len(text) if text.isascii() else len(text.encode(errors="replace"))
            self.pieces.append(text)
        return True

    def end(self, reply: Reply) -> Reply:
        """Take the whole reply, and return it with the usage that counts."""
        self.counted = metering.count(reply.usage, self.bound(), metering.received_bytes(reply))
        self.reply = replace(reply, usage=self.counted.usage)
        return self.reply

    def bound(self) -> Bound:
        """The most tokens that this attempt can count so far."""
        return self.most.at(time.perf_counter() - self.started, self.received) if self.stream else self.most

    def count(self, failure: Failure | None) -> Counted:
        """Count its tokens: as reported; else the bound if the model may have worked; else none (ADR 0016)."""
        if self.counted:
            return self.counted
        refused = failure if isinstance(failure, ProviderError) else None
        reported = refused.usage if refused else None
        if reported or self.received or refused is None or refused.perhaps_paid:
            return metering.count(reported or Usage(estimated=True), self.bound(), self.received)
        return metering.NOTHING

    @property
    def response(self) -> Reply | str:
        """The whole reply, or the part of its text that arrived."""
        return self.reply or "".join(self.pieces)


def ms_since(started: float) -> float:
    """Milliseconds since a reading of ``perf_counter``."""
    return (time.perf_counter() - started) * 1000
