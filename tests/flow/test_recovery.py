"""Recovery on the running service, with two workers and two providers."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio
from client import eventually, post, session
from conftest import Simulator, key_of, octant, own_stores, running_service
from forked import supervisor_of

from app.features.installed import samples
from app.stack.embedded import embedded_valkey, free_port

CHAT = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
TARGET = "anthropic/claude-sonnet-5-5"


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str) -> Iterator[dict[str, str]]:
    """A service of its own, on stores of its own, whose circuits open as in production, only sooner."""
    circuits = {"OCTANT_RECOVERY__BREAKER_FAILURES": "5", "OCTANT_RECOVERY__BREAKER_REST": "1.5"}
    with own_stores({**stack_env, **circuits}, database_url, "recovery") as env:
        yield env


@pytest.fixture(scope="module")
def api_key(env: dict[str, str]) -> str:
    return key_of(env)


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service(env, tmp_path_factory.mktemp("recovery") / "service.log") as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def http(url: str, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(url, api_key, connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield http  # a connection for each request, so that both workers are met


async def metric(env: Mapping[str, str], line: str) -> float:
    async with aiohttp.request("GET", f"http://127.0.0.1:{env['OCTANT_METRICS_PORT']}/metrics") as answer:
        found = [sample for sample in (await answer.text()).splitlines() if sample.startswith(line)]
    return sum(float(sample.split()[-1]) for sample in found)


async def closed_everywhere(env: Mapping[str, str]) -> bool:
    """Return whether no worker holds the first target's circuit open."""
    async with aiohttp.request("GET", f"http://127.0.0.1:{env['OCTANT_METRICS_PORT']}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    provider, model = TARGET.split("/")
    states = [line for line in lines if line.startswith("octant_breaker_state{") and provider in line and f'"{model}"' in line]
    return bool(states) and all(float(line.split()[-1]) == 0 for line in states)


async def by_the_first(http: aiohttp.ClientSession) -> bool:
    """Whether the first provider answers all of many calls: each worker knows that its circuit is closed."""
    answers = await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
    return all(headers["octant-provider"] == "anthropic" for _, headers, _ in answers)


async def test_all_workers_rest_a_failing_provider_and_call_it_again_when_it_is_well(
    http: aiohttp.ClientSession, simulator: Simulator, env: dict[str, str]
) -> None:
    """R5: visible as a metric and to the operator."""
    simulator.put_faults({"kind": "status", "status": 529, "provider": "anthropic"})
    for _ in range(8):
        status, _, _ = await post(http, "/v1/chat/completions", CHAT)
        assert status == 200
    assert "open" in (shown := octant(env, "providers")), shown
    assert "provider_overloaded" in shown

    async def passed_over() -> bool:
        before = simulator.stats()["anthropic"]["requests"]
        answers = await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
        assert all(status == 200 and headers["octant-provider"] == "openai" for status, headers, _ in answers)
        return simulator.stats()["anthropic"]["requests"] == before

    await eventually(passed_over)
    assert await metric(env, "octant_breaker_trips_total") >= 1

    async def shown_as_open() -> bool:
        await passed_over()  # else an open circuit's rest may end while nothing calls, and it stays half-open
        return await metric(env, "octant_breaker_state") == 2.0

    await eventually(shown_as_open)
    simulator.clear()
    await eventually(lambda: by_the_first(http))
    assert f"{TARGET:<40} closed" in octant(env, "providers")


async def test_with_one_provider_hanging_every_caller_is_answered_whatever_its_deadline(
    http: aiohttp.ClientSession, simulator: Simulator, env: dict[str, str]
) -> None:
    """R5a, with the shipped release: whole answers, streams and the product's answers; then no caller waits any more."""
    simulator.put_faults({"kind": "hang", "provider": "anthropic"})
    bodies = {
        "/v1/chat/completions": CHAT,
        "/v1/messages": {**CHAT, "max_tokens": 50, "stream": True},
        **samples(),
    }
    deadlines: tuple[dict[str, str], ...] = ({"octant-deadline-ms": "10000"}, {"octant-deadline-ms": "20000"}, {})

    async def ask(path: str, deadline: Mapping[str, str]) -> float:
        began = time.monotonic()
        status, headers, body = await post(http, path, bodies[path], **deadline)
        assert status == 200, body
        assert headers["octant-provider"] == "openai"
        if path == "/v1/messages":
            assert "message_stop" in body
        return time.monotonic() - began

    calls = [(path, deadline) for path in bodies for deadline in deadlines]
    assert max(await asyncio.gather(*(ask(*call) for call in calls))) < 10

    async def passed_over() -> bool:
        before = simulator.stats()["anthropic"]["requests"]
        await asyncio.gather(*(ask(*call) for call in calls))
        return simulator.stats()["anthropic"]["requests"] == before

    await eventually(passed_over)
    simulator.clear()
    octant(env, "providers", "close", TARGET)
    await eventually(lambda: by_the_first(http))
    await eventually(lambda: closed_everywhere(env))


async def test_with_both_providers_hanging_callers_get_an_error_within_their_deadline(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """R1: at 3 seconds, with a typed error; the attempts are counted."""
    simulator.put_faults({"kind": "hang"})
    async with http.post("/v1/chat/completions", json=CHAT, headers={"octant-deadline-ms": "3000"}) as answer:
        body = await answer.json()
    simulator.clear()
    assert (answer.status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert float(answer.headers["octant-cost-usd"]) > 0
    assert answer.headers["octant-attempts"] == "2"


async def test_an_operator_closes_a_circuit_by_hand(
    http: aiohttp.ClientSession, simulator: Simulator, env: dict[str, str]
) -> None:
    simulator.put_faults({"kind": "status", "status": 500, "provider": "anthropic"})

    async def is_open() -> bool:
        await asyncio.gather(*(post(http, "/v1/chat/completions", CHAT) for _ in range(8)))
        return f"{TARGET:<40} closed" not in octant(env, "providers")

    await eventually(is_open)
    simulator.clear()
    assert "is closed" in octant(env, "providers", "close", TARGET)
    assert f"{TARGET:<40} closed" in octant(env, "providers")


async def test_with_all_providers_away_callers_learn_when_to_come_back(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.put_faults({"kind": "refuse"})
    status, headers, body = await post(http, "/v1/chat/completions", CHAT)
    assert (status, body["error"]["code"], headers["x-should-retry"]) == (503, "providers_unavailable", "true")
    assert 1 <= int(headers["retry-after"]) <= 60


async def test_a_client_that_leaves_cancels_its_call_upstream_within_100_ms(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    """R7: the quickest of five shows the code's own delay.

    A busy machine may delay any one of them.
    """
    simulator.put_faults({"kind": "hang"})
    lags, counted = [], 0

    def count(name: str) -> int:
        return sum(int(str(seen[name])) for seen in simulator.stats().values())

    async def reached() -> bool:
        return count("open") >= 1  # on a busy machine the next provider may be asked meanwhile

    async def cancelled() -> bool:
        return count("open") == 0 and count("cancelled") > counted

    for _ in range(5):
        request = asyncio.create_task(post(http, "/v1/chat/completions", CHAT))
        await eventually(reached)
        left_at = time.time()
        request.cancel()
        await eventually(cancelled)
        counted = count("cancelled")
        lags.append(max(float(str(seen["last_cancelled_at"])) for seen in simulator.stats().values()) - left_at)
    assert min(lags) < 0.1, lags


async def test_a_slow_reader_slows_the_provider_and_does_not_fill_our_memory(
    url: str, api_key: str, simulator: Simulator, env: dict[str, str]
) -> None:
    """R6: the answer is some 50 megabytes of events; chunks that no client reads are not fetched."""
    body = {**CHAT, "max_tokens": 2000, "stream": True}
    simulator.put_faults({"kind": "flood", "tokens": 400_000})
    service = supervisor_of(int(env["OCTANT_PORT"]))
    before = sum(worker.memory_info().rss for worker in service.children())
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {api_key}\r\ncontent-type: application/json\r\n"
    data = json.dumps(body).encode()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", int(env["OCTANT_PORT"])))
        reader.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        assert b"200 OK" in await asyncio.to_thread(reader.recv, 4096)
        sent = -1

        async def stalled() -> bool:
            nonlocal sent
            before, sent = sent, int(str(simulator.stats()["anthropic"]["sent_bytes"]))
            await asyncio.sleep(0.5)
            return sent == before

        await eventually(stalled)
        assert sent < 32_000_000
        grown = sum(worker.memory_info().rss for worker in service.children()) - before
        assert grown < 30_000_000


async def test_a_valkey_that_goes_away_in_the_middle_of_a_call_does_not_end_the_call(
    simulator: Simulator, env: dict[str, str], api_key: str, tmp_path: Path
) -> None:
    """C7: the money is held already; the next call finds no store and is refused."""
    with embedded_valkey(None) as short_lived:
        env = {
            **env,
            "OCTANT_VALKEY_URL": short_lived,
            "OCTANT_PORT": str(free_port()),
            "OCTANT_METRICS_PORT": str(free_port()),
        }
        with running_service(env, tmp_path / "service.log") as url:
            async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {api_key}"}) as http:
                simulator.put_faults({"kind": "latency", "milliseconds": 1500})
                running = asyncio.create_task(post(http, "/v1/chat/completions", CHAT))

                async def reached() -> bool:
                    return simulator.stats()["anthropic"]["open"] == 1

                await eventually(reached)
                _kill_valkey(short_lived)
                status, headers, _ = await running
                assert (status, headers["octant-provider"]) == (200, "anthropic")
                status, _, body = await post(http, "/v1/chat/completions", CHAT)
                assert (status, body["error"]["code"]) == (503, "dependency_unavailable")


def _kill_valkey(url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    for process in psutil.Process().children(recursive=True):  # it is forked by one of ours
        if any(word.endswith(f":{port}") or word == str(port) for word in process.cmdline()):
            os.kill(process.pid, signal.SIGKILL)
            return
    pytest.fail("no Valkey of ours listens there")
