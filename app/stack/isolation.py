"""Keeps a job from ending its worker: a process of its own, and a watchdog over the event loop (ADR 0011)."""

import asyncio
import contextlib
import faulthandler
import os
import sys

from app.jobs.jobs import Job

STOP_SECONDS = 10.0


async def until_orphaned(parent: int) -> None:
    """Wait for the death of the process that keeps our lease: from then on the job is another's."""
    while os.getppid() == parent:  # noqa: ASYNC110 - no event reports a parent's death
        await asyncio.sleep(0.5)


async def in_a_process_of_its_own(job: Job) -> bool:
    """Run an attempt in another process, which ends with it. Returns whether that process lived until then."""
    command = (sys.executable, "-m", "app.stack.work", job.id, str(job.attempts))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        return await process.wait() == 0
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # it settles and records what it has spent
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
                raise
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


async def watch_ourselves(seconds: float) -> None:
    """End this process if its event loop is blocked for ``seconds``: nothing runs here then, and leases end.

    The watchdog is a thread of C (docs.python.org/3/library/faulthandler.html), so that code that never gives the interpreter
    back cannot stop it. It writes where the code stood: file and line, no values.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(seconds, exit=True)
            await asyncio.sleep(seconds / 10)
    finally:
        faulthandler.cancel_dump_traceback_later()
