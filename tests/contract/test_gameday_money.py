"""What answers cost before a game day's fault and in it, on a real Postgres."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from records import a_record
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.rows import Writer
from app.domain.calls import Usage
from app.domain.money import MicroUSD
from app.stack.gameday.money import Money, spent
from app.stack.gameday.play import Outcome
from app.stack.gameday.report import fact

SECOND = timedelta(seconds=1)


async def test_a_fault_is_priced_by_its_answers_with_what_its_failures_cost(engine: AsyncEngine) -> None:
    """An answered call, one that hung at its upper bound, and one that failed for nothing; the moment of the end is not in it."""
    at = datetime.now(UTC) - timedelta(days=9, seconds=random.randrange(80_000), microseconds=random.randrange(900_000))  # noqa: S311
    plain = a_record(at=at, cost=MicroUSD(100), attempts=())
    hung = a_record(at=at + SECOND, cost=MicroUSD(700), attempts=(), usage=replace(Usage(input=1, output=9), estimated=True))
    failed = a_record(at=at + SECOND, cost=MicroUSD(0), attempts=(), outcome="providers_unavailable")
    after = a_record(at=at + 2 * SECOND, cost=MicroUSD(9), attempts=())
    await Writer(engine).write([plain, hung, failed, after])
    before, fault = await spent(engine, at, at + SECOND), await spent(engine, at + SECOND, at + 2 * SECOND)
    assert (before, before.each) == (Money(answered=1, cost=100, bound=0), 100.0)
    assert (fault, fault.each) == (Money(answered=1, cost=700, bound=700), 700.0)
    nothing = await spent(engine, at - 2 * SECOND, at - SECOND)
    assert nothing.each is None
    outcome = Outcome("provider-outage", at, money={"before": before, "fault": fault})
    assert fact(outcome, "x.json")["costs"] == {"before": 100.0, "fault": 700.0}
