"""The stage of a game day: a service with stores, simulator and proxy of its own, started for it and thrown away."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from app.audit.actions import clean
from app.security.redaction.redactor import Redactor
from app.settings import load
from app.stack import demo, setup
from app.stack.gameday.page import octant_in
from app.stack.gameday.pager import Pager
from app.stack.gameday.play import Stage
from app.stack.processes import child, wait_for
from app.stores import build_engine

KEPT = ("OCTANT_ROTATION_FILE", "OCTANT_REHEARSALS_FILE", "OCTANT_RELEASES_DIR", "OCTANT_PROMPTS_DIR")
# Nothing else of the environment that it was started in: a worker of the service that starts one has secrets there, and the
# folder in which its metrics are counted.
MACHINE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
           "PYTHONPATH", "PYTHONUNBUFFERED", "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
START_SECONDS = 300.0  # starting is not judged, so it may take long


@dataclass(slots=True)
class _Proxied:
    """Starts the proxy in front of a store once its address is known."""

    folder: Path
    control: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def valkey(self, url: str) -> Generator[str, None, None]:
        """The address of the proxy, as a URL like the store's own."""
        own = urlsplit(url)
        command = [sys.executable, "-m", "app.stack.gameday.proxy", "--target", f"{own.hostname}:{own.port}"]
        with child("valkey-proxy", command, self.folder) as proxy:
            ports = json.loads(wait_for(proxy.log, proxy, START_SECONDS))
            self.control["valkey"] = f"http://127.0.0.1:{ports['control']}"
            yield own._replace(netloc=own.netloc.replace(f":{own.port}", f":{ports['port']}")).geturl()


@contextmanager
def stage(folder: Path, tell: Callable[[str], None]) -> Generator[Stage, None, None]:
    """Run everything in a folder until the end of the block. The environment is that of the stage meanwhile."""
    before = dict(os.environ)
    _own_environment(folder)
    pager = Pager.bound()
    os.environ.update(pager.environment)
    proxied = _Proxied(folder)
    try:
        with demo.everything(load(), tell, start_seconds=START_SECONDS, valkey_through=proxied.valkey) as running:
            settings = running.settings
            ports = json.loads((settings.state_dir / "simulator.json").read_text())
            proxied.control["simulator"] = f"http://127.0.0.1:{ports['control']}"
            key = setup.keys(settings)[settings.demo_tenant]
            env = octant_in(folder, os.environ)
            redacted = partial(clean, redactor=Redactor(settings.secret))
            engine = build_engine(settings, pooled=False)
            yield Stage(
                url=running.url, key=key, control=proxied.control, env=env, engine=engine, clean=redacted, pager=pager,
                releases=settings.releases_dir, folder=folder,
            )  # fmt: skip
    finally:
        pager.socket.close()
        os.environ.clear()
        os.environ.update(before)


def _own_environment(folder: Path) -> None:
    """Only the machine's variables and settings that name files of the checkout stay; all else is the stage's own."""
    kept = {name: value for name, value in os.environ.items() if name in (*MACHINE, *KEPT) or name.startswith("LC_")}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        OCTANT_STATE_DIR=str(folder), OCTANT_PORT="0", OCTANT_METRICS_PORT="0", OCTANT_WORKER_METRICS_PORT="0",
        OCTANT_OPENAI__API_KEY="", OCTANT_ANTHROPIC__API_KEY="", OCTANT_LOG_LEVEL="error", OCTANT_ENVIRONMENT="development",
        OCTANT_WORKERS="2", OCTANT_SECRET_KEY=hashlib.sha256(os.urandom(32)).hexdigest(),
    )  # fmt: skip
