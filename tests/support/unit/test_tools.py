"""Tools on a real Postgres: ownership, rules and repetition."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.calls import Identity, Tenant
from app.domain.errors import DependencyUnavailable
from app.domain.messages import ToolUse
from app.domain.money import MicroUSD
from app.features.support import shop, tools
from app.features.support.seeds import seed
from app.features.support.tables import handovers, order_items, orders, refunds
from app.security.guard.links import Links
from app.security.guard.stored_text import KeptTexts
from app.security.redaction.redactor import Redactor

ACME = Tenant("acme", "Northwind Outfitters", MicroUSD(10_000_000), MicroUSD(1_000_000))
OTHER = Tenant("other", "Another shop", MicroUSD(10_000_000), MicroUSD(1_000_000))
ALL = tuple(tools.TOOLS)
KEPT = KeptTexts(Redactor(b"tests"), Links(frozenset({"northwind.example"})))

# Of ada in the sample, by state.
SHIPPED, PROCESSING, DELIVERED, LONG_AGO, CANCELLED = "NW-10001", "NW-10003", "NW-10005", "NW-10007", "NW-10009"


@pytest_asyncio.fixture(autouse=True)
async def _fresh_sample(engine: AsyncEngine) -> AsyncIterator[None]:
    """The sample data, restored before and after each test.

    Other tests use it through the service.
    """
    await _reset(engine)
    yield
    await _reset(engine)


async def _reset(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM support_orders"))
        await connection.execute(text("DELETE FROM support_handovers"))
    await seed(engine)


def context(engine: AsyncEngine, user: str = "ada", tenant: Tenant = ACME, request_id: str = "req_test") -> tools.Context:
    return tools.Context(engine, Identity(tenant=tenant, key_id="k", user=user), request_id, KEPT)


async def call(where: tools.Context, name: str, allowed: tuple[str, ...] = ALL, **arguments: object) -> tools.Outcome:
    return await tools.call(ToolUse("t1", name, json.dumps(arguments)), allowed=allowed, context=where)


async def count(engine: AsyncEngine, table: object) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)  # type: ignore[arg-type]


async def status_of(engine: AsyncEngine, order_id: str) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(select(orders.c.status).where(orders.c.id == order_id)))


async def test_an_order_is_returned_with_its_items(engine: AsyncEngine) -> None:
    outcome = await call(context(engine), "get_order", order_id=SHIPPED)
    assert outcome.code == "ok"
    assert outcome.result["status"] == "shipped"
    assert len(outcome.result["items"]) >= 1


@pytest.mark.parametrize("digits", [0xFF10, 0x0660, 0x0966])
async def test_an_order_number_in_other_digits_is_the_same_order(engine: AsyncEngine, digits: int) -> None:
    """A model may copy it as the customer wrote it."""
    written = SHIPPED.translate({ord(str(digit)): digits + digit for digit in range(10)} | {ord("-"): "\uff0d"})
    outcome = await call(context(engine), "get_order", order_id=written)
    assert (outcome.code, outcome.order_id) == ("ok", SHIPPED)


@pytest.mark.parametrize("name", ["get_order", "cancel_order", "request_refund"])
@pytest.mark.parametrize(("user", "tenant"), [("grace", ACME), ("ada", OTHER), ("", ACME)])
async def test_an_order_of_another_customer_does_not_exist(engine: AsyncEngine, name: str, user: str, tenant: Tenant) -> None:
    """S3: scoped by identity; no argument can change whose orders are seen."""
    more = {"reason": "I want it"} if name == "request_refund" else {}
    outcome = await call(context(engine, user, tenant), name, ALL, order_id=PROCESSING, **more)
    assert outcome.code == "not_found"
    missing = await call(context(engine, user, tenant), name, ALL, order_id="NW-99999", **more)
    assert str(outcome.result).replace(PROCESSING, "X") == str(missing.result).replace("NW-99999", "X")
    assert await status_of(engine, PROCESSING) == "processing"
    assert await count(engine, refunds) == 0


async def test_a_list_holds_the_customers_own_orders_newest_first(engine: AsyncEngine) -> None:
    mine = (await call(context(engine), "list_orders")).result["orders"]
    theirs = (await call(context(engine, "grace"), "list_orders")).result["orders"]
    assert len(mine) == len(theirs) == 15
    assert {o["order_id"] for o in mine}.isdisjoint(o["order_id"] for o in theirs)
    assert [o["ordered_on"] for o in mine] == sorted((o["ordered_on"] for o in mine), reverse=True)
    assert "no orders" in (await call(context(engine, "newcomer"), "list_orders")).result["message"]


async def test_an_order_is_cancelled_before_it_is_shipped_and_only_then(engine: AsyncEngine) -> None:
    assert (await call(context(engine), "cancel_order", order_id=PROCESSING)).code == "ok"
    assert await status_of(engine, PROCESSING) == "cancelled"
    for late in (SHIPPED, DELIVERED):
        before = await status_of(engine, late)
        assert (await call(context(engine), "cancel_order", order_id=late)).code == "refused"
        assert await status_of(engine, late) == before


async def test_cancelling_twice_cancels_once(engine: AsyncEngine) -> None:
    first, second = [await call(context(engine), "cancel_order", order_id=CANCELLED) for _ in range(2)]
    assert first == second
    assert first.code == "ok"


async def test_an_order_that_ships_meanwhile_is_not_cancelled(engine: AsyncEngine) -> None:
    """The warehouse holds the order's row.

    The cancellation waits for it and then sees that it is too late.
    """
    async with engine.connect() as warehouse:
        await warehouse.execute(text("UPDATE support_orders SET status = 'shipped' WHERE id = :id"), {"id": PROCESSING})
        cancelling = asyncio.create_task(call(context(engine), "cancel_order", order_id=PROCESSING))
        async with asyncio.timeout(120):
            while not await _waits_for_a_lock(engine):  # noqa: ASYNC110 - Postgres has no event to wait for
                await asyncio.sleep(0.01)
        await warehouse.commit()
    assert (await cancelling).code == "refused"
    assert await status_of(engine, PROCESSING) == "shipped"


async def test_a_refund_is_requested_within_thirty_days_of_delivery(engine: AsyncEngine) -> None:
    outcome = await call(context(engine), "request_refund", order_id=DELIVERED, reason="The tent is too small.")
    assert outcome.code == "ok"
    for order_id in (LONG_AGO, SHIPPED, PROCESSING):
        assert (await call(context(engine), "request_refund", order_id=order_id, reason="No longer wanted")).code == "refused"
    assert await count(engine, refunds) == 1


@pytest.mark.parametrize(("days", "word"), [(30, "ok"), (31, "refused")])
async def test_the_thirtieth_day_is_the_last(engine: AsyncEngine, days: int, word: str) -> None:
    async with engine.begin() as connection:
        delivered = shop.today() - timedelta(days=days)
        await connection.execute(orders.update().where(orders.c.id == DELIVERED).values(delivered_on=delivered))
    assert (await call(context(engine), "request_refund", order_id=DELIVERED, reason="Too small")).code == word


async def test_what_a_model_wrote_is_stored_redacted(engine: AsyncEngine) -> None:
    """S5: a queue has many readers."""
    reason = "Write to jo@example.org"
    await call(context(engine), "request_refund", order_id=DELIVERED, reason=reason)
    await call(context(engine), "hand_over_to_human", reason=reason)
    async with engine.connect() as connection:
        stored = [await connection.scalar(select(table.c.reason)) for table in (refunds, handovers)]
    assert all(str(text).startswith("Write to (email:") for text in stored)


async def test_a_refund_requested_often_and_at_once_is_one_refund(engine: AsyncEngine) -> None:
    wanted = (call(context(engine), "request_refund", order_id=DELIVERED, reason=f"Reason {n}") for n in range(5))
    outcomes = await asyncio.gather(*wanted)
    assert {o.code for o in outcomes} == {"ok"}
    assert await count(engine, refunds) == 1


async def test_a_request_is_handed_over_once_however_often_it_is_asked_for(engine: AsyncEngine) -> None:
    outcomes = await asyncio.gather(*(call(context(engine), tools.HAND_OVER, reason="No article fits.") for _ in range(5)))
    assert len({o.result["handover_id"] for o in outcomes}) == 1
    other = await call(context(engine, request_id="req_other"), tools.HAND_OVER, reason="No article fits.")
    assert other.result["handover_id"] != outcomes[0].result["handover_id"]
    assert await count(engine, handovers) == 2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("get_order", "{"),
        ("get_order", "[]"),
        ("get_order", "{}"),
        ("get_order", '{"order_id": 10001}'),
        ("get_order", '{"order_id": "10001"}'),
        ("get_order", '{"order_id": "NW-10001\' OR 1=1 --"}'),
        ("get_order", '{"order_id": "NW-10001", "user": "grace"}'),
        ("get_order", '{"order_id": "NW-1000\u4e00"}'),
        ("list_orders", '{"tenant": "other"}'),
        ("request_refund", '{"order_id": "NW-10005"}'),
        ("request_refund", '{"order_id": "NW-10005", "reason": "   "}'),
        ("request_refund", '{"order_id": "NW-10005", "reason": "a\\u0000b"}'),
        (tools.HAND_OVER, json.dumps({"reason": "x" * 501})),
    ],
)
async def test_bad_arguments_are_reported_to_the_model_and_do_nothing(engine: AsyncEngine, name: str, arguments: str) -> None:
    """S3: never an exception, never a guess.

    The value is not repeated, because this text is recorded.
    """
    outcome = await tools.call(ToolUse("t1", name, arguments), allowed=ALL, context=context(engine))
    assert outcome.code == "bad_arguments"
    assert "OR 1=1" not in outcome.content
    assert await count(engine, refunds) == await count(engine, handovers) == 0


@pytest.mark.parametrize(("name", "allowed"), [("cancel_order", ("get_order",)), ("drop_tables", ALL), ("call", ALL)])
async def test_a_tool_that_the_prompt_does_not_allow_does_not_run(
    engine: AsyncEngine, name: str, allowed: tuple[str, ...]
) -> None:
    """S3: the allowlist holds on the server, whatever the model was offered."""
    outcome = await call(context(engine), name, allowed, order_id=PROCESSING)
    assert outcome.code == "not_allowed"
    assert await status_of(engine, PROCESSING) == "processing"


async def test_only_allowed_tools_are_offered_and_each_with_a_closed_schema() -> None:
    assert [spec.name for spec in tools.offered(("get_order", "unknown"))] == ["get_order"]
    assert all(spec.schema["additionalProperties"] is False for spec in tools.offered(ALL))


async def test_a_shop_that_is_away_is_a_failed_dependency() -> None:
    engine = create_async_engine("postgresql+psycopg://none@127.0.0.1:1/none", connect_args={"connect_timeout": 2})
    try:
        with pytest.raises(DependencyUnavailable):
            await call(context(engine), "list_orders")
    finally:
        await engine.dispose()


async def test_seeding_again_changes_nothing_that_customers_did(engine: AsyncEngine) -> None:
    before = (await count(engine, orders), await count(engine, order_items))
    await call(context(engine), "cancel_order", order_id=PROCESSING)
    await seed(engine)
    assert (await count(engine, orders), await count(engine, order_items)) == before
    assert before[0] == 30
    assert await status_of(engine, PROCESSING) == "cancelled"


async def _waits_for_a_lock(engine: AsyncEngine) -> bool:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%support_orders%'")
    async with engine.connect() as connection:
        return bool(await connection.scalar(waiting))
