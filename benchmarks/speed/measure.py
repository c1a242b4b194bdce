"""One round of one server: saturation, a fixed rate, and streams."""

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.speed import load
from benchmarks.speed.processes import Server
from benchmarks.speed.upstream import EVENTS

QUESTION = [{"role": "user", "content": load.TEXT.decode()}]  # about 850 bytes with a text


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round does. Rates are requests a second; ``seconds`` is the length of each of its parts."""

    seconds: float = 4.0
    connections: int = 32
    rate: float = 150.0
    streams: float = 50.0
    model: str = "fast"

    def body(self, *, stream: bool = False) -> bytes:
        """The request."""
        return json.dumps({"model": self.model, "messages": QUESTION, **({"stream": True} if stream else {})}).encode()


@dataclass(frozen=True, slots=True)
class Round:
    """One round's figures. Latencies are the server's whole ones, before the provider's own are taken off.

    ``rate``: requests a second on one core; ``cpu``: µs a request, each with a text of its own; ``known``: µs where all have the
    same text; ``event``: µs of CPU a streamed event; latencies in ms. Of a server that fails to stream, the figures of streams
    are NaN.
    """

    rate: float
    cpu: float
    known: float
    p50: float
    p99: float
    first_token: float
    event: float
    memory: float

    def figures(self) -> Mapping[str, float]:
        """The figures by name."""
        return asdict(self)


def measure(server: Server, plan: Plan) -> Round:
    """Measure one round. Ends everything if a request fails: its figures would mean nothing."""
    body = plan.body()
    load.saturate(server.url, body, server.headers, connections=plan.connections, seconds=1)  # warms up
    busy, cpu = saturated(server, plan)
    _, known = saturated(server, plan, known=True)
    time.sleep(0.5)  # what the last requests left to write
    calm = _paced(server.url, body, server.headers, plan.rate, plan.seconds)
    first_token, event = _streamed(server, plan) if server.streams else (math.nan, math.nan)
    return Round(
        rate=busy.requests / busy.seconds,
        cpu=cpu,
        known=known,
        p50=calm.latency(0.5),
        p99=calm.latency(0.99),
        first_token=first_token,
        event=event,
        memory=server.memory(),
    )


def saturated(server: Server, plan: Plan, *, known: bool = False) -> tuple[load.Saturated, float]:
    """As many requests as it takes, and the CPU of one, µs."""
    before = server.cpu()
    busy = load.saturate(server.url, plan.body(), server.headers, connections=plan.connections, seconds=plan.seconds, known=known)
    return busy, (server.cpu() - before) / busy.requests * 1e6


def _streamed(server: Server, plan: Plan) -> tuple[float, float]:
    """The time to the first event, ms, and the CPU of an event, µs."""
    before = server.cpu()
    streams = _paced(server.url, plan.body(stream=True), server.headers, plan.streams, plan.seconds)
    return streams.first_byte(0.5), (server.cpu() - before) / (len(streams.latencies) * EVENTS) * 1e6


@dataclass(frozen=True, slots=True)
class Direct:
    """The provider's own latencies without a server between, ms."""

    p50: float
    p99: float
    first_token: float


def direct(url: str, plan: Plan) -> Direct:
    """Measure the provider itself at the same rates: the rest of a server's latencies is what it adds."""
    headers = {"content-type": "application/json"}
    calm = _paced(url, plan.body(), headers, plan.rate, plan.seconds / 2)
    streams = _paced(url, plan.body(stream=True), headers, plan.streams, plan.seconds / 2)
    return Direct(calm.latency(0.5), calm.latency(0.99), streams.first_byte(0.5))


def _paced(url: str, body: bytes, headers: Mapping[str, str], rate: float, seconds: float) -> load.Paced:
    found = asyncio.run(load.paced(url, body, headers, rate=rate, seconds=seconds))
    if found.failures:
        raise SystemExit(f"{url}: {found.failures} requests failed; the figures would mean nothing")
    return found


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, the least and the most."""
    return load.quantile(values, 0.5), min(values), max(values)
