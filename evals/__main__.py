"""`python -m evals …`. Exit codes: 0 passed, 1 below a threshold or worse, 2 could not be judged."""

import asyncio
import json
import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from evals import baseline as baselines
from evals import calibration, chain, page, report, runs, session, stack, store, suite
from evals.cases import SCHEMA, Case, InvalidSuite, by_mode, load_cases, sampled, schema
from evals.external import LOADERS
from evals.external import load as load_suite
from evals.gate import BROKEN, PASS, GateResult, Thresholds, judge, load_thresholds
from evals.harness import CONCURRENCY, TIMEOUT, Plan, Result, Unreachable, run
from evals.junit import junit
from evals.online import commands
from evals.session import Pace, Source

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
baseline_app = typer.Typer(no_args_is_help=True, help="The pinned numbers, changed by `accept` alone.")
app.add_typer(baseline_app, name="baseline")

BaseUrl = Annotated[str, typer.Option(help="A running service; without one, the embedded default is started.")]
ApiKey = Annotated[str, typer.Option(help="Key for --base-url.", envvar="OCTANT_EVALS_API_KEY")]
Label = Annotated[str, typer.Option(help="What answers; reports say it, and the pinned run is found by it.")]
Provider = Annotated[str | None, typer.Option(help="Let this provider alone answer, by a release made for the run.")]
Patience = Annotated[float, typer.Option(min=1, help="Multiplies the release's timeouts, for a model on a slow machine.")]
Cap = Annotated[str, typer.Option(help="Dollars that the run may spend; the service's own budget holds it.")]
Record = Annotated[Path | None, typer.Option(help="Keep the models' replies in this file.")]
Replay = Annotated[Path | None, typer.Option(help="Play the models' replies from this file.")]
Repeat = Annotated[int, typer.Option(min=1, help="How often each case is run.")]
Concurrency = Annotated[int, typer.Option(min=1, help="How many at a time.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds for one answer.")]
Out = Annotated[Path | None, typer.Option(help="The run as a file; one that is there is gone on with.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the report as markdown, for a pull request.")]
JunitFile = Annotated[Path | None, typer.Option("--junit", help="Write the report as JUnit XML.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write the report as a page to read.")]
Database = Annotated[str, typer.Option(help="Store the run in this Postgres, migrated.", envvar="OCTANT_EVALS_DATABASE_URL")]
Only = Annotated[list[str], typer.Option(help="A case's id or a failure mode; may be repeated. Without: all.")]
Sample = Annotated[int | None, typer.Option(min=1, help="Run a fair sample of so many, for a model that is slow or dear.")]
ExternalSuite = Annotated[str, typer.Option("--suite", help=f"Cases of a package instead of ours: {', '.join(sorted(LOADERS))}.")]
PinnedLabel = Annotated[str, typer.Option("--baseline", help="Compare with the run that is pinned under this label; --label's.")]
Unpinned = Annotated[bool, typer.Option("--unpinned", help="Judge by thresholds alone where no run is pinned.")]
Accept = Annotated[bool, typer.Option("--accept", help="Pin what came of it.")]


@app.command("gate")
def gate(
    *, base_url: BaseUrl = "", api_key: ApiKey = "", label: Label = "", provider: Provider = None, cap: Cap = stack.CAP,
    patience: Patience = 1.0, record: Record = None, replay: Replay = None, repeat: Repeat = 1,
    concurrency: Concurrency = CONCURRENCY,
    timeout: Timeout = TIMEOUT, out: Out = None, json_file: JsonFile = None, report_file: ReportFile = None,
    junit_file: JunitFile = None, html_file: HtmlFile = None, database: Database = "", pinned: PinnedLabel = "",
    unpinned: Unpinned = False,
) -> None:  # fmt: skip
    """Run all cases, judge by the thresholds and beside the pinned run, and check that each model of each chain was run."""
    with _failing_closed():
        cases, thresholds = _whole_suite()
        source = Source(
            base_url=base_url,
            api_key=api_key,
            label=label,
            provider=provider,
            cap=cap,
            record=record,
            replay=replay,
            patience=patience,
        )
        head, results = _run(cases, source, Pace(repeat=repeat, concurrency=concurrency, timeout=timeout, out=out))
        kept, name = baselines.load_baseline(), pinned or head.label
        thresholds = thresholds.of(name)
        if name not in kept.runs and not unpinned:
            raise InvalidSuite(f"no run of {name} is pinned: accept one, name another with --baseline, or say --unpinned")
        verdict = judge(cases, results, thresholds, kept.runs.get(name))
        if verdict.code != BROKEN:
            verdict = _with_chain(verdict, kept, thresholds, name)
        files = {"json": json_file, "report": report_file, "junit": junit_file, "html": html_file}
        _tell(head, results, (verdict, thresholds), files, database)
    raise typer.Exit(verdict.code)


@app.command("run")
def run_cases(
    *, only: Only = [],  # noqa: B006 - typer's API; never changed
    external: ExternalSuite = "", sample: Sample = None,
    base_url: BaseUrl = "", api_key: ApiKey = "", label: Label = "", provider: Provider = None, cap: Cap = stack.CAP,
    patience: Patience = 1.0, record: Record = None, replay: Replay = None, repeat: Repeat = 1,
    concurrency: Concurrency = CONCURRENCY,
    timeout: Timeout = TIMEOUT, out: Out = None, json_file: JsonFile = None, report_file: ReportFile = None,
    junit_file: JunitFile = None, html_file: HtmlFile = None, database: Database = "",
) -> None:  # fmt: skip
    """Run some cases and show how they went. Judges nothing: exit code 0 unless a case could not be judged."""
    with _failing_closed():
        cases, thresholds = load_suite(external).cases if external else load_cases(), load_thresholds()
        chosen = [case for case in cases if not only or case.id in only or case.failure_mode in only]
        if unknown := set(only) - {case.id for case in chosen} - {case.failure_mode for case in chosen}:
            raise InvalidSuite(f"no such case or failure mode: {', '.join(sorted(unknown))}")
        if sample:
            chosen = sampled(chosen, sample)
        source = Source(
            base_url=base_url,
            api_key=api_key,
            label=label,
            provider=provider,
            cap=cap,
            record=record,
            replay=replay,
            patience=patience,
        )
        head, results = _run(chosen, source, Pace(repeat=repeat, concurrency=concurrency, timeout=timeout, out=out))
        thresholds = thresholds.of(head.label)
        verdict = judge(chosen, results, thresholds)
        files = {"json": json_file, "report": report_file, "junit": junit_file, "html": html_file}
        _tell(head, results, (verdict, thresholds), files, database)
    raise typer.Exit(BROKEN if verdict.code == BROKEN else PASS)


@app.command("check")
def check() -> None:
    """Check the suite without running it."""
    with _failing_closed():
        cases, _ = _whole_suite()
        pairs = calibration.load_labelled()
    print(f"{len(cases)} cases over {len(by_mode(cases))} failure modes; {2 * len(pairs)} labelled answers for judges.")


@app.command("schema")
def write_schema() -> None:
    """Write the JSON Schema that editors use."""
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")


@baseline_app.command("accept")
def baseline_accept(
    run_file: Annotated[Path, typer.Argument(help="A run of the whole suite, as --out wrote it.")],
) -> None:
    """Pin a run, and the suite as it is: from then on the gate compares with it, and misses each of its cases."""
    with _failing_closed():
        told = runs.read(run_file)
        baselines.write(baselines.accept(baselines.load_baseline(), load_cases(), told, _today()))
    passed = sum(line.passed for line in told.lines)
    print(f"Pinned {told.head.told}: {passed} of {len(told.lines)} passed.")


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="A run, as --out wrote it.")],
    after: Annotated[Path, typer.Argument(help="Another.")],
) -> None:
    """Compare two runs, paired by case. Exit code 1 if the second is worse."""
    with _failing_closed():
        first, second = runs.read(before), runs.read(after)
        pairs = {identity: (digest, share) for identity, (_, digest, share) in baselines.file_shares(first).items()}
        told = baselines.beside(pairs, baselines.file_shares(second))
        if not told.overall.cases:
            raise InvalidSuite("the two runs have no case in common")
        print(report.comparison(told, f"{second.head.told} beside {first.head.told}"))
        worse = "worse" in {told.overall.word, *(delta.word for delta in told.modes.values())}
    raise typer.Exit(1 if worse else PASS)


@app.command("report")
def write_report(
    run_file: Annotated[Path, typer.Argument(help="A run, as --out wrote it.")],
    html_file: Annotated[Path, typer.Option("--html", help="Where the page goes.")] = Path("evals.html"),
) -> None:
    """Write the page of a run that is there as a file."""
    with _failing_closed():
        told, cases, thresholds = runs.read(run_file), load_cases(), load_thresholds()
        ran = {line.id for line in told.lines}
        chosen = [case for case in cases if case.id in ran]
        results = list(runs.resumed(run_file, chosen, told.head).values())
        thresholds = thresholds.of(told.head.label)
        pinned = baselines.load_baseline().runs.get(told.head.label)
        html_file.write_text(page.page(results, judge(chosen, results, thresholds, pinned), thresholds, told.head.told))
    print(f"Wrote {html_file}.")


@app.command("chain")
def run_chain(
    *, label: Label = "", cap: Cap = stack.CAP, concurrency: Concurrency = CONCURRENCY, timeout: Timeout = TIMEOUT,
    accept: Accept = False,
) -> None:  # fmt: skip
    """Run the suite once for each place in the newest release's fallback chains, so that every model has answered."""
    with _failing_closed():
        cases, thresholds = _whole_suite()
        links, kept, name = chain.chain_of(chain.newest()[1]), baselines.load_baseline(), label
        for position in range(links.depth):
            head, results = _run(
                cases, Source(label=label, cap=cap, position=position), Pace(concurrency=concurrency, timeout=timeout)
            )
            verdict = judge(cases, results, thresholds)
            found = chain.pinned_models(links, position, results, verdict, _today())
            name = head.label
            kept = kept.model_copy(update={"models": {**kept.models, name: {**kept.models.get(name, {}), **found}}})
            for model, pinned in found.items():
                print(f"\n{model} ({head.told}): {pinned.passed:g} of {pinned.cases} passed")
        if accept:
            baselines.write(kept)
        reasons = list(chain.unshippable(links, kept, thresholds.of(name), name))
        print("\n".join(reasons) or f"Every model in the chains of {links.release} is above its threshold.")
    raise typer.Exit(1 if reasons else PASS)


@app.command("calibrate")
def calibrate(
    *, base_url: BaseUrl = "", api_key: ApiKey = "", label: Label = "", provider: Provider = None, cap: Cap = stack.CAP,
    replay: Replay = None, record: Record = None, accept: Accept = False,
) -> None:  # fmt: skip
    """Measure a judge on answers whose truth is known. Exit code 1 if it may not gate."""
    with _failing_closed():
        floor, pairs = load_thresholds().judge, calibration.load_labelled()
        if floor is None:
            raise InvalidSuite("the thresholds name no floor for judges")
        source = Source(base_url=base_url, api_key=api_key, label=label, provider=provider, cap=cap, record=record, replay=replay)
        with session.opened(source) as there:
            found = asyncio.run(calibration.ask(there.service, pairs, lambda _: print(".", end="", flush=True), _today()))
        name = there.label
        print("\n" + calibration.markdown(found, floor, name))
        if accept:
            calibration.accept(name, found)
    raise typer.Exit(1 if found.shortfalls(floor) else PASS)


def _whole_suite() -> tuple[Sequence[Case], Thresholds]:
    cases, thresholds = load_cases(), load_thresholds()
    suite.check_suite(cases, thresholds, baselines.load_baseline())
    return cases, thresholds


def _run(cases: Sequence[Case], source: Source, pace: Pace) -> tuple[runs.Head, list[Result]]:
    """Run cases against whoever answers. What is in the run's file already is not asked again."""
    with session.opened(source) as there:
        replay = there.tape.told if there.tape and source.replay else ""
        head = runs.Head(label=there.label, replay=replay, repeat=pace.repeat)
        done = runs.resumed(pace.out, cases, head) if pace.out else {}
        keep = runs.writer(pace.out, head) if pace.out else None
        show = session.progress(len(cases) * pace.repeat - len(done))

        def tell(result: Result) -> None:
            show(result)
            if keep and result.broken is None:
                keep(result)

        # On a tape one after the other: cases change orders, and what a tool says of them is part of what a model is asked.
        concurrency = 1 if there.tape else pace.concurrency
        plan = Plan(repeat=pace.repeat, concurrency=concurrency, timeout=pace.timeout, done=done)
        results = asyncio.run(run(cases, there.service, tell, plan))
        if source.replay and there.tape and there.tape.misses:
            raise InvalidSuite(
                f"{there.tape.misses} requests are not on the tape: a prompt, a model, a case, an article or a tool "
                "changed since it was recorded. Record anew."
            )
    return head, results


def _with_chain(verdict: GateResult, kept: baselines.Baseline, thresholds: Thresholds, label: str) -> GateResult:
    """The verdict with what the fallback chains say: an unevaluated fallback cannot be judged, one below its threshold fails."""
    links = chain.chain_of(chain.newest()[1])
    unknown = [model for model in links.models if model not in thresholds.models or model not in kept.models.get(label, {})]
    if reasons := tuple(chain.unshippable(links, kept, thresholds, label)):
        code = BROKEN if unknown else max(verdict.code, 1)
        return GateResult(
            code, (*verdict.reasons, *reasons), verdict.overall, verdict.modes, verdict.measures, verdict.comparison
        )
    return verdict


def _tell(
    head: runs.Head,
    results: list[Result],
    judged: tuple[GateResult, Thresholds],
    files: dict[str, Path | None],
    database: str,
) -> None:
    """Print the report and write the files that were asked for."""
    verdict, thresholds = judged
    told = report.markdown(results, verdict, thresholds, head.told)
    print("\n" + told)
    content = report.as_json(results, verdict, thresholds, head.told)
    written = {
        "report": lambda: told,
        "json": lambda: json.dumps(content, indent=2) + "\n",
        "junit": lambda: junit(results, head.told),
        "html": lambda: page.page(results, verdict, thresholds, head.told),
    }
    for kind, path in files.items():
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(written[kind](), encoding="utf-8")
    if database:
        print(f"Stored as run {store.store(database, head, results, verdict, content)}.")


def _today() -> date:
    return datetime.now(UTC).date()


@contextmanager
def _failing_closed() -> Generator[None, None, None]:
    """Whatever goes wrong in the block is exit code 2: Python's own 1 would read as a score below a threshold."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    try:
        yield
    except (InvalidSuite, Unreachable, OSError) as error:
        print(f"evals: cannot judge: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("evals: interrupted", file=sys.stderr)
    except Exception:  # noqa: BLE001 - told in full, and never a verdict
        traceback.print_exc()
    else:
        return
    raise typer.Exit(BROKEN)


commands.add_to(app, _failing_closed)

if __name__ == "__main__":
    app()
