"""`octant serve`: worker processes forked from one that has imported everything, replaced when they die (ADR 0008).

Importing both SDKs takes seconds of CPU; it is done once, before the fork. Nothing is connected before it: each worker's
lifespan opens its own parts. The parent serves `/metrics`, summed over the workers.
"""

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

METRICS_FOLDER = "metrics"


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises Misconfigured before anything starts if the settings cannot work."""
    settings.require_stores()
    folder = settings.state_dir / METRICS_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # read by prometheus_client when it is first imported, below
    _server(settings, folder, _import_application(settings)).run()


def _import_application(settings: Settings) -> "FastAPI":
    """Import and build without collecting garbage: what is loaded now lives as long as the process."""
    gc.disable()
    from app.main import create_app

    application = create_app(settings)
    gc.freeze()
    gc.enable()
    return application


def _server(settings: Settings, metrics_folder: Path, application: "FastAPI") -> Any:  # noqa: ANN401 - gunicorn has no types
    from gunicorn.app.base import BaseApplication

    from app.telemetry import exposition

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        def load_config(self) -> None:
            hooks: dict[str, Callable[..., object]] = {
                "when_ready": lambda _: exposition.serve(settings.host, settings.metrics_port, metrics_folder),
                "child_exit": lambda _, worker: exposition.forget(worker.pid, metrics_folder),
            }
            values = {
                "bind": f"{settings.host}:{settings.port}",
                "workers": settings.workers,
                "worker_class": "app.stack.worker.Worker",
                "graceful_timeout": round(settings.graceful_timeout),
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

    return Server()
