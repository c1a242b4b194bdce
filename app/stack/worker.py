"""The worker that gunicorn runs, uvicorn on uvloop and httptools; and where both of them log."""

import asyncio
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):  # type: ignore[misc]  # no types
    """Access lines are the edge's own; a lifespan that fails must fail the worker."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - uvicorn_worker's own convention
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,  # X-Forwarded-For is read where it matters: app/edge/proxies.py
        "timeout_graceful_shutdown": 20,
    }


def speaking(protocol: type[asyncio.Protocol]) -> type[Worker]:
    """The worker whose connections are of this class."""
    return type("Worker", (Worker,), {"CONFIG_KWARGS": {**Worker.CONFIG_KWARGS, "http": protocol}})


class Logger(GunicornLogger):  # type: ignore[misc]  # no types
    """Gunicorn's own lines go the way of all others: JSON, redacted (`app.telemetry.logs`)."""

    def setup(self, cfg: Config) -> None:
        """Add no handler: the root logger has the one there is."""
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower())
        self.error_log.setLevel(self.loglevel)
        self.error_log.propagate = True
