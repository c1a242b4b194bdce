"""One case of a suite: its input and its expectation, redacted, and how it ended with each release and in each stored run."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.call_filter import CallFilter
from app.audit.query import find_calls, texts_of
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console
from app.console.navigation import EVALS
from app.console.pages.eval_mended import TENANT
from app.console.pages.trace import LONGEST_TEXT, readable
from app.console.said import said_of
from app.domain.errors import NotFound
from app.releases import eval_history
from app.releases.eval_cases import Written, cases
from app.releases.eval_history import MOST_TRIALS, Filed, Trial, pair_of


@dataclass(frozen=True, slots=True)
class Answered:
    """A stored trial, and the record of its call: ``trace`` is empty where this service has none.

    ``answer``: as the run kept it; of a run of before, as it is on record.
    """

    trial: Trial
    trace: str = ""
    answer: str = ""


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console/evals", dependencies=VIEWING, **ROUTES)

    @made.get("/cases/{suite}/{case}")
    async def page(request: Request, suite: str, case: str) -> Response:
        """The page."""
        filed, _ = await asyncio.to_thread(eval_history.filed, console.parts.releases_dir)
        results = [one for one in filed if one.result.suite == suite]
        written = (await asyncio.to_thread(cases, suite)).get(case)
        known = await console.known.read(("eval case", suite, case), _trials(console, suite, case))
        if not (written or known.value or known.away or any(case in one.result.failed for one in results)):
            raise NotFound(f"The suite {suite} has no case {case} here.")
        texts = await asyncio.to_thread(_texts, console, written) if written else {}
        return console.page(
            request, "eval_case.html", EVALS, title=f"Eval case {case}", suite=suite, case=case, written=written, texts=texts,
            results=results, known=known, words=words_of(case, results, known.value or ()),
            kind=kind_of(case, results), pair=pair_of([one.trial for one in known.value or ()]),
        )  # fmt: skip

    return made


def words_of(case: str, results: Sequence[Filed], trials: Sequence[Answered]) -> str:
    """How the case ended, in a sentence."""
    failed = [one.release for one in results if case in one.result.failed]
    of_files = f"It failed with {formats.number(len(failed), 'release')} of {formats.count(len(results))} that ran its suite"
    named = f": {', '.join(failed)}" if failed else ""
    passed = sum(one.trial.passed for one in trials)
    stored = f" Of its {formats.number(len(trials), 'newest stored trial')}, {formats.count(passed)} passed." if trials else ""
    return (f"{of_files}{named}." if results else "No release has results of its suite.") + stored


def kind_of(case: str, results: Sequence[Filed]) -> str:
    """The state of the newest release that ran the suite."""
    return ("bad" if case in results[0].result.failed else "good") if results else "none"


def _texts(console: Console, written: Written) -> Mapping[str, str]:
    """What the case sends and what it expects, redacted: some hold made-up personal data on purpose."""

    def shown(value: object) -> str:
        return readable(console.parts.redactor.redact(json.dumps(value, ensure_ascii=False, default=str), tenant=TENANT))

    parts = (("Input", "input"), ("Expected", "expect"), ("Injected fault", "chaos"))
    return {title: shown(written.content[name]) for title, name in parts if written.content.get(name)}


async def _trials(console: Console, suite: str, case: str) -> Sequence[Answered]:
    engine = console.parts.engine
    return [await _answered(engine, one) for one in await eval_history.trials_of(engine, suite, case, most=MOST_TRIALS)]


async def _answered(engine: Any, trial: Trial) -> Answered:  # noqa: ANN401 - an engine
    """The trial with the answer of its request's last call, where its record is here."""
    found = await find_calls(engine, CallFilter(request_id=trial.request_id, limit=1)) if trial.request_id else []
    if not found:
        return Answered(trial, answer=trial.answer)
    if trial.answer:
        return Answered(trial, found[0]["trace_id"], trial.answer)
    sides = (await texts_of(engine, found, LONGEST_TEXT)).get(found[0]["id"], {})
    return Answered(trial, found[0]["trace_id"], said_of(*(text for text, _ in sides.values())).answer if sides else "")
