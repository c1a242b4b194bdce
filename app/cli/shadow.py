"""`octant release shadow`: a release that answers too, for no user."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.amounts import MOST_DAYS, dollars, number
from app.cli.audited import changes
from app.cli.operator import user_name
from app.cli.releases import Reason, app, opened
from app.cli.tables import print_line
from app.domain.money import MicroUSD

if TYPE_CHECKING:
    from app.releases.shadows import Shadow

STOP = "stop"


@app.command("shadow")
@changes("release shadow")
def shadow(
    release_id: Annotated[str, typer.Argument(metavar="ID|stop", help="A release, or the word stop.")],
    reason: Reason,
    share: Annotated[str, typer.Option(help="Share of the calls, such as 5%.")] = "5%",
    budget: Annotated[str, typer.Option(help="Dollars that its answers may cost. No tenant pays for them.")] = "1",
    days: Annotated[float, typer.Option(max=MOST_DAYS, callback=number, help="Days after which it ends by itself.")] = 1.0,
) -> None:
    """Let a release answer a share of the calls too, after the user's answer. Its answers are scored and thrown away.

    `octant release status` and `why` compare it with the live release. `octant release shadow stop` ends it.
    """
    from app.releases.shares import share_of

    if release_id == STOP:
        asyncio.run(_stop(reason))
    else:
        asyncio.run(_start(release_id, share_of(share), reason, dollars(budget), days))


async def _start(release_id: str, share: float, reason: str, budget: MicroUSD, days: float) -> None:
    from app.domain.figures import usd

    async with opened() as releases:
        begun = await releases.start_shadow(release_id, share, by=user_name(), reason=reason, budget=budget, days=days)
    print(f"{begun.release} answers {begun.share:.4g} of the calls too, within 5 seconds. No user gets its answers.")
    until = f"{begun.until:%Y-%m-%d %H:%M} UTC"
    print(f"It ends at {until}, or when {usd(budget)} are used up. `octant release status` shows how it stands.")


async def _stop(reason: str) -> None:
    async with opened() as releases:
        ended = await releases.stop_shadow(by=user_name(), reason=reason)
    print(f"The shadow {ended.release} has ended. `octant release why {ended.release}` compares it with {ended.against}.")


def show_shadow(shadow: "Shadow", beside: Mapping[str, Any]) -> None:
    """Print a shadow, and its answers beside those of the live release on the same requests."""
    from app.domain.figures import usd

    cost = f"{usd(shadow.spent)} of {usd(shadow.budget)}"
    when = f"{shadow.started_at:%Y-%m-%d %H:%M} UTC"
    print_line(f"shadow {shadow.release} beside {shadow.against}: {shadow.state}, started {when} by {shadow.by}")
    print(f"  share {shadow.share:.4g} of the calls; cost {cost}; it ends at {shadow.until:%Y-%m-%d %H:%M} UTC")
    if shadow.why:
        print_line(f"  ended by {shadow.ended_by}: {shadow.why}")
    if not beside["answers"]:
        print("  no answer yet")
        return
    print(f"  {'':26} {'shadow':>12} {'live':>12}")

    def line(name: str, own: str, live: str) -> None:
        print(f"  {name:26} {own:>12} {live:>12}")

    line("answered, same requests", f"{beside['ok']}/{beside['answers']}", f"{beside['live_ok']}/{beside['answers']}")
    line("median latency, ms", _figure(beside["latency_ms"]), _figure(beside["live_latency_ms"]))
    line("cost", usd(int(beside["cost"])), usd(int(beside["live_cost"])))
    line("scored as right", f"{beside['passed']}/{beside['scored']}", f"{beside['live_passed']}/{beside['live_scored']}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
