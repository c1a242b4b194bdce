"""`octant demo`: everything on this machine, from wheels, with a little sample traffic."""

import fcntl
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from app.domain.hosts import authority
from app.settings import EvalsSettings, Settings, load
from app.stack import alerting, embedded, interrupts, programme, setup, steady, traffic, vendors, welcome
from app.stack.descriptors import raise_limit
from app.stack.embedded import embedded_postgres, embedded_valkey
from app.stack.keeper import CLEANING, kept
from app.stack.port_claims import PortClaims
from app.stack.private import keep_private
from app.stack.processes import Watched, child, stop_left_overs, wait_for
from app.stack.receiver import TOKEN, DemoReceiver
from app.stack.reviving import Revived
from app.stack.running import SIMULATOR, Demo, note_of, noted
from app.stack.running import given as given_settings
from app.stack.stop_times import stop_seconds
from app.stack.vendor_keys import KeyChecks

START_SECONDS = 60.0
UNEXPECTED, DEAD = 1, 3
LOCK = "lock"
SCORED_SOON = {"OCTANT_EVALS__INTERVAL": "5", "OCTANT_EVALS__LATE": "5"}  # seconds: a demo is watched, production is not
Through = Callable[[str], AbstractContextManager[str]]
KEEPER_SECONDS = 0.5  # for the keeper of a killed run to say that it has the lock
REMOVE_SECONDS = 20.0  # for what a killed run left, to be gone


@dataclass(frozen=True, slots=True)
class Running:
    """A started demo: its settings, its processes, and a label that says which models answer.

    ``revived`` are started again when they end; the end of one of ``parts`` is the demo's.
    """

    settings: Settings
    parts: list[Watched]
    revived: list[Revived]
    label: str
    note: Demo
    keys: KeyChecks

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://{authority(self.settings.host, self.settings.port)}"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a demo that a person watches has besides: its rehearsals, and the evaluation of its alert rules."""

    rehearsals: programme.Programme
    alerts: alerting.Alerting | None

    def begin(self, running: Running) -> None:
        """Begin, once the service is ready."""
        operators = welcome.operators_address(running.settings)
        self.rehearsals.begin(running.settings, operators)
        if self.alerts:
            self.alerts.begin(operators)

    def step(self) -> None:
        """Go on. Never waits."""
        if self.alerts:
            self.alerts.step()
        self.rehearsals.step()


class _Progress:
    """One line for each part, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"  {time.monotonic() - self._started:5.1f} s  {what}", flush=True)


def run(*, once: bool, quiet: bool = False, notice: Path | None = None, rehearsed: bool = True) -> int:
    """Start everything, send traffic, wait. Returns the exit code: 0 after a stop, 3 when a part died.

    ``once`` stops after the traffic, with exit code 1 if a sample's status is not the expected one. ``quiet`` sends no traffic,
    neither the samples once nor steadily;
    ``notice`` is a file for the service's address, a key and the label, written once the service is ready. ``rehearsed``: the
    first start of a state folder plays its programme, in development, unless it is one of the two before.
    """
    interrupts.listen()
    try:
        raise_limit()
        settings, tell = load(), _Progress()
        rehearsed = rehearsed and not (once or quiet) and settings.environment == "development"
        keep_private(settings.state_dir)
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        folder = settings.state_dir
        parts = everything(settings, tell, scored=not (once or quiet))
        with (
            kept(folder / LOCK, lambda: _stop_left_overs(folder)),
            _only_one(folder),
            _pages_taken(settings if rehearsed else None) as receiver,
            programme.playing(folder, _say, receiver) as rehearsals,
            alerting.beside(settings, receiver, _say) as alerts,
            parts as running,
        ):
            try:
                with _noted(running, receiver):
                    beside = Beside(rehearsals, alerts) if rehearsed else None
                    return _show(running, once=once, quiet=quiet, notice=notice, beside=beside)
            except interrupts.Interrupted:
                _say("\nStopping.")
                raise
            finally:
                rehearsals.hurry()
    except interrupts.Interrupted:
        _say("Stopped.")
        return 0


@contextmanager
def _pages_taken(settings: Settings | None) -> Generator[DemoReceiver | None, None, None]:
    """Take the demo's pages until the end of the block. None without settings, and where they name receivers themselves."""
    if settings is None or settings.paging.receivers:
        yield None
        return
    receiver = DemoReceiver(settings.secret, _say)
    os.environ.update(receiver.environment)
    with receiver.listening():
        yield receiver


def _noted(running: Running, receiver: DemoReceiver | None) -> AbstractContextManager[None]:
    """Let `octant` find this demo; a demo that plays staging or production is found by its settings alone."""
    if running.settings.environment != "development":
        return nullcontext()
    open_ = {name: value for name, value in receiver.environment.items() if name != TOKEN} if receiver else {}
    return noted(replace(running.note, env={**running.note.env, **open_}))


def _show(running: Running, *, once: bool, quiet: bool, notice: Path | None, beside: Beside | None) -> int:
    keys = setup.keys(running.settings)
    if notice:
        notice.write_text(json.dumps({"url": running.url, "key": keys[running.settings.demo_tenant], "label": running.label}))
    as_expected = True
    for line in running.keys.lines():
        _say(f"  {line}")
    if not quiet:
        _say("")
        as_expected = traffic.send(running.url, keys, running.settings.demo_tenant, whole=once)
        if once:
            _say("\nThe demo stops now. Without --once it goes on running, with a console, and shows requests to copy.")
        else:
            _invite(running, keys)
    if once and not _dead(running):
        return 0 if as_expected else UNEXPECTED
    # Real models cost money for every call: only simulated ones are called steadily.
    steadily = not (once or quiet) and len(running.note.simulated) == len(vendors.SIMULATED_PATHS)
    if steadily:
        _say(f"\nA sample is sent every {steady.EVERY:g} s from now on, so that the console shows what happens to calls.")
    if not once:
        _say("\nRunning. Ctrl-C stops everything.")
    if beside:
        beside.begin(running)
    with steady.steady(running.url, keys[running.settings.demo_tenant], _say) if steadily else nullcontext():
        return _watch(running, beside.step if beside else lambda: None)


def _invite(running: Running, keys: Mapping[str, str]) -> None:
    """Print how to call a service that goes on running, and where to look at it."""
    key = keys[running.settings.demo_tenant]
    _say(welcome.introduction(running.settings, key, simulated=bool(running.note.simulated)))
    traffic.introduce(running.url)
    if setup.CONSOLE in keys:
        at = welcome.operators_address(running.settings)
        _say(f"\nThe console: {at}/console\nSign in with:  {keys[setup.CONSOLE]}")
        _say(f"Eight questions of a buyer, answered in five minutes: {at}/console/readiness")


def _say(line: str) -> None:
    """Print, unless the terminal is gone: the steps that follow must still happen."""
    with suppress(OSError):
        print(line, flush=True)


def reset() -> None:
    """Remove all local state. Raises Misconfigured while the demo runs."""
    folder = load().state_dir
    if not folder.exists():
        print(f"Nothing to remove: {folder} does not exist.")
        return
    with _only_one(folder):
        _stop_left_overs(folder)
        shutil.rmtree(folder)
    print(f"Removed {folder}.")


@contextmanager
def folder_of_its_own(prefix: str) -> Generator[Path, None, None]:
    """A temporary folder to run `everything` in, removed after the block.

    If this process is killed within the block, a keeper stops what runs there and removes it. Entered before a thread starts or a
    lock is taken: the keeper has a copy of both.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        (folder / LOCK).touch()
        with kept(folder / LOCK, lambda: _thrown_away(folder)):
            yield folder


def _thrown_away(folder: Path) -> None:
    """Stop what runs there and remove it, whatever fails. It is removed again where a dying process wrote once more."""
    try:
        for notes in folder.glob("*/run"):  # of a service beside: a rehearsal has one of newer code
            stop_left_overs(notes.parent)
        _stop_left_overs(folder)
    finally:
        until = time.monotonic() + REMOVE_SECONDS
        while folder.exists() and time.monotonic() < until:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.1)


@contextmanager
def everything(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    scored: bool = False,
    jobs: bool = True,
    start_seconds: float = START_SECONDS,
    valkey_through: Through = nullcontext,
) -> Generator[Running, None, None]:
    """Run all parts until the end of the block; they stop in the reverse order, the service first.

    ``scored``: the evals score the calls, if they are installed beside the service. ``jobs``: a worker runs them.
    ``start_seconds``: how long a part may take. ``valkey_through`` gives the address at which the parts find Valkey, from its
    own: a game day puts a proxy between them.
    """
    folder, given = settings.state_dir, given_settings()
    for name in _stop_left_overs(folder):
        tell(f"{name} of an earlier run stopped")
    patience = stop_seconds(settings.graceful_timeout) + 2
    with ExitStack() as held, ExitStack() as stores, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        ports = PortClaims(held)
        # The service imports while the stores start: both take seconds, and neither needs the other for that.
        starting = pool.submit(stores.enter_context, embedded_postgres(folder / "postgres"))
        service = stack.enter_context(child("service", [sys.executable, "-m", "app.stack.serve"], folder, stop_seconds=patience))
        at, password = ports.take("127.0.0.1", 0), secrets.token_urlsafe()
        valkey_url = stores.enter_context(embedded_valkey(folder / "valkey", port=at, password=password))
        valkey_url = stores.enter_context(valkey_through(valkey_url))
        stood_in_for = vendors.simulated(settings)
        keys = KeyChecks(settings, stood_in_for)
        simulators, env = _simulator(stack, folder, stood_in_for, ports) if stood_in_for else ([], {})
        env |= {"OCTANT_DATABASE_URL": starting.result(), "OCTANT_VALKEY_URL": valkey_url}
        tell("Valkey and Postgres run" + (", and the provider simulator" if stood_in_for else ""))
        env |= _ports(ports, settings)
        os.environ.update(env)
        running = load()
        if not setup.is_done(running):
            with interrupts.held_back():  # well under a second, and no driver's or event loop's inside is broken into
                setup.run(running, lambda step: tell(f"setting up: {step}"))
                setup.check_live(running)
        tell("starting the service")
        wait_for(service.log, service, start_seconds)  # it has imported everything, and listens at once
        ports.let_go(running.port, running.metrics_port, running.admin_port)
        service.tell(json.dumps(env))
        traffic.wait_until_ready(f"http://{authority(running.host, running.port)}", service, start_seconds)
        ports.let_go(running.worker_metrics_port)
        command = [sys.executable, "-m", "app.stack.work"]
        revived = [stack.enter_context(Revived("worker", command, folder, stop_seconds=patience))] if jobs else []
        tell("the service is ready")
        revived += _scorer(stack, folder, running, ports, tell) if scored else []
        parts = [service, *simulators, _postgres(folder), _valkey(folder)]
        yield Running(
            running, parts, revived, vendors.label_of(stood_in_for), note_of(running, {**given, **env}, stood_in_for), keys
        )


def _stop_left_overs(folder: Path) -> list[str]:
    """Stop the parts of a killed run, the service first: it settles money while the stores run."""
    return [*stop_left_overs(folder), *embedded.stop_left_overs(folder / "valkey", folder / "postgres")]


def _simulator(
    stack: ExitStack, folder: Path, stood_in_for: list[str], claims: PortClaims
) -> tuple[list[Watched], dict[str, str]]:
    """Start the simulator. Returns its process, and the settings that point the vendors at it."""
    ports = {name: str(claims.take("127.0.0.1", 0)) for name in (*vendors.SIMULATED_PATHS, vendors.CONTROL)}
    command = [sys.executable, "-m", "app.simulator"]
    command += [argument for name, port in ports.items() for argument in (f"--{name}-port", port)]
    simulator = stack.enter_context(child("simulator", command, folder))
    wait_for(simulator.log, simulator, START_SECONDS)
    (folder / SIMULATOR).write_text(json.dumps(ports))
    return [simulator], vendors.simulator_environment(ports, stood_in_for)


def _scorer(stack: ExitStack, folder: Path, settings: Settings, claims: PortClaims, tell: Callable[[str], None]) -> list[Revived]:
    """Score recorded calls soon, unless the settings set a time. Returns the process; None without the evals."""
    if not find_spec("evals"):
        return []
    port = claims.take(settings.host, settings.evals.metrics_port)
    os.environ["OCTANT_EVALS__METRICS_PORT"] = str(port)
    if settings.evals.model_copy(update={"metrics_port": EvalsSettings().metrics_port}) == EvalsSettings():
        os.environ.update(SCORED_SOON)
    scorer = stack.enter_context(Revived("evals", [sys.executable, "-m", "evals", "online"], folder))
    tell(f"calls are scored; metrics at http://127.0.0.1:{port}/metrics, candidates by `python -m evals candidates`")
    return [scorer]


def _ports(claims: PortClaims, settings: Settings) -> dict[str, str]:
    """Choose the parts' ports together, and print which of the configured ports are taken."""
    wanted = {
        "OCTANT_ADMIN_PORT": (settings.admin_host, settings.admin_port),
        "OCTANT_PORT": (settings.host, settings.port),
        "OCTANT_METRICS_PORT": (settings.host, settings.metrics_port),
        "OCTANT_WORKER_METRICS_PORT": (settings.host, settings.worker_metrics_port),
    }
    if not settings.admin_port:  # operators are served on the public one
        del wanted["OCTANT_ADMIN_PORT"]
    given = {name: claims.take(host, port, listen=True) for name, (host, port) in wanted.items()}
    for name, (_, port) in wanted.items():
        if port and given[name] != port:
            print(f"  Port {port} is taken: using {given[name]} ({name}).", flush=True)
    return {name: str(port) for name, port in given.items()}


def _postgres(folder: Path) -> Watched:
    pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return Watched("postgres", pid, folder / "postgres" / "log")


def _valkey(folder: Path) -> Watched:
    home = folder / "valkey"
    return Watched("valkey", int((home / "valkey.pid").read_text()), home / "valkey.log")


def _watch(running: Running, step: Callable[[], None]) -> int:
    """Wait until a part dies that is not started again. ``step`` is called again and again meanwhile."""
    while not (dead := _dead(running)):
        step()
        time.sleep(0.3)
    for part in dead:
        print(f"\n{part.name} died; stopping the rest. Its log ends:\n{part.last_lines()}", file=sys.stderr, flush=True)
    return DEAD


def _dead(running: Running) -> list[Watched]:
    """The parts that died. With a store dead no other part is started again: it would die of that."""
    if dead := [part for part in running.parts if not part.alive()]:
        return dead
    return [one.part for one in running.revived if not one.kept_alive(_say)]


def _locked(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _only_one(folder: Path) -> Generator[None, None, None]:
    """One demo at a time in one folder: the lock goes with the process, however it ends."""
    from app.domain.errors import Misconfigured

    with (folder / LOCK).open("ab+") as lock:
        began = time.monotonic()
        while not _locked(lock):
            lock.seek(0)
            patience = START_SECONDS if lock.read() == CLEANING else KEEPER_SECONDS
            if time.monotonic() > began + patience:
                raise Misconfigured(f"Octant is running in {folder} already. Stop it first (Ctrl-C in its terminal).")
            time.sleep(0.1)
        lock.truncate(0)
        yield
