"""`octant oncall diff`: the shifts that change hands between two versions of the rotation."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.oncall import app, local
from app.cli.rota import loaded

if TYPE_CHECKING:
    from app.oncall.rota.diff import Change, Difference
    from app.oncall.rota.rotation import Rotation

MOST = 40  # changes that are listed
GIT_SECONDS = 30.0


@app.command("diff")
def diff(
    against: Annotated[str, typer.Option(help="A git ref such as origin/main, or another file.")] = "HEAD",
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if an edit deals the turns of a list anew.")] = False,
    report: Annotated[Path | None, typer.Option(help="Append it to this file, as Markdown; nothing if nothing differs.")] = None,
) -> None:
    """Show the shifts that change hands against another version of the file."""
    from app.domain.errors import Misconfigured
    from app.oncall.rota.diff import difference
    from app.oncall.rota.reading import read_rotation
    from app.settings import load

    new, path = loaded(), load().rotation_file
    text = _version(against, path)
    try:
        old = read_rotation(text, f"{against}:{path.name}") if text is not None else None
    except Misconfigured as error:
        old, text = None, str(error)
    if old is None:
        _write([f"No shifts are compared: {text or f'{path} is not in {against}'}"], report)
        return
    found = difference(old, new, datetime.now(UTC))
    _write(list(_lines(new, found, against)), report if found else None)
    if strict and found.redealt:
        raise typer.Exit(1)


def _version(against: str, path: Path) -> str | None:
    """The file's text at a git ref, or that of another file. None: the ref has no such file. Raises Misconfigured."""
    from app.domain.errors import Misconfigured

    if Path(against).is_file():
        return Path(against).read_text(encoding="utf-8")
    folder = path.resolve().parent
    ran = []
    for question in (("rev-parse", "--verify", "--quiet", "--end-of-options", against), ("show", f"{against}:./{path.name}")):
        command = ["git", "-C", str(folder), *question]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)  # noqa: S603 - no shell
        except (OSError, subprocess.SubprocessError) as error:
            raise Misconfigured(f"git cannot be run, so {against} cannot be read: {error}") from None
        ran.append(run)
        if run.returncode:
            break
    if len(ran) == 1:
        raise Misconfigured(f"{against} is neither a file nor a git ref that is here: {ran[0].stderr.strip() or 'unknown'}")
    return ran[1].stdout if ran[1].returncode == 0 else None


def _lines(rotation: "Rotation", found: "Difference", against: str) -> Iterator[str]:
    """The difference in words."""
    if not found:
        yield f"No shift changes hands against {against}."
        return
    if found.changes:
        yield f"Against {against}, {len(found.changes)} shifts or parts of shifts change hands in the next 180 days:"
    yield from (f"  {_change(rotation, change)}" for change in found.changes[:MOST])
    if len(found.changes) > MOST:
        yield f"  … and {len(found.changes) - MOST} more"
    if found.balance:
        yield "Hours in these 180 days, over all levels:"
        yield from (f"  {person}: {length:+.1f}" for person, length in sorted(found.balance.items()))
    if found.past:
        yield f"{len(found.past)} shifts of the past 90 days change, too, and with them the reports of past months."
    yield from found.others
    for edit in found.redealt:
        yield f"{edit.layer}: the edit of the list from {edit.start} re-deals {edit.count} shifts; add a dated list instead:"
        yield from (f"    {line}" for line in edit.instead.splitlines())


def _change(rotation: "Rotation", change: "Change") -> str:
    before, after = (" and ".join(people) or "no person" for people in (change.before, change.after))
    return f"level {change.level}: {local(rotation, change.begin)} to {local(rotation, change.end)}: {before} -> {after}"


def _write(lines: list[str], report: Path | None) -> None:
    """Print lines, and append them to a report of a pull request."""
    print("\n".join(lines))
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        with report.open("a", encoding="utf-8") as out:
            out.write("\n".join(["", "## On-call rotation", "", "```text", *lines, "```", ""]))
