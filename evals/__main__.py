"""`python -m evals gate|check|schema|baseline`. Exit codes: 0 passed, 1 below a threshold, 2 could not be judged."""

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from evals import gate as gates
from evals import report
from evals.cases import SCHEMA, InvalidSuite, by_mode, load_cases, schema
from evals.harness import Result, Service, run
from evals.stack import running

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command("gate")
def gate(
    base_url: Annotated[str, typer.Option(help="A running service; without one, the embedded default is started.")] = "",
    api_key: Annotated[str, typer.Option(help="Key for --base-url.")] = "",
    label: Annotated[str, typer.Option(help="What answers at --base-url; the report says it.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the run as JSON.")] = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the report as markdown.")] = None,
) -> None:
    """Run all cases and judge the result."""
    try:
        cases, thresholds = load_cases(), gates.load_thresholds()
        gates.check_suite(cases, thresholds)
        with ExitStack() as stack:
            service, known = _foreign(base_url, api_key, label) if base_url else stack.enter_context(running())
            results = asyncio.run(run(cases, service, _progress))
    except (InvalidSuite, RuntimeError, OSError, ValueError) as error:
        print(f"evals: cannot judge: {error}", file=sys.stderr)
        raise typer.Exit(gates.BROKEN) from None
    verdict = gates.judge(results, thresholds)
    told = report.markdown(results, verdict, known)
    print("\n" + told)
    if report_file:
        report_file.write_text(told)
    if json_file:
        json_file.write_text(json.dumps(report.as_json(results, verdict, known), indent=2))
    raise typer.Exit(verdict.code)


@app.command("check")
def check() -> None:
    """Check the suite without running it."""
    try:
        cases = load_cases()
        gates.check_suite(cases, gates.load_thresholds())
    except InvalidSuite as error:
        print(error, file=sys.stderr)
        raise typer.Exit(gates.BROKEN) from None
    print(f"{len(cases)} cases over {len(by_mode(cases))} failure modes.")


@app.command("schema")
def write_schema() -> None:
    """Write the JSON Schema that editors use."""
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n")


@app.command("baseline")
def baseline() -> None:
    """Accept the suite's size as the baseline: from then on fewer cases fail the gate."""
    counts = {mode: len(found) for mode, found in sorted(by_mode(load_cases()).items())}
    gates.BASELINE.write_text(json.dumps({"cases": counts}, indent=2) + "\n")


def _foreign(base_url: str, api_key: str, label: str) -> tuple[Service, str]:
    """A service that somebody else runs: only they can say what answers there."""
    if not label:
        raise InvalidSuite("--label must say what answers at --base-url")
    return Service(base_url, api_key), label


def _progress(result: Result) -> None:
    print("." if result.passed else "E" if result.broken else "F", end="", flush=True)


if __name__ == "__main__":
    app()
