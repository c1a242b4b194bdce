"""`octant serve`: worker processes forked from one that has imported everything, replaced when they die (ADR 0008).

Importing everything takes more than a second of CPU; it is done once, before the fork. Nothing is connected before it: each
worker's lifespan opens its own parts. The parent serves `/metrics`, summed over the workers.
"""

import gc
import json
import logging
import math
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domain.errors import Misconfigured
from app.domain.hosts import authority
from app.settings import Settings, load, unknown_variables
from app.stack import handover
from app.stack.descriptors import Descriptors, raise_limit
from app.stack.pooling import refuse_shared_sessions
from app.stack.ports import require_free
from app.stack.preflight import refuse_example_values
from app.stack.private import OTHERS

if TYPE_CHECKING:
    from fastapi import FastAPI

METRICS_FOLDER = "metrics"


def serve(settings_of: Callable[[], Settings] = load) -> None:
    """Serve until a signal. Raises Misconfigured before anything starts if the settings cannot work.

    ``settings_of`` is called once everything is imported, so that the stores can start at the same time.
    """
    few, known, runner = Descriptors(raise_limit()), load(), handover.of_runner()
    refuse_example_values(known)
    own_ports = settings_of is load and not runner  # a demo and a runner choose them
    if own_ports and known.port and known.port == known.metrics_port:
        raise Misconfigured("OCTANT_METRICS_PORT must be another port than OCTANT_PORT.")
    os.umask(OTHERS)
    if own_ports:  # before anything of a service that runs there is touched
        require_free([(known.host, known.port), (known.admin_host, known.admin_port), (known.host, known.metrics_port)])
    # A folder of its own for each service: replicas may share the state, and existing files are those of an earlier run.
    folder = known.state_dir / METRICS_FOLDER / f"{socket.gethostname()}-{known.port}{runner.suffix}"
    _make_anew(folder, known.state_dir)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # read by prometheus_client when it is first imported, below
    # Everything loaded now lives as long as the process: collecting it is wasted, and would unshare it from forked workers.
    gc.disable()
    from app.gateway.providers.adapters import preload
    from app.main import create_app
    from app.security.redaction.redactor import Redactor
    from app.telemetry import logs
    from app.telemetry.metrics import Metrics

    preload()
    settings = settings_of()
    settings.require_stores()
    refuse_shared_sessions(settings)
    redactor = Redactor(settings.secret)
    logs.configure(settings.log_level, redact=lambda line: redactor.redact(line, tenant=""))
    logs.take_over_last_words()
    if unknown := unknown_variables():
        logging.getLogger(__name__).warning("variables that are no settings", extra={"names": unknown})
    metrics = Metrics()
    application = create_app(settings, metrics)
    gc.freeze()
    gc.enable()
    _server(settings, folder, application, few, lambda reason: metrics.connections_cut.inc(reason=reason)).run()


def _make_anew(folder: Path, state: Path) -> None:
    """Make an empty folder in the state's, which takes temporary files too where no other does. Raises Misconfigured."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise Misconfigured(f"OCTANT_STATE_DIR: {state.resolve()} cannot be written to ({error.strerror}).") from error
    try:
        tempfile.gettempdir()
    except FileNotFoundError:  # a read-only root without one: gunicorn has a file for each worker
        tempfile.tempdir = str(state.resolve())


def settings_from_stdin() -> Settings:
    """Say that everything is imported; read the settings with the environment that comes as one line of JSON."""
    print("imported; waiting for the stores", flush=True)
    os.environ.update(json.loads(sys.stdin.readline()))
    return load()


def _server(  # gunicorn has no types
    settings: Settings, metrics_folder: Path, application: "FastAPI", few: Descriptors, on_cut: Callable[[str], None]
) -> Any:  # noqa: ANN401
    from gunicorn.app.base import BaseApplication

    from app.stack.arbiter import DrainingArbiter
    from app.stack.http_worker import speaking
    from app.stack.protocol import Patience, with_patience
    from app.telemetry import exposition

    http = settings.http
    head_bytes = 2 * http.max_header_bytes + http.max_url_bytes
    patience = Patience(http.header_timeout, http.body_timeout, http.answer_timeout, head_bytes, on_cut, few)
    runner = handover.of_runner()
    binds = runner.binds or [authority(settings.host, settings.port)]
    if settings.admin_port and not runner:
        binds.append(authority(settings.admin_host, settings.admin_port))

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        def load_config(self) -> None:
            hooks: dict[str, Callable[..., object]] = {
                "when_ready": lambda _: runner.once_free(
                    lambda: exposition.serve(settings.host, settings.metrics_port, metrics_folder)
                ),
                "pre_fork": lambda _arbiter, _worker: metrics_folder.mkdir(parents=True, exist_ok=True),
                "child_exit": lambda _, worker: exposition.forget(worker.pid, metrics_folder),
            }
            values = {
                "bind": binds,
                "workers": settings.workers,
                "worker_class": speaking(with_patience(patience)),
                "logger_class": "app.stack.http_worker.Logger",
                "keepalive": 75,  # longer than a load balancer waits (60 s is usual), so that it is the one to close
                "graceful_timeout": math.ceil(settings.graceful_timeout),
                "timeout": 30,
                "preload_app": True,
                "control_socket_disable": True,
                "loglevel": settings.log_level,
                **hooks,
            }
            for name, value in values.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> "FastAPI":
            return application

        def run(self) -> None:
            DrainingArbiter(self).run()

    return Server()


if __name__ == "__main__":
    serve(settings_from_stdin)
