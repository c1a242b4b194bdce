"""The watchdog of `octant worker`: a process whose event loop stands still ends, whatever holds it."""

import subprocess
import sys

import pytest

WORKER = """
import asyncio, re, time
from app.stack.isolation import watch_ourselves

async def main():
    watching = asyncio.create_task(watch_ourselves(1.0))
    await asyncio.sleep(2.5)  # longer than it may stand still: waiting is not standing still
    print("alive", flush=True)
    {block}
    await asyncio.sleep(0.5)
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "block",
    ["time.sleep(60)", "re.match('(a+)+$', 'a' * 60 + '!')"],
    ids=["a blocking call", "code that never gives the interpreter back"],
)
def test_a_worker_whose_event_loop_stands_still_is_ended_and_says_where(block: str) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER.format(block=block)], capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (1, b"alive\n")
    assert b"main" in done.stderr


def test_a_worker_that_ends_in_order_is_not_ended_by_its_watchdog() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER.format(block="")], capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (0, b"alive\ndone\n")
