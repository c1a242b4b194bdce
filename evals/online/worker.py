"""`python -m evals online`: rounds, one after the other, and their metrics on a listener of its own."""

import asyncio
import logging
import random
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from app.audit.scores import eval_position
from app.settings import EvalsSettings, Settings
from app.stores import build_engine
from app.telemetry import exposition
from app.telemetry.metrics import Metrics
from app.triggers.found import answers_drift
from evals.discovery import chosen
from evals.online.rounds import RoundReport, drifts, once
from evals.suite import Suite

log = logging.getLogger(__name__)


class Worker:
    """Does rounds, and shows the state of all workers, which lies in Postgres."""

    def __init__(
        self,
        engine: Engine,
        suites: Sequence[Suite],
        limits: EvalsSettings,
        metrics: Metrics,
        chance: random.Random | None = None,
        on_drift: Callable[[str, datetime], None] = lambda _feature, _at: None,
    ) -> None:
        """``suites`` read and score the calls; ``chance`` decides which are sampled.

        ``on_drift`` gets each feature that drifts and when it was found, after each round, as long as the metric shows it.
        """
        self._engine = engine
        self._suites = suites
        self._limits = limits
        self._metrics = metrics
        self._on_drift = on_drift
        self._chance = chance or random.Random()  # noqa: S311 - sampling, not security

    def round(self, now: datetime | None = None, *, forced: bool = False) -> RoundReport | None:
        """One round, and the metrics after it. Raises what SQLAlchemy raises."""
        now = now or datetime.now(UTC)
        report = once(self._engine, self._suites, self._limits, now, self._chance, forced=forced)
        if report:
            self._count(report)
        self._show(now)
        return report

    def forever(self, stop: threading.Event) -> None:
        """Rounds until ``stop``. Waits for a Postgres that is away, and catches up without a pause."""
        while not stop.is_set():
            report = None
            try:
                report = self.round()
            except SQLAlchemyError as error:
                log.warning("no round of scoring, will try again", extra={"error_type": type(error).__name__})
            if not (report and report.behind):
                stop.wait(self._limits.interval)

    def _count(self, report: RoundReport) -> None:
        for (feature, release), number in report.scored.items():
            self._metrics.eval_scored.inc(number, feature=feature, release=release)
            self._metrics.eval_passed.inc(report.passed[feature, release], feature=feature, release=release)
        for reason, number in report.left_out.items():
            self._metrics.eval_left_out.inc(number, reason=reason)
        for reason, number in report.candidates.items():
            self._metrics.eval_candidates.inc(number, reason=reason)

    def _show(self, now: datetime) -> None:
        with self._engine.connect() as connection:
            scored_at = connection.execute(select(eval_position.c.scored_at)).scalar_one_or_none()
            states = drifts(connection)
        if scored_at:
            self._metrics.eval_round.set(scored_at.timestamp())
        for feature, drift in states.items():
            self._metrics.eval_drift.set(int(drift.shows(now)), feature=feature)
        for feature, drift in states.items():
            if drift.drifted_at and drift.shows(now):
                self._on_drift(feature, drift.drifted_at)


def run(settings: Settings, *, single: bool, tell: Callable[[str], None]) -> None:
    """Rounds until SIGTERM or SIGINT; ``single``: one at once, reported. Raises what SQLAlchemy raises, and OSError."""
    engine = create_engine(settings.database_url, pool_pre_ping=True, hide_parameters=True)
    metrics = Metrics()
    worker = Worker(engine, chosen(), settings.evals, metrics, on_drift=partial(_trigger, settings))
    try:
        if single:
            tell(_words(worker.round(forced=True)))
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        server, _ = exposition.serve_registry(settings.host, settings.evals.metrics_port, metrics.registry)
        log.warning("scoring of production is ready", extra={"interval": settings.evals.interval})
        worker.forever(stop)
        server.shutdown()
    finally:
        engine.dispose()


def _trigger(settings: Settings, feature: str, drifted_at: datetime) -> None:
    """Store the trigger of a rollback, once for each finding. Raises what SQLAlchemy raises."""

    async def store() -> None:
        engine = build_engine(settings, pooled=False)
        try:
            if number := await answers_drift(engine, feature, drifted_at):
                log.warning("answers drift: a trigger is stored", extra={"feature": feature, "trigger": number})
        finally:
            await engine.dispose()

    asyncio.run(store())


def _words(report: RoundReport | None) -> str:
    if report is None:
        return "Another worker does a round just now."
    lines = [f"{f} on {r}: {n} scored, {report.passed[f, r]} passed" for (f, r), n in sorted(report.scored.items())]
    lines += [f"left out ({why}): {number}" for why, number in sorted(report.left_out.items()) if number]
    lines += [f"candidates ({reason}): {number}" for reason, number in sorted(report.candidates.items())]
    return "\n".join([*lines, f"Calls that began up to {report.until:%Y-%m-%d %H:%M:%S} UTC are done with."])
