"""All routes of the console. A new page: a module in `pages`, a line in `navigation`, a line here."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from starlette.responses import Response

from app.console import acting, assets, budget_deeds, release_deeds, security_deeds, sign_in, stop_deeds
from app.console.console import LOOKING, ROUTES, Console
from app.console.pages import (
    budget_tenant,
    budgets,
    calls,
    eval_production,
    eval_run,
    evals,
    gameday,
    oncall,
    overview,
    readiness,
    release_diff,
    releases,
    runbook,
    security,
    trace,
)
from app.domain.errors import NotFound

__all__ = ["Console", "routers"]

PAGES: tuple[Callable[[Console], APIRouter], ...] = (
    overview.router,
    calls.router,
    trace.router,
    budgets.router,
    budget_tenant.router,
    evals.router,
    eval_run.router,
    eval_production.router,
    releases.router,
    release_diff.router,
    oncall.router,
    security.router,
    runbook.router,
    readiness.router,
    gameday.router,
)
DEEDS: tuple[Callable[[Console], Iterator[acting.Deed]], ...] = (
    budget_deeds.deeds,
    eval_production.deeds,
    release_deeds.actions,
    stop_deeds.actions,
    oncall.deeds,
    security_deeds.actions,
)


def routers(console: Console) -> Iterator[APIRouter]:
    """The routers, the one that answers every other path last."""
    yield assets.router()
    yield sign_in.router(console)
    yield acting.router(console, {deed.name: deed for made in DEEDS for deed in made(console)})
    for page in PAGES:
        yield page(console)
    yield _elsewhere()


def _elsewhere() -> APIRouter:
    made = APIRouter(prefix="/console", dependencies=LOOKING, **ROUTES)

    @made.get("/{path:path}")
    async def nothing(path: str) -> Response:  # noqa: ARG001 - in the route
        raise NotFound("The console has no such page.")

    return made
