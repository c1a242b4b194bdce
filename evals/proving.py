"""Eval results of one manifest for the gate of its activation (`app.releases.eval_gate`), and their file beside it.

The manifest is served byte by byte as it will be live, and every case is run once. Then each further place of its chains answers
alone, by the same manifest with its routes cut down. A model counts for a prompt only where it answered every case itself.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from app.releases.eval_gate import COMMAND, Limit, ModelScore, ResultFile, Score, SuiteResult, digest
from app.releases.eval_gate import lacking as lacking_of
from app.releases.eval_results import path_of
from app.releases.manifest import Manifest
from app.settings import load as load_settings
from app.stack import vendors
from evals import chain, discovery
from evals.cases import Case, InvalidSuite
from evals.evaluation import Evaluated, Whole, evaluate, whole
from evals.gate import BROKEN, GateResult, judge
from evals.harness import Result
from evals.options import Pace, Source
from evals.privacy import redacted
from evals.rates import Rate, percentile
from evals.report import SuiteRun
from evals.session import SIMULATOR
from evals.suite import Suite

MOST_FINDINGS, LONGEST_FINDING = 5, 200  # of a case, and characters


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a suite on a manifest, and the run behind it."""

    whole: Whole
    result: SuiteResult
    verdict: GateResult
    run: Evaluated


def prove(release: str, source: Source, pace: Pace) -> tuple[Manifest, str, list[Proof]]:
    """Run every suite of a release's prompts. Returns the manifest, its hash, and a proof for each suite.

    Raises InvalidSuite where a case broke, a prompt has no suite, or the label gives the simulator's name to a model.
    """
    path, manifest = chain.chosen(release)
    if not manifest.prompts:
        raise InvalidSuite(f"{path} has no prompts, so there is nothing to evaluate and its activation needs no result")
    source = replace(source, release=release)
    suites = [suite for suite in discovery.chosen() if set(suite.prompts.values()) & set(manifest.prompts)]
    chain.check_claimed(manifest, suites)
    wanted = [_narrowed(whole(suite), manifest) for suite in suites]
    simulated = tuple(sorted(vendors.simulated(load_settings())))
    _check_label(source, simulated)
    run = evaluate([(one.suite, one.cases) for one in wanted], source, pace)
    models = {one.suite.name: _models(one, manifest, run, source, pace) for one in wanted}
    proofs = []
    for one in wanted:
        verdict = judge(run.ran(one.suite.name, one.cases), run.results[one.suite.name], one.thresholds.of(run.head.label))
        if verdict.code == BROKEN:
            raise InvalidSuite("\n".join(verdict.reasons))
        proofs.append(Proof(one, _result(one, verdict, run, simulated, models[one.suite.name]), verdict, run))
    return manifest, hashlib.sha256(path.read_bytes()).hexdigest(), proofs


def write(
    release: str,
    manifest: str,
    results: Sequence[SuiteResult],
    directory: Path = chain.RELEASES,
    findings: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> Path:
    """Write a release's file. Results of the same manifest by other models stay. ``findings``: of failed cases, by suite.

    Raises InvalidSuite for a file that cannot be read.
    """
    path = path_of(directory, release)
    earlier = _of(path) if path.is_file() else None
    kept = list(earlier.suites) if earlier and earlier.manifest == manifest else []
    found: dict[str, dict[str, Mapping[str, Sequence[str]]]] = {}
    for label, suites in (earlier.findings if earlier and kept else {}).items():
        found[label] = dict(suites)
    for one in results:
        found.setdefault(one.label, {})[one.suite] = (findings or {}).get(one.suite, {})
    fresh = {(result.suite, result.simulated) for result in results}
    every = [*(one for one in kept if (one.suite, one.simulated) not in fresh), *results]
    content = {
        "release": release,
        "manifest": manifest,
        "suites": [one.model_dump(mode="json") for one in sorted(every, key=lambda one: (one.suite, one.simulated))],
        "findings": found,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, "sha256": digest(content)}, indent=1) + "\n", encoding="utf-8")
    return path


def read(release: str, directory: Path = chain.RELEASES) -> Sequence[SuiteResult]:
    """The results in a release's file; none without one. Raises InvalidSuite."""
    path = path_of(directory, release)
    return _of(path).suites if path.is_file() else ()


def lacking(manifest: Manifest, results: Sequence[SuiteResult]) -> list[str]:
    """What the manifest would lack where the same models answer as in the run."""
    return lacking_of(manifest, results, simulated={name for result in results for name in result.simulated})


def unfit(kept: SuiteResult, verdict_of: Sequence[Result]) -> list[str]:
    """Cases by which a run differs from a kept result of the same manifest and models, a sentence each."""
    found = []
    if kept.cases != cases_digest([result.case for result in verdict_of]):
        found.append("the cases, or their form, are others than those of the release's eval results")
    failed = set(_failed(verdict_of))
    found += [f"{case}: passed in the release's eval results" for case in sorted(failed - set(kept.failed))]
    found += [f"{case}: failed in the release's eval results" for case in sorted(set(kept.failed) - failed)]
    return found


def compared(done: SuiteRun, run: Evaluated) -> SuiteRun:
    """Refuse a run that does not reproduce the results beside its manifest, or for which there are none.

    So a file that was not written by such a run, or that no longer fits the code, does not land.
    """
    path, manifest = chain.chosen(run.release)
    sha256, simulated = hashlib.sha256(path.read_bytes()).hexdigest(), tuple(sorted(vendors.simulated(load_settings())))
    kept = [one for one in read(manifest.id) if (one.suite, one.simulated) == (done.suite, simulated)]
    if not kept or _of(path_of(path.parent, manifest.id)).manifest != sha256:
        wrong = [f"{manifest.id} has no eval results by {run.head.label} beside its manifest"]
    else:
        wrong = unfit(kept[0], run.results[done.suite])
    if not wrong:
        return done
    why = f"the eval results of the release do not fit this run. If the change is meant: `{COMMAND.format(manifest.id)}`"
    verdict = replace(done.verdict, code=done.verdict.code or BROKEN, reasons=(*done.verdict.reasons, why, *wrong))
    return replace(done, verdict=verdict)


def cases_digest(cases: Sequence[Case]) -> str:
    """A digest of the cases and their form, in any order and however often each was run."""
    return hashlib.sha256("\n".join(sorted({f"{case.id} {case.digest}" for case in cases})).encode()).hexdigest()[:16]


def _narrowed(one: Whole, manifest: Manifest) -> Whole:
    """A suite's cases for the prompts that the manifest has."""
    cases = [case for case in one.cases if one.suite.prompts[case.endpoint] in manifest.prompts]
    return replace(one, cases=cases)


def _check_label(source: Source, simulated: Sequence[str]) -> None:
    """Raise InvalidSuite for a real model under the simulator's name: its thresholds are lower."""
    if source.label.lower().startswith(SIMULATOR) and len(simulated) < len(vendors.SIMULATED_PATHS):
        raise InvalidSuite(f"--label {source.label!r}: real models answer, so the label must not begin with {SIMULATOR}")
    if source.base_url or source.replay or source.record or source.provider:
        raise InvalidSuite("a release's results need a service that is started for the run, with all its providers")


def _models(one: Whole, manifest: Manifest, first: Evaluated, source: Source, pace: Pace) -> list[ModelScore]:
    """The score of each model of each chain on the cases of its prompts."""
    used = set(one.suite.prompts.values()) & set(manifest.prompts)
    links = chain.chain_of(manifest, used)
    scores: list[ModelScore] = []
    for position in range(links.depth):
        prompts = [name for name, models in links.prompts.items() if len(models) > position]
        cases = [c for c in one.cases if not c.chaos and one.suite.prompts[c.endpoint] in prompts]
        results = [r for r in first.results[one.suite.name] if not r.case.chaos]
        if position or not _all_by(links, 0, results, one.suite):
            done = evaluate([(one.suite, cases)], replace(source, position=position), replace(pace, out=None))
            results = done.results[one.suite.name]
        scores += [_score(one, links, position, name, results, first.head.label) for name in prompts]
    return scores


def _all_by(links: chain.Chain, position: int, results: Sequence[Result], suite: Suite) -> bool:
    return all(_by(result) in ("", links.at(position, suite.prompts[result.case.endpoint])) for result in results)


def _by(result: Result) -> str:
    """The model that answered; empty where the product answered without one."""
    return f"{result.trail.provider}/{result.trail.model}" if result.trail.model else ""


def _score(one: Whole, links: chain.Chain, position: int, prompt: str, results: Sequence[Result], label: str) -> ModelScore:
    model = links.at(position, prompt)
    own = [result for result in results if one.suite.prompts[result.case.endpoint] == prompt]
    if broken := [f"{result.case.id}: {result.broken}" for result in own if result.broken]:
        raise InvalidSuite("\n".join(broken))
    others = sorted({_by(result) for result in own} - {"", model})
    if others or not any(_by(result) == model for result in own):
        raise InvalidSuite(f"{prompt}: {model} should have answered alone, and {', '.join(others) or 'no model'} did")
    wanted = one.thresholds.of(label).models.get(model)
    if wanted is None:
        raise InvalidSuite(f"{model}: no threshold of its own in {one.suite.thresholds_file}")
    trials = Rate(sum(result.passed for result in own), len(own))
    return ModelScore(prompt=prompt, model=model, passed=trials.passed, total=trials.total, least=wanted.least)


def _result(
    one: Whole, verdict: GateResult, run: Evaluated, simulated: tuple[str, ...], models: Sequence[ModelScore]
) -> SuiteResult:
    thresholds, results = one.thresholds.of(run.head.label), run.results[one.suite.name]
    rates: dict[str, tuple[Rate, float]] = {"overall": (verdict.overall, thresholds.overall.least)}
    rates |= {mode: (rate, thresholds.modes[mode].least) for mode, rate in verdict.modes.items()}
    rates |= {n: (verdict.measures[n], wanted.least) for n, wanted in thresholds.measures.items() if n in verdict.measures}
    return SuiteResult(
        suite=one.suite.name,
        label=run.head.label,
        simulated=simulated,
        at=datetime.now(UTC).replace(microsecond=0),
        scores={name: Score(passed=rate.passed, total=rate.total, least=least) for name, (rate, least) in rates.items()},
        limits=_limits(one, results),
        models=tuple(models),
        cases=cases_digest([result.case for result in results]),
        failed=_failed(results),
    )


def _limits(one: Whole, results: Sequence[Result]) -> dict[str, Limit]:
    limits, answers = one.thresholds.limits, [result for result in results if not result.case.chaos]
    if limits is None:
        return {}
    cost = sum(result.trail.cost_usd for result in answers) / len(answers)
    slow = percentile([result.trail.seconds for result in answers], 0.95)
    return {
        "usd_per_case": Limit(value=round(cost, 6), most=limits.usd_per_case),
        "p95_seconds": Limit(value=round(slow, 3), most=limits.p95_seconds),
    }


def _failed(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(sorted({result.case.id for result in results if not result.passed}))


def findings_of(results: Sequence[Result]) -> dict[str, list[str]]:
    """Redacted findings of the cases that failed, by case: of each the first trial that did."""
    failed = {result.case.id: result for result in reversed(results) if not result.passed and result.findings}
    return {
        case: [redacted(str(one))[:LONGEST_FINDING] for one in result.findings[:MOST_FINDINGS]]
        for case, result in sorted(failed.items())
    }


def _of(path: Path) -> ResultFile:
    try:
        return ResultFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidSuite(f"{path}: {error}") from error
