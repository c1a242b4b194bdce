"""Eval runs that were kept, in Postgres and in the files beside the manifests. For the console; changes nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured
from app.releases.eval_gate import ResultFile, Score, SuiteResult, digest, judged
from app.releases.evaluations import eval_results, eval_runs
from app.releases.manifest import parse

OVERALL = "overall"
NEWEST_RUNS = 20  # are searched for cases that were mended
MOST_TRIALS = 20  # of a case, newest first
CHAOS = "provider_fault"  # cases with an injected fault: their mode has a threshold and no part in the overall share


@dataclass(frozen=True, slots=True)
class Filed:
    """One suite's result in a release's file. ``whole``: the file fits the hash in it. ``findings``: of cases that failed."""

    release: str
    manifest: str
    result: SuiteResult
    whole: bool
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def modes(self) -> dict[str, Score]:
        """Scores by failure mode: those that add up to the overall one, and the faults."""
        overall, found, total = self.result.scores.get(OVERALL), dict[str, Score](), 0
        for name, score in self.result.scores.items():
            if name == OVERALL:
                continue
            if overall and total == overall.total and name != CHAOS:
                break  # measures come after the modes
            found[name] = score
            total += score.total if name != CHAOS else 0
        return found

    @property
    def measures(self) -> dict[str, Score]:
        """The other scores: means over the same answers."""
        return {name: score for name, score in self.result.scores.items() if name != OVERALL and name not in self.modes}

    @property
    def below(self) -> list[str]:
        """Names of the scores below their threshold, and of the figures over their limit."""
        short = [name for name, score in judged(self.result).items() if score.passed / score.total < score.least]
        return short + [name for name, limit in self.result.limits.items() if limit.value > limit.most]


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run of one suite. ``report``: as `evals gate --json` has it, without its cases."""

    id: int
    suite: str
    release: str
    label: str
    replay: bool
    code: int
    passed: float
    total: int
    cost: int
    at: datetime
    report: Mapping[str, Any]

    @property
    def part(self) -> Sequence[str] | None:
        """Of a run of some cases, the failure modes that were run whole and judged; None of a run of the whole suite."""
        found = self.report.get("part")
        return found if isinstance(found, list) else None


@dataclass(frozen=True, slots=True)
class Runs:
    """One page of runs, and how many there are over all pages."""

    rows: Sequence[Run]
    count: int


@dataclass(frozen=True, slots=True)
class Cases:
    """One page of a run's cases, how many match over all pages, and trials and passed ones by failure mode over the whole run."""

    rows: Sequence[Mapping[str, Any]]
    count: int
    modes: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One stored trial of a case. ``findings``: redacted, a line each; ``broken``: why it was not judged.

    ``answer``: redacted and cut; empty in runs of before.
    """

    run: int
    release: str
    label: str
    at: datetime
    number: int
    passed: bool
    findings: Sequence[str]
    broken: str
    request_id: str
    answer: str = ""


def simulated_in(results: Iterable[SuiteResult]) -> str:
    """A clause that says for which providers the simulator answered; empty where models did."""
    names = sorted({name for one in results for name in one.simulated})
    return f"the simulator answered for {' and '.join(names)}, so the scores say nothing about a vendor's model" if names else ""


def threshold_count(one: SuiteResult) -> int:
    """How many thresholds and limits a suite's result has."""
    return len(judged(one)) + len(one.limits)


def thresholds(one: SuiteResult) -> str:
    """How many thresholds a suite's result has, by what they are of."""
    models = len(judged(one)) - len(one.scores)
    rest = len(one.scores) - (OVERALL in one.scores) + len(one.limits)
    return f"{threshold_count(one)} thresholds: overall, {rest} of failure modes and measures, {models} of models alone"


def filed(directory: Path) -> tuple[list[Filed], list[str]]:
    """The results in all files of a folder of releases, the newest release first, and why some cannot be read."""
    found, problems = list[Filed](), list[str]()
    for path in sorted((directory / "evals").glob("*.json"), reverse=True):
        try:
            content = path.read_bytes()
            read = ResultFile.model_validate_json(content)
            whole = read.sha256 == digest(json.loads(content))
        except ValidationError as error:
            problems.append(f"{path.name}: {error.error_count()} fields are not as they should be")
        except (OSError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
        else:
            found += [
                Filed(read.release, read.manifest, one, whole, read.findings.get(one.label, {}).get(one.suite, {}))
                for one in read.suites
            ]
    return found, problems


def unrecorded(directory: Path) -> list[str]:
    """The releases of a folder that have prompts and no file of eval results, by name."""
    found = []
    for path in sorted(directory.glob("*.toml")):
        try:
            prompts = parse(path.read_text(encoding="utf-8"), path.stem).prompts
        except (OSError, ValueError, Misconfigured):  # ValueError: not UTF-8
            continue
        if prompts and not (directory / "evals" / f"{path.stem}.json").exists():
            found.append(path.stem)
    return found


async def runs(engine: AsyncEngine, *, suite: str = "", most: int, skip: int = 0) -> Runs:
    """Stored runs, newest first. Raises SQLAlchemyError."""
    c = eval_runs.c
    named = func.coalesce(c.report["suite"].astext, "")
    conditions = [named == suite] if suite else []
    wanted = select(eval_runs).where(*conditions).order_by(c.at.desc(), c.id.desc()).limit(most).offset(skip)
    async with engine.connect() as connection:
        count = (await connection.execute(select(func.count()).select_from(eval_runs).where(*conditions))).scalar_one()
        rows = (await connection.execute(wanted)).all()
    return Runs([_run(row) for row in rows], count)


async def run_of(engine: AsyncEngine, number: int) -> Run | None:
    """One run. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(eval_runs).where(eval_runs.c.id == number))).one_or_none()
    return None if row is None else _run(row)


async def cases_of(
    engine: AsyncEngine, number: int, *, mode: str = "", failed: bool = False, most: int = 50, skip: int = 0
) -> Cases:
    """A run's cases with their trials. Raises SQLAlchemyError."""
    c = eval_results.c
    conditions = [c.run == number] + ([c.failure_mode == mode] if mode else []) + ([c.passed.is_(False)] if failed else [])
    wanted = select(eval_results).where(*conditions).order_by(c.passed, c.failure_mode, c.case, c.trial).limit(most).offset(skip)
    by_mode = select(c.failure_mode, func.count(), func.count().filter(c.passed)).where(c.run == number).group_by(c.failure_mode)
    async with engine.connect() as connection:
        count = (await connection.execute(select(func.count()).select_from(eval_results).where(*conditions))).scalar_one()
        rows = (await connection.execute(wanted)).mappings().all()
        modes = (await connection.execute(by_mode.order_by(c.failure_mode))).all()
    return Cases([dict(row) for row in rows], count, {row[0]: (row[1], row[2]) for row in modes})


async def trials_of(engine: AsyncEngine, suite: str, case: str, *, most: int) -> Sequence[Trial]:
    """The trials of a case in stored runs of its suite, newest first. Raises SQLAlchemyError."""
    r, c = eval_runs.c, eval_results.c
    wanted = select(r.id, r.release, r.label, r.at, c.trial, c.passed, c.findings, c.broken, c.request_id, c.answer)
    wanted = wanted.join_from(eval_runs, eval_results, c.run == r.id).where(r.report["suite"].astext == suite, c.case == case)
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted.order_by(r.at.desc(), r.id.desc(), c.trial).limit(most))).all()
    return [
        Trial(
            row.id, row.release, row.label, row.at, row.trial, row.passed,
            [f"{one.get('scorer')}: {one.get('words')}" for one in row.findings], row.broken or "", row.request_id,
            row.answer or "",
        )
        for row in rows
    ]  # fmt: skip


async def mended(engine: AsyncEngine) -> Sequence[tuple[str, str]]:
    """Suite and case of those that failed with one release and passed with another later, by name. Raises SQLAlchemyError.

    Of the newest runs alone, and where both answers were kept.
    """
    r, c = eval_runs.c, eval_results.c
    lately = select(r.id).order_by(r.id.desc()).limit(NEWEST_RUNS)
    wanted = select(r.report["suite"].astext, c.case, c.passed, r.release).join_from(eval_runs, eval_results, c.run == r.id)
    wanted = wanted.where(r.id.in_(lately), c.answer.is_not(None), c.broken.is_(None)).order_by(c.case, r.id.desc())
    newest, found = dict[tuple[str, str], tuple[bool, str]](), dict[tuple[str, str], None]()
    async with engine.connect() as connection:
        for suite, case, passed, release in await connection.execute(wanted):
            now, by = newest.setdefault((suite, case), (passed, release))
            if now and not passed and release != by:
                found[suite, case] = None
    return list(found)


def pair_of(trials: Sequence[Trial]) -> tuple[Trial, Trial] | None:
    """Of trials of one case, newest first: the newest with an answer if it passed, after the one before it that failed.

    The failed one is of another release and has an answer too. None without both.
    """
    kept = [one for one in trials if one.answer and not one.broken]
    if not kept or not kept[0].passed:
        return None
    return next(((one, kept[0]) for one in kept if not one.passed and one.release != kept[0].release), None)


async def first_mended(engine: AsyncEngine) -> tuple[Sequence[tuple[str, str]], tuple[Trial, Trial]] | None:
    """The mended cases, and both trials of the first; None without any. Raises SQLAlchemyError."""
    found = await mended(engine)
    pair = pair_of(await trials_of(engine, *found[0], most=MOST_TRIALS)) if found else None
    return (found, pair) if pair else None


async def before(engine: AsyncEngine, run: Run) -> Run | None:
    """The run before it, of the same suite by the same models. Raises SQLAlchemyError."""
    c = eval_runs.c
    same = func.coalesce(c.report["suite"].astext, "") == run.suite, c.label == run.label, c.id < run.id
    async with engine.connect() as connection:
        row = (await connection.execute(select(eval_runs).where(*same).order_by(c.id.desc()).limit(1))).one_or_none()
    return None if row is None else _run(row)


async def flips(engine: AsyncEngine, earlier: Run, later: Run) -> tuple[list[str], list[str]]:
    """Cases that lost and that won from one run to another, by the share of their trials. Raises SQLAlchemyError."""
    c = eval_results.c
    share = func.avg(cast(c.passed, Integer)).label("share")
    wanted = select(c.run, c.case, share).where(c.run.in_((earlier.id, later.id))).group_by(c.run, c.case)
    shares: dict[str, dict[int, float]] = {}
    async with engine.connect() as connection:
        for row in await connection.execute(wanted):
            shares.setdefault(row.case, {})[row.run] = float(row.share)
    both = {case: (one[earlier.id], one[later.id]) for case, one in sorted(shares.items()) if len(one) > 1}
    return [case for case, (was, now) in both.items() if now < was], [case for case, (was, now) in both.items() if now > was]


def _run(row: Any) -> Run:  # noqa: ANN401 - a row
    report = row.report if isinstance(row.report, dict) else {}
    return Run(
        id=row.id, suite=str(report.get("suite", "")), release=row.release, label=row.label, replay=row.replay, code=row.code,
        passed=row.passed, total=row.total, cost=row.cost_micro_usd, at=row.at, report=report,
    )  # fmt: skip
