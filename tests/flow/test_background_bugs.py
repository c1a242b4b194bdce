"""A bug in a background task of the service is counted and logged, with what it quotes redacted."""

import json
import os
import subprocess
import sys

PROGRAM = """
import asyncio
from app.domain.periodic import Periodic
from app.main import create_app
from app.settings import load
from app.telemetry.metrics import Metrics

async def main():
    metrics = Metrics()
    application = create_app(load(), metrics)

    async def round():
        raise LookupError("of ada@example.com")

    async with application.router.lifespan_context(application):
        loop = Periodic("ledger", round, every=60)
        loop.start()
        await asyncio.sleep(0.1)
        await loop.stop()
    print(metrics.registry.get_sample_value("octant_unexpected_errors_total", {"cause": "task"}))

asyncio.run(main())
"""


def test_a_bug_of_a_background_task_is_counted_and_logged_redacted(stack_env: dict[str, str]) -> None:
    env = {**os.environ, **stack_env}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=60, check=True)
    *lines, counted = done.stdout.splitlines()
    (line,) = [line for line in map(json.loads, lines) if line["level"] == "error"]
    assert (line["event"], line["task"]) == ("background task failed by a bug, will retry", "ledger")
    assert "LookupError" in line["exception"]
    assert "ada@example.com" not in done.stdout + done.stderr
    assert counted == "1.0"
