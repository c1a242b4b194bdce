"""Three separate questions: is the process alive, are its own dependencies there, what is it (design §5).

``/readyz`` never asks a model provider: an outage there is what the service exists to survive.
"""

import asyncio
import logging

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.edge.parts import parts_of

CHECK_TIMEOUT = 2.0

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)


@router.get("/livez")
async def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={503: {"description": "Not ready; `checks` says what fails."}})
async def ready(request: Request) -> JSONResponse:
    """Valkey and Postgres answer and a release is live; 503 names what does not."""
    checks = parts_of(request).checks
    results = await asyncio.gather(*(_passes(name, request) for name in checks))
    states = {name: "ok" if ok else "failing" for name, ok in zip(checks, results, strict=True)}
    return JSONResponse({"status": "ok" if all(results) else "failing", "checks": states}, 200 if all(results) else 503)


@router.get("/version")
async def version(request: Request) -> JSONResponse:
    """Code version and live release."""
    return JSONResponse(dict(parts_of(request).version()))


async def _passes(name: str, request: Request) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await parts_of(request).checks[name]()
    except Exception as error:  # noqa: BLE001 - whatever fails, the part is away; the answer and the log say which
        log.warning("readiness check failed", extra={"check": name, "error_type": type(error).__name__})
        return False
    return True
