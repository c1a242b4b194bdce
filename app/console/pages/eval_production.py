"""Evals of production: scores over time and drift, and candidates for cases, which an operator dismisses and reopens."""

import asyncio
import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit import quality
from app.audit.actions import clean
from app.audit.quality import DRIFT_FIRST, DRIFT_LIMIT, REASONS, STATES, Quality
from app.console import charts, formats
from app.console.acting import Act, Asked
from app.console.console import ROUTES, VIEWING, Console, first_page, link
from app.console.navigation import EVALS
from app.console.pages.budgets import number_of, times_of
from app.console.pages.evals import drifted, judged
from app.console.pages.trace import readable
from app.console.ranges import Range
from app.console.sessions import Session
from app.domain.errors import InvalidRequest
from app.domain.whole_numbers import whole_number
from app.releases.eval_gate import interval

PAGE = 10
NOT_TEXTS = ("endpoint", "user")


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console/evals", dependencies=VIEWING, **ROUTES)

    @made.get("/production")
    async def production(request: Request) -> Response:
        """Scores and drift."""
        values = await _production(console, dict(request.query_params))
        first_page(request, values["skip"], values["failing"].rows if values["failing"] else None)
        return console.page(request, "eval_production.html", EVALS, title="Evals of production", **values)

    @made.get("/candidates")
    async def candidates(request: Request) -> Response:
        """Candidates."""
        values = await _candidates(console, dict(request.query_params))
        first_page(request, values["skip"], values["listed"].rows if values["listed"] else None)
        return console.page(request, "eval_candidates.html", EVALS, title="Candidates", **values)

    return made


async def _production(console: Console, query: Mapping[str, str]) -> dict[str, Any]:
    range_, now, engine = await console.range(query, "7d"), datetime.now(UTC), console.parts.engine
    feature, skip = query.get("feature", ""), number_of(query.get("skip"))
    known, failing, states = await asyncio.gather(
        console.known.read(("quality", *range_.query.items()), quality.quality(engine, range_.since, range_.until, range_.width)),
        console.known.read(
            ("failing", *range_.query.items(), feature, skip),
            quality.failing(engine, range_.since, range_.until, feature=feature, most=PAGE, skip=skip),
        ),
        console.known.read("candidates' states", quality.candidate_states(engine)),
    )
    kind, words = answer(known.value, range_, now)
    return {
        "range": range_, "known": known, "quality": known.value, "kind": kind, "words": words, "failing": failing.value,
        "feature": feature, "skip": skip, "page_size": PAGE, "chart": chart(known.value, range_), "now": now,
        "simulated": sorted(console.parts.releases.simulated),
        "lines": lines(known.value), "states": states, "limit": DRIFT_LIMIT, "first": DRIFT_FIRST,
    }  # fmt: skip


def answer(found: Quality | None, range_: Range, now: datetime) -> tuple[str, str]:
    """How production scores, in one sentence."""
    if found is None:
        return "none", "Nothing is known of production's scores."
    names = drifted(found, now)
    if not found.scored:
        return ("bad" if names else "none"), f"No answer was scored {range_.words}."
    share = formats.share(found.passed / found.scored)
    low, high = (formats.share(bound) for bound in interval(found.passed, found.scored))
    words = f"{share} of {formats.number(found.scored, 'scored answer')} passed {range_.words} (95 % interval {low} to {high})"
    if names:
        return "bad", f"{words}; more answers of {' and '.join(names)} fail than before."
    if not judged(found):
        return "none", f"{words}; no feature has the {DRIFT_FIRST} scores yet that a finding of drift needs."
    return "good", f"{words}; no feature has drifted."


def chart(found: Quality | None, range_: Range) -> dict[str, Any] | None:
    """The share passed over time by feature."""
    if found is None or not found.scored:
        return None
    times = times_of(range_, [at for at, _ in found.steps])
    features = sorted({feature for _, feature in found.steps})
    series = []
    for number, feature in enumerate(features, 1):
        counts = [found.steps.get((at, feature), (0, 0)) for at in times]
        shares = [passed / scored * 100 if scored else None for scored, passed in counts]
        series.append((feature, shares, f"s{(number - 1) % 5 + 1}"))
    return charts.spec(times, series, unit="%")


def lines(found: Quality | None) -> list[dict[str, Any]]:
    """Scores by feature and release with their intervals."""
    rows = found.by_release if found else ()
    return [{**row, "share": row["passed"] / row["scored"], "interval": interval(row["passed"], row["scored"])} for row in rows]


async def _candidates(console: Console, query: Mapping[str, str]) -> dict[str, Any]:
    state = query.get("state") if query.get("state") in STATES else "new"
    reason = query.get("reason", "") if query.get("reason") in REASONS else ""
    skip, engine = number_of(query.get("skip")), console.parts.engine
    number = number_of(query.get("number")) or None
    known, states = await asyncio.gather(
        console.known.read(
            ("candidates", state, reason, skip, number),
            quality.candidates(engine, state=str(state), reason=reason, most=PAGE, skip=skip, number=number),
        ),
        console.known.read("candidates' states", quality.candidate_states(engine)),
    )
    return {
        "known": known, "listed": known.value, "state": state, "reason": reason, "number": number, "reasons": REASONS,
        "states": STATES,
        "counts": states.value or {}, "skip": skip, "page_size": PAGE, "question": question_of, "seen": seen_of,
        "kind": "none" if not (states.value or {}).get("new") else "warn", "words": candidates_words(states.value),
    }  # fmt: skip


def candidates_words(counts: Mapping[str, int] | None) -> str:
    """How many wait, in one sentence."""
    if counts is None:
        return "Nothing is known of the candidates."
    if not any(counts.values()):
        return "No question of production was found that may be worth a case."
    new = counts["new"]
    waits = f"{formats.number(new, 'question')} of production {'waits' if new == 1 else 'wait'} for a decision"
    return f"{waits}; {formats.count(counts['promoted'])} became cases, {formats.count(counts['dismissed'])} were dismissed."


def question_of(asked: Mapping[str, Any]) -> str:
    """The last text of a request: the question, after the turns before it."""
    texts = [value for name, value in asked.items() if isinstance(value, str) and name not in NOT_TEXTS]
    return texts[-1] if texts else ""


def seen_of(seen: Mapping[str, Any]) -> str:
    """The answer as JSON in lines, without what stands beside it."""
    return readable(json.dumps({name: value for name, value in seen.items() if name not in ("findings", "flags", "comment")}))


def actions(console: Console) -> Iterator[Act]:
    """The actions that dismiss a candidate and take that back, as `python -m evals dismiss` and `reopen`."""

    async def ask(values: Mapping[str, str]) -> Asked:
        number = _number(values["number"])
        row = await quality.open_candidate(console.parts.engine, number)
        asked = " ".join(question_of(row["asked"]).split())[:160]
        seen = formats.number(row["times"], "request")
        return Asked(
            title=f"Dismiss candidate {number}",
            effect=f"“{asked}”, seen in {seen} of {row['feature']}, is no case. It will stay away as long as records are kept.",
            command=shlex.join(["python", "-m", "evals", "dismiss", str(number), "--reason", "…"]),
            undo=f"python -m evals reopen {number}",
            undo_at=link("/console/do/evals-reopen", {"number": number}),
            button="Dismiss",
            strong=False,
        )

    async def do(values: Mapping[str, str], reason: str, _session: Session) -> str:
        number = _number(values["number"])
        await quality.dismiss(console.parts.engine, number, clean(reason, redactor=console.parts.redactor))
        return f"Candidate {number} is dismissed."

    async def ask_again(values: Mapping[str, str]) -> Asked:
        number = _number(values["number"])
        row = await quality.dismissed(console.parts.engine, number)
        return Asked(
            title=f"Reopen candidate {number}",
            effect=f"It was dismissed: “{row['why'] or ''}”. It will wait for a decision again.",
            command=f"python -m evals reopen {number}",
            undo=shlex.join(["python", "-m", "evals", "dismiss", str(number), "--reason", "…"]),
            undo_at=link("/console/do/evals-dismiss", {"number": number}),
            button="Reopen",
            strong=False,
        )

    async def reopen(values: Mapping[str, str], _reason: str, _session: Session) -> str:
        number = _number(values["number"])
        await quality.reopen(console.parts.engine, number)
        return f"Candidate {number} waits for a decision again."

    yield Act(name="evals-dismiss", fields=("number",), ask=ask, do=do, back="/console/evals/candidates")
    yield Act(name="evals-reopen", fields=("number",), ask=ask_again, do=reopen, back="/console/evals/candidates")


def _number(text: str) -> int:
    number = whole_number(text, digits=18)
    if number is None:
        raise InvalidRequest("A candidate has a number.", param="number")
    return number
