"""`python -m evals …`. Exit codes: 0 passed, 1 below a threshold or worse, 2 could not be judged."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import standard_output
from app.settings import load as load_settings
from evals import baseline as baselines
from evals import calibration, chain, discovery, external, page, proving, report, runs, session, store
from evals.cases import Case, InvalidSuite, by_mode, sampled, schema
from evals.evaluation import evaluate, judged, shown, some, today, whole
from evals.example import run_example
from evals.failing import failing_closed
from evals.gate import BROKEN, PASS, judge, load_thresholds
from evals.online import commands
from evals.options import Judgement, Pace, Reports, Selection, Source, grouped
from evals.report import SuiteRun
from evals.stack import CAP
from evals.suite import Suite

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
baseline_app = typer.Typer(no_args_is_help=True, help="The pinned numbers, changed by `accept` alone.")
app.add_typer(baseline_app, name="baseline")

Suites = Annotated[list[str], typer.Option("--suite", help="The product's suite; may be repeated. Default: all.")]
Accept = Annotated[bool, typer.Option("--accept", help="Pin the result.")]
RunFile = Annotated[Path, typer.Argument(help="A run, as --out wrote it.")]


@app.command("gate")
@grouped
def gate(*, suite: Suites = [], source: Source, pace: Pace, judgement: Judgement, reports: Reports) -> None:  # noqa: B006 - typer's API
    """Run all cases; judge by thresholds and against the pinned run.

    Each model of each fallback chain must have been evaluated.
    """
    with failing_closed():
        reports = _kept(reports)
        wanted = [whole(one) for one in discovery.chosen(suite)]
        evaluated = evaluate([(one.suite, one.cases) for one in wanted], source, pace)
        done = [judged(one, evaluated, judgement) for one in wanted]
        if judgement.exact:
            done = [proving.compared(one, evaluated) for one in done]
        if not suite:
            chain.check_claimed(chain.chosen(source.release)[1], [one.suite for one in wanted])
        shown(evaluated.head, done, reports)
        code = report.worst(done)
    raise typer.Exit(code)


@app.command("run")
@grouped
def run_cases(*, suite: Suites = [], selection: Selection, source: Source, pace: Pace, reports: Reports) -> None:  # noqa: B006 - typer's API
    """Run some cases and show their results.

    Judges nothing: exit code 0 unless a case could not be judged.
    """
    with failing_closed():
        reports = _kept(reports)
        wanted = _selected(discovery.chosen(suite), selection)
        head, done = some(wanted, source, pace)
        shown(head, done, reports)
        code = BROKEN if report.worst(done) == BROKEN else PASS
    raise typer.Exit(code)


@app.command("example")
@grouped
def show_example(
    *,
    database: Annotated[
        str, typer.Option(help="Store both runs in this Postgres. Default: that of the demo here.", envvar="OCTANT_DATABASE_URL")
    ] = "",
    pace: Pace,
) -> None:
    """Run a failure mode on a refused release and on the newest, on the simulator.

    Both runs are stored with their answers: the console shows why a case failed, and the answer that passes.
    """
    with failing_closed():
        print(f"Example: {run_example(database, pace)}.")


@app.command("release")
@grouped
def prove_release(
    release_id: Annotated[str, typer.Argument(help="A release: the name of its file in releases/, without .toml.")],
    *,
    label: Annotated[str, typer.Option(help="Name of the models that answer.")] = "",
    cap: Annotated[str, typer.Option(help="Dollars that each run may spend.")] = CAP,
    database: Annotated[
        str, typer.Option(help="Also store the results in this Postgres.", envvar="OCTANT_EVALS_DATABASE_URL")
    ] = "",
    store_too: Annotated[
        bool, typer.Option("--store", help="Also store the results with the service, or the demo here.")
    ] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Write the file beside the manifest, for its gate.")] = False,
    pace: Pace,
) -> None:
    """Run every suite on one release and each model of its chains. Exit code 1 if it is below a threshold.

    Writes the results to the state folder. `--accept` writes them beside the manifest; without them it cannot be activated.
    """
    with failing_closed():
        database = store.chosen(database, with_service=store_too)
        manifest, sha256, proofs = proving.prove(release_id, Source(label=label, cap=cap), pace)
        results = [proof.result for proof in proofs]
        found = {name: proving.findings_of(proof.run.results[name]) for proof in proofs for name in [proof.result.suite]}
        folder = chain.RELEASES if accept else load_settings().state_dir
        path = proving.write(release_id, sha256, results, folder, found)
        for proof in proofs if database else ():
            thresholds = proof.whole.thresholds.of(proof.run.head.label)
            name = proof.result.suite
            done = SuiteRun(name, proof.run.results[name], proof.verdict, thresholds, proof.run.skipped[name], proof.run.why)
            print(f"Stored {name} as run {store.store(database, proof.run.head, done, (sha256, proof.result))}.")
        lacking = proving.lacking(manifest, results)
        print("\n" + ("\n".join(lacking) or f"{release_id} lacks no eval result where {results[0].label} answers."))
        where = "It belongs into git, with the manifest" if accept else "With --accept it goes beside the manifest"
        print(f"Wrote {path}. {where}.")
    raise typer.Exit(1 if lacking else PASS)


@app.command("check")
@grouped
def check(*, suite: Suites = []) -> None:  # noqa: B006 - typer's API
    """Check the suites without running them."""
    with failing_closed():
        for one in discovery.chosen(suite):
            cases = whole(one).cases
            pairs = calibration.load_labelled(one.judging) if one.judging else ()
            print(f"{one.name}: {len(cases)} cases over {len(by_mode(cases))} failure modes; {2 * len(pairs)} labelled answers.")


@app.command("schema")
@grouped
def write_schema(*, suite: Suites = []) -> None:  # noqa: B006 - typer's API
    """Write the JSON Schema of each suite's cases, which editors use."""
    for one in discovery.chosen(suite):
        one.schema_file.write_text(json.dumps(schema(one.case_types), indent=2) + "\n", encoding="utf-8")


@baseline_app.command("accept")
def baseline_accept(run_file: Annotated[Path, typer.Argument(help="A run of whole suites, as --out wrote it.")]) -> None:
    """Pin a run, and its suites as they are.

    From then on the gate compares with it and misses each of its cases.
    """
    with failing_closed():
        done = runs.read(run_file)
        if not done.suites:
            raise InvalidSuite(f"{run_file} holds no result")
        for one in discovery.chosen(done.suites):
            part = done.of(one.name)
            kept = baselines.load_baseline(one.baseline_file)
            baselines.write(baselines.accept(kept, one.load(), part, today()), one.baseline_file)
            passed = sum(line.passed for line in part.lines)
            print(f"Pinned {done.head.title}, {one.name}: {passed} of {len(part.lines)} passed.")


@app.command("compare")
def compare(before: RunFile, after: RunFile) -> None:
    """Compare two runs, paired by case. Exit code 1 if the second is worse."""
    with failing_closed():
        first, second = runs.read(before), runs.read(after)
        common = [name for name in first.suites if name in second.suites]
        verdicts: set[str] = set()
        for name in common:
            pairs = {i: (digest, share) for i, (_, digest, share) in baselines.file_shares(first.of(name)).items()}
            found = baselines.beside(pairs, baselines.file_shares(second.of(name)))
            if found.overall.cases:
                print(report.comparison(found, f"{name}: {second.head.title} compared with {first.head.title}"))
                verdicts |= {found.overall.verdict, *(delta.verdict for delta in found.modes.values())}
        if not verdicts:
            raise InvalidSuite("the two runs have no case in common")
    raise typer.Exit(1 if "worse" in verdicts else PASS)


@app.command("report")
def write_report(
    run_file: RunFile,
    html_file: Annotated[Path, typer.Option("--html", help="Where the page goes.")] = Path("evals.html"),
) -> None:
    """Write the page of a run that is in a file."""
    with failing_closed():
        done = runs.read(run_file)
        parts = []
        for one in discovery.chosen(done.suites):
            ran = {line.id for line in done.of(one.name).lines}
            cases = [case for case in one.load() if case.id in ran]
            results = list(runs.resumed(run_file, one.name, cases, done.head).values())
            thresholds = load_thresholds(one.thresholds_file).of(done.head.label)
            pinned = baselines.load_baseline(one.baseline_file).runs.get(done.head.label)
            parts.append(SuiteRun(one.name, results, judge(cases, results, thresholds, pinned), thresholds))
        html_file.write_text(page.page(parts, done.head.title))
    print(f"Wrote {html_file}.")


@app.command("chain")
@grouped
def run_chain(*, suite: Suites = [], accept: Accept = False, source: Source, pace: Pace) -> None:  # noqa: B006 - typer's API
    """Run each suite once for each place in the fallback chains.

    Then every model of the newest release has answered.
    """
    with failing_closed():
        reasons = []
        for one in discovery.chosen(suite):
            reasons += _chain(one, source, pace, accept=accept)
        print("\n".join(reasons) or "Every model in the chains is above its threshold.")
    raise typer.Exit(1 if reasons else PASS)


@app.command("calibrate")
@grouped
def calibrate(*, suite: Suites = [], accept: Accept = False, source: Source) -> None:  # noqa: B006 - typer's API
    """Measure a judge on answers whose truth is known. Exit code 1 if it may not gate."""
    with failing_closed():
        found = [(one, one.judging) for one in discovery.chosen(suite) if one.judging]
        if not found:
            raise InvalidSuite("no suite has a judge")
        short = False
        for one, judging in found:
            wanted = load_thresholds(one.thresholds_file).judge
            if wanted is None:
                raise InvalidSuite(f"{one.name}: the file names no thresholds for judges")
            with session.opened(source) as there:
                agreed = asyncio.run(calibration.ask(there.service, judging, lambda _: print(".", end="", flush=True), today()))
            print("\n" + calibration.markdown(agreed, wanted, there.label))
            if accept:
                calibration.accept(there.label, agreed, judging)
            short |= bool(agreed.shortfalls(wanted))
    raise typer.Exit(1 if short else PASS)


def _kept(reports: Reports) -> Reports:
    """The reports with the database that keeps the run, found before it begins. Raises InvalidSuite."""
    return replace(reports, database=store.chosen(reports.database, with_service=reports.store))


def _selected(found: Sequence[Suite], selection: Selection) -> list[tuple[Suite, Sequence[Case]]]:
    """The cases that were selected, of the suites that have any. Raises InvalidSuite."""
    if selection.external:
        found = [one for one in found if selection.external in one.external] or found[:1]
        loaded = [(one, external.load(one, selection.external).cases) for one in found]
    else:
        loaded = [(one, one.load()) for one in found]
    names = set(selection.only)
    chosen = [(one, [c for c in cases if not names or {c.id, c.failure_mode} & names]) for one, cases in loaded]
    known = {name for _, cases in chosen for case in cases for name in (case.id, case.failure_mode)}
    if unknown := names - known:
        raise InvalidSuite(f"no such case or failure mode: {', '.join(sorted(unknown))}")
    if selection.sample:
        chosen = [(one, sampled(cases, selection.sample)) for one, cases in chosen]
    return [(one, cases) for one, cases in chosen if cases]


def _chain(one: Suite, source: Source, pace: Pace, *, accept: bool) -> list[str]:
    """Run a suite for each place in its chains. Returns why the chains do not ship."""
    wanted = whole(one)
    links, kept, name = chain.chain_of(chain.chosen(source.release)[1], set(one.prompts.values())), wanted.baseline, source.label
    for position in range(links.depth):
        done = evaluate([(one, wanted.cases)], replace(source, position=position), pace)
        results, head = done.results[one.name], done.head
        verdict = judge(done.ran(one.name, wanted.cases), results, wanted.thresholds)
        if verdict.code == BROKEN:
            raise InvalidSuite("\n".join(verdict.reasons))
        found = chain.pinned_models(links, position, results, one.prompts, today())
        name = head.label
        kept = kept.model_copy(update={"models": {**kept.models, name: {**kept.models.get(name, {}), **found}}})
        for model, pinned in found.items():
            print(f"\n{model} ({head.title}): {pinned.passed:g} of {pinned.cases} passed")
    if accept:
        baselines.write(kept, one.baseline_file)
    return list(chain.unshippable(links, kept, wanted.thresholds.of(name), name))


commands.add_to(app, failing_closed)

if __name__ == "__main__":
    with standard_output():  # callers and models write what it prints
        app()
