"""Servers under test: started on a core of their own, measured with all their children."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil

from benchmarks.service import STOP_SECONDS

PINNED = hasattr(os, "sched_setaffinity")  # Linux
HERE, ELSEWHERE = ({0}, {1}) if (os.cpu_count() or 1) > 1 else ({0}, {0})
ANSWER_SECONDS = 120.0
REALTIME = os.environ.get("BENCHMARK_REALTIME") == "1"  # on a machine that others use: the server under test goes before them


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its address, the headers of a request, its first process, and the seconds until its first answer.

    ``streams``: whether it answers a request for a stream.
    """

    name: str
    url: str
    headers: Mapping[str, str]
    process: psutil.Process
    ready: float
    streams: bool = True

    def cpu(self) -> float:
        """The CPU seconds of the whole process tree so far. Children that have ended are counted by their parent."""
        ended = self.process.cpu_times()
        return sum(map(_cpu, self._tree())) + ended.children_user + ended.children_system

    def memory(self) -> float:
        """The memory of the whole tree, MB; pages that its processes share count once (PSS, on Linux)."""
        infos = [process.memory_full_info() for process in self._tree()]
        return sum(getattr(info, "pss", info.rss) for info in infos) / 1e6

    def largest(self) -> float:
        """The memory of the largest process alone, MB, with all pages that it shares (RSS): a worker's own figure."""
        return max(process.memory_info().rss for process in self._tree()) / 1e6

    def files(self) -> int:
        """The open files and connections of the whole tree."""
        return sum(process.num_fds() for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@dataclass(frozen=True, slots=True)
class Contestant:
    """How to start a server. ``command`` runs with ``env``; ``url`` answers ``headers`` with 200 when it is ready.

    ``stream``: a request for a stream, that a server of others may fail: then it is measured without.
    """

    name: str
    command: Sequence[str]
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    stream: bytes | None = None


def _cpu(process: psutil.Process) -> float:
    """The CPU seconds of a process. On Linux by its own clock (clock_getcpuclockid), for psutil's has ticks of 10 ms."""
    if PINNED:
        return time.clock_gettime((~process.pid << 3) | 2)
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def running(contestant: Contestant, body: bytes, *, cpus: set[int] = HERE) -> Generator[Server, None, None]:
    """Start a contestant on its cores; yields it once it has answered, and stops it at the end of the block."""
    headers = {"content-type": "application/json", **contestant.headers}
    began = time.perf_counter()
    with started(contestant.command, cpus, contestant.env) as process:
        asyncio.run(until_it_answers(contestant.url, headers, body))
        ready = time.perf_counter() - began
        streams = contestant.stream is None or asyncio.run(_streams(contestant.url, headers, contestant.stream))
        yield Server(contestant.name, contestant.url, headers, psutil.Process(process.pid), ready, streams)


@contextmanager
def started(
    command: Sequence[str], cpus: set[int], env: Mapping[str, str], *, piped: bool = False
) -> Generator["subprocess.Popen[str]", None, None]:
    """Run a process on ``cpus``. Its output goes to a file that is removed; with ``piped`` the caller reads it."""
    with tempfile.TemporaryFile("w") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=subprocess.PIPE if piped else out,
            stderr=out,
            text=True,
            start_new_session=True,
        )
        if PINNED:
            os.sched_setaffinity(process.pid, cpus)
        if cpus == HERE and REALTIME:
            os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
        try:
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            if process.stdout:
                process.stdout.close()


@contextmanager
def upstream() -> Generator[str, None, None]:
    """Run the instant provider; yields its address."""
    with started([sys.executable, "-m", "benchmarks.speed.upstream"], ELSEWHERE, {}, piped=True) as process:
        if process.stdout is None:
            raise SystemExit("the upstream has no output")
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"


async def until_it_answers(url: str, headers: Mapping[str, str], body: bytes) -> None:
    """Send ``body`` again and again until the answer is 200. Raises SystemExit with the last answer if none comes."""
    last = "nothing"
    try:
        async with asyncio.timeout(ANSWER_SECONDS), aiohttp.ClientSession(headers=headers) as session:
            while True:
                try:
                    async with session.post(url, data=body) as answer:
                        last = f"{answer.status}: {(await answer.text())[:300]}"
                        if answer.status == 200:
                            return
                except aiohttp.ClientError as error:
                    last = repr(error)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise SystemExit(f"{url} did not answer 200 within {ANSWER_SECONDS:g} s; the last was {last}") from None


async def _streams(url: str, headers: Mapping[str, str], body: bytes) -> bool:
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=body) as answer:
        return answer.status == 200 and (await answer.text()).rstrip().endswith("[DONE]")
