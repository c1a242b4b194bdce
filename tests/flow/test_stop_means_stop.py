"""Once an operator has stopped something, nothing of it has an effect any more (P5, runbook/kill-switch.md)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from client import eventually, post_text
from conftest import Simulator, octant
from sqlalchemy import create_engine, text

PATIENCE = 60.0
CHAT, MESSAGES, ANSWER = "/v1/chat/completions", "/v1/messages", "/v1/support/answer"
ASK = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
NOT_COVERED = {"question": "asdfgh qwerty zxcvb", "user": "ada"}  # no article answers it: no model is asked, a person takes over
COVERED = {"question": "How long does standard shipping take?", "user": "ada"}

REFUSED: dict[str, list[dict[str, Any]]] = {
    CHAT: [ASK, {**ASK, "stream": True}],
    MESSAGES: [ASK, {**ASK, "stream": True}],
    "/v1/messages/count_tokens": [{"model": "smart", "messages": ASK["messages"]}],
    ANSWER: [COVERED, {**COVERED, "stream": True}, NOT_COVERED, {**NOT_COVERED, "stream": True}],
    "/v1/support/tickets": [{"text": "My tent from order NW-10001 arrived torn!", "user": "ada"}],
    "/v1/support/actions/{action_id}/confirm": [],  # needs its action's token: below
    "/v1/jobs": [{"path": CHAT, "body": ASK}],
}
GOES_ON = {"/v1/support/actions/{action_id}/cancel", "/v1/jobs/{job_id}/cancel", "/v1/feedback"}


async def run(env: dict[str, str], *command: str) -> str:
    return await asyncio.to_thread(octant, env, *command)


def count(env: dict[str, str], query: str) -> Any:  # noqa: ANN401 - what the query gives
    engine = create_engine(env["OCTANT_DATABASE_URL"])
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return found


async def test_every_path_that_takes_a_request_is_known_here(http: aiohttp.ClientSession) -> None:
    """A new one is refused while all is stopped, or stands in the list of what goes on."""
    async with http.get("/openapi.json") as answer:
        document = await answer.json()
    assert {path for path, methods in document["paths"].items() if "post" in methods} == set(REFUSED) | GOES_ON


@pytest.mark.parametrize("scope", [["all"], ["tenant", "acme"]], ids="-".join)
async def test_two_seconds_after_a_stop_nothing_is_done_any_more(
    http: aiohttp.ClientSession, stack_env: dict[str, str], simulator: Simulator, scope: list[str]
) -> None:
    order = {"all": "NW-10015", "tenant": "NW-10003"}[scope[0]]
    _, told = await post_text(http, ANSWER, {"question": f"Please cancel my order {order}.", "user": "ada"})
    (action,) = json.loads(told)["actions"]
    decision = {"token": action["token"], "user": "ada"}
    simulator.put_faults({"kind": "hang"})
    _, told = await post_text(http, "/v1/jobs", {"path": CHAT, "body": ASK})
    job = json.loads(told)["id"]
    before = await asyncio.to_thread(count, stack_env, "SELECT count(*) FROM support_handovers")
    await run(stack_env, "kill", *scope, "--reason", "it does harm")
    try:
        await asyncio.sleep(2)  # the promise
        simulator.clear()
        for path, bodies in REFUSED.items():
            for body in bodies:
                status, told = await post_text(http, path, body)
                assert (status, json.loads(told)["error"]["code"]) == (503, "stopped_by_operator"), (path, body)
        status, told = await post_text(http, f"/v1/support/actions/{action['id']}/confirm", decision)
        assert (status, json.loads(told)["error"]["code"]) == (503, "stopped_by_operator")
        assert not await asyncio.to_thread(
            count,
            stack_env,
            f"SELECT count(*) FROM support_orders WHERE id = '{order}' AND status = 'cancelled'",  # noqa: S608
        )
        assert await asyncio.to_thread(count, stack_env, "SELECT count(*) FROM support_handovers") == before
        for path in ("/v1/models", f"/v1/jobs/{job}", "/readyz"):
            async with http.get(path) as answer:
                assert answer.status == 200, path
        assert (await post_text(http, "/v1/feedback", {"request_id": "req_12345678", "rating": "bad"}))[0] == 200
        assert (await post_text(http, f"/v1/jobs/{job}/cancel", {}))[0] == 200
    finally:
        await run(stack_env, "resume", *scope)
        await asyncio.sleep(2)  # the promise, the other way
    assert (await post_text(http, CHAT, ASK))[0] == 200
    status, told = await post_text(http, f"/v1/support/actions/{action['id']}/cancel", decision)
    assert (status, json.loads(told)["status"]) == (200, "cancelled")


@pytest.mark.parametrize("scope", [["all"], ["tenant", "acme"], ["provider", "anthropic"], ["file"]], ids="-".join)
async def test_a_stop_of_calls_under_way_ends_them_with_an_error(
    http: aiohttp.ClientSession, stack_env: dict[str, str], simulator: Simulator, scope: list[str]
) -> None:
    simulator.put_faults({"kind": "idle", "seconds": 600, "after_tokens": 3})
    stream = asyncio.create_task(post_text(http, CHAT, {**ASK, "stream": True}))
    await eventually(lambda: _open(simulator, 1))
    simulator.put_faults({"kind": "hang", "provider": "anthropic"} if scope[0] == "provider" else {"kind": "hang"})
    whole = asyncio.create_task(post_text(http, MESSAGES, ASK))
    await eventually(lambda: _open(simulator, 2))
    file = Path(stack_env["OCTANT_STATE_DIR"], "stop")
    try:
        if scope == ["file"]:
            file.write_text("in-flight\n")
        else:
            await run(stack_env, "kill", *scope, "--reason", "it does harm", "--in-flight")
            assert "(calls under way were ended)" in await run(stack_env, "kill", "status")
        status, told = await stream
        last = json.loads(told.strip().rsplit("data: ", 1)[-1])
        assert (status, last["error"]["code"], "[DONE]" in told) == (200, "stopped_by_operator", False)
        status, told = await whole
        if scope[0] == "provider":  # the other one was, or is, asked as well
            assert (status, json.loads(told)["type"]) == (200, "message")
        else:
            assert (status, json.loads(told)["type"], json.loads(told)["error"]["code"]) == (503, "error", "stopped_by_operator")
    finally:
        if scope == ["file"]:
            file.unlink()
        else:
            await run(stack_env, "resume", *scope)
        await asyncio.sleep(2)


async def _open(simulator: Simulator, wanted: int) -> bool:
    return simulator.stats()["anthropic"]["open"] == wanted


async def test_without_being_asked_a_stop_lets_calls_under_way_end(
    http: aiohttp.ClientSession, stack_env: dict[str, str], simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "slow_first_token", "seconds": 4})
    stream = asyncio.create_task(post_text(http, CHAT, {**ASK, "stream": True}))
    await eventually(lambda: _open(simulator, 1))
    file = Path(stack_env["OCTANT_STATE_DIR"], "stop")
    file.touch()
    try:

        async def refused() -> bool:
            return (await post_text(http, CHAT, ASK))[0] == 503

        await eventually(refused)
        status, told = await stream
        assert (status, told.endswith("data: [DONE]\n\n")) == (200, True)
    finally:
        file.unlink()
        await asyncio.sleep(2)
