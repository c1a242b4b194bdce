"""`octant drill gameday`: a fault on a service of its own, judged by probes, with the runbook followed literally."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli.drill import app


@app.command("gameday")
def gameday(
    scenario: Annotated[str, typer.Argument(help="Name of a file in gamedays/ of the runbook; left out: lists them.")] = "",
    log: Annotated[
        bool, typer.Option("--log", help="Append the result to the log of rehearsals (OCTANT_REHEARSALS_FILE).")
    ] = False,
    without_containment: Annotated[
        bool, typer.Option("--without-containment", help="Leave the containing commands out: the verdict must change.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="The program that plays it, for the report.")] = "",
) -> None:
    """Play a scenario. Exit code 0: the hypothesis holds, 1: it does not, 3: not judged, 4: the tool failed.

    The report is written into gameday/ of the state folder, as JSON and markdown, with a line in gamedays.jsonl.
    """
    from app.domain.errors import Misconfigured
    from app.oncall.gamedays import Line, playing
    from app.settings import load
    from app.stack import demo, interrupts
    from app.stack.gameday import report
    from app.stack.gameday import scenario as scenarios
    from app.stack.gameday.play import Outcome, play
    from app.stack.gameday.stage import stage

    settings = load()
    runbook = settings.rehearsals_file.parent.resolve()
    if not scenario:
        for name in scenarios.names(runbook):
            print(f"{name:24} {scenarios.load(runbook, name).hypothesis}")
        return
    wanted = scenarios.load(runbook, scenario)
    if without_containment:
        wanted = wanted.model_copy(update={"runbook": wanted.runbook.model_copy(update={"contain": ()})})
    print(f"Hypothesis: {wanted.hypothesis}\nSeconds count from the begin of the fault.", flush=True)
    interrupts.listen()
    with demo.folder_of_its_own("octant-gameday-") as folder, playing(settings.state_dir, scenario) as write:

        def heard(line: Line) -> None:
            write(line)
            print(f"{'' if line.at is None else f'{line.at:.2f} s':>8}  {line.words}", flush=True)

        heard(Line("starting a service of its own"))
        try:
            with stage(folder, lambda _: None) as prepared:
                heard(Line("waiting for steady callers"))
                outcome = asyncio.run(play(scenario, wanted, replace(prepared, heard=heard), runbook))
                heard(Line(f"verdict: {outcome.verdict}"))
        except Misconfigured as error:  # no service to break: not a verdict on it
            outcome = Outcome(scenario, datetime.now(UTC), reasons=[str(error)])
        outcome.by = by
        path = report.write(settings.state_dir, wanted, outcome)  # while it is still the one being played: see the console
    print(path.read_text(encoding="utf-8"))
    print(f"Report: {path}")
    if log and not without_containment:
        _log(settings.rehearsals_file, scenario, outcome.verdict)
    raise typer.Exit(outcome.exit_code)


def _log(path: Path, scenario: str, verdict: str) -> None:
    from app.releases.rehearsals import Rehearsal, append

    append(path, Rehearsal(at=datetime.now(UTC), what=f"gameday {scenario}", kept=verdict == "kept", note=verdict))
    print(f"Appended to {path}.")
