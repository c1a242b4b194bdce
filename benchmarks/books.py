"""The service's books, read apart and compared call by call: records, spans, log lines, ledger, metrics."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import attempts, calls
from app.budget.tables import ledger
from app.domain.money import MICROS_PER_DOLLAR, from_dollars
from app.domain.records import NO_EVIDENCE, REPLAYED, TOKENS_COUNTED
from benchmarks.receiver import ReceivedSpan

Sample = tuple[str, Mapping[str, str], float]  # a metric's name, labels, value
Outcomes = Counter[tuple[str, str]]  # feature and outcome
Attempts = Counter[tuple[str, str, str]]  # provider, model and outcome


@dataclass(frozen=True, slots=True)
class Told:
    """What a book says of one call. ``cost`` in micro-dollars."""

    feature: str
    outcome: str
    cost: int


@dataclass(frozen=True, slots=True)
class Books:
    """What each book says, of each call by its id.

    Metrics know numbers and sums only, and the ledger what a call cost if it cost anything.
    """

    records: Mapping[str, Told]
    spans: Mapping[str, Told]
    lines: Mapping[str, Told]
    ledger: Mapping[str, int]
    metrics: Outcomes
    metrics_cost: int
    replays: int
    attempts: Mapping[str, Attempts]

    def differences(self) -> Iterator[str]:
        """Where they do not agree."""
        paid = {call: told.cost for call, told in self.records.items() if told.cost}
        yield from _different("span", self.records, self.spans)
        yield from _different("log line", self.records, self.lines)
        yield from _different("ledger entry", paid, self.ledger)
        counted = Counter({key: n for key, n in outcomes_of(self.records).items() if key[1] != REPLAYED})
        yield from _different(
            "metrics octant_calls_total, octant_no_evidence_total, octant_token_counts_total", counted, self.metrics
        )
        replayed = sum(told.outcome == REPLAYED for told in self.records.values())
        yield from _different("metric octant_idempotency_total", {REPLAYED: replayed}, {REPLAYED: self.replays})
        yield from _different("metric llm_cost_dollars_total", {"all": sum(paid.values())}, {"all": self.metrics_cost})
        for book, attempts_there in self.attempts.items():
            yield from _different(f"attempts in {book}", self.attempts["records"], attempts_there)

    def print(self) -> None:
        """A line for each feature and outcome, with how often each book has it; then money, then attempts."""
        paid = {call: told for call, told in self.records.items() if call in self.ledger}
        counts: dict[str, Outcomes] = {
            "records": outcomes_of(self.records), "metrics": self.metrics, "spans": outcomes_of(self.spans),
            "lines": outcomes_of(self.lines), "ledger": outcomes_of(paid),
        }  # fmt: skip
        costs = {
            "records": _cost(self.records), "metrics": self.metrics_cost, "spans": _cost(self.spans), "lines": _cost(self.lines),
            "ledger": sum(self.ledger.values()),
        }  # fmt: skip
        print(f"\n{'feature':16}{'outcome':26}" + "".join(f"{name:>10}" for name in counts))
        for feature, outcome in sorted({key for column in counts.values() for key in column}):
            print(f"{feature:16}{outcome:26}" + "".join(f"{column[feature, outcome]:10}" for column in counts.values()))
        print(f"{'micro-dollars':42}" + "".join(f"{cost:10}" for cost in costs.values()))
        print("attempts: " + ", ".join(f"{sum(found.values())} in {book}" for book, found in self.attempts.items()))


def outcomes_of(book: Mapping[str, Told]) -> Outcomes:
    """How often a book has each outcome of each feature."""
    return Counter((told.feature, told.outcome) for told in book.values())


async def read_books(engine: AsyncEngine, spans: list[ReceivedSpan], samples: list[Sample], logs: list[Path]) -> Books:
    """Read all of them, once the service has come to rest."""
    records, recorded, owed = await _from_postgres(engine)
    return Books(
        records=records,
        spans=_from_spans(spans),
        lines=_from_logs(logs),
        ledger=owed,
        metrics=_counted(samples, "octant_calls_total", "feature", "outcome") + _without_a_model(samples),
        metrics_cost=round(sum(value for _, value in summed(samples, "llm_cost_dollars_total")) * MICROS_PER_DOLLAR),
        replays=_counted(samples, "octant_idempotency_total", "outcome")[(REPLAYED,)],
        attempts={
            "records": recorded,
            "metrics": _counted(samples, "octant_attempts_total", "provider", "model", "outcome"),
            "spans": _attempts(spans),
        },
    )


def torn(spans: list[ReceivedSpan]) -> Iterator[str]:
    """Spans whose parent did not arrive, and traces that have no beginning or several."""
    ids = {span.span_id for span in spans}
    yield from (
        f"span {s.name!r} of trace {s.trace_id} lacks its parent" for s in spans if s.parent_id and s.parent_id not in ids
    )
    begun = Counter(span.trace_id for span in spans if not span.parent_id)
    yield from (f"trace {trace} has {begun[trace]} beginnings" for trace in {s.trace_id for s in spans} if begun[trace] != 1)


def lost(samples: list[Sample]) -> Iterator[str]:
    """What the service itself says it could not keep."""
    ours = ("octant_records_dropped_total", "octant_redaction_failures_total")
    for name, labels, value in samples:
        if value and (name in ours or (name == "octant_spans_total" and labels["outcome"] not in ("sent", "sampled_out"))):
            yield f"{name}{dict(labels)} is {value:.0f}"


def summed(samples: list[Sample], name: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """A metric's values over all processes, by labels."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for sample, labels, value in samples:
        if sample == name:
            key = tuple(sorted(labels.items()))
            found[key] = found.get(key, 0.0) + value
    yield from ((dict(labels), value) for labels, value in found.items())


async def _from_postgres(engine: AsyncEngine) -> tuple[dict[str, Told], Attempts, dict[str, int]]:
    """Calls, attempts, and what the ledger says of each call."""
    owed = select(ledger.c.lease, func.sum(ledger.c.amount).label("amount")).group_by(ledger.c.lease)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(calls.c.id, calls.c.feature, calls.c.outcome, calls.c.cost))).all()
        tried = (await connection.execute(select(attempts.c.provider, attempts.c.model, attempts.c.outcome))).all()
        entries = (await connection.execute(owed)).all()
    return (
        {row.id: Told(row.feature, row.outcome, row.cost) for row in rows},
        Counter((row.provider, row.model, row.outcome) for row in tried),
        {row.lease: int(row.amount) for row in entries},
    )


def _from_spans(spans: list[ReceivedSpan]) -> dict[str, Told]:
    found = [span.attributes for span in spans if "octant.call_id" in span.attributes]
    return {
        a["octant.call_id"]: Told(a["octant.feature"], a["octant.outcome"], from_dollars(a["octant.cost_usd"])) for a in found
    }


def _attempts(spans: list[ReceivedSpan]) -> Attempts:
    found = [span.attributes for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    return Counter((a["gen_ai.provider.name"], a["gen_ai.request.model"], a["octant.outcome"]) for a in found)


def _from_logs(logs: list[Path]) -> dict[str, Told]:
    texts = [text for log in logs for text in log.read_text().splitlines()]
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    told = [line for line in lines if line.get("event") == "call"]
    return {line["call_id"]: Told(line["feature"], line["outcome"], from_dollars(line["cost_usd"])) for line in told}


def _cost(book: Mapping[str, Told]) -> int:
    return sum(told.cost for told in book.values())


def _different(what: str, wanted: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    """A sentence for each entry that is missing, too many, or other than in the records."""
    for key in sorted(wanted.keys() | found.keys(), key=str):
        if wanted.get(key, 0) != found.get(key, 0):
            yield f"{what} of {key}: {found.get(key, 'none')}, by the records {wanted.get(key, 'none')}"


def _without_a_model(samples: list[Sample]) -> Outcomes:
    """Calls that no model answered have metrics of their own."""
    named = {NO_EVIDENCE: "octant_no_evidence_total", TOKENS_COUNTED: "octant_token_counts_total"}
    return Counter({
        (feature, outcome): n for outcome, name in named.items() for (feature,), n in _counted(samples, name, "feature").items()
    })  # fmt: skip


def _counted(samples: list[Sample], name: str, *labels: str) -> Counter[Any]:
    return Counter({tuple(found[label] for label in labels): round(value) for found, value in summed(samples, name)})
