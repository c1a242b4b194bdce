"""The parent of the HTTP workers: gunicorn's, with a stop that waits for them and a reload that blocks nothing (ADR 0008).

gunicorn kills workers two seconds after a second signal, does not count a draining worker as one that is missing, and starts a
second parent on SIGUSR2, which cannot share our metrics port.
"""

import contextlib
import os
import queue
import signal
import time
from typing import Any

from gunicorn import sock
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from app.stack import handover
from app.stack.stop_times import stop_seconds

AGAIN_SECONDS = 1.0  # a worker that was just forked may not listen to signals yet
REAP_SECONDS = 2.0
TICK = 0.05


class DrainingArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's parent process with an orderly stop and reload."""

    killed = False
    LISTENERS: list[Any]

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """The runner, where there is one, is the parent of this process."""
        super().__init__(app)
        self._runner = os.getppid() if handover.of_runner() else 0

    def maybe_promote_master(self) -> None:
        """Stop where the runner died, as workers do whose parent died: the next runner could not listen. Asked every second."""
        if self._runner not in (0, os.getppid()):
            self.log.error("The runner died, this service drains and stops")
            raise StopIteration

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's signature
        """Close the port and stop every worker. One that outlives its time is killed, and the exit code says so."""
        sock.close_sockets(self.LISTENERS, unlink=False)
        self.LISTENERS = []
        limit = time.monotonic() + self._seconds(graceful)
        signalled = 0.0
        while self.WORKERS and time.monotonic() < limit:
            if graceful and self._hurried():
                graceful, signalled = False, 0.0
                limit = min(limit, time.monotonic() + self._seconds(graceful))
            if time.monotonic() >= signalled + AGAIN_SECONDS:
                self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
                signalled = time.monotonic()
            self._reap()
            time.sleep(TICK)
        if self.WORKERS:
            self.killed = True
            self.log.error("Workers did not stop in time and are killed: %s", sorted(self.WORKERS))
            self.kill_workers(signal.SIGKILL)
            limit = time.monotonic() + REAP_SECONDS
            while self.WORKERS and time.monotonic() < limit:
                self._reap()
                time.sleep(TICK)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit: 0 after an orderly stop, 1 where a worker had to be killed."""
        self.stop()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # one more Ctrl-C must not turn an orderly end into a death by signal
        super().halt(reason, exit_status or int(self.killed))

    def manage_workers(self) -> None:
        """Keep the number of workers that take new connections. One that drains is replaced before it ends."""
        serving = sorted((w for w in self.WORKERS.values() if not w.draining), key=lambda w: w.age)
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        for worker in serving[: max(0, len(serving) - self.num_workers)]:
            self._retire(worker)

    def reload(self) -> None:
        """Replace every worker. Code and settings stay: both were read before the fork."""
        old = [worker for worker in self.WORKERS.values() if not worker.draining]
        for worker in old:
            worker.draining = True
        self.manage_workers()
        for worker in old:
            self._retire(worker)

    def handle_usr2(self) -> None:
        """Do nothing: a new version is started as a new replica."""
        self.log.warning("SIGUSR2 ignored: start a new version as a new replica")

    def _retire(self, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        worker.draining = True
        self.kill_worker(worker.pid, signal.SIGTERM)

    def _seconds(self, graceful: bool) -> float:  # noqa: FBT001 - as `stop`
        """One more than a worker needs: it ends itself."""
        return stop_seconds(self.cfg.graceful_timeout if graceful else 0) + 1

    def _reap(self) -> None:
        """Collect dead workers. One that failed to start while all stop is no reason to stop."""
        with contextlib.suppress(HaltServer):
            self.reap_workers()

    def _hurried(self) -> bool:
        """Whether SIGINT or SIGQUIT came since the last time."""
        hurried = False
        with contextlib.suppress(queue.Empty):
            while True:
                hurried |= self.SIG_QUEUE.get_nowait() in (signal.SIGINT, signal.SIGQUIT)
        return hurried
