"""One stored eval run: failure modes beside the baseline, cases that flipped, and each case with its findings."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console import formats
from app.console.console import ROUTES, VIEWING, Console, first_page
from app.console.navigation import EVALS
from app.console.pages.budgets import number_of
from app.console.pages.evals import verdict
from app.domain.errors import NotFound
from app.releases import eval_history
from app.releases.eval_gate import interval
from app.releases.eval_history import Cases, Run

PAGE = 50


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console/evals", dependencies=VIEWING, **ROUTES)

    @made.get("/runs/{number}")
    async def page(request: Request, number: int) -> Response:
        """The page."""
        query, engine = dict(request.query_params), console.parts.engine
        mode, failed, skip = query.get("mode", ""), query.get("failed") == "true", number_of(query.get("skip"))
        known = await console.known.read(("eval run", number), _run(console, number))
        if known.value is None:
            raise NotFound(f"{known.away}, and this run is not known here." if known.away else f"There is no eval run {number}.")
        run, before, flips = known.value
        cases = await console.known.read(
            ("eval cases", number, mode, failed, skip),
            eval_history.cases_of(engine, number, mode=mode, failed=failed, most=PAGE, skip=skip),
        )
        first_page(request, skip, cases.value.rows if cases.value else None)
        compared = comparison(run)
        return console.page(
            request, "eval_run.html", EVALS, title=f"Eval run {number}", run=run, before=before, flips=flips, known=known,
            cases=cases.value, modes=modes(run, cases.value), compared=compared, verdict=verdict(run), mode=mode, failed=failed,
            skip=skip, page_size=PAGE, words=_words(run, compared), kind=verdict(run)[0],
        )  # fmt: skip

    return made


async def _run(console: Console, number: int) -> tuple[Run, Run | None, tuple[list[str], list[str]]] | None:
    engine = console.parts.engine
    run = await eval_history.run_of(engine, number) if number < 2**63 else None
    if run is None:
        return None
    earlier = await eval_history.before(engine, run)
    return run, earlier, await eval_history.flips(engine, earlier, run) if earlier else ([], [])


def comparison(run: Run) -> dict[str, Any]:
    """The report's comparison with the baseline; empty where the run was not compared."""
    found = run.report.get("comparison")
    return found if isinstance(found, dict) else {}


def modes(run: Run, cases: Cases | None) -> list[dict[str, Any]]:
    """Failure modes: trials passed and total from the rows, threshold and change from the report."""
    reported = run.report.get("modes") or {}
    deltas = comparison(run).get("modes") or {}
    found = []
    for name, (total, passed) in (cases.modes if cases else {}).items():
        said, delta = reported.get(name) or {}, deltas.get(name) or {}
        low, high = interval(passed, total)
        change = delta["after"] - delta["before"] if {"after", "before"} <= delta.keys() else None
        found.append({
            "name": name, "passed": passed, "total": total, "share": passed / total, "low": low, "high": high,
            "least": said.get("least"), "change": change, "verdict": delta.get("verdict", ""),
        })  # fmt: skip
    return found


def _words(run: Run, compared: dict[str, Any]) -> str:
    share = formats.share(run.passed / run.total) if run.total else "none"
    low, high = interval(run.passed, run.total)
    words = f"{run.suite or 'The suite'} on {run.release or 'no release'}: {share} of {formats.number(run.total, 'case')} passed"
    words += f" (95 % interval {formats.share(low)} to {formats.share(high)})"
    if compared:
        lost, won = len(compared.get("lost", ())), len(compared.get("won", ()))
        words += f"; beside the baseline {formats.number(lost, 'case')} lost and {formats.count(won)} won"
    return f"{words}."
