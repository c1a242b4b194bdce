"""`octant demo`: everything on this machine, from wheels, with a little traffic to look at."""

import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from app.settings import Settings, load
from app.stack import setup, traffic
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from app.stack.processes import Watched, child, stop_left_overs, wait_for

START_SECONDS = 60.0
DEAD = 3


class _Progress:
    """One line for each part, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"  {time.monotonic() - self._started:5.1f} s  {what}", flush=True)


class _Interrupted(Exception):  # noqa: N818 - not an error: somebody pressed Ctrl-C
    """Somebody asked us to stop."""


def run(*, once: bool, quiet: bool = False, notice: Path | None = None) -> int:
    """Start everything, send traffic, wait. Returns the exit code: 0 when asked to stop, 3 when a part died.

    ``quiet`` sends no traffic; ``notice`` is a file to write where the service is, a key, and what answers, once it is ready.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    settings, tell = load(), _Progress()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with _only_one(settings.state_dir), _everything(settings, tell) as (running, parts):
            url, keys = f"http://{running.host}:{running.port}", setup.keys(running)
            if notice:
                notice.write_text(json.dumps({"url": url, "key": keys[setup.TENANT], "label": _label(running)}))
            if not quiet:
                traffic.introduce(url, keys, running.metrics_port)
                traffic.send(url, keys)
            if once:
                return 0
            print("\nRunning. Ctrl-C stops everything.", flush=True)
            return _watch(parts)
    except _Interrupted:
        print("\nStopped.", flush=True)
        return 0


def reset() -> None:
    """Remove all local state. Raises Misconfigured while the demo runs."""
    folder = load().state_dir
    if not folder.exists():
        print(f"Nothing to remove: {folder} does not exist.")
        return
    with _only_one(folder):
        stop_left_overs(folder)
        shutil.rmtree(folder)
    print(f"Removed {folder}.")


@contextmanager
def _everything(settings: Settings, tell: _Progress) -> Generator[tuple[Settings, list[Watched]], None, None]:
    """Run all parts until the end of the block; they stop in the reverse order, the service first."""
    folder = settings.state_dir
    for name in stop_left_overs(folder):
        tell(f"{name} of an earlier run stopped")
    with ExitStack() as stores, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        # The service imports while the stores start: both take seconds, and neither needs the other for that.
        starting = pool.submit(stores.enter_context, embedded_postgres(folder / "postgres"))
        service = stack.enter_context(child("service", [sys.executable, "-m", "app.stack.serve"], folder))
        valkey_url = stores.enter_context(embedded_valkey(folder / "valkey"))
        simulator, bases = _simulator(stack, folder)
        env = {"OCTANT_DATABASE_URL": starting.result(), "OCTANT_VALKEY_URL": valkey_url, **_providers(settings, bases)}
        tell("Valkey, Postgres and the provider simulator run")
        env["OCTANT_PORT"] = str(_port(settings.port))
        env["OCTANT_METRICS_PORT"] = str(_port(settings.metrics_port))
        os.environ.update(env)
        running = load()
        if not setup.is_done(running):
            setup.run(running, lambda step: tell(f"setting up: {step}"))
        service.tell(json.dumps(env))
        traffic.wait_until_ready(f"http://{running.host}:{running.port}", service, START_SECONDS)
        tell("the service is ready")
        yield running, [service, simulator, _postgres(folder), _valkey(folder)]


def _simulator(stack: ExitStack, folder: Path) -> tuple[Watched, dict[str, str]]:
    ports = {name: str(free_port()) for name in ("openai", "anthropic", "control")}
    command = [sys.executable, "-m", "app.simulator"]
    command += [argument for name, port in ports.items() for argument in (f"--{name}-port", port)]
    simulator = stack.enter_context(child("simulator", command, folder))
    wait_for(simulator.log, simulator, START_SECONDS)
    (folder / "simulator.json").write_text(json.dumps(ports))
    return simulator, {"openai": f"http://127.0.0.1:{ports['openai']}/v1", "anthropic": f"http://127.0.0.1:{ports['anthropic']}"}


def _providers(settings: Settings, simulated: dict[str, str]) -> dict[str, str]:
    """Point each vendor without a key of ours, and not set elsewhere, at the simulator (G6)."""
    env = {}
    for name, url in simulated.items():
        vendor = getattr(settings, name)
        if not vendor.api_key.get_secret_value() and f"OCTANT_{name.upper()}__BASE_URL" not in os.environ:
            env[f"OCTANT_{name.upper()}__BASE_URL"] = url
            env[f"OCTANT_{name.upper()}__API_KEY"] = "simulator"
    return env


def _label(running: Settings) -> str:
    """What answers: the simulator, or real models; a mix is named as one."""
    simulated = [name for name in ("openai", "anthropic") if getattr(running, name).base_url.startswith("http://127.0.0.1")]
    return {0: "real models", 2: "simulator"}.get(len(simulated), f"simulator for {', '.join(simulated)}")


def _port(wanted: int) -> int:
    """The port that is wanted (0: any), or the next free one."""
    if not wanted:
        return free_port()
    for port in range(wanted, wanted + 50):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port != wanted:
            print(f"  Port {wanted} is taken: using {port}.", flush=True)
        return port
    return free_port()


def _postgres(folder: Path) -> Watched:
    pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return Watched("postgres", pid, folder / "postgres" / "log")


def _valkey(folder: Path) -> Watched:
    home = folder / "valkey"
    return Watched("valkey", int((home / "valkey.pid").read_text()), home / "valkey.log")


def _watch(parts: list[Watched]) -> int:
    """Wait until a part dies."""
    while True:
        for part in parts:
            if not part.alive():
                print(f"\n{part.name} died; stopping the rest. Its log ends:\n{part.last_lines()}", file=sys.stderr, flush=True)
                return DEAD
        time.sleep(0.3)


@contextmanager
def _only_one(folder: Path) -> Generator[None, None, None]:
    """One demo at a time in one folder: the lock goes with the process, however it ends."""
    from app.domain.errors import Misconfigured

    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(f"Octant is running in {folder} already. Stop it first (Ctrl-C in its terminal).") from None
        yield


def _interrupt(_: int, __: FrameType | None) -> None:
    """Once: what is being stopped must not be interrupted again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Interrupted
