"""`octant worker`: runs jobs through the application and sends webhooks.

A job's request goes through the same ASGI application as any other, with the submitter's identity in its scope and the job's id
as request id and ``Idempotency-Key``. So it is held, recorded and redacted like any other. If a run was answered but its outcome
was not stored, the next run gets the stored answer and is not paid for again.
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.domain.calls import Identity
from app.domain.errors import JobLost, OctantError
from app.domain.periodic import Periodic, end, spawn
from app.edge.deferral import as_json
from app.edge.errors import render
from app.jobs.jobs import Done, Job, Jobs
from app.jobs.webhooks import Webhooks
from app.oncall.switch import KillSwitch
from app.security.redaction.redactor import Redactor
from app.settings import Settings, load
from app.stack.descriptors import raise_limit
from app.stack.isolation import in_a_process_of_its_own, until_orphaned, watch_ourselves
from app.stack.perform import Answer, perform
from app.stack.pooling import refuse_shared_sessions
from app.stack.ports import require_free
from app.stack.preflight import refuse_example_values
from app.stack.private import OTHERS
from app.stack.stop_times import stop_seconds
from app.telemetry import logs
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing

RENEW_EVERY, SWEEP_EVERY, FORGET_EVERY = 1.0, 2.0, 60.0
TAKE_EVERY = 2.0  # a worker looks for jobs at least this often: those due later, missed, or of a dead worker
SEARCH_PAST_EVERY = 0.5  # a search past the backlog of a tenant that has its share reads all of it: 100,000 jobs take 0.1 s
RENEW_FIRST = 2.0  # after an outage of Postgres: workers that live renew their leases before any job is taken from them
STOP_TAKING = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # twenty attempts are half an hour to an hour: longer than most outages

log = logging.getLogger(__name__)

# A bug ends them, and with them the worker: jobs whose lease ends are begun by another one, too, and paid twice.
_loop = partial(Periodic, survives=(OctantError,), ends_on_bug=True)


@dataclass(kw_only=True)
class Runner:
    """Runs jobs. ``identify`` gives a key's current identity; ``attempts``: how often a job is tried.

    A job that loses its worker ``losses`` times fails. Its last attempt runs in a process of its own (``alone`` returns whether
    that process survived), so that a job does not fail because another one killed their worker.
    """

    app: ASGIApp
    jobs: Jobs
    identify: Callable[[str], Awaitable[Identity]]
    attempts: int
    losses: int
    at_once: int
    metrics: Metrics
    tracing: Tracing
    alone: Callable[[Job], Awaitable[bool]]
    running: dict[str, tuple[Job, asyncio.Task[None]]] = field(default_factory=dict)
    taking: Periodic = field(init=False)
    _away: bool = False
    _sweeps: int = 0
    _look_past_at: float = 0.0
    _isolating: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Prepare the loop that starts jobs; a new job or a free place wakes it."""
        self.taking = _loop("taking of jobs", self.take, every=TAKE_EVERY, complaint="no job taken")

    def loops(self) -> tuple[Periodic, ...]:
        """The loops that go on while jobs run, even when no new jobs are taken."""
        late = "not notified of jobs, they start up to two seconds later"
        return (
            _loop("notifications of jobs", self.listen, every=TAKE_EVERY, complaint=late),
            _loop("leases of jobs", self.renew_leases, every=RENEW_EVERY, at_once=False, complaint="leases not renewed"),
            _loop("sweep of jobs", self.sweep, every=SWEEP_EVERY, at_once=False, complaint="jobs not swept"),
        )

    async def take(self) -> None:
        """Start due jobs while there are places. Raises OctantError."""
        before, self._away = self._away, True
        if before:
            await self.jobs.waiting()
            await asyncio.sleep(RENEW_FIRST)
        while len(self.running) < self.at_once and not self.taking.stopping and await self._take():
            pass
        self._away = False

    async def listen(self) -> None:
        """Wake `take` when a job is submitted, until the connection is gone. Raises OctantError then."""
        await self.jobs.listen(self.taking.wake)

    async def _take(self) -> bool:
        """Start one job, and return whether one was due. A job that still runs here after its lease ended is skipped."""
        full, now = self._full(), asyncio.get_running_loop().time()
        if full and now < self._look_past_at:
            self.taking.retry_in(self._look_past_at - now)  # another tenant's job may have come meanwhile
            return False
        job = await self.jobs.start(but=list(self.running), but_of=full)
        if job is None:
            self._look_past_at = now + SEARCH_PAST_EVERY if full else 0.0
            return False
        self.metrics.job_wait_seconds.observe(max(0.0, ((job.started_at or job.created_at) - job.created_at).total_seconds()))
        task = asyncio.create_task(self._last_chance(job) if job.lost and job.lost >= self.losses - 1 else self.attempt(job))
        self.running[job.id] = job, task
        task.add_done_callback(partial(self._done, job.id))
        return True

    def _done(self, job_id: str, task: "asyncio.Task[None]") -> None:
        if job_id in self.running and self.running[job_id][1] is task:
            if len(self.running) >= self.at_once or self._full():
                self.taking.wake()  # a job may be waiting for this place
            del self.running[job_id]

    async def renew_leases(self) -> None:
        """Renew the leases of running jobs; stop jobs that were cancelled or taken over. Raises OctantError."""
        mine = [job for job, _ in self.running.values()]
        renewed = await self.jobs.renew(mine) if mine else {}
        for job in mine:
            attempt_runs = job.id in self.running and self.running[job.id][0] is job  # and no later attempt of the job
            if renewed.get(job.id, True) and attempt_runs:
                self.running[job.id][1].cancel("cancelled" if job.id in renewed else "taken over")

    async def sweep(self) -> None:
        """Cancel jobs whose worker died before it did so, and delete old jobs. Raises OctantError."""
        await self.jobs.end_cancelled()
        if self._sweeps % (FORGET_EVERY // SWEEP_EVERY) == 0:
            await self.jobs.forget_old()
        self._sweeps += 1

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Let running jobs end, for ``seconds`` at most and until ``hurry`` is set; put the rest back for another worker."""
        tasks = [task for _, task in self.running.values()]
        hurried = asyncio.create_task(hurry.wait())
        ends = asyncio.get_running_loop().time() + seconds
        while (left := {task for task in tasks if not task.done()}) and not hurry.is_set():
            seconds_left = ends - asyncio.get_running_loop().time()
            if seconds_left <= 0:
                break
            await asyncio.wait({*left, hurried}, timeout=seconds_left, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        for task in tasks:
            task.cancel("drained")
        await asyncio.gather(*tasks, return_exceptions=True)

    def _full(self) -> set[str]:
        """Tenants with three quarters of our places; the rest is for other tenants."""
        counts = Counter(job.tenant for job, _ in self.running.values())
        return (
            {tenant for tenant, count in counts.items() if count >= max(1, self.at_once * 3 // 4)} if self.at_once > 1 else set()
        )

    async def _last_chance(self, job: Job) -> None:
        if job.lost >= self.losses:
            error = JobLost(f"The job's worker died or stood still {job.lost} times. It is not tried again.")
            await self._write(self.jobs.finish(job, Done("failed", *render(error, "openai", job.id))))
            self.metrics.jobs.inc(outcome="lost")
            log.error("job failed: it lost its worker again and again", extra={"job": job.id, "lost": job.lost})
            return
        if self._isolating.locked():  # it waits in the queue, where it takes no place
            await self._write(self.jobs.put_back(job, TAKE_EVERY, counts=False))
            return
        async with self._isolating:
            try:
                lived = await self.alone(job)
            except asyncio.CancelledError as cancelled:
                await self._stopped(job, str(cancelled.args[0]) if cancelled.args else "drained")
                return
        if not lived:
            await self._write(self.jobs.lose(job))

    async def attempt(self, job: Job) -> None:
        """Run one attempt here, and store its outcome."""
        try:
            answer = await self._answer(job)
        except asyncio.CancelledError as cancelled:
            await self._stopped(job, str(cancelled.args[0]) if cancelled.args else "drained")
            return
        if answer.status >= 400 and answer.again is not None and (job.attempts < self.attempts or answer.stopped):
            await self._write(self.jobs.put_back(job, max(answer.again, _pause(job.attempts))))
            self.metrics.jobs.inc(outcome="retried")
            return
        state = "succeeded" if answer.status < 400 else "failed"
        await self._write(self.jobs.finish(job, Done(state, answer.status, answer.headers, answer.body)))
        self.metrics.jobs.inc(outcome=state)

    async def _stopped(self, job: Job, why: str) -> None:
        if why == "cancelled":
            await self._write(self.jobs.finish(job, Done("cancelled", 499, {}, b"{}")))
            self.metrics.jobs.inc(outcome="cancelled")
        elif why == "drained":
            await self._write(self.jobs.put_back(job, 0))
            self.metrics.jobs.inc(outcome="put_back")

    async def _answer(self, job: Job) -> Answer:
        try:
            identity = await self.identify(job.key_id)
        except OctantError as error:  # revoked or expired since: no job may spend in its name; or Postgres is away
            status, headers, body = render(error, "openai", job.id)
            return Answer(status, headers, body)
        with self.tracing.job(job.id, job.attempts, job.traceparent) as span:
            answer = await perform(self.app, job, identity, span.traceparent)
            if answer.status >= 500:
                span.fail(str(answer.status))
        return answer

    async def _write(self, writing: Coroutine[Any, Any, bool]) -> None:
        """Store a job's outcome. If Postgres is away the lease ends, and the job runs again from its stored answer."""
        with _going_on("job not written down"):
            await writing


def _runner(application: FastAPI, settings: Settings, metrics: Metrics) -> Runner:
    edge = application.state.edge
    return Runner(
        app=application,
        jobs=edge.jobs,
        identify=edge.keys.identify,
        attempts=settings.jobs_attempts,
        losses=settings.jobs_losses,
        at_once=settings.jobs_at_once,
        metrics=metrics,
        tracing=edge.tracing,
        alone=in_a_process_of_its_own,
    )


async def work_once(settings: Settings, job_id: str, attempt: int) -> None:
    """Run one attempt for another process, which began it and renews its lease."""
    from app.main import create_app

    parent = os.getppid()
    metrics = Metrics()
    application = create_app(settings, metrics)
    async with application.router.lifespan_context(application):
        watching = asyncio.create_task(watch_ourselves(settings.jobs_stall))
        runner = _runner(application, settings, metrics)
        if job := await runner.jobs.attempt(job_id, attempt):
            attempting = asyncio.create_task(runner.attempt(job))
            orphaned = asyncio.create_task(until_orphaned(parent))
            orphaned.add_done_callback(lambda _: attempting.cancel("taken over"))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, attempting.cancel, "taken over")
            await asyncio.wait([attempting])
            if not attempting.cancelled():
                attempting.result()
            await end(orphaned)
        await end(watching)


async def work(settings: Settings) -> None:
    """Work until a signal, then end running jobs or put them back (ADR 0008).

    SIGTERM and SIGHUP give running jobs the graceful timeout; SIGINT and SIGQUIT put them back at once, also during that time.
    """
    from app.main import create_app
    from app.telemetry import exposition

    metrics = Metrics()
    application = create_app(settings, metrics)
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, _stop, number, stop, hurry)
    async with application.router.lifespan_context(application):
        edge = application.state.edge
        runner = _runner(application, settings, metrics)
        webhooks = Webhooks(
            edge.jobs,
            master=settings.secret,
            allowed_hosts=settings.webhook_allowed_hosts,
            render=lambda job: json.dumps({"type": "job.finished", "data": as_json(job)}, ensure_ascii=False).encode(),
            on_outcome=lambda outcome: metrics.webhooks.inc(outcome=outcome),
            stopped=partial(_stopped, edge.switch),
        )
        server, _ = exposition.serve_registry(settings.host, settings.worker_metrics_port, metrics.registry)
        taking = runner.taking.start()
        watching = spawn("watchdog", watch_ourselves(settings.jobs_stall))
        loops = runner.loops()
        others = (watching, *(loop.start() for loop in loops), await webhooks.start())
        log.warning("worker is ready", extra={"jobs_at_once": settings.jobs_at_once})
        stopping = asyncio.create_task(stop.wait())
        ended, _ = await asyncio.wait((stopping, taking, *others), return_when=asyncio.FIRST_COMPLETED)
        if stopping not in ended:
            log.error("a part of the worker ended by itself, stopping", extra={"part": repr(ended)})
        signal.alarm(math.ceil(stop_seconds(settings.graceful_timeout)))  # the end of a worker that cannot close its parts
        await end(stopping)
        await runner.taking.stop(grace=STOP_TAKING)  # a start that is cancelled may have been done: its job would count as lost
        await runner.drain(settings.graceful_timeout, hurry)
        await asyncio.gather(webhooks.aclose(), *(loop.stop() for loop in loops), end(watching))
        await asyncio.to_thread(server.shutdown)
    if stopping not in ended:
        raise SystemExit(1)  # the supervisor starts another


def run(job_id: str = "", attempt: str = "") -> None:
    """Run the worker, or one attempt (`in_a_process_of_its_own`). Raises Misconfigured before anything starts."""
    import uvloop

    settings = load()
    os.umask(OTHERS)
    raise_limit()
    settings.require_stores()
    refuse_example_values(settings)
    if not job_id:
        require_free([(settings.host, settings.worker_metrics_port)])
        refuse_shared_sessions(settings)
    redactor = Redactor(settings.secret)
    logs.configure(settings.log_level, redact=lambda line: redactor.redact(line, tenant=""))
    logs.take_over_last_words()
    uvloop.run(work_once(settings, job_id, int(attempt)) if job_id else work(settings))


def _stopped(switch: KillSwitch, tenant: str, user: str = "") -> bool:
    """Whether a stop covers this tenant or its user; empty names mean all tenants."""
    try:
        switch.check(tenant=tenant, user=user)
    except OctantError:
        return True
    return False


def _stop(number: signal.Signals, stop: asyncio.Event, hurry: asyncio.Event) -> None:
    stop.set()
    if number in (signal.SIGINT, signal.SIGQUIT):
        hurry.set()


def _pause(attempts: int) -> float:
    """Seconds before the next attempt, with full jitter above half."""
    longest = min(FIRST_PAUSE * 2 ** min(attempts, 10), LONGEST_PAUSE)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not security


@contextlib.contextmanager
def _going_on(what: str) -> Any:  # noqa: ANN401 - a generator's own type says less
    """Log a store's error instead of raising it; the caller tries again."""
    try:
        yield
    except OctantError as error:
        log.warning(what, extra={"code": error.code})
