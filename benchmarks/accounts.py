"""Compares the service's accounts call by call: records, spans, log lines, ledger, metrics."""

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
class AccountedCall:
    """One call in one account. ``cost`` in micro-dollars."""

    feature: str
    outcome: str
    cost: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """The calls of each account, by id.

    Metrics have numbers and sums only; the ledger has the cost of each call that cost anything.
    """

    records: Mapping[str, AccountedCall]
    spans: Mapping[str, AccountedCall]
    lines: Mapping[str, AccountedCall]
    ledger: Mapping[str, int]
    metrics: Outcomes
    metrics_cost: int
    replays: int
    attempts: Mapping[str, Attempts]

    def differences(self) -> Iterator[str]:
        """Yield a sentence for each difference between accounts."""
        paid = {call: entry.cost for call, entry in self.records.items() if entry.cost}
        yield from _different("span", self.records, self.spans)
        yield from _different("log line", self.records, self.lines)
        yield from _different("ledger entry", paid, self.ledger)
        counted = Counter({key: n for key, n in outcomes_of(self.records).items() if key[1] != REPLAYED})
        yield from _different(
            "metrics octant_calls_total, octant_no_evidence_total, octant_token_counts_total", counted, self.metrics
        )
        replayed = sum(entry.outcome == REPLAYED for entry in self.records.values())
        yield from _different("metric octant_idempotency_total", {REPLAYED: replayed}, {REPLAYED: self.replays})
        yield from _different("metric llm_cost_dollars_total", {"all": sum(paid.values())}, {"all": self.metrics_cost})
        for account, attempts_there in self.attempts.items():
            yield from _different(f"attempts in {account}", self.attempts["records"], attempts_there)

    def print(self) -> None:
        """A line for each feature and outcome, with its number in each account; then money, then attempts."""
        paid = {call: entry for call, entry in self.records.items() if call in self.ledger}
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
        print("attempts: " + ", ".join(f"{sum(found.values())} in {account}" for account, found in self.attempts.items()))


def outcomes_of(account: Mapping[str, AccountedCall]) -> Outcomes:
    """Count an account's calls by feature and outcome."""
    return Counter((entry.feature, entry.outcome) for entry in account.values())


async def read_accounts(engine: AsyncEngine, spans: list[ReceivedSpan], samples: list[Sample], logs: list[Path]) -> Accounts:
    """Read every account. Call it when the service is idle."""
    records, recorded, owed = await _from_postgres(engine)
    return Accounts(
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
    """Yield the data that the service's own metrics report as lost."""
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


async def _from_postgres(engine: AsyncEngine) -> tuple[dict[str, AccountedCall], Attempts, dict[str, int]]:
    """Read calls, attempts, and each call's sum in the ledger."""
    owed = select(ledger.c.lease, func.sum(ledger.c.amount).label("amount")).group_by(ledger.c.lease)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(calls.c.id, calls.c.feature, calls.c.outcome, calls.c.cost))).all()
        tried = (await connection.execute(select(attempts.c.provider, attempts.c.model, attempts.c.outcome))).all()
        entries = (await connection.execute(owed)).all()
    return (
        {row.id: AccountedCall(row.feature, row.outcome, row.cost) for row in rows},
        Counter((row.provider, row.model, row.outcome) for row in tried),
        {row.lease: int(row.amount) for row in entries},
    )


def _from_spans(spans: list[ReceivedSpan]) -> dict[str, AccountedCall]:
    found = [span.attributes for span in spans if "octant.call_id" in span.attributes]
    return {
        a["octant.call_id"]: AccountedCall(a["octant.feature"], a["octant.outcome"], from_dollars(a["octant.cost_usd"]))
        for a in found
    }


def _attempts(spans: list[ReceivedSpan]) -> Attempts:
    found = [span.attributes for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    return Counter((a["gen_ai.provider.name"], a["gen_ai.request.model"], a["octant.outcome"]) for a in found)


def _from_logs(logs: list[Path]) -> dict[str, AccountedCall]:
    texts = [text for log in logs for text in log.read_text().splitlines()]
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    ended = [line for line in lines if line.get("event") == "call"]
    return {line["call_id"]: AccountedCall(line["feature"], line["outcome"], from_dollars(line["cost_usd"])) for line in ended}


def _cost(account: Mapping[str, AccountedCall]) -> int:
    return sum(entry.cost for entry in account.values())


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
