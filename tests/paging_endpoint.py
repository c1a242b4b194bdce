"""The endpoint for Alertmanager, served over HTTP in the test's process, behind the real edge."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import uvicorn
from fastapi import FastAPI
from scripted import TRACING

from app.admin.alertmanager import router
from app.edge.failed_logins import FailedLogins
from app.edge.middleware import EdgeMiddleware
from app.edge.proxies import Proxies
from app.oncall.paging.paging import Paging
from app.stack.embedded import free_port
from app.telemetry.metrics import Metrics


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the tests."""
        yield


@asynccontextmanager
async def serving(paging: Paging, token: str) -> AsyncIterator[str]:
    """The endpoint's address, until the end of the block."""
    metrics = Metrics()
    app = FastAPI()
    app.include_router(router(paging, lambda: token))
    logins = FailedLogins(20, Proxies("127.0.0.1"))
    app.state.edge = SimpleNamespace(max_json_depth=64, failed_logins=logins, metrics=metrics, tracing=TRACING)
    app.add_middleware(EdgeMiddleware, metrics=metrics, tracing=lambda: TRACING, redact=str, max_body_bytes=2**22)
    port = free_port()
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{port}/v1/admin/alertmanager"
    finally:
        server.should_exit = True
        await running
