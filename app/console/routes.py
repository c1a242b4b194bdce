"""All routes of the console. A new page: a module in `pages`, a line in `navigation`, a line here."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from starlette.responses import Response

from app.console import (
    acting,
    assets,
    budget_actions,
    gameday_actions,
    incident_actions,
    mark_actions,
    oncall_actions,
    provider_sign_in,
    release_actions,
    security_actions,
    sign_in,
    stop_actions,
)
from app.console.commanded import Commanded
from app.console.console import ROUTES, VIEWING, Console
from app.console.diagnosis import diagnosed
from app.console.pages import (
    budget_tenant,
    budgets,
    calls,
    code,
    eval_case,
    eval_production,
    eval_run,
    evals,
    failed,
    gameday,
    incident,
    oncall,
    overview,
    readiness,
    release_diff,
    releases,
    requests,
    runbook,
    search,
    security,
    stop,
    trace,
)
from app.console.read_once import ReadOnce
from app.domain.errors import NotFound

__all__ = ["Console", "routers"]

PAGES: tuple[Callable[[Console], APIRouter], ...] = (
    overview.router,
    calls.router,
    failed.router,
    requests.router,
    search.router,
    trace.router,
    budgets.router,
    budget_tenant.router,
    code.router,
    stop.router,
    evals.router,
    eval_run.router,
    eval_case.router,
    eval_production.router,
    releases.router,
    release_diff.router,
    security.router,
    runbook.router,
    readiness.router,
    gameday.router,
)
WOKEN = (oncall.router, incident.router)  # pages of a person who was woken: they say what is wrong now, read once for both
ACTIONS: tuple[Callable[[Console], Iterator[acting.Act]], ...] = (
    budget_actions.actions,
    eval_production.actions,
    release_actions.actions,
    stop_actions.actions,
    mark_actions.actions,
    oncall_actions.actions,
    incident_actions.actions,
    security_actions.actions,
    gameday_actions.actions,
)


def routers(console: Console) -> Iterator[APIRouter]:
    """The routers, the one that answers every other path last."""
    yield assets.router()
    yield sign_in.router(console)
    yield provider_sign_in.router(console)
    actions = {act.name: act for made in ACTIONS for act in made(console)}
    console.commanded = Commanded(actions.values())
    yield acting.router(console, actions)
    for page in PAGES:
        yield page(console)
    shared = ReadOnce(lambda: diagnosed(console))
    for woken in WOKEN:
        yield woken(console, shared)
    yield _elsewhere()


def _elsewhere() -> APIRouter:
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/{path:path}")
    async def nothing(path: str) -> Response:  # noqa: ARG001 - in the route
        raise NotFound("The console has no such page.")

    return made
