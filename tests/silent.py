"""Listeners on loopback, silent in ways no HTTP server can play."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

PENDING = 8  # connections that fill a queue of one, with room for what a kernel rounds up


@contextmanager
def never_accepting() -> Iterator[int]:
    """A port whose queue of connections is full.

    The kernel drops every further SYN, as a black hole does.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(PENDING):
            pending = stack.enter_context(socket.socket())
            pending.setblocking(False)
            pending.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@contextmanager
def never_reading() -> Iterator[int]:
    """A port that accepts connections and reads nothing.

    Its buffers are small.
    """
    stop = threading.Event()
    accepted: list[socket.socket] = []
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.settimeout(0.1)

        def accept() -> None:
            while not stop.is_set():
                try:
                    accepted.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()
            for connection in accepted:
                connection.close()
