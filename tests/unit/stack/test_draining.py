"""A worker that stops takes the connections that the system has taken for it."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import Server

from app.domain.in_flight import InFlight
from app.stack.descriptors import Descriptors
from app.stack.draining import DrainingServer
from app.stack.protocol import Patience, with_patience

PATIENT = 30.0


async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(autouse=True)
def _alarm() -> Iterator[None]:
    """A stop sets an alarm, which would end the tests."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


async def test_a_connection_that_no_worker_has_accepted_yet_is_answered() -> None:
    """The system has made it, and its request has come. Closed with it, the port resets it."""
    patient = with_patience(Patience(30.0, 30.0, 30.0, 2**16, lambda _: None, Descriptors(1000)))
    config = Config(application, http=patient, lifespan="off", access_log=False, log_config=None)
    config.load()
    server = DrainingServer(config, InFlight(), graceful_timeout=PATIENT, parent=os.getppid(), on_drain=lambda: None)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        await Server.startup(server, [listener])
        client.connect(listener.getsockname())  # the loop does not run: nothing accepts
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await server.shutdown([listener])
        client.settimeout(PATIENT)
        answer = await asyncio.to_thread(client.recv, 2**16)
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"connection: close" in answer
