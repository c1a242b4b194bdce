"""Workers that are killed lose no job; jobs that end their workers fail after a few attempts (G9).

The processes are real.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from client import done, eventually, post, session
from conftest import Simulator, key_of, octant, own_stores, running_service, running_worker

JOB = {"path": "/v1/chat/completions", "body": {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}}
BESIDE = {"path": "/v1/extract", "body": {"text": "Please call me back.", "user": "ada"}}


pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str) -> Iterator[dict[str, str]]:
    leases = {"OCTANT_JOBS_LEASE": "3", "OCTANT_IDEMPOTENCY_LEASE": "2"}
    with own_stores({**stack_env, **leases}, database_url, "jobs_lost") as env:
        yield env


@pytest.fixture(scope="module")
def api_key(env: dict[str, str]) -> str:
    return key_of(env)


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service without a worker: each test runs those that it needs."""
    with running_service(env, tmp_path_factory.mktemp("jobs_lost") / "service.log") as url:
        yield url


async def test_a_worker_that_is_killed_loses_no_job_and_a_paid_call_is_paid_once(
    url: str, api_key: str, simulator: Simulator, env: dict[str, str], tmp_path: Path
) -> None:
    """G9: the next worker runs the jobs; each holds the answer that the first has paid for."""
    simulator.put_faults({"kind": "latency", "milliseconds": 4000, "times": 6})
    async with session(url, api_key) as http:
        with running_worker(env, tmp_path / "killed.log") as victim:
            jobs = [(await post(http, "/v1/jobs", JOB))[2]["id"] for _ in range(6)]

            async def all_reached() -> bool:
                return simulator.stats()["anthropic"]["requests"] == 6

            await eventually(all_reached)
            victim.send_signal(signal.SIGKILL)
            victim.wait(120)
        with running_worker(env, tmp_path / "next.log"):
            finished = [await done(http, job_id, 60) for job_id in jobs]
    assert {(job["state"], job["attempts"]) for job in finished} == {("succeeded", 2)}
    for job in finished:
        assert (job["response"]["headers"]["octant-attempts"], job["response"]["status"]) == ("1", 200)


async def test_a_job_that_ends_its_worker_again_is_failed_while_other_tenants_jobs_go_on(
    url: str, env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
    env = {**env, "OCTANT_JOBS_LOSSES": "2"}  # the second attempt is the last, which runs in a process of its own
    octant(env, "tenant", "create", "beside")
    other_key = octant(env, "key", "create", "beside", "--name", "calls", "-q").strip()
    async with aiohttp.ClientSession(url) as http:

        async def submit(job: object, key: str) -> str:
            async with http.post("/v1/jobs", json=job, headers={"authorization": f"Bearer {key}"}) as answer:
                assert answer.status == 202
                return str((await answer.json())["id"])

        async def job(job_id: str, key: str) -> Any:  # noqa: ANN401 - any JSON
            async with http.get(f"/v1/jobs/{job_id}", headers={"authorization": f"Bearer {key}"}) as answer:
                return await answer.json()

        async def reached() -> bool:
            return bool(simulator.stats()["anthropic"]["open"])

        simulator.clear()
        simulator.put_faults({"kind": "hang"})
        with running_worker(env, tmp_path / "first.log") as first:
            bomb = await submit(JOB, api_key)
            await eventually(reached)
            for child in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
                child.send_signal(signal.SIGKILL)
            first.wait(120)

        with running_worker(env, tmp_path / "second.log") as second:

            async def own_process() -> list[psutil.Process]:
                children = psutil.Process(second.pid).children(recursive=True)
                return [child for child in children if bomb in " ".join(child.cmdline())]

            (child,) = await eventually(own_process)
            simulator.clear()
            beside = await submit(BESIDE, other_key)  # while the one that killed its worker runs

            async def is_done() -> bool:
                return bool((await job(beside, other_key))["state"] == "succeeded")

            await eventually(is_done)
            child.send_signal(signal.SIGKILL)

            async def is_failed() -> bool:
                return bool((await job(bomb, api_key))["state"] in {"failed", "succeeded", "cancelled"})

            await eventually(is_failed)
            state = await job(bomb, api_key)
            assert (state["state"], state["attempts"], state["response"]["status"]) == ("failed", 3, 502)
            assert state["response"]["body"]["error"]["code"] == "job_lost"
            assert second.poll() is None
