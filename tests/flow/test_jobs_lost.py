"""Jobs that end their worker fail after a few attempts (G9).

Other jobs go on. The processes are real.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from client import eventually
from conftest import Simulator, octant, running_service, running_worker

from app.stack.embedded import free_port

JOB = {"path": "/v1/chat/completions", "body": {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}}
BESIDE = {"path": "/v1/extract", "body": {"text": "Please call me back.", "user": "ada"}}


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def env(stack_env: dict[str, str]) -> dict[str, str]:
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")}
    return {**stack_env, **ports, "OCTANT_JOBS_LEASE": "3", "OCTANT_IDEMPOTENCY_LEASE": "2", "OCTANT_JOBS_LOSSES": "2"}


@pytest.fixture
def url(env: dict[str, str], tmp_path: Path) -> Iterator[str]:
    with running_service(env, tmp_path / "service.log") as url:
        yield url


async def test_a_job_that_ends_its_worker_again_is_failed_while_other_tenants_jobs_go_on(
    url: str, env: dict[str, str], api_key: str, simulator: Simulator, tmp_path: Path
) -> None:
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
            first.wait(10)

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
