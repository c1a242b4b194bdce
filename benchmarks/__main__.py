"""`make bench`: requests per second, CPU per request and added latency of one worker, beside a bare forward in the same run.

One worker on one core, the load generator and the instant upstream on the other; rounds are interleaved, medians are printed.
With ``--tracing`` the contestants are the service without export of traces, and with it in several ways.
Figures move from machine to machine: compare the ratio. Everything is on: key, pin, hold in Valkey, record in Postgres,
metrics, logs.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from benchmarks import load
from benchmarks.service import STOP_SECONDS

CONNECTIONS, RATE = 32, 50
BODY = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Where is my parcel? " * 38}]}).encode()
PINNED = hasattr(os, "sched_setaffinity")  # Linux
HERE, ELSEWHERE = ({0}, {1}) if (os.cpu_count() or 1) > 1 else ({0}, {0})
ANSWER_SECONDS = 60
PLAIN = "octant, everything on"
TRACING = {
    PLAIN: {},
    "  10 % of traces sent": {"OCTANT_OTLP_SAMPLE": "0.1"},
    "  all traces sent": {"OCTANT_OTLP_SAMPLE": "1"},
    "  all, with content": {"OCTANT_OTLP_SAMPLE": "1", "OCTANT_OTLP_CONTENT": "true"},
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server under test, the process whose CPU counts, and its key."""

    name: str
    url: str
    process: psutil.Process
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        return {"content-type": "application/json", "authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True)
class Round:
    """One round's figures."""

    rate: float
    cpu_us: float
    p50: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.5, help="seconds of load in each round")
    parser.add_argument("--tracing", action="store_true", help="measure what sending traces costs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are stopped then too
    if PINNED:
        os.sched_setaffinity(0, ELSEWHERE)
    else:
        print("Processes cannot be pinned to a core on this system: the figures are rougher than the ratios suggest.")
    with ExitStack() as stack:
        upstream = stack.enter_context(_upstream())
        if arguments.tracing:
            receiver = stack.enter_context(_upstream())
            ways = {name: {**way, "OCTANT_OTLP_ENDPOINT": receiver} if way else way for name, way in TRACING.items()}
            contestants = [stack.enter_context(_service(upstream, name, **way)) for name, way in ways.items()]
        else:
            contestants = [stack.enter_context(_reference(upstream)), stack.enter_context(_service(upstream, PLAIN))]
        rounds: dict[str, list[Round]] = {c.name: [] for c in contestants}
        direct: list[float] = []
        for _ in range(arguments.rounds):
            direct.append(asyncio.run(_direct(upstream, arguments.seconds / 4)))
            for contestant in contestants:
                rounds[contestant.name].append(asyncio.run(_round(contestant, arguments.seconds)))
        _print(contestants, rounds, statistics.median(direct))


async def _round(contestant: Contestant, seconds: float) -> Round:
    await load.closed(contestant.url, BODY, contestant.headers, connections=CONNECTIONS, seconds=0.5)
    before = _cpu(contestant.process)
    busy = await load.closed(contestant.url, BODY, contestant.headers, connections=CONNECTIONS, seconds=seconds)
    cpu = _cpu(contestant.process) - before
    if busy.failures:
        raise SystemExit(f"{contestant.name}: {busy.failures} of {busy.requests} requests failed; the figures would mean nothing")
    calm = await load.paced(contestant.url, BODY, contestant.headers, rate=RATE, seconds=seconds / 2)
    return Round(busy.requests / busy.seconds, cpu / busy.requests * 1e6, calm.p50)


async def _direct(upstream: str, seconds: float) -> float:
    """The median in milliseconds of the upstream itself at the same rate: the rest is added latency."""
    calm = await load.paced(
        upstream + "/chat/completions", BODY, {"content-type": "application/json"}, rate=RATE, seconds=seconds
    )
    return calm.p50


def _print(contestants: list[Contestant], rounds: dict[str, list[Round]], direct: float) -> None:
    print(f"\n{'':32} {'req/s':>8} {'CPU us/req':>11} {'added p50 ms at 50/s':>21} {'RSS MB':>7}")
    medians: dict[str, float] = {}
    for contestant in contestants:
        found = rounds[contestant.name]
        rate, cpu, p50 = (statistics.median(getattr(r, f) for r in found) for f in ("rate", "cpu_us", "p50"))
        medians[contestant.name] = cpu
        memory = contestant.process.memory_info().rss / 1e6
        print(f"{contestant.name:32} {rate:>8.0f} {cpu:>11.0f} {p50 - direct:>21.2f} {memory:>7.0f}")
    first, *others = contestants
    for other in others:
        ratio = medians[other.name] / medians[first.name]
        print(f"\nCPU per request, {other.name.strip()} to {first.name}: {ratio:.2f} to 1.", end="")
    print(f"\nDirect p50: {direct:.2f} ms.")
    print(f"Medians of {len(next(iter(rounds.values())))} rounds.")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _process(command: list[str], cpus: set[int], **env: str) -> "Generator[subprocess.Popen[str], None, None]":
    log = Path(tempfile.gettempdir()) / f"octant-bench-{os.getpid()}-{env.get('OCTANT_PORT', len(env))}.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=out, text=True, start_new_session=True
        ) as process,
    ):
        if PINNED:
            os.sched_setaffinity(process.pid, cpus)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            log.unlink(missing_ok=True)


@contextmanager
def _upstream() -> Generator[str, None, None]:
    with _process([sys.executable, "-m", "benchmarks.upstream"], ELSEWHERE) as process:
        if process.stdout is None:
            raise SystemExit("the upstream has no output")
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"


@contextmanager
def _reference(upstream: str) -> Generator[Contestant, None, None]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.forward:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "error",
    ]
    with _process(command, HERE, BENCHMARK_UPSTREAM=upstream + "/chat/completions") as process:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        asyncio.run(_until_it_answers(url, {}))
        yield Contestant("bare Starlette + aiohttp forward", url, psutil.Process(process.pid))


@contextmanager
def _service(upstream: str, name: str, **settings: str) -> Generator[Contestant, None, None]:
    with (
        tempfile.TemporaryDirectory(prefix="octant-bench-") as folder,
        embedded_valkey(None) as valkey,
        embedded_postgres(None) as database,
    ):
        port = free_port()
        env = {
            "OCTANT_STATE_DIR": folder,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_PORT": str(port),
            "OCTANT_METRICS_PORT": str(free_port()),
            "OCTANT_WORKERS": "1",
            "OCTANT_LOG_LEVEL": "info",
            "OCTANT_OPENAI__BASE_URL": upstream,
            "OCTANT_ANTHROPIC__BASE_URL": upstream,
            "OCTANT_DEFAULT_USER_DAILY_CAP": "100000",
            **settings,
        }
        key = _prepare(env)
        with _process([sys.executable, "-m", "app.cli", "serve"], HERE, **env) as process:
            url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"authorization": f"Bearer {key}"}
            drain = psutil.Process(process.pid)
            asyncio.run(_until_it_answers(url, headers))
            _discard(process)
            worker = drain.children()[0]
            yield Contestant(name, url, worker, key)


def _prepare(env: dict[str, str]) -> str:
    """Schema, index, release; a tenant that never reaches its cap. Returns a key."""

    def octant(*arguments: str) -> str:
        command = [sys.executable, "-m", "app.cli", *arguments]
        return subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout.strip()

    octant("setup")
    octant("tenant", "create", "bench", "--day", "1000000", "--user-day", "1000000")
    return octant("key", "create", "bench", "--name", "bench", "--quiet")


def _discard(process: "subprocess.Popen[str]") -> None:
    """Read the service's log lines and throw them away, so that its pipe never fills."""
    subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S607 - cat


async def _until_it_answers(url: str, headers: dict[str, str]) -> None:
    last = "nothing"
    try:
        async with asyncio.timeout(ANSWER_SECONDS), aiohttp.ClientSession(headers=headers) as session:
            while True:
                try:
                    async with session.post(url, data=BODY) as answer:
                        last = f"{answer.status}: {(await answer.text())[:300]}"
                        if answer.status == 200:
                            return
                except aiohttp.ClientError as error:
                    last = repr(error)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise SystemExit(f"{url} did not answer 200 within {ANSWER_SECONDS} s; the last was {last}") from None


if __name__ == "__main__":
    main()
