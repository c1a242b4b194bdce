"""Silent providers and the real adapters: the next provider answers (R5a).

No connection is left open.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import Simulator
from scripted import A, B, call_state, outcomes, recovery
from silent import never_accepting, never_reading

from app.domain.calls import TextDelta
from app.domain.messages import Message, Text
from app.gateway.call_state import CallState
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.openai import OpenAIProvider

SECONDS = 4.0
LONG = "word " * 180_000  # more than a provider that does not read has room for
FACES: dict[str, dict[str, Any]] = {
    "nothing": {"kind": "hang"},
    "headers": {"kind": "hang", "sends": "headers"},
    "pings": {"kind": "hang", "sends": "pings"},
}


@pytest.fixture(params=[*FACES, "never accepts", "never reads"])
def silent(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[tuple[str, dict[str, str]]]:
    """A face of silence, and the base URL under which each vendor has it."""
    urls = {"anthropic": simulator.anthropic, "openai": simulator.openai}
    with contextlib.ExitStack() as stack:
        if request.param in FACES:
            simulator.put_faults({**FACES[request.param], "model": A.model})
        else:
            listen = never_accepting if request.param == "never accepts" else never_reading
            port = stack.enter_context(listen())
            urls = {"anthropic": f"http://127.0.0.1:{port}", "openai": f"http://127.0.0.1:{port}/v1"}
        yield request.param, urls


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_a_silent_provider_costs_no_caller_the_answer(
    silent: tuple[str, dict[str, str]], vendor: str, simulator: Simulator
) -> None:
    face, urls = silent
    adapter = {"anthropic": AnthropicProvider, "openai": OpenAIProvider}[vendor]
    first: Any = adapter(A.provider, base_url=urls[vendor], api_key="sim")
    second: Any = OpenAIProvider(B.provider, base_url=simulator.openai, api_key="sim")
    room = recovery(first, second)
    text = LONG if face == "never reads" else "hello"
    ways = [a_call(text, stream=stream) for stream in (False, True)]
    try:
        whole, streamed = await asyncio.gather(room.complete(ways[0]), read(room.open(ways[1])))
        assert whole.text
        assert streamed
        for way in ways:
            assert outcomes(way) == [("a", "provider_timeout"), ("b", "ok")]
            assert way.call.deadline.remaining() > 0
            assert not way.spending.running
    finally:
        await first.aclose()
        await second.aclose()


def a_call(text: str, *, stream: bool) -> CallState:
    way = call_state(seconds=SECONDS)
    call = replace(way.call, stream=stream, messages=(Message("user", (Text(text),)),))
    return replace(way, call=call, request=replace(way.request, messages=call.messages))


async def read(opening: Any) -> str:  # noqa: ANN401 - what `Recovery.open` gives
    async with contextlib.aclosing(await opening) as chunks:
        return "".join([c.text async for c in chunks if isinstance(c, TextDelta)])
