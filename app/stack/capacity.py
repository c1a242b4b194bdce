"""What a load needs, reckoned from measured costs: workers, connections, Valkey, Postgres. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

POSTGRES_OF_WORKER, VALKEY_OF_WORKER = 10, 64  # connections that a worker opens at most; see app/stores.py
REMEMBERED = 900  # seconds that Valkey knows a settled call
MONTH = 30 * 24 * 3600
MICRO = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU in microseconds, sizes in bytes, as measured: docs/performance.md, docs/records.md."""

    request: float = 820
    event: float = 98  # of a stream, beyond its request
    valkey_call: float = 150  # two scripts
    postgres_call: float = 2_400  # half of it splits texts into words for the index
    valkey_bytes: int = 2_000  # of a call that Valkey still knows
    record_bytes: int = 7_600  # of a call with a request of 4 KB: row, texts, indexes
    ledger_bytes: int = 360


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls a second at peak. ``busy``: the share of a core that may be used; ``average``: the share of the peak over a month."""

    rps: float
    events: float = 0.0
    busy: float = 0.5
    average: float = 0.4
    workers: int = 2
    keep_days: int = 30


@dataclass(frozen=True, slots=True)
class Needed:
    """The result: one figure of each row, with its unit."""

    workers: int
    replicas: int
    postgres_connections: int
    valkey_connections: int
    valkey_scripts: float
    valkey_cores: float
    valkey_bytes: float
    postgres_cores: float
    postgres_bytes_a_month: float
    ledger_bytes_a_month: float
    postgres_bytes_kept: float


def needed(load: Load, costs: Costs = Costs()) -> Needed:
    """Reckon what a load needs. Never less than two replicas: one may be drained or lost."""
    cores = load.rps * (costs.request + load.events * costs.event) * MICRO / load.busy
    workers = max(1, math.ceil(cores))
    replicas = max(2, math.ceil(workers / load.workers))
    workers = replicas * load.workers
    calls = load.rps * load.average * MONTH
    records = calls * costs.record_bytes
    ledger = calls * costs.ledger_bytes
    return Needed(
        workers=workers,
        replicas=replicas,
        postgres_connections=workers * POSTGRES_OF_WORKER,
        valkey_connections=workers * VALKEY_OF_WORKER,
        valkey_scripts=2 * load.rps,
        valkey_cores=load.rps * costs.valkey_call * MICRO,
        valkey_bytes=load.rps * REMEMBERED * costs.valkey_bytes,
        postgres_cores=load.rps * costs.postgres_call * MICRO,
        postgres_bytes_a_month=records,
        ledger_bytes_a_month=ledger,
        postgres_bytes_kept=records * load.keep_days / 30,
    )


def lines(load: Load, found: Needed) -> Iterator[str]:
    """The result for people, and which part is full first."""
    yield f"{load.rps:,.0f} calls a second at peak, {load.events:,.0f} streamed events each; cores at most {load.busy:.0%} busy:"
    yield ""
    yield f"  replicas               {found.replicas:>10,} of {load.workers} workers, {found.workers:,} cores"
    yield f"  Postgres connections   {found.postgres_connections:>10,} at most"
    yield f"  Valkey connections     {found.valkey_connections:>10,} at most"
    yield f"  Valkey scripts         {found.valkey_scripts:>10,.0f} a second, {found.valkey_cores:.2f} of its one core"
    yield f"  Valkey memory          {found.valkey_bytes / 1e6:>10,.0f} MB"
    yield f"  Postgres CPU           {found.postgres_cores:>10,.1f} cores"
    month, kept = found.postgres_bytes_a_month / 1e9, found.postgres_bytes_kept / 1e9
    yield f"  Postgres records       {month:>10,.0f} GB a month, {kept:,.0f} GB kept"
    yield f"  Postgres ledger        {found.ledger_bytes_a_month / 1e9:>10,.0f} GB a month, kept"
    yield ""
    yield f"First full: {first_full(found)}. See docs/scaling.md."


def first_full(found: Needed) -> str:
    """The part without more of it to add: one Valkey core, one Postgres."""
    parts = {
        "Valkey's one core": found.valkey_cores / 0.7,
        "Postgres' CPU (16 cores)": found.postgres_cores / 16,
        "Postgres' connections (500)": found.postgres_connections / 500,
        "Postgres' disk (4 TB)": found.postgres_bytes_kept / 4e12,
    }
    part, share = max(parts.items(), key=lambda item: item[1])
    return f"{part}, {share:.0%} used" if share <= 1 else f"{part}, {share:.1f} times too small"
