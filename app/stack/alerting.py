"""The alert rules beside a demo: Prometheus and Alertmanager, where this machine has them, so that a demo's fault pages.

`deploy/alerting.py` runs both on the rules and the routes of production, ten times as fast. Without them a demo has no alerts:
its page on call says so.
"""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from app.settings import Settings, load
from app.stack.interrupts import held_back
from app.stack.port_claims import PortClaims
from app.stack.processes import Watched, child
from app.stack.receiver import DemoReceiver

LOCAL = "127.0.0.1"
PROGRAMS = (("prometheus",), ("prometheus-alertmanager", "alertmanager"))  # distributions name the second differently
PORTS = (9090, 9093)  # theirs by custom, and so the runbook's
MISSING = (
    "\nNo alert rule is evaluated beside this demo: Prometheus and Alertmanager are not installed. `make tools` installs them."
)


@dataclass(slots=True)
class Alerting:
    """Both programs, which `begin` starts once the service is ready; `step` says once if they end."""

    programs: Sequence[str]
    prometheus: str
    alertmanager: str
    receiver: DemoReceiver
    folder: Path
    tell: Callable[[str], None]
    _running: ExitStack = field(default_factory=ExitStack)
    _process: Watched | None = None

    def begin(self, url: str) -> None:
        """Start them. ``url``: where the service takes what Alertmanager posts."""
        settings = load()  # with the ports of the parts that run by now
        targets = {
            "octant": settings.metrics_port, "octant-worker": settings.worker_metrics_port,
            "octant-evals": settings.evals.metrics_port,
        }  # fmt: skip
        command = [
            sys.executable, "-m", "deploy.alerting", "--programs", *self.programs, "--folder", str(self.folder / "alerting"),
            "--prometheus", self.prometheus, "--alertmanager", self.alertmanager,
            "--pages", f"{url}/v1/admin/alertmanager", "--tickets", self.receiver.tickets,
            *(word for job, port in targets.items() for word in ("--target", f"{job}={LOCAL}:{port}")),
        ]  # fmt: skip
        with held_back():
            self._process = self._running.enter_context(child("alerting", command, self.folder))
        self.tell(
            f"\nAlert rules are evaluated beside it, ten times as fast as in production: http://{self.prometheus}/alerts."
            " Pages and tickets are printed here; a page waits on the console's On-call too."
        )

    def step(self) -> None:
        """Say it where they have ended: calls do not depend on them."""
        if self._process and not self._process.alive():
            self.tell(f"Alert rules are no longer evaluated. The log {self._process.log} ends:\n{self._process.last_lines(3)}")
            self._process = None

    def stop(self) -> None:
        """End both."""
        self._process = None
        self._running.close()


@contextmanager
def beside(
    settings: Settings, receiver: DemoReceiver | None, tell: Callable[[str], None]
) -> Generator[Alerting | None, None, None]:
    """What evaluates the demo's alert rules, if anything does; it is stopped after the block.

    Nothing does where the demo takes no pages, where its settings name an Alertmanager, and without the rules or the programs.
    """
    if receiver is None or settings.budget.alertmanager_url or not find_spec("deploy"):
        yield None
        return
    programs = [next(filter(None, map(which, names)), "") for names in PROGRAMS]
    if not all(programs):
        tell(MISSING)
        yield None
        return
    with ExitStack() as held:
        claims = PortClaims(held)
        prometheus, alertmanager = (f"{LOCAL}:{claims.take(LOCAL, port)}" for port in PORTS)
        os.environ["OCTANT_BUDGET__ALERTMANAGER_URL"] = f"http://{alertmanager}"
        alerting = Alerting(programs, prometheus, alertmanager, receiver, settings.state_dir, tell)
        held.callback(alerting.stop)
        yield alerting
