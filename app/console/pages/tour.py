"""The tour: the eight questions in five minutes, each with its answer of now, its place and something to try."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console.console import ROUTES, VIEWING, Console
from app.console.navigation import READINESS
from app.console.pages.readiness import answered
from app.console.readiness.answers import Evidence
from app.console.tour import STOPS


def router(console: Console) -> APIRouter:
    """The route."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)
    kept: dict[str, Evidence] = {}

    @made.get("/tour")
    async def page(request: Request) -> Response:
        """The page."""
        _, answers = await answered(console, kept)
        by_axis = {one.axis: one for one in answers}
        stops = [(stop, by_axis[stop.axis]) for stop in STOPS]
        return console.page(request, "tour.html", READINESS, title="Tour", stops=stops)

    return made
