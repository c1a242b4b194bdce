"""The worker that gunicorn runs, uvicorn on uvloop and httptools; and where both of them log."""

import asyncio
import mmap
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker

BOOT_PAUSE = 1.0
_SERVED = mmap.mmap(-1, 1)  # shared with every worker by the fork: one of them has served


class Worker(UvicornWorker):  # type: ignore[misc]  # no types
    """Access lines are the edge's own; a lifespan that fails must fail the worker."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - uvicorn_worker's own convention
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "timeout_graceful_shutdown": 20,
    }

    async def _serve(self) -> None:
        """Serve. A worker that cannot start ends the whole service only if none of its workers ever served.

        gunicorn would end it each time, and cut what the other workers are answering. Now it starts another one after a pause.
        """
        try:
            await super()._serve()
        except SystemExit as end:
            if end.code != Arbiter.WORKER_BOOT_ERROR or not _SERVED[0]:
                raise
            await asyncio.sleep(BOOT_PAUSE)
            sys.exit(1)

    async def callback_notify(self) -> None:
        """Tell gunicorn that we live; called from when we serve."""
        _SERVED[0] = 1
        await super().callback_notify()


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
