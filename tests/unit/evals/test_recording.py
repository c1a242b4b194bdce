"""A reply is replayed for its own request only, and never invented (E10)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from app.stack.embedded import free_port
from evals.cases import InvalidSuite
from evals.recording import MISS, Recording, key_of, record, replay

ASKED = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": 'Hi. <question nonce="0a1b2c3d">?</question>'}]}


def body(**change: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({**ASKED, **change}).encode()


def user_message(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@asynccontextmanager
async def provider(answer: Callable[[], web.Response]) -> AsyncIterator[str]:
    """A provider at the wire."""
    app = web.Application()

    async def post(_: web.Request) -> web.Response:
        return answer()

    app.router.add_post("/v1/chat/completions", post)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()


async def ask(recording: Recording, *bodies: bytes) -> list[tuple[int, str]]:
    """Send bodies through a recording, one after the other."""
    with recording.serving() as env:
        url = env["OCTANT_OPENAI__BASE_URL"] + "/chat/completions"
        async with aiohttp.ClientSession() as http:
            answers = []
            for one in bodies:
                async with http.post(url, data=one, headers={"authorization": "Bearer secret-key"}) as answer:
                    answers.append((answer.status, await answer.text()))
            return answers


@pytest.mark.parametrize(
    "same",
    [
        {"messages": user_message('Hi. <question nonce="ffffffff">?</question>')},
        dict(reversed(list(ASKED.items()))),
    ],
)
def test_values_that_differ_in_each_run_do_not_change_the_key(same: dict[str, Any]) -> None:
    assert key_of("openai", "v1/chat/completions", body()) == key_of("openai", "v1/chat/completions", body(**same))


def test_days_are_normalised_because_the_sample_orders_count_back_from_today() -> None:
    one, other = (body(messages=user_message(f'{{"ordered_on": "{day}"}}')) for day in ("2026-11-20", "2027-01-02"))
    assert key_of("openai", "p", one) == key_of("openai", "p", other)


@pytest.mark.parametrize(
    "changed",
    [{"model": "gpt-6-sol"}, {"messages": user_message("Hello.")}, {"temperature": 0.5}, {"tools": []}],
    ids=["model", "prompt or case", "parameter", "tools"],
)
def test_every_part_of_the_request_changes_the_key(changed: dict[str, Any]) -> None:
    assert key_of("openai", "p", body(**changed)) != key_of("openai", "p", body())


def test_another_vendor_or_path_is_another_key() -> None:
    assert len({key_of(v, p, body()) for v in ("openai", "anthropic") for p in ("v1/a", "v1/b")}) == 4


async def test_a_recording_replays_the_replies_and_holds_no_key(tmp_path: Path) -> None:
    async with provider(lambda: web.json_response({"says": "recorded"})) as base:
        made = record("a model", {"openai": base, "anthropic": base})
        assert await ask(made, body()) == [(200, '{"says": "recorded"}')]
        made.write(tmp_path / "recording.jsonl")
    assert "secret-key" not in (tmp_path / "recording.jsonl").read_text()
    played = replay(tmp_path / "recording.jsonl")
    assert await ask(played, body()) == [(200, '{"says": "recorded"}')]
    assert (played.misses, played.header.label) == (0, "a model")


async def test_a_request_that_was_not_recorded_is_an_error_that_is_counted(tmp_path: Path) -> None:
    """E3: fails closed."""
    async with provider(lambda: web.json_response({})) as base:
        made = record("a model", {"openai": base, "anthropic": base})
        await ask(made, body())
        made.write(tmp_path / "recording.jsonl")
    played = replay(tmp_path / "recording.jsonl")
    ((status, message),) = await ask(played, body(messages=user_message("Something else.")))
    assert (status, played.misses) == (MISS, 1)
    assert "not in the recording" in message


async def test_failures_are_passed_on_and_never_kept(tmp_path: Path) -> None:
    async with provider(lambda: web.json_response({"error": {}}, status=503)) as base:
        made = record("a model", {"openai": base, "anthropic": base})
        assert (await ask(made, body()))[0][0] == 503
        made.write(tmp_path / "recording.jsonl")
    assert len((tmp_path / "recording.jsonl").read_text().splitlines()) == 1


async def test_several_replies_to_the_same_question_are_played_in_their_order(tmp_path: Path) -> None:
    """E5: a run with repeats."""
    count = iter(range(10))
    async with provider(lambda: web.json_response({"n": next(count)})) as base:
        made = record("a model", {"openai": base, "anthropic": base})
        await ask(made, body(), body())
        made.write(tmp_path / "recording.jsonl")
    answers = await ask(replay(tmp_path / "recording.jsonl"), body(), body(), body())
    assert [json.loads(text)["n"] for _, text in answers] == [0, 1, 1]


@pytest.mark.parametrize("content", [None, "", "{}", '{"label": "x", "recorded": "today"}\n{"key": 1}'])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "recording.jsonl").write_text(content)
    with pytest.raises(InvalidSuite, match=r"recording\.jsonl"):
        replay(tmp_path / "recording.jsonl")


async def test_the_recordings_server_stops_with_its_block() -> None:
    made = record("a model", {"openai": "http://127.0.0.1:9/v1", "anthropic": "http://127.0.0.1:9"})
    with made.serving() as env:
        url = env["OCTANT_OPENAI__BASE_URL"]
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectionError):
            await asyncio.wait_for(http.post(url + "/chat/completions", data=b"{}"), 120)
