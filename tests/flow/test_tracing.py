"""One trace from the caller to the providers, at a real receiver (O4).

Two workers and a job worker export to it.
"""

import asyncio
import json
import os
import re
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from client import session
from conftest import Simulator, key_of, own_stores, running_service, running_worker
from otlp import Receiver, receiving
from sqlalchemy import create_engine, text
from tracing import arrived, drawn, of_the_share, traced

from app.stack.embedded import free_port
from app.telemetry.spans import CORE_SCHEMA_URL, SCHEMA_URL

CHAT = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
SHARE = 0.01
OUTCOMES = re.compile(r'octant_spans_total\{outcome="(\w+)"\} (\S+)')


def outside_the_share() -> str:
    """A trace id that is sent only if something fails."""
    return os.urandom(8).hex() + "f" + os.urandom(8).hex()[1:]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, receiver: Receiver) -> Iterator[dict[str, str]]:
    """Stores of its own: its worker would run what others left in the queue, and use up a test's fault."""
    exported = {"OCTANT_OTLP_ENDPOINT": receiver.endpoint, "OCTANT_OTLP_SAMPLE": str(SHARE)}
    with own_stores({**stack_env, **exported}, database_url, "tracing") as env:
        yield env


@pytest.fixture(scope="module")
def api_key(env: dict[str, str]) -> str:
    return key_of(env)


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tracing")
    with running_service(env, folder / "service.log") as url, running_worker(env, folder / "worker.log"):
        yield url


@pytest_asyncio.fixture(scope="module")
async def http(url: str, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(url, api_key) as http:
        yield http


async def test_a_call_that_falls_back_is_one_trace_with_a_span_for_each_attempt(
    http: aiohttp.ClientSession, receiver: Receiver, simulator: Simulator
) -> None:
    trace = of_the_share()
    simulator.put_faults({"kind": "status", "status": 401, "provider": "anthropic", "times": 1})
    status, headers, _ = await traced(http, "/v1/chat/completions", CHAT, trace)
    assert (status, headers["octant-trace-id"]) == (200, trace)
    spans = await arrived(receiver, trace, "POST /v1/chat/completions")
    attempts = [span for span in spans if span.name.startswith("chat ")]
    assert drawn(spans) == [
        "POST /v1/chat/completions",
        "  call chat",
        f"    {attempts[0].name} failed",
        f"    {attempts[1].name}",
    ]
    assert [span.attributes["gen_ai.provider.name"] for span in attempts] == ["anthropic", "openai"]
    assert attempts[0].attributes["error.type"] == "provider_denied"
    assert attempts[1].attributes["gen_ai.usage.input_tokens"] > 0
    assert {(span.service, span.schemas) for span in spans} == {("octant", (CORE_SCHEMA_URL, SCHEMA_URL))}
    got = [
        seen["traceparent"]
        for name in ("anthropic", "openai")
        for seen in _recent(simulator, name)
        if trace in seen["traceparent"]
    ]
    assert got == [f"00-{trace}-{span.id}-01" for span in attempts], "each attempt is the parent of what its provider does"


def _recent(simulator: Simulator, provider: str) -> list[Any]:
    recent: Any = simulator.stats()[provider]["recent"]
    return list(recent)


async def test_a_streams_spans_end_with_it(http: aiohttp.ClientSession, receiver: Receiver, simulator: Simulator) -> None:
    trace = of_the_share()
    await traced(http, "/v1/messages", {**CHAT, "max_tokens": 64, "stream": True}, trace)
    spans = await arrived(receiver, trace, "POST /v1/messages")
    assert [line.split()[0] for line in drawn(spans)] == ["POST", "call", "chat"]
    attempt = spans[-1].attributes
    assert attempt["gen_ai.request.stream"] is True
    assert attempt["gen_ai.response.time_to_first_chunk"] > 0


async def test_a_client_that_left_is_a_whole_trace(http: aiohttp.ClientSession, receiver: Receiver, simulator: Simulator) -> None:
    trace = outside_the_share()
    simulator.put_faults({"kind": "hang", "times": 1})
    before = simulator.requests()
    leaving = asyncio.create_task(traced(http, "/v1/chat/completions", CHAT, trace))
    async with asyncio.timeout(120):
        while simulator.requests() == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    spans = await arrived(receiver, trace, "POST /v1/chat/completions")
    assert [line.split()[0] for line in drawn(spans)] == ["POST", "call", "chat"]
    assert spans[0].attributes["http.response.status_code"] == 499
    assert spans[1].attributes["octant.outcome"] == "cancelled"


async def test_a_job_goes_on_with_the_trace_that_submitted_it(
    http: aiohttp.ClientSession, receiver: Receiver, simulator: Simulator
) -> None:
    trace = of_the_share()
    status, _, submitted = await traced(http, "/v1/jobs", {"path": "/v1/chat/completions", "body": CHAT}, trace)
    assert status == 202
    spans = await asyncio.to_thread(receiver.trace, trace, lambda names: {"POST /v1/jobs", "process jobs"} <= names.keys())
    lines = drawn(spans)
    assert [line.split()[0] for line in lines] == ["POST", "process", "POST", "call", "chat"]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 6, 8]
    job = next(span for span in spans if span.name == "process jobs")
    assert (job.kind, job.attributes["messaging.message.id"]) == ("CONSUMER", submitted["id"])


async def test_every_trace_with_an_error_is_sent_whole_and_every_span_is_counted(
    http: aiohttp.ClientSession, env: dict[str, str], receiver: Receiver, simulator: Simulator
) -> None:
    """A share of 1 % under load on two workers; a failed span need not mean a failed call."""
    before = _outcomes(env)
    simulator.put_faults({"kind": "status", "status": 500, "probability": 0.25})
    slots = asyncio.Semaphore(16)

    async def one() -> tuple[str, int, bool]:
        trace = outside_the_share()
        async with slots:
            status, headers, _ = await traced(http, "/v1/chat/completions", CHAT, trace)
        attempts = int(headers["octant-attempts"])
        return trace, attempts + 2, attempts > 1 or status >= 500

    made = await asyncio.gather(*(one() for _ in range(200)))
    failed = {trace: spans for trace, spans, error in made if error}
    assert 30 < len(failed) < 170
    total = sum(spans for _, spans, _ in made)
    kept = sum(failed.values())
    arrived_spans = await asyncio.to_thread(receiver.wait, lambda spans: sum(span.trace in failed for span in spans) >= kept)
    made_ids = {trace for trace, _, _ in made}
    assert Counter(span.trace for span in arrived_spans if span.trace in made_ids) == failed
    outcomes = await asyncio.to_thread(_outcomes_of, env, total + before.total())
    assert outcomes - before == {"sent": kept, "sampled_out": total - kept}


def _outcomes_of(env: dict[str, str], number: int) -> Counter[str]:
    """The outcomes of spans, once those of ``number`` are known."""
    deadline = time.monotonic() + 120
    while (outcomes := _outcomes(env)).total() < number and time.monotonic() < deadline:
        time.sleep(0.1)
    return outcomes


def _outcomes(env: dict[str, str]) -> Counter[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{env['OCTANT_METRICS_PORT']}/metrics", timeout=120) as answer:
        return Counter({outcome: int(float(value)) for outcome, value in OUTCOMES.findall(answer.read().decode())})


async def test_a_receiver_that_hangs_holds_up_neither_calls_nor_the_end(
    env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Calls are answered, records are written, and the service ends in time; unsent spans are reported."""
    log, port = tmp_path / "service.log", free_port()
    with receiving() as deaf:
        deaf.hangs.set()
        own = {"OCTANT_PORT": str(port), "OCTANT_METRICS_PORT": str(free_port()), "OCTANT_WORKERS": "1"}
        own |= {"OCTANT_OTLP_ENDPOINT": deaf.endpoint, "OCTANT_OTLP_SAMPLE": "1"}
        with running_service({**env, **own}, log) as url:
            async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {api_key}"}) as http:
                answers = [await traced(http, "/v1/chat/completions", CHAT, outside_the_share()) for _ in range(5)]
                assert await asyncio.to_thread(deaf.requested.wait, 10)
                answers += [await traced(http, "/v1/chat/completions", CHAT, outside_the_share()) for _ in range(5)]
            assert [status for status, _, _ in answers] == [200] * 10
            began = time.monotonic()
        assert time.monotonic() - began < 25, "gunicorn kills after 30 seconds, and with them would go records and money"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "spans not sent before the end"]
    assert line["spans"] == 30
    engine = create_engine(env["OCTANT_DATABASE_URL"])
    with engine.connect() as connection:
        recorded = text("SELECT count(*) FROM calls WHERE trace_id = ANY(:traces)")
        traces = [headers["octant-trace-id"] for _, headers, _ in answers]
        assert connection.scalar(recorded, {"traces": traces}) == 10
    engine.dispose()
