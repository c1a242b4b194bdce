"""Two releases side by side: pins, prompts word by word, routes and prices, and what a thousand calls cost with each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.budget.pricing import cost
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console
from app.console.navigation import RELEASES
from app.console.release_actions import refusals
from app.console.release_change import kinds_words, money_words
from app.domain.errors import InvalidRequest
from app.releases import eval_history
from app.releases.compared import Compared, compare
from app.releases.eval_delta import Delta, deltas

ANSWERING = ("prompt", "model", "index")  # pins that change answers
SAME_ANSWERS = " Nothing that answers is changed, so the same eval results are expected."


@dataclass(frozen=True, slots=True)
class Beside:
    """The comparison, or why there is none; ``names``: of all releases."""

    compared: Compared | None
    problem: str
    names: Sequence[str]


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/releases/{old}/diff")
    async def page(request: Request, old: str, to: str = "", pins: str = "") -> Response:
        """The page. ``to``: the other release, the live one if left out."""
        new = to or console.parts.releases.known
        if not new:
            raise InvalidRequest("Name the other release: no release is live.")
        with refusals():
            known = await console.known.read(("diff", old, new), _beside(console, old, new))
        compared = known.value.compared if known.value else None
        filed, _ = await asyncio.to_thread(eval_history.filed, console.parts.releases_dir)
        evals = deltas(filed, old, new)
        rows = (compared.changed if pins == "changed" else compared.pins) if compared else ()
        return console.page(
            request, "release_diff.html", RELEASES, title=f"Release {old} to {new}", known=known, old=old, new=new,
            compared=compared, problem=known.value.problem if known.value else "",
            names=known.value.names if known.value else (old, new),
            rows=rows, only_changed=pins == "changed", live=console.parts.releases.known,
            words=words_of(old, new, compared) + evals_words(evals) if compared else "", evals=evals,
            kind=kind_of(compared, evals) if compared else "none",
        )  # fmt: skip

    return made


def words_of(old: str, new: str, compared: Compared) -> str:
    """The difference in a sentence."""
    if not compared.changed:
        return f"Releases {old} and {new} pin the same."
    verb = "differs" if len(compared.changed) == 1 else "differ"
    same = "" if any(row.name.startswith(ANSWERING) for row in compared.changed) else SAME_ANSWERS
    return f"From release {old} to {new}, {kinds_words(compared.changed)} {verb}; {money_words(compared)}.{same}"


def evals_words(evals: Sequence[Delta]) -> str:
    """What the evals say of the change, in a sentence; empty where they say nothing."""
    if refused := sum(one.missed for one in evals):
        return f" Its eval results miss {formats.number(refused, 'threshold')}: the gate refuses it."
    same = [one for one in evals if not one.problem]
    if not same:
        return ""
    lost, won = sum(len(one.lost) for one in same), sum(len(one.won) for one in same)
    return f" In the evals {formats.number(lost, 'case is', 'cases are')} lost and {formats.count(won)} won."


def kind_of(compared: Compared, evals: Sequence[Delta]) -> str:
    """The state of the change: red where the gate refuses it, amber where it loses a case."""
    if any(one.missed for one in evals):
        return "bad"
    if any(one.lost for one in evals if not one.problem):
        return "warn"
    return "good" if compared.changed else "none"


async def _beside(console: Console, old: str, new: str) -> Beside:
    releases = console.parts.releases
    before, after = await releases.find(old), await releases.find(new)
    names = [one.id for one in await releases.listed()]
    if before.release is None or after.release is None:
        return Beside(None, "\n".join(filter(None, [before.problem, after.problem])), names)
    return Beside(compare(before.release, after.release, await releases.traffic(), cost), "", names)
