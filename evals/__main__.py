"""`python -m evals gate|run|check|schema|baseline`. Exit codes: 0 passed, 1 below a threshold, 2 could not be judged."""

import asyncio
import json
import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from evals import report, suite
from evals.cases import SCHEMA, Case, InvalidSuite, by_mode, load_cases, schema
from evals.gate import BROKEN, PASS, Thresholds, judge, load_thresholds
from evals.harness import Result, Service, Unreachable, run
from evals.stack import running

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

BaseUrl = Annotated[str, typer.Option(help="A running service; without one, the embedded default is started.")]
ApiKey = Annotated[str, typer.Option(help="Key for --base-url.", envvar="OCTANT_EVALS_API_KEY")]
Label = Annotated[str, typer.Option(help="What answers at --base-url; the report says it.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the run as JSON.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the report as markdown.")]
Only = Annotated[list[str], typer.Option(help="A case's id or a failure mode; may be repeated. Without: all.")]


@app.command("gate")
def gate(
    base_url: BaseUrl = "", api_key: ApiKey = "", label: Label = "", json_file: JsonFile = None, report_file: ReportFile = None
) -> None:
    """Run all cases and judge the result."""
    with _failing_closed():
        cases, thresholds = _whole_suite()
        code = _evaluate(cases, thresholds, (base_url, api_key, label), (json_file, report_file))
    raise typer.Exit(code)


@app.command("run")
def run_cases(
    only: Only = [],  # noqa: B006 - typer's API; never changed
    base_url: BaseUrl = "",
    api_key: ApiKey = "",
    label: Label = "",
    json_file: JsonFile = None,
    report_file: ReportFile = None,
) -> None:
    """Run some cases and show how they went. Judges nothing: exit code 0 unless a case could not be judged."""
    with _failing_closed():
        cases, thresholds = load_cases(), load_thresholds()
        chosen = [case for case in cases if not only or case.id in only or case.failure_mode in only]
        if unknown := set(only) - {case.id for case in chosen} - {case.failure_mode for case in chosen}:
            raise InvalidSuite(f"no such case or failure mode: {', '.join(sorted(unknown))}")
        code = _evaluate(chosen, thresholds, (base_url, api_key, label), (json_file, report_file))
    raise typer.Exit(BROKEN if code == BROKEN else PASS)


@app.command("check")
def check() -> None:
    """Check the suite without running it."""
    with _failing_closed():
        cases, _ = _whole_suite()
    print(f"{len(cases)} cases over {len(by_mode(cases))} failure modes.")


@app.command("schema")
def write_schema() -> None:
    """Write the JSON Schema that editors use."""
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")


@app.command("baseline")
def baseline() -> None:
    """Accept the suite as it is: from then on the gate misses each of its cases."""
    with _failing_closed():
        suite.write_baseline(load_cases())


def _whole_suite() -> tuple[Sequence[Case], Thresholds]:
    cases, thresholds = load_cases(), load_thresholds()
    suite.check_suite(cases, thresholds, suite.load_baseline())
    return cases, thresholds


def _evaluate(
    cases: Sequence[Case], thresholds: Thresholds, where: tuple[str, str, str], files: tuple[Path | None, Path | None]
) -> int:
    """Run, judge and report. Returns the exit code."""
    with ExitStack() as stack:
        service, label = _foreign(*where) if where[0] else stack.enter_context(running())
        results = asyncio.run(run(cases, service, _progress))
    verdict = judge(cases, results, thresholds)
    told = report.markdown(results, verdict, thresholds, label)
    print("\n" + told)
    json_file, report_file = files
    if report_file:
        report_file.write_text(told, encoding="utf-8")
    if json_file:
        content = json.dumps(report.as_json(results, verdict, thresholds, label), indent=2)
        json_file.write_text(content + "\n", encoding="utf-8")
    return verdict.code


def _foreign(base_url: str, api_key: str, label: str) -> tuple[Service, str]:
    """A service that somebody else runs: only they can say what answers there."""
    if not label.strip():
        raise InvalidSuite("--label must say what answers at --base-url")
    return Service(base_url.rstrip("/"), api_key), label


def _progress(result: Result) -> None:
    print("." if result.passed else "E" if result.broken else "F", end="", flush=True)


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


if __name__ == "__main__":
    app()
