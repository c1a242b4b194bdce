"""The code that enforces the caps, and the tests that prove them: each file as this installation has it, to read, not to run."""

import asyncio
import re
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

import app as package
from app.budget.exposure import ENFORCED_BY, PROVEN_BY
from app.console.console import ROUTES, VIEWING, Console, link
from app.console.navigation import BUDGETS
from app.domain.errors import NotFound

ROOT = Path(package.__file__).parents[1]
FILES = frozenset(place.partition("::")[0] for place in (*ENFORCED_BY, *PROVEN_BY))


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/code/{path:path}")
    async def page(request: Request, path: str, name: str = "") -> Response:
        """One file, with a mark on the line that begins what has this name."""
        if path not in FILES or not (ROOT / path).is_file():
            raise NotFound("The console shows the files that Budgets names alone, where this installation has them.")
        text = await asyncio.to_thread((ROOT / path).read_text, encoding="utf-8")
        before, line, after = parts_of(text, name)
        return console.page(request, "code.html", BUDGETS, title=path, path=path, before=before, line=line, after=after)

    return made


def address(place: str) -> str:
    """Where a place such as ``app/budget/budget.py::Budget.hold`` is shown; empty where this installation has no such file."""
    file, _, name = place.partition("::")
    if file not in FILES or not (ROOT / file).is_file():
        return ""
    return link(f"/console/code/{file}", name=name) + ("#here" if name else "")


def parts_of(text: str, name: str) -> tuple[str, str, str]:
    """A text before, at and after the line that begins the class or function of a name; without it all is after."""
    last = re.escape(name.rpartition(".")[2])
    found = re.search(rf"^ *(?:async )?(?:def|class) {last}\b.*$", text, re.MULTILINE)
    if not last or not found:
        return "", "", text
    return text[: found.start()], found[0], text[found.end() :]
