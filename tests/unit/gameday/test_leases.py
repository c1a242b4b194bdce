"""A fault under a lease ends with the process that holds it, however that one ends (X2)."""

import asyncio
import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from conftest import ROOT, Simulator

from app.domain.leases import Leases
from app.stack.gameday.lease import FaultNotSet, held

PATIENCE = 60.0
REFUSE = [{"kind": "refuse"}]
HOLDER = """
import asyncio, sys, aiohttp
from app.stack.gameday.lease import held
async def run():
    async with aiohttp.ClientSession() as http, held(http, sys.argv[1], "killed", [{"kind": "refuse"}]):
        print("held", flush=True)
        await asyncio.Event().wait()
asyncio.run(run())
"""


def test_a_lease_lives_while_it_is_renewed_and_does_not_come_back() -> None:
    now = 0.0
    leases = Leases(lambda: now)
    leases.take("a", 3)
    now = 2.0
    assert leases.renew("a", 3)
    now = 4.9
    assert leases.live("a")
    now = 5.0
    assert (leases.live("a"), leases.renew("a", 3), leases.live("b")) == (False, False, False)
    leases.take("a", 1)
    leases.drop("a")
    assert not leases.live("a")


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a fault closes, and where its leases are held."""

    control: str
    port: int


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


@pytest.fixture
def echo() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield int(server.server_address[1])
        server.shutdown()
        serving.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Target]:
    command = [sys.executable, "-m", "app.stack.gameday.proxy", "--target", f"127.0.0.1:{echo}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        yield Target(f"http://127.0.0.1:{ports['control']}", ports["port"])
        process.kill()


@pytest.fixture
def provider(simulator: Simulator) -> Target:
    return Target(simulator.control, int(simulator.openai.split(":")[2].split("/")[0]))


async def opens(port: int) -> bool:
    """Whether a connection is accepted and stays open for a moment."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def until(port: int, state: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while await opens(port) is not state:  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("where", ["proxy", "provider"])
async def test_a_fault_ends_by_itself_when_its_holder_is_killed(where: str, request: pytest.FixtureRequest) -> None:
    """By SIGKILL, which nothing can catch."""
    target: Target = request.getfixturevalue(where)
    assert await opens(target.port)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, target.control, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await holder.stdout.readline() == b"held\n"
    await until(target.port, state=False)
    holder.send_signal(signal.SIGKILL)
    await holder.wait()
    await until(target.port, state=True)


@pytest.mark.parametrize("where", ["proxy", "provider"])
@pytest.mark.parametrize(
    "header", [{"origin": "http://evil.example"}, {"sec-fetch-site": "same-origin"}], ids=["origin", "fetch"]
)
async def test_a_web_page_begins_no_fault(where: str, header: dict[str, str], request: pytest.FixtureRequest) -> None:
    """A site whose name leads to this machine is of the same origin to a browser (MCP's SDK, CVE-2025-66416)."""
    target: Target = request.getfixturevalue(where)
    body = json.dumps({"seconds": 60, "faults": REFUSE})
    async with aiohttp.ClientSession() as http, http.put(f"{target.control}/leases/page", data=body, headers=header) as answer:
        assert answer.status == 403
    assert await opens(target.port)


async def test_a_provider_refuses_from_the_moment_that_a_fault_says(provider: Target, simulator: Simulator) -> None:
    """The moment comes without a command."""
    simulator.put_faults({"kind": "refuse", "after_seconds": 0.3})
    await until(provider.port, state=False)
    simulator.clear()
    assert await opens(provider.port)


async def test_connections_through_the_proxy_carry_bytes_and_are_cut_by_the_fault(proxy: Target) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    async with aiohttp.ClientSession() as http, held(http, proxy.control, "one", REFUSE):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(PATIENCE):
                await reader.readexactly(1)
        assert not await opens(proxy.port)
    writer.transport.abort()
    await until(proxy.port, state=True)


def put(control: str, name: str, body: object) -> int:
    request = urllib.request.Request(f"{control}/leases/{name}", json.dumps(body).encode(), method="PUT")  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_lease_whose_faults_were_cleared_cannot_be_renewed(simulator: Simulator) -> None:
    fault: dict[str, Any] = {"kind": "latency", "milliseconds": 1, "provider": "openai"}
    assert put(simulator.control, "a", {"seconds": 30, "faults": [fault]}) == 200
    assert put(simulator.control, "a", {"seconds": 30}) == 200
    assert put(simulator.control, "b", {"seconds": 30}) == 410
    simulator.clear()
    assert put(simulator.control, "a", {"seconds": 30}) == 410
    assert put(simulator.control, "a", {"faults": [fault]}) == 400
    assert put(simulator.control, "a", {"seconds": 30, "faults": [{"kind": "unknown"}]}) == 400


async def test_a_holder_renews_and_learns_that_its_fault_is_gone(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the block runs, and at its end also where no renewal was due."""
    fault = {"kind": "latency", "milliseconds": 1}
    async with aiohttp.ClientSession() as http:
        async with held(http, simulator.control, "a", [fault]) as lease:
            await asyncio.to_thread(simulator.clear)
            async with asyncio.timeout(PATIENCE):
                await lease.ended.wait()
        assert lease.lost.startswith("410")
        monkeypatch.setattr("app.stack.gameday.lease.SECONDS", 50.0)
        async with held(http, simulator.control, "b", [fault]) as lease:
            await asyncio.to_thread(simulator.clear)
        assert lease.lost.startswith("410")
        async with held(http, simulator.control, "c", [fault]) as lease:
            pass
        assert lease.lost == ""


async def test_a_fault_that_is_not_taken_is_the_tools_failure(proxy: Target) -> None:
    async with aiohttp.ClientSession() as http:
        for control, faults in ((proxy.control, [{"kind": "hang"}]), ("http://127.0.0.1:9", REFUSE)):
            with pytest.raises(FaultNotSet):
                async with held(http, control, "a", faults):
                    pass


def test_a_fault_of_a_lease_that_ended_strikes_no_more(simulator: Simulator) -> None:
    assert put(simulator.control, "short", {"seconds": 0.2, "faults": [{"kind": "refuse", "provider": "openai"}]}) == 200
    deadline = time.monotonic() + PATIENCE
    while simulator._send("GET", "/faults") != b"[]":
        assert time.monotonic() < deadline
        time.sleep(0.05)
