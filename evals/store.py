"""Stores a run in Postgres, where a database is named.

It is there for the console and for the gate of a release.
"""

import os
from typing import Any

from sqlalchemy import create_engine, insert, null
from sqlalchemy.exc import SQLAlchemyError

from app.audit.rows import storable
from app.cli.stores import settings_with_stores
from app.domain.errors import Misconfigured
from app.releases.eval_gate import SuiteResult
from app.releases.evaluations import eval_results, eval_runs
from app.settings import Settings
from app.settings import load as load_settings
from evals.cases import InvalidSuite
from evals.harness import Result
from evals.privacy import redacted
from evals.report import SuiteRun, suite_json
from evals.runs import Head


def store(url: str, head: Head, done: SuiteRun, proof: tuple[str, SuiteResult] | None = None) -> int:
    """Store a suite's run whole or not at all. ``proof``: the manifest's hash, and the result that its activation reads.

    Returns its number. Raises InvalidSuite where the database cannot take it.
    """
    results, verdict = done.results, done.verdict
    about = {name: value for name, value in suite_json(done, head.title).items() if name != "cases"}
    run = {
        "release": ", ".join(sorted({r.trail.release for r in results if r.trail.release}))[:64],
        "label": head.label,
        "replay": bool(head.replay),
        "code": verdict.code,
        "passed": float(verdict.overall.passed),
        "total": verdict.overall.total,
        "cost_micro_usd": round(sum(r.trail.cost_usd for r in results) * 1_000_000),
        "report": about,
        "manifest": proof[0] if proof else None,
        "result": proof[1].model_dump(mode="json") if proof else null(),
    }
    try:
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                number: int = connection.execute(insert(eval_runs).values(run).returning(eval_runs.c.id)).scalar_one()
                connection.execute(insert(eval_results), [_row(number, result) for result in results])
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        raise InvalidSuite(f"the run was not stored: {type(error).__name__}") from error
    return number


def chosen(database: str, *, with_service: bool) -> str:
    """The Postgres that keeps a run: the named one, else ``with_service`` the service's own. Empty: none. Raises InvalidSuite.

    The service of a run has stores of its own, so a demo's settings do not stay in this process.
    """
    if database or not with_service:
        return database
    before = dict(os.environ)
    try:
        return service_settings().database_url
    finally:
        os.environ.clear()
        os.environ.update(before)


def service_settings() -> Settings:
    """The settings with the service's own Postgres: in development without one, that of the demo that runs here.

    Raises InvalidSuite.
    """
    try:
        settings = load_settings()
        if not settings.database_url and settings.environment == "development":
            settings = settings_with_stores()
    except Misconfigured as error:
        raise InvalidSuite(str(error)) from error
    if not settings.database_url:
        raise InvalidSuite("set OCTANT_DATABASE_URL: the service's own database")
    return settings


def _row(number: int, result: Result) -> dict[str, Any]:
    return {
        "run": number,
        "case": result.case.id,
        "trial": result.trial,
        "failure_mode": result.case.failure_mode,
        "passed": result.passed,
        "findings": [{"scorer": found.scorer, "words": storable(redacted(found.words))} for found in result.findings],
        "broken": storable(result.broken),
        "seconds": result.trail.seconds,
        "request_id": result.trail.request_id,
        "answer": storable(result.answer) or None,
    }
