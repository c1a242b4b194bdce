"""The options of the command line, in groups that commands share.

A command takes whole groups; `grouped` shows their fields to typer as options and fills the groups with the values.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from evals.harness import CONCURRENCY, TIMEOUT
from evals.stack import CAP


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The models of a run. ``position`` and ``provider`` cut the release's routes down, ``patience`` multiplies its timeouts."""

    base_url: Annotated[str, typer.Option(help="A running service; without one, the embedded default is started.")] = ""
    api_key: Annotated[str, typer.Option(help="Key for --base-url.", envvar="OCTANT_EVALS_API_KEY")] = ""
    label: Annotated[
        str, typer.Option(help="Name of the models that answer; reports show it, and the pinned run is found by it.")
    ] = ""
    provider: Annotated[str | None, typer.Option(help="Let this provider alone answer, by a release made for the run.")] = None
    release: Annotated[str, typer.Option(help="Evaluate this release instead of the newest.")] = ""
    record: Annotated[Path | None, typer.Option(help="Keep the models' replies in this file.")] = None
    replay: Annotated[Path | None, typer.Option(help="Replay the models' replies from this file.")] = None
    cap: Annotated[str, typer.Option(help="Dollars that the run may spend; the service's own budget holds it.")] = CAP
    patience: Annotated[
        float, typer.Option(min=0.01, help="Multiplies the release's timeouts, for a model on a slow machine.")
    ] = 1.0
    position: Annotated[int | None, typer.Option(hidden=True)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a run goes (`harness.Plan`), and the file that it is written to and resumed from."""

    repeat: Annotated[int, typer.Option(min=1, help="How often each case is run.")] = 1
    concurrency: Annotated[int, typer.Option(min=1, help="How many cases at a time.")] = CONCURRENCY
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one answer.")] = TIMEOUT
    out: Annotated[Path | None, typer.Option(help="Write the run to this file; an existing one is resumed.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where the report goes beside the terminal."""

    json: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None
    markdown: Annotated[Path | None, typer.Option("--report", help="Write the report as markdown, for a pull request.")] = None
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the report as JUnit XML.")] = None
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page to read.")] = None
    database: Annotated[
        str, typer.Option(help="Store the run in this Postgres, migrated.", envvar="OCTANT_EVALS_DATABASE_URL")
    ] = ""
    store: Annotated[bool, typer.Option("--store", help="Store the run with the service, or with the demo here.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which cases are run."""

    only: Annotated[list[str], typer.Option(help="A case's id or a failure mode; may be repeated. Default: all.")] = field(
        default_factory=list
    )
    sample: Annotated[int | None, typer.Option(min=1, help="Run a fair sample of so many, for a slow or expensive model.")] = None
    external: Annotated[str, typer.Option(help="Cases of this installed package instead of the suite's own.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The standards that a run is judged by."""

    baseline: Annotated[str, typer.Option(help="Compare with the run pinned under this label. Default: --label's.")] = ""
    unpinned: Annotated[bool, typer.Option("--unpinned", help="Judge by thresholds alone where no run is pinned.")] = False
    exact: Annotated[bool, typer.Option("--exact", help="Refuse a pinned run that this run does not reproduce case by case.")] = (
        False
    )
    base: Annotated[str, typer.Option(help="Show the changes since the run pinned in this git commit.")] = ""


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: each parameter that is a group of options stands for the group's fields."""
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    groups = {name: hints[name] for name in own if is_dataclass(hints[name])}
    shown = [own[name].replace(annotation=hints[name]) for name in own if name not in groups]
    for group in groups.values():
        types = get_type_hints(group, include_extras=True)
        shown += [_parameter(one.name, types[one.name], _default(one)) for one in fields(group)]

    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - options of any type
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        command(**values)

    as_shown: Any = run  # typer reads the signature and the annotations
    as_shown.__signature__ = inspect.Signature(shown)
    as_shown.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:  # noqa: ANN401 - options of any type
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default(one: Any) -> Any:  # noqa: ANN401 - a field of any type
    return one.default_factory() if one.default_factory is not MISSING else one.default
