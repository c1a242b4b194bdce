"""`make fuzz`: ten minutes of malformed requests; fails if a kind of answer is wrong.

Valid requests of every route are changed and sent over raw sockets to a service with its stores and the simulator, on loopback.
A failure is an answer of 5xx that is no documented error of a provider, a worker that died, a complete request without an answer,
a traceback in the log, or a request that costs too much CPU. Each kind is shrunk and printed once, with what repeats it. Cases
depend on the seed and their number alone. Exit code 1 after a failure.
"""

import argparse
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from app.stack.embedded import free_port
from benchmarks.fuzz.case import Case
from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.seeds import seeds
from benchmarks.fuzz.wire import Answer, Received, send
from benchmarks.service import octant, serving, stores_and_simulator

SECONDS = 600.0
MOST_TRIES, MOST_KINDS = 150, 12
# Errors that a provider's answer may cause (docs/api.md). Our own stores are there, so their absence is no answer here.
ALLOWED = {
    "providers_unavailable": 503,
    "providers_rate_limited": 503,
    "deadline_exceeded": 504,
    "output_invalid": 502,
    "answer_withheld": 502,
}
LOGGED = ("unhandled error", "Exception in ASGI", "Traceback", "WORKER TIMEOUT", "callback exception", "never retrieved")
# The standard library's server of /metrics says so of a client that left.
HTTP_SERVER = re.compile(r"-{40}\nException occurred during processing of request.*?\n-{40}\n", re.DOTALL)
DEAD, SLOW = "a worker died", "CPU"
RESTART_SECONDS = 3.0


@dataclass(slots=True)
class Watched:
    """The service: its ports, its first process and its log."""

    ports: dict[str, int]
    first: psutil.Process
    log: Path
    key: str
    read: int = 0
    workers: list[psutil.Process] = field(default_factory=list)

    def find_workers(self) -> bool:
        """Look for the worker processes. Whether they are the same as before."""
        before = {worker.pid for worker in self.workers}
        self.workers = self.first.children()
        return {worker.pid for worker in self.workers} == before

    def alive(self) -> bool:
        """Whether all workers are."""
        return all(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in self.workers)

    def cpu(self) -> float:
        """Seconds of CPU of all workers."""
        used = 0.0
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = worker.cpu_times()
                used += times.user + times.system
        return used

    def logged(self) -> str:
        """The new part of the log, if it shows a defect."""
        with self.log.open("rb") as file:
            file.seek(self.read)
            new = file.read()
        self.read += len(new)
        text = HTTP_SERVER.sub("", new.decode(errors="replace"))
        return next((line for line in text.splitlines() if any(mark in line for mark in LOGGED)), "")


@dataclass(slots=True)
class Fuzz:
    """A run: its service, the answers by status, and the failures."""

    service: Watched
    most_cpu: float
    answered: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def judge(self, case: Case) -> str:
        """Send a case. Returns the fault, worded alike for the same fault; empty if there is none."""
        before = self.service.cpu()
        received = send(case, self.service.ports[case.port])
        for answer in received.answers:
            self.answered[f"{answer.status}"] += 1
        if not self.service.alive():
            time.sleep(RESTART_SECONDS)
            self.service.find_workers()
            return DEAD
        used = self.service.cpu() - before
        if used > self.most_cpu * case.copies:
            return f"{SLOW} over {self.most_cpu} s"
        if case.port == "metrics":  # the standard library's server: 501 is its answer to a method that it does not have
            return next((f"{a.status} of /metrics" for a in received.answers if a.status >= 500 and a.status != 501), "")
        line = self.service.logged()
        return (
            next(filter(None, map(_wrong, received.answers)), "")
            or _missing(case, received)
            or (line and "logged: " + _kind_of(line))
        )

    def check(self, case: Case, name: str) -> None:
        """Judge a case; shrink and note a failure of a kind that is new."""
        kind = self.judge(case)
        if kind.startswith(SLOW):  # other work may have fallen into it
            kind = kind if all(self.judge(case) == kind for _ in range(2)) else ""
        if not kind:
            return
        about = f"{kind} ({case.method.decode()} {_route(case)})"
        if about in self.failures:
            return
        small = self._shrunk(case, kind)
        self.failures[about] = name
        print(f"\nFAILED: {about}\n  repeat: {name}\n{_shown(small, self.service.key)}", flush=True)

    def _shrunk(self, case: Case, kind: str) -> Case:
        tries = 0
        while True:
            for simpler in case.simpler():
                tries += 1
                if tries > MOST_TRIES:
                    return case
                if self.judge(simpler) == kind:
                    case = simpler
                    break
            else:
                return case


def _wrong(answer: Answer) -> str:
    if answer.status < 500:
        return "" if answer.status >= 100 else "an answer that is not HTTP"
    try:
        error = json.loads(answer.body)["error"]
        code = error["code"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} that is not an error of ours: {answer.headers.get('content-type')}"
    return "" if ALLOWED.get(code) == answer.status else f"{answer.status} {code}"


def _missing(case: Case, received: Received) -> str:
    """Name the answer that a complete request lacks. After a 400 the connection may close."""
    if not case.complete:
        return ""
    if len(received.answers) < case.copies and not any(answer.status == 400 for answer in received.answers):
        return "no answer in time" if received.late else "closed without an answer"
    return "" if all(answer.whole for answer in received.answers) else "an answer that was cut"


def _kind_of(line: str) -> str:
    try:
        logged = json.loads(line)
        last = str(logged.get("exception") or logged.get("error") or "").strip().splitlines()
        return " ".join([str(logged.get("event")), str(logged.get("error_type", "")), *(last[-1:])])[:200]
    except ValueError:
        return line[:200]


def _route(case: Case) -> str:
    steps = case.target.partition(b"?")[0].decode("latin-1").split("/")
    return "/".join(steps[:4])[:60]


def _shown(case: Case, key: str) -> str:
    raw = case.as_bytes().replace(key.encode(), b"KEY")
    shown = repr(raw[:3000])[1:] + (f" and {len(raw) - 3000} bytes more" if len(raw) > 3000 else "")
    return f"  port {case.port}, delivery {case.delivery}: {shown}"


def main(arguments: Sequence[str]) -> int:
    """Run. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long; cases are the same, only fewer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="how many cases at most")
    parser.add_argument("--cpu", type=float, default=0.5, help="seconds of CPU that a request may cost")
    chosen = parser.parse_args(arguments)
    with stores_and_simulator() as (env, _):
        env |= {
            "OCTANT_WORKERS": "1",
            "OCTANT_ADMIN_PORT": str(free_port()),
            "OCTANT_DEMO_DAILY_CAP": "1000000",
            "OCTANT_DEFAULT_USER_DAILY_CAP": "1000000",
            "OCTANT_BUDGET__GLOBAL_DAILY_CAP": "10000000",
            "OCTANT_REQUEST_DEADLINE": "10",
            "OCTANT_HTTP__HEADER_TIMEOUT": "2",
            "OCTANT_HTTP__BODY_TIMEOUT": "2",
            "OCTANT_HTTP__BAD_KEYS_PER_MINUTE": "1000000",
        }
        octant(env, "setup")
        scopes = [argument for scope in ("call", "read", "admin") for argument in ("--scope", scope)]
        key = octant(env, "key", "create", "acme", "--name", "fuzz", "--quiet", *scopes)
        with serving(env) as (url, pid):
            ports = {"public": int(env["OCTANT_PORT"]), "admin": int(env["OCTANT_ADMIN_PORT"])}
            ports["metrics"] = int(env["OCTANT_METRICS_PORT"])
            service = Watched(ports, psutil.Process(pid), Path(env["OCTANT_STATE_DIR"]) / "service.log", key)
            fuzz = Fuzz(service, chosen.cpu)
            known = seeds(url, f"http://127.0.0.1:{ports['admin']}", key)
            service.find_workers()
            return _run(fuzz, known, chosen)


def _run(fuzz: Fuzz, known: Sequence[Case], chosen: argparse.Namespace) -> int:
    started, sent = time.monotonic(), 0
    for number, case in enumerate(known):
        fuzz.check(case, f"seed request {number}, unchanged")
    for number in range(chosen.first, sys.maxsize):
        if time.monotonic() - started > chosen.seconds or sent >= chosen.count or len(fuzz.failures) >= MOST_KINDS:
            break
        chance = random.Random(f"{chosen.seed}:{number}")  # noqa: S311 - repeatable, no secret
        case = mutated(chance.choice(known), chance)
        fuzz.check(case, f'make fuzz ARGS="--seed {chosen.seed} --first {number} --count 1"')
        sent += 1
        if sent % 200 == 0:  # the service still answers, whatever connections are half open
            fuzz.check(replace(known[0], target=b"/livez", method=b"GET", tree=None), f"/livez after case {number}")
            if not fuzz.service.find_workers():
                fuzz.failures[f"{DEAD} before case {number}"] = ""
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(fuzz.answered.items()))
    seconds = time.monotonic() - started
    print(f"\n{sent:,} cases of seed {chosen.seed} in {seconds:.0f} s over {len(known)} requests; answers: {statuses}.")
    print(f"{len(fuzz.failures)} kinds of failure." if fuzz.failures else "None is a failure.")
    return 1 if fuzz.failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
