"""`octant rehearse`: the way back, rehearsed and timed; and the check of the log that it leaves."""

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes
from app.domain.hosts import authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.releases.rehearsals import Rehearsal, Step

app = typer.Typer(invoke_without_command=True, help="Rehearse rollbacks and the kill switch, and time them; never in production.")

NOT_JUDGED = (
    3  # the exit code of a rehearsal on a service that was sick before it began, and of a log with another secret's lines
)


Log = Annotated[bool, typer.Option("--log/--no-log", help="Append a signed line to OCTANT_REHEARSALS_FILE.")]
Own = Annotated[bool, typer.Option("--log-here", help="Append it to the log in this installation's state folder instead.")]
Workers = Annotated[int, typer.Option(min=2, max=16, help="Workers of the service that is started for it.")]


@app.callback()
def rehearse(context: typer.Context, log: Log = True, own: Own = False, workers: Workers = 4) -> None:
    """Roll back prompt, model, index, prices, code and all, and flip the kill switch; time each until the last worker follows.

    On a service of its own. Exit code 1: a step was late or failed: over 10 s from its command, code over 60 s; over 5 s from its
    write, a stop over 2 s. 3: not judged, because the service was sick before it began.
    """
    if not context.invoked_subcommand:
        _rehearse(lambda: _on_its_own(workers), log=log, own=own)


@app.command("here")
@changes("rehearse here")
def here(
    url: Annotated[str, typer.Option(help="The service's address; by default OCTANT_HOST and OCTANT_PORT.")] = "",
    log: Log = True,
    own: Own = False,
) -> None:
    """Rehearse on the service that the settings name. Refused in production, and where other tenants made calls just now."""
    _rehearse(lambda: _here(url), log=log, own=own)


def _rehearse(rehearsed: "Callable[[], Rehearsal]", *, log: bool, own: bool) -> None:
    from app.releases import rehearsals
    from app.settings import load
    from app.stack import rehearsal

    settings = load()  # before a service of its own replaces them
    print(f"{'step':28} {'seconds':>8} {'of':>4} {'written':>8} {'of':>4}", flush=True)
    done = rehearsed()
    limits = f"limit {rehearsal.LIMIT_SECONDS:g} s a step, {rehearsal.CODE_SECONDS:g} s for code"
    print(f"{done.verdict}: {done.note} ({limits}, {done.workers} workers)")
    print("seconds: from the start of the command to the last worker; written: from its write to the store, without that start.")
    if log:
        file = settings.state_dir / rehearsals.FILE if own else settings.rehearsals_file
        rehearsals.append(file, done, secret=settings.secret)
        print(f"Signed and appended to {file}. `octant rehearse verify{f' {file}' if own else ''}` checks the log.")
    if done.verdict != "kept":
        raise typer.Exit(NOT_JUDGED if done.verdict == "not judged" else 1)


@app.command("verify")
def verify(file: Annotated[Path | None, typer.Argument(help="The log; by default OCTANT_REHEARSALS_FILE.")] = None) -> None:
    """Check the log's signatures. Exit code 1: a line was changed. 3: a line is signed with another secret than this one."""
    from app.releases import rehearsals
    from app.settings import DEVELOPMENT_SECRET, load

    settings = load()
    path = file or settings.rehearsals_file
    found = rehearsals.verify(path, settings.secret)
    print(f"{path}: {found.signed} lines signed here, {found.foreign} with another secret, {found.unsigned} unsigned.")
    if found.signed and settings.secret_key.get_secret_value() == DEVELOPMENT_SECRET:
        print("They are signed with the development secret, which everyone knows: a slip is found, a forgery is not.")
    for problem in found.problems:
        print(f"CHANGED: {problem}")
    if found.problems or found.foreign:
        raise typer.Exit(1 if found.problems else NOT_JUDGED)


def _on_its_own(workers: int) -> "Rehearsal":
    """Rehearse on a service that is started for it and thrown away."""
    from app.domain.errors import Misconfigured
    from app.stack import demo, interrupts, newer_code, rehearsal

    interrupts.listen()
    with ExitStack() as stack:
        folder = stack.enter_context(demo.folder_of_its_own("octant-r-"))  # short: a socket's path has 107 characters at most
        try:
            settings = stack.enter_context(rehearsal.owned(folder, workers=workers))
        except Misconfigured as error:
            return rehearsal.not_judged(str(error), environment="its own")
        address = f"http://{authority(settings.host, settings.port)}"
        return asyncio.run(
            rehearsal.rehearse(
                settings, url=address, workers=workers, environment="its own", tell=_show,
                newer=partial(newer_code.running, settings, folder / "code"),
            )
        )  # fmt: skip


def _here(url: str) -> "Rehearsal":
    """Rehearse on the service that the settings name."""
    from app.settings import load
    from app.stack import real_traffic, rehearsal

    settings = load()
    rehearsal.refuse_production(settings)
    settings.require_stores()
    address = url or f"http://{authority(settings.host, settings.port)}"

    async def run() -> "Rehearsal":
        from app.stores import build_engine

        engine = build_engine(settings, pooled=False)
        try:
            await real_traffic.refuse(engine)
        finally:
            await engine.dispose()
        return await rehearsal.rehearse(
            settings, url=address, workers=settings.workers, environment=settings.environment, tell=_show
        )

    return asyncio.run(run())


def _show(step: "Step") -> None:
    after = f"{step.written:>8.2f} {step.promise:>4g}" if step.written is not None else f"{'-':>8} {'-':>4}"
    times = f"{step.seconds:>8.2f} {step.limit:>4g} {after}"
    print(f"{step.name:28} {times}  {'kept' if step.kept else 'NOT KEPT':8}  {step.note}".rstrip(), flush=True)
