"""`octant release canary`, `abort`, `promote` and `why`: a release for a share of the users first."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.amounts import MOST_DAYS, dollars, number
from app.cli.audited import add, changes
from app.cli.operator import user_name
from app.cli.releases import Force, Reason, ReleaseId, app, opened, wait_for_workers
from app.cli.tables import print_line

if TYPE_CHECKING:
    from app.releases.canaries import Canary, Judgement


@app.command("canary")
@changes("release canary")
def canary(
    release_id: ReleaseId,
    reason: Reason,
    share: Annotated[str, typer.Option(help="Share of the users, such as 10%.")] = "1%",
    cap: Annotated[str, typer.Option(help="Dollars that its calls may cost.")] = "10",
    days: Annotated[
        float, typer.Option(max=MOST_DAYS, callback=number, help="Days until an operator decides, if the evidence does not.")
    ] = 7.0,
    tenant: Annotated[list[str] | None, typer.Option(help="A tenant that always gets it and is not judged; repeatable.")] = None,
    force: Force = False,
) -> None:
    """Give a release to a share of the users. Repeated with a larger share, the canary goes on with it.

    The service stops it by itself on evidence that it is worse; docs/canary.md says how.
    """
    from app.releases.shares import share_of

    choices = {"cap": dollars(cap), "days": days, "tenants": tenant or [], "force": force}
    asyncio.run(_canary(release_id, share_of(share), reason, choices))


@app.command("abort")
@changes("release abort")
def abort(reason: Reason) -> None:
    """End the canary: every user gets the live release."""
    asyncio.run(_abort(reason))


@app.command("promote")
@changes("release promote")
def promote(
    reason: Reason,
    force: Annotated[
        bool, typer.Option("--force", help="Also without the evidence that it is no worse, and without eval results.")
    ] = False,
) -> None:
    """Make the canary's release live for every user."""
    asyncio.run(_promote(reason, force=force))


@app.command("why")
def why(release_id: ReleaseId) -> None:
    """Explain a release's last canary by its counted users, and compare its last shadow with the live release."""
    asyncio.run(_why(release_id))


async def _canary(release_id: str, share: float, reason: str, choices: dict[str, Any]) -> None:
    async with opened() as releases:
        begun = await releases.try_out(release_id, share, by=user_name(), reason=reason, **choices)
    print(f"{begun.share:.4g} of the users get {begun.release} within 5 seconds, the others {begun.against}.")
    print(f"`octant release status` shows how it stands. An operator decides by {begun.deadline:%Y-%m-%d %H:%M} UTC.")


async def _abort(reason: str) -> None:
    async with opened() as releases:
        ended = await releases.abort(by=user_name(), reason=reason)
    print(f"The canary {ended.release} has ended; every user gets {ended.against} within 5 seconds.")


async def _promote(reason: str, *, force: bool) -> None:
    started = time.monotonic()
    async with opened() as releases:
        promoted = await releases.promote(by=user_name(), reason=reason, force=force)
        if took := await wait_for_workers(releases, promoted.release, started):
            add(took.noted)


async def _why(release_id: str) -> None:
    from app.domain.errors import NotFound

    async with opened() as releases:
        found, shadow = await releases.last_canary(release_id), await releases.last_shadow(release_id)
    if found is None and shadow is None:
        raise NotFound(f"{release_id} was never a canary, and never a shadow.")
    if found:
        show_canary(*found)
    if shadow:
        from app.cli.shadow import show_shadow

        show_shadow(*shadow)


def show_canary(canary: "Canary", judged: "Judgement") -> None:
    """Print a canary, its counts and what follows from them."""
    from app.domain.figures import usd
    from app.releases.evidence import tolerable, worse

    when = f"{canary.started_at:%Y-%m-%d %H:%M} UTC"
    shares = " -> ".join(f"{share:.4g}" for share in canary.shares)
    cost = f"{usd(canary.spent)} of {usd(canary.cap)}"
    print_line(f"canary {canary.release} beside {canary.against}: {canary.state}, started {when} by {canary.by}")
    print(f"  share {shares}; cost {cost}; an operator decides by {canary.deadline:%Y-%m-%d %H:%M} UTC")
    for lack in canary.unproven or ():
        print(f"  UNPROVEN  {lack}")
    if canary.verdict:
        print_line(f"  ended by {canary.ended_by}: {canary.verdict}")
    print(f"  by the counts: {judged.verdict}. {judged.why}")
    print("  users seen, the canary's of all, by step: " + ", ".join(f"{c.canary} of {c.users}" for c in judged.seen))
    print(f"  {'bad users':10} {'canary/all by step':>26} {'worse':>10} {'tolerable':>10}")
    for name, steps in judged.metrics.items():
        counts = " + ".join(f"{c.canary}/{c.users}" for c in steps)
        print(f"  {name:10} {counts:>26} {worse(steps):>10.3g} {tolerable(steps):>10.3g}")
