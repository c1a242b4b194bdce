"""One evaluation from start to report: have a service, run suites against it, judge each, show the result."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from evals import baseline as baselines
from evals import chain, page, report, runs, session, store
from evals.baseline import Baseline
from evals.cases import Case, InvalidSuite
from evals.gate import BROKEN, GateResult, Thresholds, judge, load_thresholds, part_of, shares
from evals.harness import Plan, Result, run
from evals.junit import junit
from evals.options import Judgement, Pace, Reports, Source
from evals.report import SuiteRun
from evals.session import Session
from evals.soundness import check_suite
from evals.suite import Suite

NOT_STORED = (
    "evals: nothing was stored: --store stores a run with the service or with the demo here, and --database or"
    " OCTANT_EVALS_DATABASE_URL in the Postgres that it names."
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A suite that is fit to judge by, with everything that judges it."""

    suite: Suite
    cases: Sequence[Case]
    thresholds: Thresholds
    baseline: Baseline


def whole(suite: Suite) -> Whole:
    """Load a suite and check it. Raises InvalidSuite."""
    cases, thresholds = suite.load(), load_thresholds(suite.thresholds_file)
    baseline = baselines.load_baseline(suite.baseline_file)
    check_suite(suite, cases, thresholds, baseline)
    return Whole(suite, cases, thresholds, baseline)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Results of a run by suite, and the chaos cases that could not be run, with the reason."""

    head: runs.Head
    results: Mapping[str, list[Result]]
    skipped: Mapping[str, Sequence[Case]]
    why: str
    release: str = ""

    def ran(self, suite: str, cases: Sequence[Case]) -> list[Case]:
        """Those cases of a suite that were to be run."""
        return [case for case in cases if case not in self.skipped[suite]]


Wanted = Sequence[tuple[Suite, Sequence[Case]]]


def evaluate(wanted: Wanted, source: Source, pace: Pace) -> Evaluated:
    """Run cases of suites against one service, chaos cases against one of their own.

    Results that are in the run's file already are not run again.
    """
    calm = [(suite, [case for case in cases if not case.chaos]) for suite, cases in wanted]
    chaotic = [(suite, [case for case in cases if case.chaos]) for suite, cases in wanted]
    why = session.why_unbroken(source) if any(cases for _, cases in chaotic) else ""
    head, results = _calm(calm, source, pace)
    if not why and any(cases for _, cases in chaotic):
        with session.broken(source) as there:
            manifest = chain.chosen(source.release)[1]
            for suite, cases in chaotic:
                models = chain.models_of(manifest, suite.prompts)
                results[suite.name] += _run(suite, cases, there, head, pace, models) if cases else []
    return Evaluated(head, results, {suite.name: cases if why else () for suite, cases in chaotic}, why, source.release)


def _calm(wanted: Wanted, source: Source, pace: Pace) -> tuple[runs.Head, dict[str, list[Result]]]:
    with session.opened(source) as there:
        replayed = there.recording.title if there.recording and source.replay else ""
        head = runs.Head(label=there.label, replay=replayed, repeat=pace.repeat)
        results = {suite.name: _run(suite, cases, there, head, pace, {}) if cases else [] for suite, cases in wanted}
        if source.replay and there.recording and there.recording.misses:
            raise InvalidSuite(
                f"{there.recording.misses} requests are not in the recording: a prompt, a model, a case, an article or a tool "
                "changed since it was made. Record again."
            )
    return head, results


def _run(
    suite: Suite, cases: Sequence[Case], there: Session, head: runs.Head, pace: Pace, models: Mapping[str, Sequence[str]]
) -> list[Result]:
    done = runs.resumed(pace.out, suite.name, cases, head) if pace.out else {}
    keep = runs.writer(pace.out, head, suite.name) if pace.out else None
    show = session.progress(len(cases) * pace.repeat - len(done))

    def report_one(result: Result) -> None:
        show(result)
        if keep and result.broken is None:
            keep(result)

    # With a recording one after the other: cases change orders, and a tool's result on them is part of the next request.
    concurrency = 1 if there.recording else pace.concurrency
    plan = Plan(repeat=pace.repeat, concurrency=concurrency, timeout=pace.timeout, models=models, done=done)
    return asyncio.run(run(suite, cases, there.service, report_one, plan))


def judged(wanted: Whole, done: Evaluated, judgement: Judgement) -> SuiteRun:
    """Judge a suite's run. Raises InvalidSuite where no run is pinned under the label and one must be."""
    name = judgement.baseline or done.head.label
    cases, results = done.ran(wanted.suite.name, wanted.cases), done.results[wanted.suite.name]
    pinned, thresholds = wanted.baseline.runs.get(name), wanted.thresholds.of(name)
    if pinned is None and not judgement.unpinned:
        raise InvalidSuite(
            f"{wanted.suite.name}: no run of {name} is pinned: accept one, name another with --baseline, or say --unpinned"
        )
    verdict = judge(cases, results, thresholds, pinned)
    if verdict.code != BROKEN:
        verdict = _with_chain(wanted, verdict, thresholds, name, done.release)
    if judgement.exact and pinned and verdict.comparison:
        verdict = _exactly(verdict, list(baselines.unfit(verdict.comparison, pinned, wanted.cases)), wanted.suite.name)
    since = None
    base = baselines.pinned_at(judgement.base, wanted.suite.baseline_file, name) if judgement.base else None
    if base and base != pinned and verdict.comparison:
        since = baselines.beside(baselines.pinned_shares(base), shares(results))
    skipped = done.skipped[wanted.suite.name]
    return SuiteRun(wanted.suite.name, results, verdict, thresholds, skipped, done.why, since)


def some(wanted: Wanted, source: Source, pace: Pace) -> tuple[runs.Head, list[SuiteRun]]:
    """Run some cases of suites. Their verdict is of these cases alone, without a pinned run.

    A part of a suite is judged by the thresholds of the modes that were run whole.
    """
    evaluated, done = evaluate(wanted, source, pace), []
    for one, cases in wanted:
        thresholds = load_thresholds(one.thresholds_file).of(evaluated.head.label)
        found, skipped = evaluated.results[one.name], evaluated.skipped[one.name]
        part = part_of(cases, one.load())
        verdict = judge(evaluated.ran(one.name, cases), found, thresholds, part=part)
        done.append(SuiteRun(one.name, found, verdict, thresholds, skipped, evaluated.why, part=part))
    return evaluated.head, done


def _exactly(verdict: GateResult, unfit: Sequence[str], suite: str) -> GateResult:
    """Refuse a pinned run that does not fit.

    Otherwise later changes would be blamed for flips that are not their own.
    """
    if not unfit:
        return verdict
    how = f'make eval ARGS="--suite {suite} --out run.jsonl", then python -m evals baseline accept run.jsonl'
    why = f"the pinned run does not fit this code. If the change is meant, pin it and commit {suite}'s baseline.json: {how}"
    return replace(verdict, code=verdict.code or BROKEN, reasons=(*verdict.reasons, why, *unfit))


def _with_chain(wanted: Whole, verdict: GateResult, thresholds: Thresholds, label: str, release: str) -> GateResult:
    """Add the fallback chains to the verdict.

    With an unevaluated fallback there is no verdict; with one below its threshold the run fails.
    """
    links = chain.chain_of(chain.chosen(release)[1], set(wanted.suite.prompts.values()))
    evaluated = wanted.baseline.models.get(label, {})
    unknown = [model for model in links.models if model not in thresholds.models or model not in evaluated]
    if reasons := tuple(chain.unshippable(links, wanted.baseline, thresholds, label)):
        code = BROKEN if unknown else max(verdict.code, 1)
        return replace(verdict, code=code, reasons=(*verdict.reasons, *reasons))
    return verdict


def shown(head: runs.Head, done: Sequence[SuiteRun], reports: Reports) -> None:
    """Print the report, write the files that were named, and store the run where a database is named. The verdict comes last."""
    text = report.markdown(done, head.title)
    print("\n" + text)
    _write(reports.markdown, text)
    _write(reports.json, json.dumps(report.as_json(done, head.title), indent=2) + "\n")
    _write(reports.junit, junit(done, head.title))
    _write(reports.html, page.page(done, head.title))
    for one in done if reports.database else ():
        print(f"Stored {one.suite} as run {store.store(reports.database, head, one)}.")
    if not reports.database:
        print(NOT_STORED, file=sys.stderr)
    for one in done:
        print(report.last_line(one))


def _write(path: Path | None, content: str) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def today() -> date:
    """The day in UTC, for pinned results."""
    return datetime.now(UTC).date()
