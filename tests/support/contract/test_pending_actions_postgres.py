"""Pending actions on a real Postgres: confirmation, repetition, expiry (S3)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity, Tenant
from app.domain.errors import ActionClosed, NotFound, RateLimited
from app.domain.messages import ToolUse
from app.domain.money import MicroUSD
from app.features.support import tools
from app.features.support.actions import MOST_OFFERED, Actions, Pending
from app.features.support.seeds import seed
from app.features.support.tables import actions as table
from app.features.support.tables import orders
from app.security.guard.links import Links
from app.security.guard.stored_text import KeptTexts
from app.security.redaction.redactor import Redactor

ACME = Tenant("acme", "Northwind Outfitters", MicroUSD(10_000_000), MicroUSD(1_000_000))
ADA = Identity(tenant=ACME, key_id="k", user="ada")
KEPT = KeptTexts(Redactor(b"tests"), Links(frozenset({"northwind.example"})))
PROCESSING, ALL = "NW-10003", tuple(tools.TOOLS)


@pytest_asyncio.fixture(autouse=True)
async def _fresh_sample(engine: AsyncEngine) -> AsyncIterator[None]:
    await _reset(engine)
    yield
    await _reset(engine)


async def _reset(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for name in ("support_orders", "support_actions", "support_tool_use"):
            await connection.execute(text(f"TRUNCATE {name} CASCADE"))
    await seed(engine)


@pytest.fixture
def actions(engine: AsyncEngine) -> Actions:
    return Actions(engine, KEPT, secret=b"tests")


async def offered(engine: AsyncEngine, actions: Actions) -> Pending:
    """The outcome of a model's request to cancel an order."""
    use = ToolUse("t", "cancel_order", f'{{"order_id": "{PROCESSING}"}}')
    outcome = await tools.call(use, allowed=ALL, context=tools.Context(engine, ADA, "req_1", KEPT), confirmed=False)
    assert (outcome.code, outcome.is_fact) == ("pending", True)
    assert outcome.proposal is not None
    return (await actions.offer(ADA, "req_1", [outcome.proposal], ["question"]))[0]


async def status_of(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(select(orders.c.status).where(orders.c.id == PROCESSING)))


async def test_nothing_is_done_before_the_customer_confirms_and_then_once(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    assert await status_of(engine) == "processing"
    assert "Cancel order NW-10003" in pending.summary
    first = await actions.confirm(ADA, pending.id, pending.token, ALL)
    assert (first["status"], first["outcome"], await status_of(engine)) == ("confirmed", "ok", "cancelled")
    async with engine.begin() as connection:
        await connection.execute(update(orders).where(orders.c.id == PROCESSING).values(status="processing"))
    assert await actions.confirm(ADA, pending.id, pending.token, ALL) == first
    assert await status_of(engine) == "processing"


async def test_a_reason_that_redaction_makes_longer_is_still_done(engine: AsyncEngine, actions: Actions) -> None:
    """The confirmed action is done.

    The stored arguments must fit the tool that made them.
    """
    reason = ("torn. " * 90)[:489] + " to a@b.co"
    proposal = tools.Proposal("request_refund", {"order_id": "NW-10005", "reason": reason}, "Refund.")
    (pending,) = await actions.offer(ADA, "req_1", [proposal], [])
    assert pending.arguments["order_id"] == "NW-10005"
    assert "a@b.co" not in pending.arguments["reason"]
    assert (await actions.confirm(ADA, pending.id, pending.token, ALL))["outcome"] == "ok"


async def test_what_may_not_be_done_right_now_may_be_confirmed_again(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE support_tool_use SET calls = 9999, minute = date_trunc('minute', now())"))
    with pytest.raises(RateLimited):
        await actions.confirm(ADA, pending.id, pending.token, ALL)
    assert await status_of(engine) == "processing"
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE support_tool_use"))
    assert (await actions.confirm(ADA, pending.id, pending.token, ALL))["outcome"] == "ok"
    assert await status_of(engine) == "cancelled"


@pytest.mark.parametrize(
    "who", [replace(ADA, user="grace"), replace(ADA, user=""), replace(ADA, tenant=replace(ACME, id="other"))]
)
async def test_another_customers_word_does_not_count(engine: AsyncEngine, actions: Actions, who: Identity) -> None:
    pending = await offered(engine, actions)
    for decide in (actions.confirm(who, pending.id, pending.token, ALL), actions.cancel(who, pending.id, pending.token)):
        with pytest.raises(NotFound):
            await decide
    assert await status_of(engine) == "processing"


async def test_a_wrong_token_is_answered_like_a_missing_action(engine: AsyncEngine, actions: Actions) -> None:
    pending, other = await offered(engine, actions), await offered(engine, actions)
    messages = set()
    for action, token in ((pending.id, "guess"), (pending.id, other.token), ("act_none", pending.token)):
        with pytest.raises(NotFound) as refused:
            await actions.confirm(ADA, action, token, ALL)
        messages.add(refused.value.message)
    assert len(messages) == 1
    assert await status_of(engine) == "processing"


@pytest.mark.parametrize("change", [{"arguments": {"order_id": "NW-10015"}}, {"tool": "request_refund"}])
async def test_a_row_that_was_changed_no_longer_fits_its_token(
    engine: AsyncEngine, actions: Actions, change: dict[str, object]
) -> None:
    pending = await offered(engine, actions)
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.id == pending.id).values(change))
    with pytest.raises(NotFound):
        await actions.confirm(ADA, pending.id, pending.token, ALL)


async def test_the_token_is_nowhere_in_the_database(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    async with engine.connect() as connection:
        row = (await connection.execute(select(table).where(table.c.id == pending.id))).mappings().one()
    assert pending.token not in str(dict(row))
    assert pending.token.encode() not in row["token_hash"]
    assert row["tainted_by"] == ["question"]


async def test_an_action_expires(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE support_actions SET expires_at = now() - interval '1 second'"))
    with pytest.raises(ActionClosed):
        await actions.confirm(ADA, pending.id, pending.token, ALL)
    assert await status_of(engine) == "processing"


async def test_what_was_cancelled_is_never_done_and_what_was_done_cannot_be_cancelled(
    engine: AsyncEngine, actions: Actions
) -> None:
    first, second = await offered(engine, actions), await offered(engine, actions)
    for _ in range(2):
        assert (await actions.cancel(ADA, first.id, first.token))["status"] == "cancelled"
    with pytest.raises(ActionClosed):
        await actions.confirm(ADA, first.id, first.token, ALL)
    assert await status_of(engine) == "processing"
    await actions.confirm(ADA, second.id, second.token, ALL)
    with pytest.raises(ActionClosed):
        await actions.cancel(ADA, second.id, second.token)


async def test_many_confirmations_at_once_end_the_same(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    answers = await asyncio.gather(*(actions.confirm(ADA, pending.id, pending.token, ALL) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["outcome"] == "ok"


async def test_a_tool_that_the_live_prompt_no_longer_allows_is_not_run(engine: AsyncEngine, actions: Actions) -> None:
    pending = await offered(engine, actions)
    assert (await actions.confirm(ADA, pending.id, pending.token, ("get_order",)))["outcome"] == "not_allowed"
    assert await status_of(engine) == "processing"


async def test_of_many_proposals_a_few_are_offered(actions: Actions) -> None:
    proposals = [tools.Proposal("cancel_order", {"order_id": f"NW-1000{n}"}, "Cancel.") for n in range(9)]
    assert len(await actions.offer(ADA, "req_1", proposals, [])) == MOST_OFFERED


async def test_a_deed_that_the_shop_would_refuse_is_refused_at_once_and_not_offered(engine: AsyncEngine) -> None:
    where = tools.Context(engine, ADA, "req_1", KEPT)
    for order, word in (("NW-10001", "refused"), ("NW-10002", "not_found"), ("NW-10009", "ok")):  # shipped, grace's, cancelled
        use = ToolUse("t", "cancel_order", f'{{"order_id": "{order}"}}')
        outcome = await tools.call(use, allowed=ALL, context=where, confirmed=False)
        assert (outcome.code, outcome.proposal) == (word, None)


async def test_a_tool_is_used_so_often_a_minute_and_no_more(engine: AsyncEngine) -> None:
    where = tools.Context(engine, ADA, "req_1", KEPT)
    use = ToolUse("t", "cancel_order", f'{{"order_id": "{PROCESSING}"}}')
    most = tools.TOOLS["cancel_order"].per_minute
    words = [(await tools.call(use, allowed=ALL, context=where, confirmed=False)).code for _ in range(2 * most + 1)]
    assert "rate_limited" in words  # the minute may turn once in between, not twice
    assert words[:most] == ["pending"] * most
