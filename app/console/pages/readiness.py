"""Readiness: eight questions of a buyer, each answered in a line, evidence folded; prints on two pages of A4."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console.console import ROUTES, VIEWING, Console
from app.console.known import Known
from app.console.navigation import READINESS
from app.console.readiness.answers import KINDS, ORDER, SHORT, Answer, Evidence
from app.console.readiness.document import NAME, document
from app.console.readiness.review import CHECKS, check, oldest, summary, unanswered
from app.console.readiness.sources import Sources
from app.console.tour import STOPS

PATIENCE = 3.0  # half of the time that a page has for its stores


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)
    kept: dict[str, Evidence] = {}

    @made.get("/readiness")
    async def page(request: Request) -> Response:
        """The page."""
        known, answers = await _answered(console, kept)
        late = {answer.axis: each for answer, each in zip(answers, known, strict=True) if each.away and each.value}
        kind, words = summary(answers)
        return console.page(
            request, "readiness.html", READINESS, answers=answers, kind=kind, words=words, oldest=oldest(answers), counts=_counts,
            states=SHORT, kinds=KINDS, late=late, stops={stop.axis: stop for stop in STOPS},
        )  # fmt: skip

    @made.get("/readiness.html")
    async def whole() -> Response:
        """The review as one file that prints well, to attach to a proposal."""
        _, answers = await _answered(console, kept)
        now = datetime.now(UTC)
        written = await asyncio.to_thread(document, answers, environment=console.parts.environment, now=now)
        headers = {"content-disposition": f'attachment; filename="{NAME}-{now:%Y-%m-%d}.html"'}
        return Response(written, media_type="text/html; charset=utf-8", headers=headers)

    return made


async def _answered(console: Console, kept: dict[str, Evidence]) -> tuple[list[Known[Answer]], list[Answer]]:
    """Check each question by itself, so that a store that is slow or away takes only its own answers."""
    numbers = range(1, len(CHECKS) + 1)
    known = await asyncio.gather(*(_checked(console, number, kept) for number in numbers))
    answers = [
        each.value or unanswered(number, f"{each.away}, so this cannot be checked now.")
        for number, each in zip(numbers, known, strict=True)
    ]
    return known, answers


def _counts(evidence: Sequence[Evidence]) -> list[tuple[str, int]]:
    """How much evidence has each state but the best."""
    states = [fact.state for fact in evidence]
    return [(SHORT[state], states.count(state)) for state in ORDER[1:] if state in states]


async def _checked(console: Console, number: int, kept: dict[str, Evidence]) -> Known[Answer]:
    return await console.known.read(("readiness", number), check(sources_of(console, kept), number))


def sources_of(console: Console, kept: dict[str, Evidence]) -> Sources:
    """What the review reads here."""
    parts = console.parts
    return Sources(
        engine=parts.engine, valkey=parts.valkey, ledger=parts.ledger, policy=parts.policy, workers=parts.workers,
        releases=parts.releases, keys=parts.keys, provider_keys=parts.provider_keys, secret=parts.secret,
        rotation_file=parts.rotation_file, rehearsals_file=parts.rehearsals_file, state_dir=parts.state_dir, patience=PATIENCE,
        kept=kept, own_products=parts.own_products,
    )  # fmt: skip
