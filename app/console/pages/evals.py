"""Evals: suites by failure mode, results by release, stored runs, and how production scores."""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit import quality
from app.audit.quality import Quality
from app.console import charts, formats
from app.console.console import ROUTES, VIEWING, Console, first_page
from app.console.known import Known
from app.console.navigation import EVALS
from app.console.pages.budgets import number_of
from app.console.pages.eval_mended import mended
from app.console.release_actions import refusals
from app.console.release_change import judged_words
from app.releases import eval_gate, eval_history
from app.releases.eval_delta import flipped, worst
from app.releases.eval_gate import COMMAND, Score, interval
from app.releases.eval_goals import goals, meanings
from app.releases.eval_history import CHAOS, OVERALL, Filed, Run, Runs, simulated_in, threshold_count

PAGE = 20
LEAD = 2  # sentences; the others are below the figures
DRAWN = 200  # stored runs that the chart shows
LATELY = timedelta(days=7)
REAL_MODEL = "OCTANT_OPENAI__API_KEY=KEY python -m evals run --provider openai --label MODEL --store"
CODES = {0: ("good", "passed"), 1: ("bad", "below or worse"), 2: ("warn", "not judged")}


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """A score with its interval. ``change``: of the share since the release before; None where the cases differ.

    ``counts``: whether it is a part of the overall share. ``goal``: the share that the business needs, where the suite names one.
    ``simulated``: whether the threshold is the simulator's own, which only holds what its rules reach.
    ``meaning``: when a case counts as passed.
    """

    name: str
    passed: float
    total: int
    least: float
    low: float
    high: float
    change: float | None
    counts: bool = True
    goal: float | None = None
    simulated: bool = False
    meaning: str = ""

    @property
    def share(self) -> float:
        """Passed of total."""
        return self.passed / self.total

    @property
    def margin(self) -> float:
        """How far the share is above its threshold, as a share."""
        return self.share - self.least

    @property
    def still(self) -> bool:
        """Whether there is nothing to see: it holds its threshold, and its share is that of the release before."""
        return self.share >= self.least and self.change is not None and abs(self.change) < formats.NO_POINT

    @property
    def state(self) -> tuple[str, str]:
        """A kind and words: a threshold of the simulator that holds is no pass, unless the goal is reached."""
        if self.share < self.least:
            return "bad", "below"
        reached = self.goal is not None and self.share >= self.goal
        return ("none", "holds, simulated") if self.simulated and not reached else ("good", "holds")


@dataclass(frozen=True, slots=True)
class SuiteCard:
    """A suite's result on a release beside the one on the release before. ``lost`` and ``won``: cases that flipped."""

    filed: Filed
    overall: ScoreLine
    modes: list[ScoreLine]
    measures: list[ScoreLine]
    models: list[ScoreLine]
    before: Filed | None
    lost: list[str]
    won: list[str]

    @property
    def shares(self) -> list[ScoreLine]:
        """Every share that has a threshold, as the gate judges them."""
        return [self.overall, *self.modes, *self.measures, *self.models]


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/evals")
    async def page(request: Request) -> Response:
        """The page."""
        values = await _values(console, dict(request.query_params))
        first_page(request, values["skip"], values["runs"].value.rows if values["runs"].value else None)
        return console.page(request, "evals.html", EVALS, **values)

    return made


async def _values(console: Console, query: Mapping[str, str]) -> dict[str, Any]:
    parts, read, now = console.parts, console.known.read, datetime.now(UTC)
    files: Known[tuple[list[Filed], list[str]]] = await read("eval files", _filed(parts.releases_dir))
    filed, problems = files.value or ([], [])
    wanted = query.get("release", "")
    chosen = chosen_release(filed, wanted, parts.releases.known)
    cards = [card(one, filed) for one in filed if one.release == chosen]
    skip, suite = number_of(query.get("skip")), query.get("suite", "")
    is_there, runs, drawn, lately, states, example = await asyncio.gather(
        _is_there(console, wanted, filed),
        read(("eval runs", suite, skip), eval_history.runs(parts.engine, suite=suite, most=PAGE, skip=skip)),
        read("eval runs drawn", eval_history.runs(parts.engine, most=DRAWN)),
        read("quality lately", quality.quality(parts.engine, now - LATELY, now, LATELY)),
        read("candidates' states", quality.candidate_states(parts.engine)),
        read("mended case", mended(console)),
    )
    kind, words = answer(chosen, cards, lately.value, now, filed)
    return {
        "chosen": chosen, "live": parts.releases.known, "cards": cards, "problems": problems,
        "kind": kind, "words": " ".join(words[:LEAD]), "details": words[LEAD:],
        "releases": [card(one, filed) for one in filed], "runs": runs, "skip": skip,
        "suite": suite,
        "page_size": PAGE,
        "lately": lately, "drifted": drifted(lately.value, now),
        "judged": judged(lately.value), "first": quality.DRIFT_FIRST, "states": states, "chart": chart(drawn.value, filed),
        "unrecorded": await asyncio.to_thread(eval_history.unrecorded, parts.releases_dir),
        "verdict": verdict, "command": command_of(chosen, cards), "real_model": REAL_MODEL,
        "figures": figures(cards), "example": example.value,
        "aways": list({one.away: one for one in (is_there, runs, lately) if one.away}.values()),
    }  # fmt: skip


async def _is_there(console: Console, wanted: str, filed: Sequence[Filed]) -> Known[bool]:
    """Whether there is such a release, which Postgres knows where no file has its results. Raises NotFound or InvalidRequest."""
    if not wanted or any(one.release == wanted for one in filed):
        return Known(value=True, at=datetime.now(UTC))

    async def find() -> bool:
        await console.parts.releases.find(wanted)
        return True

    with refusals():
        return await console.known.read(("eval release", wanted), find())


async def _filed(directory: Path) -> tuple[list[Filed], list[str]]:
    return await asyncio.to_thread(eval_history.filed, directory)


def chosen_release(filed: Sequence[Filed], wanted: str, live: str) -> str:
    """The release to show: the wanted one, which may have no results, else the live one, else the newest."""
    known = [one.release for one in filed]
    return wanted or (live if live in known else known[0] if known else "")


def card(one: Filed, filed: Sequence[Filed]) -> SuiteCard:
    """A result beside that of the release before, of the same cases by the same models; not of one that is refused.

    One that is refused and has none before it stands beside the next one: what it would have cost is seen there.
    """
    same = [
        other
        for other in filed
        if other.release != one.release
        and not eval_gate.below(other.result)
        and (other.result.suite, other.result.label, other.result.cases) == (one.result.suite, one.result.label, one.result.cases)
    ]
    before = max((other for other in same if other.release < one.release), key=lambda other: other.release, default=None)
    if before is None and eval_gate.below(one.result):
        before = min(same, key=lambda other: other.release, default=None)
    scores, wanted = eval_gate.judged(before.result) if before else {}, goals(one.result.suite)
    counts = meanings(one.result.suite)

    def lines(found: Mapping[str, Score]) -> list[ScoreLine]:
        simulated = bool(one.result.simulated)
        made = (_line(name, score, scores.get(name), wanted.get(name), simulated=simulated) for name, score in found.items())
        return [replace(line, meaning=counts.get(line.name, "")) for line in made]

    overall = one.result.scores.get(OVERALL) or next(iter(one.result.scores.values()))
    models = {name: score for name, score in eval_gate.judged(one.result).items() if name not in one.result.scores}
    return SuiteCard(
        one, lines({OVERALL: overall})[0], lines(one.modes), lines(one.measures), lines(models), before,
        flipped(before, one), flipped(one, before),
    )  # fmt: skip


def command_of(chosen: str, cards: Sequence[SuiteCard]) -> str:
    """The command that makes the results; of results that are too low, the one that says why the gate refuses them."""
    low = any(one.filed.below for one in cards)
    release = shlex.quote(chosen) if chosen else "ID"
    return f"octant release verify {release}" if low else COMMAND.format(release)


def _line(name: str, score: Score, before: Score | None, goal: float | None, *, simulated: bool = False) -> ScoreLine:
    change = score.passed / score.total - before.passed / before.total if before else None
    bounds = interval(score.passed, score.total)
    return ScoreLine(name, score.passed, score.total, score.least, *bounds, change, name != CHAOS, goal, simulated)


def figures(cards: Sequence[SuiteCard]) -> dict[str, Any]:
    """Sums over a release's suites. ``change`` is None where a suite has nothing before it to be compared with."""
    passed, total = sum(one.overall.passed for one in cards), sum(one.overall.total for one in cards)
    results = [one.filed.result for one in cards]
    scores = [_line(name, score, None, None) for result in results for name, score in eval_gate.judged(result).items()]
    thresholds = sum(map(threshold_count, results))
    closest = min(scores, key=lambda line: line.margin, default=None)
    comparable = bool(cards) and all(one.before for one in cards)
    return {
        "passed": passed, "total": total, "share": passed / total if total else None, "interval": interval(passed, total),
        "thresholds": thresholds, "held": thresholds - sum(len(one.filed.below) for one in cards), "closest": closest,
        "beside": _beside(cards),
        "change": sum((one.overall.change or 0) * one.overall.total for one in cards) / total if comparable else None,
        "lost": sum(len(one.lost) for one in cards), "won": sum(len(one.won) for one in cards),
        "failed": sum(len(one.filed.result.failed) for one in cards),
    }  # fmt: skip


def _beside(cards: Sequence[SuiteCard]) -> str:
    """The releases that the cards are compared with, in words."""
    later = sorted({one.before.release for one in cards if one.before and one.before.release > one.filed.release})
    return f"beside the later release {' and '.join(later)}" if later else "since the release before"


def _other(cards: Sequence[SuiteCard]) -> str:
    """The same releases as a noun."""
    return _beside(cards).removeprefix("beside ").removeprefix("since ")


def answer(
    chosen: str, cards: Sequence[SuiteCard], lately: Quality | None, now: datetime, filed: Sequence[Filed] = ()
) -> tuple[str, list[str]]:
    """How good the answers are, in sentences of the data; the first two lead. ``filed``: of all releases, for the refused one."""
    production = []
    if lately and lately.scored:
        share = formats.share(lately.passed / lately.scored)
        production = [f"Of live calls, {share} of {formats.number(lately.scored, 'scored answer')} passed in the last 7 d."]
    if found := drifted(lately, now):
        return "bad", [f"Quality of live calls has drifted: more answers of {' and '.join(found)} fail than before.", *production]
    if not cards:
        return "none", [f"{f'Release {chosen} has no' if chosen else 'No release has'} eval results here.", *production]
    below = [(one.filed.result.suite, name) for one in cards for name in one.filed.below]
    each = " and ".join(
        f"{one.filed.result.suite} {formats.count(one.overall.passed)} of {formats.count(one.overall.total)}" for one in cards
    )
    if below:
        named = ", ".join(f"{suite}: {name}" for suite, name in below[:3]) + (f" and {len(below) - 3} more" if below[3:] else "")
        missed = f"{formats.number(len(below), 'threshold')} ({named})"
        return "bad", [f"Release {chosen} is below {missed}, so the gate refuses it: {each} passed.", *production]
    kind, words = _holding(chosen, cards, each, filed)
    return kind, [*filter(None, words), *production]


def _holding(chosen: str, cards: Sequence[SuiteCard], each: str, filed: Sequence[Filed]) -> tuple[str, list[str]]:
    """Of a release that misses no threshold; some of the sentences may be empty."""
    lost, won = sum(len(one.lost) for one in cards), sum(len(one.won) for one in cards)
    compared = bool(cards) and all(one.before for one in cards)
    flips = f"It lost {formats.number(lost, 'case')} and won {won} {_beside(cards)}." if compared and lost + won else ""
    simulated = simulated_in(one.filed.result for one in cards)
    fake = f"{simulated[0].upper()}{simulated[1:]}." if simulated else ""
    kind = "warn" if lost or simulated else "good"
    short = [line for one in cards for line in one.shares if line.goal is not None and line.share < line.goal]
    goal = f"{formats.number(len(short), 'share')} {'is' if len(short) == 1 else 'are'} below the goal for a vendor's model."
    own = ", each at most what the simulator once reached" if simulated else ""
    holds = f"Release {chosen} holds every threshold{own}: {each} cases passed."
    verdict = f"{'Answered by the simulator, release' if simulated else 'Release'} {chosen} passes the gate"
    verdict += f"{_better(won - lost, cards)}." if compared else "."
    return kind, [verdict, _worse(cards, filed), flips, holds, goal if short else "", _refused(filed), fake]


def _better(more: int, cards: Sequence[SuiteCard]) -> str:
    """How it stands beside the releases that it is compared with, as a clause. ``more``: cases won, without those lost."""
    other = _other(cards)
    return f" and answers {'better than' if more > 0 else 'worse than' if more else 'as well as'} {other}"


def _worse(cards: Sequence[SuiteCard], filed: Sequence[Filed]) -> str:
    """The failure mode in which the release is furthest below another one's, also a refused one's; empty where in none."""
    found = [
        (now.passed / now.total - then.passed / then.total, name, then, now, one, other)
        for one in cards
        for other in filed
        if other.release != one.filed.release
        and (other.result.suite, other.result.label, other.result.cases)
        == (one.filed.result.suite, one.filed.result.label, one.filed.result.cases)
        for name, then, now in filter(None, [worst(other, one.filed)])
    ]
    if not found:
        return ""
    _, name, then, now, one, other = min(found, key=lambda one: one[0])
    which = f"{'the refused ' if eval_gate.below(other.result) else ''}release {other.release}"
    return (
        f"It is worse than {which} in {name.replace('_', ' ')}: {formats.count(now.passed)} of {formats.count(now.total)}"
        f" passed where {formats.count(then.passed)} did, {judged_words(now, simulated=bool(one.filed.result.simulated))}."
    )


def _refused(filed: Sequence[Filed]) -> str:
    """The newest release that the gate keeps from going live."""
    refused = [one for one in filed if eval_gate.below(one.result)]
    if not refused:
        return ""
    newest = max(one.release for one in refused)
    missed = sum(len(one.below) for one in refused if one.release == newest)
    points = [change * 100 for one in refused if one.release == newest if (change := card(one, filed).overall.change) is not None]
    cards = [card(one, filed) for one in refused if one.release == newest]
    lower = ""
    if points and min(points) < 0:
        lower = f", and its share of passed cases is {-min(points):.1f} points lower than that of {_other(cards)}"
    return f"The gate refuses release {newest}: it misses {formats.number(missed, 'threshold')}{lower}."


def verdict(run: Run) -> tuple[str, str]:
    """A kind and words. Of a part of a suite, only the failure modes that were run whole are judged."""
    kind, words = CODES.get(run.code, ("warn", f"code {run.code}"))
    if run.part is None or run.code not in (0, 1):
        return kind, words
    if not run.part:
        return "none", "a part, not judged"
    modes = run.part[0].replace("_", " ") if len(run.part) == 1 else formats.number(len(run.part), "mode")
    return kind, f"{'passed' if run.code == 0 else 'below'}, {modes} alone"


def judged(lately: Quality | None) -> bool:
    """Whether any feature has as many scores as the test for drift needs: before, it says nothing."""
    return any(one.seen >= quality.DRIFT_FIRST for one in lately.drifts) if lately else False


def drifted(lately: Quality | None, now: datetime) -> list[str]:
    """Features with a recent finding of drift."""
    return [one.feature for one in lately.drifts if one.shows(now)] if lately else []


class _Whole(NamedTuple):
    """A run of all cases of a suite, in the order of time."""

    at: datetime
    suite: str
    label: str
    release: str
    passed: float
    total: int


def chart(stored: Runs | None, filed: Sequence[Filed] = ()) -> dict[str, Any] | None:
    """The share passed by suite over time, of whole runs, each with a mark where another release begins.

    ``filed``: the results beside the manifests, which came with the code. A run of some cases is no point: its share is that
    of other cases. A run is a point: a line would join runs of different releases.
    """
    here = [_Whole(run.at, run.suite, run.label, run.release, run.passed, run.total) for run in (stored.rows if stored else ())
            if run.part is None]  # fmt: skip
    came = [_Whole(one.result.at, one.result.suite, one.result.label, one.release, score.passed, score.total) for one in filed
            if (score := one.result.scores.get(eval_history.OVERALL))]  # fmt: skip
    runs = sorted(run for run in (*here, *came) if run.total)
    if not runs:
        return None
    points: dict[str, dict[datetime, float]] = {}
    for run in runs:
        points.setdefault(f"{run.suite or 'suite'}, {run.label}", {})[run.at] = run.passed / run.total * 100
    times = sorted({run.at for run in runs})
    series = [(name, [found.get(at) for at in times], f"s{n % 5 + 1}") for n, (name, found) in enumerate(sorted(points.items()))]
    begins = [runs[0], *(run for before, run in pairwise(runs) if before.release != run.release)]
    marks = [(run.at, f"release {run.release}") for run in begins]
    return charts.spec(times, series, unit="%", kind="points", marks=marks)
