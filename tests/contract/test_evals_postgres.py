"""A run in Postgres: whole or not at all, and redacted."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, select
from unit.evals.test_baseline import CASES
from unit.evals.tiny import THRESHOLDS, result

from app.releases.evaluations import eval_results, eval_runs
from evals.cases import InvalidSuite
from evals.client import Trail
from evals.gate import judge
from evals.harness import Result
from evals.report import SuiteRun
from evals.runs import Head
from evals.scoring import Finding
from evals.store import store


def test_a_run_is_stored_with_every_case_and_no_personal_data(database_url: str, tmp_path: Path) -> None:
    leak = Result(CASES[0], (Finding("fields", "product is 'bob.miller@corp.io'"),), None, Trail(release="r1"))
    results = [leak, *(result(one) for one in CASES[1:])]
    done = SuiteRun("tiny", results, judge(CASES, results, THRESHOLDS), THRESHOLDS)
    number = store(database_url, Head(label="simulator"), done)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        run = connection.execute(select(eval_runs).where(eval_runs.c.id == number)).one()
        rows = connection.execute(select(eval_results).where(eval_results.c.run == number)).all()
    engine.dispose()
    assert (run.release, run.label, run.replay, run.passed, run.total, run.code) == ("r1", "simulator", False, 39.0, 40, 0)
    assert ("cases" in run.report, run.report["suite"]) == (False, "tiny")
    assert len(rows) == 40
    assert "bob.miller" not in str(rows)


def test_an_answer_that_postgres_cannot_hold_loses_no_run(database_url: str) -> None:
    """JSON brings NUL and halves of surrogate pairs; the models of a whole run were paid for."""
    odd = Result(CASES[0], (Finding("fields", "it is '\0'"),), None, Trail(release="r1"), answer="a \0 and \ud800")
    done = SuiteRun("tiny", [odd], judge(CASES[:1], [odd], THRESHOLDS), THRESHOLDS)
    number = store(database_url, Head(label="simulator"), done)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        kept = connection.execute(
            select(eval_results.c.answer, eval_results.c.findings).where(eval_results.c.run == number)
        ).one()
    engine.dispose()
    assert kept == ("a \ufffd and ?", [{"scorer": "fields", "words": "it is '\ufffd'"}])


def test_a_database_that_is_away_is_reported_and_not_passed_over() -> None:
    results = [result(one) for one in CASES]
    done = SuiteRun("tiny", results, judge(CASES, results, THRESHOLDS), THRESHOLDS)
    with pytest.raises(InvalidSuite, match="the run was not stored"):
        store("postgresql+psycopg://absent@127.0.0.1:9/none", Head(label="simulator"), done)
