"""`/metrics` on a listener of its own, summed over all worker processes. Run by the process that supervises them."""

from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead


def serve(host: str, port: int, directory: Path) -> tuple[WSGIServer, Thread]:
    """Serve what the workers wrote into ``directory`` (their PROMETHEUS_MULTIPROC_DIR). Returns server and thread."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return start_http_server(port, addr=host, registry=registry)


def serve_registry(host: str, port: int, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    """Serve one process's own registry. Returns server and thread."""
    return start_http_server(port, addr=host, registry=registry)


def forget(pid: int, directory: Path) -> None:
    """Drop the gauges of a worker that ended; its counters stay."""
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
