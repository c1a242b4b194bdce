"""After a stop no action is done, no question handed over (P5)."""

import asyncio
from typing import Any

import aiohttp
from client import post
from conftest import octant
from sqlalchemy import create_engine, text
from support.probes import ANSWER, COVERED, NOT_COVERED

ORDER = "NW-10003"


async def test_after_a_stop_no_action_is_done_and_no_question_handed_over(
    http: aiohttp.ClientSession, stack_env: dict[str, str]
) -> None:
    _, _, answer = await post(http, ANSWER, {"question": f"Please cancel my order {ORDER}.", "user": "ada"})
    (action,) = answer["actions"]
    path, decision = f"/v1/support/actions/{action['id']}", {"token": action["token"], "user": "ada"}
    before = await asyncio.to_thread(_count, stack_env, "SELECT count(*) FROM support_handovers")
    await asyncio.to_thread(octant, stack_env, "kill", "tenant", "acme", "--reason", "it does harm")
    try:
        await asyncio.sleep(2)  # the promise
        for target, body in ((ANSWER, COVERED), (ANSWER, NOT_COVERED), (f"{path}/confirm", decision)):
            status, _, answer = await post(http, target, body)
            assert (status, answer["error"]["code"]) == (503, "stopped_by_operator"), target
        done = f"SELECT count(*) FROM support_orders WHERE id = '{ORDER}' AND status = 'cancelled'"  # noqa: S608
        assert await asyncio.to_thread(_count, stack_env, done) == 0
        assert await asyncio.to_thread(_count, stack_env, "SELECT count(*) FROM support_handovers") == before
        assert (await post(http, f"{path}/cancel", decision)).body["status"] == "cancelled"
    finally:
        await asyncio.to_thread(octant, stack_env, "resume", "tenant", "acme")
        await asyncio.sleep(2)  # the promise, the other way


def _count(env: dict[str, str], query: str) -> Any:  # noqa: ANN401 - what the query gives
    engine = create_engine(env["OCTANT_DATABASE_URL"])
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return found
