"""What is measured: the bare forward, the service with everything on, and the service in other shapes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from benchmarks.speed.processes import Contestant

REFERENCE, OCTANT = "bare Starlette + aiohttp forward", "Octant, everything on"
CAP = "1000000"  # dollars that no measurement spends


def forward(upstream: str) -> Contestant:
    """The reference."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.speed.forward:app", "--port", str(port)]
    return Contestant(
        REFERENCE,
        [*command, "--no-access-log", "--log-level", "error"],
        f"http://127.0.0.1:{port}/v1/chat/completions",
        env={"BENCHMARK_UPSTREAM": upstream + "/chat/completions"},
    )


@dataclass(frozen=True, slots=True)
class Ground:
    """Stores that are set up for a service, the provider's address included, and a key of a tenant far from its caps."""

    env: Mapping[str, str]
    key: str

    def octant(self, name: str = OCTANT, *, settings: Mapping[str, str] | None = None) -> Contestant:
        """The service as it is."""
        return self._service(name, [sys.executable, "-m", "app.cli", "serve"], settings or {})

    def beside(self, checkout: Path) -> Contestant:
        """The service of another checkout: what it was before a change. On the schema of this one."""
        command = ["env", "-C", str(checkout), sys.executable, "-m", "app.cli", "serve"]
        return self._service(f"Octant in {checkout.name}", command, {})

    def reduced(self, part: str) -> Contestant:
        """The service without one of its parts."""
        return self._service(f"without {part}", [sys.executable, "-m", "benchmarks.speed.reduced", part], {})

    def tenant(self, name: str, cap: str) -> str:
        """Create a tenant that may spend ``cap`` dollars a day; returns a key of it."""
        _run(self.env, "tenant", "create", name, "--day", cap, "--user-day", cap)
        return _run(self.env, "key", "create", name, "--name", "bench", "--quiet")

    def _service(self, name: str, command: list[str], settings: Mapping[str, str]) -> Contestant:
        port = free_port()
        env = {**self.env, "OCTANT_PORT": str(port), "OCTANT_METRICS_PORT": str(free_port()), **settings}
        return Contestant(
            name, command, f"http://127.0.0.1:{port}/v1/chat/completions", {"authorization": f"Bearer {self.key}"}, env
        )


@contextmanager
def ground(upstream: str) -> Generator[Ground, None, None]:
    """Start stores and set them up for services: schema, release, tenant."""
    with (
        tempfile.TemporaryDirectory(prefix="octant-bench-") as folder,
        embedded_valkey(None) as valkey,
        embedded_postgres(None) as database,
    ):
        env = {
            "OCTANT_STATE_DIR": folder,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_WORKERS": "1",
            "OCTANT_LOG_LEVEL": "info",
            "OCTANT_OPENAI__BASE_URL": upstream,
            "OCTANT_ANTHROPIC__BASE_URL": upstream,
        }
        _run(env, "setup")
        unkeyed = Ground(env, "")
        yield replace(unkeyed, key=unkeyed.tenant("bench", CAP))


def _run(env: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout.strip()
