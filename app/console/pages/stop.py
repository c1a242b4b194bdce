"""The choice of a stop: what the kill switch can stop, the smaller first. Each leads to the page that asks once more."""

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.console.console import ROUTES, Console, operator, safe_way
from app.console.pages.releases import stoppable

FIRST = ("provider", "model", "user", "tenant")


def router(console: Console) -> APIRouter:
    """The route."""
    made = APIRouter(prefix="/console", dependencies=[Depends(operator)], **ROUTES)

    @made.get("/stop")
    async def page(request: Request, back: str = "/console") -> Response:
        """The page. ``back``: the page that its button was on."""
        kinds = {scope: (words, names) for scope, words, names in await stoppable(console)}
        rest = [scope for scope in kinds if scope not in FIRST]
        return console.page(request, "stop.html", None, title="Stop", back=safe_way(back), kinds=kinds, first=FIRST, rest=rest)

    return made
