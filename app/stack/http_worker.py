"""gunicorn's worker, uvicorn on uvloop and httptools, and the logging of both."""

import asyncio
import contextlib
import mmap
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker

from app.stack import handover
from app.stack.draining import DrainingServer

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
        "proxy_headers": False,  # X-Forwarded-For is read where it matters: app/edge/proxies.py
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Made before the fork, so that parent and worker share the byte that says whether it drains."""
        super().__init__(*args, **kwargs)
        self._draining = mmap.mmap(-1, 1)
        self._reported = False

    @property
    def draining(self) -> bool:
        """Whether it takes no new connections, or is about to."""
        return self._draining[0] != 0

    @draining.setter
    def draining(self, value: bool) -> None:
        self._draining[0] = int(value)

    async def _serve(self) -> None:
        """Serve. A worker that cannot start ends the whole service only if none of its workers ever served.

        gunicorn would end it each time, and cut what the other workers are answering. Now it starts another one after a pause.
        """
        self.config.app = self.wsgi

        def drained() -> None:
            self.draining = True

        server = DrainingServer(
            self.config,
            self.wsgi.state.in_flight,
            graceful_timeout=self.cfg.graceful_timeout,
            parent=self.ppid,
            on_drain=drained,
        )
        server.install_signals()
        with contextlib.suppress(SystemExit):  # uvicorn's own answer to a lifespan that fails: the code that halts gunicorn
            await server.serve(sockets=self.sockets)
        if server.started:
            return
        if not _SERVED[0]:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        await asyncio.sleep(BOOT_PAUSE)
        sys.exit(1)

    async def callback_notify(self) -> None:
        """Report to gunicorn that this worker lives. Called from the start of serving."""
        _SERVED[0] = 1
        if not self._reported:
            self._reported = True
            handover.of_runner().report_ready()
        await super().callback_notify()


def speaking(protocol: type[asyncio.Protocol]) -> type[Worker]:
    """Return the worker class for this class of connections."""
    return type("Worker", (Worker,), {"CONFIG_KWARGS": {**Worker.CONFIG_KWARGS, "http": protocol}})


class Logger(GunicornLogger):  # type: ignore[misc]  # no types
    """Gunicorn's own lines go the way of all others: JSON, redacted (`app.telemetry.logs`)."""

    def setup(self, cfg: Config) -> None:
        """Add no handler: the root logger has the one there is."""
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower())
        self.error_log.setLevel(self.loglevel)
        self.error_log.propagate = True
