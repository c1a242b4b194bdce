"""The service of a run.

It is there already, is started for the run, or has its models replayed from a recording.
"""

import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app.settings import load as load_settings
from app.stack import vendors
from evals import chain, chaos, recording, stack
from evals.cases import InvalidSuite
from evals.client import Service
from evals.harness import Result
from evals.options import Source
from evals.recording import Recording

SIMULATOR = "simulator"
BAR = 30  # characters


@dataclass(frozen=True, slots=True)
class Session:
    """A service, its label, and the recording between it and its models, if there is one."""

    service: Service
    label: str
    recording: Recording | None = None


@contextmanager
def opened(source: Source) -> Generator[Session, None, None]:
    """Run the service until the end of the block.

    Raises Unreachable, and InvalidSuite for options that contradict each other.

    Also refused is a label that gives the simulator's score to a model, because its server's address is missing, say (E10).
    """
    if source.base_url:
        yield _foreign(source)
        return
    if source.record and source.replay:
        raise InvalidSuite("--record and --replay exclude each other")
    with ExitStack() as block:
        extra: dict[str, str] = {}
        _check_label(source)
        if source.provider is not None or source.position is not None or source.patience != 1 or source.release:
            folder = Path(block.enter_context(TemporaryDirectory(prefix="octant-evals-releases-")))
            chain.cut_down(
                folder,
                position=source.position,
                provider=source.provider,
                patience=source.patience,
                release=source.release,
            )
            deadline = source.patience * load_settings().request_deadline
            extra |= {"OCTANT_RELEASES_DIR": str(folder), "OCTANT_REQUEST_DEADLINE": str(deadline)}
        between, named = _recording(source, block)
        if between:
            extra |= block.enter_context(between.serving())
        service, label = block.enter_context(stack.running(extra, cap=source.cap))
        yield Session(service, source.label or named or label, between)
        if between and source.record:
            between.write(source.record)


@contextmanager
def broken(source: Source) -> Generator[Session, None, None]:
    """Run a service for chaos cases: all its models simulated, its timeouts short, no open circuits. Raises Unreachable."""
    with TemporaryDirectory(prefix="octant-evals-releases-") as folder:
        chain.cut_down(Path(folder), patience=chaos.PATIENCE, release=source.release)
        with stack.running({"OCTANT_RELEASES_DIR": folder, **chaos.SETTINGS}, cap=source.cap) as (service, label):
            yield Session(service, source.label or label)


def why_unbroken(source: Source) -> str:
    """Why no fault can be injected for this source; empty if it can."""
    if source.base_url:
        return "the service was not started for the run"
    if source.record or source.replay:
        return "a recording stands between the service and its models"
    if source.provider is not None or source.position is not None:
        return "the fallback chains are cut down"
    real = set(vendors.VENDORS) - set(vendors.simulated(load_settings()))
    return f"real models answer for {' and '.join(sorted(real))}" if real else ""


def progress(total: int) -> Callable[[Result], None]:
    """Report progress: a bar in a terminal, else characters.

    Each result is a point (passed), F (failed) or E (could not be judged).
    """
    if not sys.stderr.isatty():
        return lambda result: print("." if result.passed else "E" if result.broken else "F", end="", flush=True)
    counted = {"done": 0, "failed": 0, "broken": 0}

    def show(result: Result) -> None:
        counted["done"] += 1
        counted["failed"] += bool(result.findings)
        counted["broken"] += result.broken is not None
        full = BAR * counted["done"] // total
        summary = f"{counted['done']}/{total}, {counted['failed']} failed, {counted['broken']} broken"
        end = "\n" if counted["done"] == total else ""
        print(f"\r[{'#' * full}{'.' * (BAR - full)}] {summary}", end=end, file=sys.stderr, flush=True)

    return show


def _foreign(source: Source) -> Session:
    """A service that others run: only they know which models answer there."""
    if not source.label.strip():
        raise InvalidSuite("--label must say what answers at --base-url")
    if source.record or source.replay or source.provider or source.position is not None or source.release:
        raise InvalidSuite("recording, replaying, choosing a provider or a release need a service that is started for the run")
    return Session(Service(source.base_url.rstrip("/"), source.api_key), source.label)


def _check_label(source: Source) -> None:
    """Raise InvalidSuite where the simulator would answer, or a recording be played, under another name."""
    if source.label and source.replay:
        raise InvalidSuite("--label: the recording itself says what answers on it")
    if not source.label or source.label.lower().startswith(SIMULATOR):
        return
    settings = load_settings()
    keys = {vendor: settings.provider_key(vendor) for vendor in vendors.VENDORS}
    fake = {*vendors.simulated(settings), *(vendor for vendor, key in keys.items() if key == SIMULATOR)}
    if simulated := [vendor for vendor in vendors.VENDORS if vendor in fake and source.provider in (None, vendor)]:
        wanted = " and ".join(f"OCTANT_{vendor.upper()}__API_KEY" for vendor in simulated)
        raise InvalidSuite(
            f"the simulator would answer for {' and '.join(simulated)}, and the run be called {source.label!r}: set {wanted} "
            "(and …__BASE_URL for a server of your own), choose another with --provider, or begin --label with simulator"
        )


def _recording(source: Source, block: ExitStack) -> tuple[Recording | None, str]:
    """The recording to play or to make, and the label of its models."""
    if source.replay:
        played = recording.replay(source.replay)
        return played, played.header.label
    if not source.record:
        return None, ""
    settings, upstreams, keys = load_settings(), {}, {}
    simulated = vendors.simulated(settings)
    if simulated:
        bases = block.enter_context(stack.simulator())
        upstreams = {vendor: bases[vendor] for vendor in simulated}
        keys = {f"OCTANT_{vendor.upper()}__API_KEY": SIMULATOR for vendor in simulated}
    upstreams = {vendor: upstreams.get(vendor) or getattr(settings, vendor).base_url for vendor in vendors.VENDORS}
    label = source.label or vendors.label_of(simulated)
    made = recording.record(label, upstreams)
    made.environment.update(keys)
    return made, label
