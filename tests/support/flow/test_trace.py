"""An answer is one trace, at a real receiver (O4)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from client import eventually
from commands import run
from conftest import Simulator, running_service
from otlp import Receiver, receiving
from tracing import arrived, drawn, of_the_share, traced

from app.stack.embedded import free_port
from app.telemetry.spans import CORE_SCHEMA_URL, SCHEMA_URL


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest_asyncio.fixture(scope="module")
async def http(
    stack_env: dict[str, str], receiver: Receiver, api_key: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[aiohttp.ClientSession]:
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT")}
    env = {**stack_env, **ports, "OCTANT_OTLP_ENDPOINT": receiver.endpoint}
    folder: Path = tmp_path_factory.mktemp("trace")
    with running_service(env, folder / "service.log") as url:
        async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {api_key}"}) as session:
            yield session


async def test_an_answer_is_one_trace_over_retrieval_calls_attempts_and_tools(
    http: aiohttp.ClientSession, receiver: Receiver, simulator: Simulator, stack_env: dict[str, str]
) -> None:
    """The first provider fails, another calls a tool, the second turn answers."""
    trace = of_the_share()
    simulator.put_faults({"kind": "status", "status": 401, "provider": "anthropic", "times": 1})
    body = {"question": "Where is my order NW-10001?", "user": "ada"}
    status, headers, answer = await traced(http, "/v1/support/answer", body, trace)
    assert (status, headers["octant-trace-id"], answer["tools"]) == (
        200,
        trace,
        [{"name": "get_order", "outcome": "ok", "order_id": "NW-10001"}],
    )
    spans = await arrived(receiver, trace, "POST /v1/support/answer")
    by_name = {span.name.partition(" ")[0]: span for span in spans}
    source = by_name["retrieval"].attributes["gen_ai.data_source.id"]
    model_spans = [span for span in spans if span.name.startswith("chat ")]
    assert drawn(spans) == [
        "POST /v1/support/answer",
        f"  retrieval {source}",
        "  call support.answer",
        f"    {model_spans[0].name} failed",
        f"    {model_spans[1].name}",
        "  execute_tool get_order",
        "  call support.answer",
        f"    {model_spans[2].name}",
    ]
    assert [span.attributes["gen_ai.provider.name"] for span in model_spans] == ["anthropic", "openai", "anthropic"]
    assert model_spans[0].attributes["error.type"] == "provider_denied"
    assert all(span.attributes["gen_ai.usage.input_tokens"] > 0 for span in model_spans[1:])
    assert {(span.service, span.schemas) for span in spans} == {("octant", (CORE_SCHEMA_URL, SCHEMA_URL))}
    assert {span.name.partition(" ")[0]: span.kind for span in spans} == {
        "POST": "SERVER", "retrieval": "CLIENT", "call": "INTERNAL", "chat": "CLIENT", "execute_tool": "INTERNAL"
    }  # fmt: skip
    await _drawn(stack_env, trace, ["edge", f"retrieval {source}", "support.answer", "tool get_order", "support.answer"])
    got: list[str] = [seen["traceparent"] for name in ("anthropic", "openai") for seen in _recent(simulator, name)]
    wanted = [f"00-{trace}-{span.id}-01" for span in (model_spans[0], model_spans[2], model_spans[1])]
    assert got == wanted, "each attempt is the parent of what its provider does"


async def _drawn(env: dict[str, str], trace: str, labels: list[str]) -> None:
    """The records draw the same waterfall, without a receiver of traces."""

    async def same() -> bool:
        printed = await asyncio.to_thread(run, env, "trace", trace)
        return [line.split("  ")[0] for line in printed.stdout.splitlines() if line[:1].isalpha() and " ms " in line] == labels

    await eventually(same)


def _recent(simulator: Simulator, provider: str) -> list[Any]:
    recent: Any = simulator.stats()[provider]["recent"]
    return list(recent)
