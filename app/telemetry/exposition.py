"""`/metrics` on a listener of its own, summed over all worker processes. Run by the process that supervises them."""

import logging
import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock, Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.domain.store_errors import why
from app.telemetry.metrics import Later
from app.telemetry.shared_values import Reserved

log = logging.getLogger(__name__)

# A worker that is forked while a thread of its parent imports a module inherits that module's lock as held, for ever: the worker
# stops at the first line that needs the module. So nothing is forked while a thread of this module works.
_NO_FORK = Lock()
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, struct.error)
ENDED = "ended"  # in the name of a file, where another one has its process
WRITTEN_AFTER = Later.SECONDS + 0.05  # seconds; the rest is for a loop that is late


class _NotWhileForking(Collector):
    """Another collector, which keeps forks waiting while it collects. It begins once workers have written what they counted."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        time.sleep(WRITTEN_AFTER)
        with _NO_FORK:
            return list(self._collector.collect())


class _Readable(Collector):
    """The sum over the workers' files. One that cannot be read, as after a full disk, costs its own numbers and no others."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._whole = MultiProcessCollector(None, path=str(directory))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        try:
            return list(self._whole.collect())  # type: ignore[no-untyped-call]
        except _UNREADABLE:
            files = {str(path): _is_readable(path) for path in self._directory.glob("*.db")}
            log.warning("files of metrics not readable", extra={"files": [Path(f).name for f, fits in files.items() if not fits]})
            return list(self._whole.merge([f for f, fits in files.items() if fits]))  # type: ignore[no-untyped-call]


def _is_readable(path: Path) -> bool:
    try:
        MultiProcessCollector.merge([str(path)])  # type: ignore[no-untyped-call]
    except _UNREADABLE:
        return False
    return True


def serve(host: str, port: int, directory: Path) -> tuple[WSGIServer, Thread]:
    """Serve what the workers wrote into ``directory`` (their PROMETHEUS_MULTIPROC_DIR). Returns server and thread.

    Raises OSError where the port is taken.
    """
    registry = CollectorRegistry()
    with _NO_FORK:
        registry.register(_NotWhileForking(_Readable(directory)))
        return start_http_server(port, addr=host, registry=registry)


def serve_registry(host: str, port: int, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    """Serve one process's own registry. Returns server and thread."""
    return start_http_server(port, addr=host, registry=registry)


def forget(pid: int, directory: Path) -> None:
    """Drop the gauges of a worker that ended, and add its counts to those of all that ended.

    A file for each would make `/metrics` slower with every worker that is replaced, until Prometheus gives up.
    """
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
    if not _NO_FORK.acquire(
        blocking=False
    ):  # a scrape or a fork is under way: this may be a signal's handler, which must not wait
        return
    try:
        for kind in ("counter", "histogram"):
            _add(directory / f"{kind}_{pid}.db", directory / f"{kind}_{ENDED}.db")
    except _UNREADABLE as error:
        log.warning("counts of an ended worker stay in a file of their own", extra=why(error))
    finally:
        _NO_FORK.release()


def _add(file: Path, ended: Path) -> None:
    """Replace both files by one, at once: a full disk leaves both as they are."""
    if not file.exists():
        return
    new = ended.with_suffix(".sum")
    new.unlink(missing_ok=True)
    try:
        sums = Reserved(str(new))
        try:
            for path in (path for path in (ended, file) if path.exists()):
                for key, value, timestamp, _ in Reserved.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                    sums.write_value(key, sums.read_value(key)[0] + value, timestamp)
        finally:
            sums.close()  # type: ignore[no-untyped-call]
        if sums.is_whole:
            new.rename(ended)
            file.unlink()
    finally:
        new.unlink(missing_ok=True)


os.register_at_fork(before=_NO_FORK.acquire, after_in_parent=_NO_FORK.release, after_in_child=_NO_FORK.release)
