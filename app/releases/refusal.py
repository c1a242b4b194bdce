"""What the eval gate says of a release that a rollback makes live: an operator at night must know it, and what else there is."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Misconfigured
from app.releases import eval_results, history
from app.releases.eval_gate import Unproven
from app.releases.history import Activation
from app.releases.manifest import Places

WORST = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """``lacking``: a sentence for each eval result that is missing or below its threshold, the worst first; empty if it passes.

    ``by_force``: it goes live by force alone where an operator names it. ``passes``: the newest release on the way back that
    passes the gate, or the live one if it alone does; empty for none.
    """

    release: str
    lacking: Sequence[str] = ()
    passes: str = ""
    live: str = ""
    by_force: bool = False

    @property
    def head(self) -> str:
        """The refusal in a clause."""
        count = len(self.lacking)
        return f"The eval gate refuses {self.release} for {count} reason{'s' * (count != 1)}"

    @property
    def worst(self) -> Sequence[str]:
        """The first few sentences, and how many more there are."""
        more = len(self.lacking) - WORST
        return [*self.lacking[:WORST], *([f"{more} more: `octant release verify {self.release}`"] if more > 0 else [])]

    @property
    def instead(self) -> str:
        """The release that passes, and how to have it."""
        if not self.passes:
            return "No other release that was live here passes it."
        if self.passes == self.live:
            return f"{self.passes}, which is live, passes it."
        return f'{self.passes} passes it: `octant rollback --to {self.passes} --reason "…"`'


class RefusedRollback(Unproven):
    """A release that was live is named to go back to, and the eval gate refuses it."""

    def __init__(self, refusal: Refusal) -> None:
        """The message names the release that passes."""
        self.lacking = tuple(refusal.lacking)
        listed = "\n  ".join(refusal.worst)
        Misconfigured.__init__(
            self,
            f"{refusal.head}:\n  {listed}\n{refusal.instead}\nTo roll back to {refusal.release} nevertheless: --force, with a"
            " --reason; that is audited, and an alert fires until a release with results is live.",
        )


async def refusal(connection: AsyncConnection, places: Places, past: Sequence[Activation], release_id: str) -> Refusal:
    """The gate on a release that was live. Raises Misconfigured where it was not, SQLAlchemyError or OSError."""
    lacking, live = await lacks(connection, places, past, release_id), past[0].release if past else ""
    if not lacking:
        return Refusal(release_id, live=live)
    *before, _ = history.led_to_live(past) or [""]
    for other in dict.fromkeys([*reversed(before), live]):
        if other != release_id and other and await _passes(connection, places, past, other):
            return Refusal(release_id, lacking, other, live, refusable(past, release_id))
    return Refusal(release_id, lacking, live=live, by_force=refusable(past, release_id))


async def _passes(connection: AsyncConnection, places: Places, past: Sequence[Activation], release_id: str) -> bool:
    """Whether the gate lets a release pass. One that this code cannot read, as of newer code, can go live by no command."""
    try:
        return not await lacks(connection, places, past, release_id)
    except Misconfigured:
        return False


def refusable(past: Sequence[Activation], to: str) -> bool:
    """Whether the gate may refuse to go back to a release by its name.

    Not to the newest one before that passed when it went live: commands that were printed before its newest results name it, so
    it goes live with a warning.
    """
    return to != history.passed_before(past)


async def lacks(connection: AsyncConnection, places: Places, past: Sequence[Activation], release_id: str) -> Sequence[str]:
    """The eval results that a release which was live lacks to be live again.

    One that passed when it went live and of which no result is on this machine passes: its file may be on the workers alone.
    Results that cannot be read refuse no rollback: what was lacking then counts.
    """
    kept = history.unproven(past, release_id)
    text = await history.text_of(connection, release_id)
    try:
        found = await eval_results.proof(connection, text, places)
    except ValueError:  # results of another form
        return kept
    return found.lacking if kept or found.results else ()
