"""Once an operator has stopped something, nothing of it has an effect any more (P5, runbook/kill-switch.md)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from client import eventually, post_text
from conftest import Simulator, octant
from products import probes

PATIENCE = 60.0
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASK = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}

REFUSED: dict[str, Sequence[Mapping[str, Any]]] = {
    CHAT: [ASK, {**ASK, "stream": True}],
    MESSAGES: [ASK, {**ASK, "stream": True}],
    "/v1/messages/count_tokens": [{"model": "smart", "messages": ASK["messages"]}],
    "/v1/responses": [{"model": "smart", "input": "hello"}, {"model": "smart", "input": "hello", "stream": True}],
    "/v1/responses/input_tokens": [{"model": "smart", "input": "hello"}],
    "/v1/embeddings": [{"model": "embed", "input": "hello"}],
    "/v1/jobs": [{"path": CHAT, "body": ASK}],
    **{path: bodies for each in probes() for path, bodies in each.refused.items()},
}
GOES_ON = {
    "/v1/jobs/{job_id}/cancel", "/v1/responses/{response_id}/cancel", "/v1/feedback", "/v1/admin/alarm-test",
    "/v1/admin/incidents/{number}/notes", "/v1/admin/alertmanager", "/v1/hooks/pagerduty",
}.union(*(each.goes_on for each in probes()))  # fmt: skip


async def run(env: dict[str, str], *command: str) -> str:
    return await asyncio.to_thread(octant, env, *command)


async def test_every_path_that_takes_a_request_is_known_here(http: aiohttp.ClientSession) -> None:
    """A new one is refused while all is stopped, or stands in the list of running calls."""
    async with http.get("/openapi.json") as answer:
        document = await answer.json()
    assert {path for path, methods in document["paths"].items() if "post" in methods} == set(REFUSED) | GOES_ON


@pytest.mark.parametrize("scope", [["all"], ["tenant", "acme"]], ids="-".join)
async def test_two_seconds_after_a_stop_nothing_is_done_any_more(
    http: aiohttp.ClientSession, stack_env: dict[str, str], simulator: Simulator, scope: list[str]
) -> None:
    simulator.put_faults({"kind": "hang"})
    _, reply = await post_text(http, "/v1/jobs", {"path": CHAT, "body": ASK})
    job = json.loads(reply)["id"]
    await run(stack_env, "kill", *scope, "--reason", "it does harm")
    try:
        await asyncio.sleep(2)  # the promise
        simulator.clear()
        for path, bodies in REFUSED.items():
            for body in bodies:
                status, reply = await post_text(http, path, body)
                assert (status, json.loads(reply)["error"]["code"]) == (503, "stopped_by_operator"), (path, body)
        for path in ("/v1/models", f"/v1/jobs/{job}", "/readyz"):
            async with http.get(path) as answer:
                assert answer.status == 200, path
        assert (await post_text(http, "/v1/feedback", {"request_id": "req_12345678", "rating": "bad"}))[0] == 200
        assert (await post_text(http, f"/v1/jobs/{job}/cancel", {}))[0] == 200
    finally:
        await run(stack_env, "resume", *scope)
        await asyncio.sleep(2)  # the promise, the other way
    assert (await post_text(http, CHAT, ASK))[0] == 200


async def test_a_stop_of_one_user_refuses_that_user_alone_and_names_it(
    http: aiohttp.ClientSession, stack_env: dict[str, str]
) -> None:
    rogue = {**ASK, "user": "mallory"}
    assert (await post_text(http, CHAT, rogue))[0] == 200
    said = await run(stack_env, "kill", "user", "acme", "mallory", "--reason", "a loop")
    assert "`octant resume user acme mallory` releases it." in said
    try:
        await asyncio.sleep(2)  # the promise
        status, reply = await post_text(http, CHAT, rogue)
        assert (status, json.loads(reply)["error"]["code"]) == (503, "stopped_by_operator")
        assert "Calls of this user are stopped" in reply
        assert (await post_text(http, CHAT, {**ASK, "user": "ada"}))[0] == 200
        assert (await post_text(http, CHAT, ASK))[0] == 200
        assert "user acme mallory: stopped by " in await run(stack_env, "kill", "status")
    finally:
        await run(stack_env, "resume", "user", "acme", "mallory")
        await asyncio.sleep(2)
    assert (await post_text(http, CHAT, rogue))[0] == 200


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
        status, answer = await stream
        last = json.loads(answer.strip().rsplit("data: ", 1)[-1])
        assert (status, last["error"]["code"], "[DONE]" in answer) == (200, "stopped_by_operator", False)
        status, answer = await whole
        if scope[0] == "provider":  # the other one was, or is, called as well
            assert (status, json.loads(answer)["type"]) == (200, "message")
        else:
            assert (status, json.loads(answer)["type"], json.loads(answer)["error"]["code"]) == (
                503,
                "error",
                "stopped_by_operator",
            )
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
        status, answer = await stream
        assert (status, answer.endswith("data: [DONE]\n\n")) == (200, True)
    finally:
        file.unlink()
        await asyncio.sleep(2)
