"""Health: is the process alive, are its own dependencies there, which version is it.

``/readyz`` never asks a model provider, because the service must survive a provider's outage. It answers 503 if calls do not
work, and 200 if they do. The 200 says ``degraded`` while only calls with known keys work, or while Valkey may drop counters.
"""

import asyncio
import logging

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.store_errors import why
from app.edge.parts import Health, parts_of

CHECK_TIMEOUT = 2.0
METHODS = "GET, HEAD, OPTIONS"
_WORSE: tuple[Health, ...] = ("ok", "degraded", "failing")

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)


@router.get("/livez")
async def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={503: {"description": "Not ready; `checks` says what fails."}})
async def ready(request: Request) -> JSONResponse:
    """Whether calls work: budget, live release, keys, stops; a 503 names the failed parts."""
    checks = parts_of(request).checks
    states = dict(zip(checks, await asyncio.gather(*(_state(name, request) for name in checks)), strict=True))
    status = max(states.values(), key=_WORSE.index)
    return JSONResponse({"status": status, "checks": states}, 503 if status == "failing" else 200)


@router.get("/version")
async def version(request: Request) -> JSONResponse:
    """Code version and live release."""
    return JSONResponse(dict(parts_of(request).version()))


@router.options("/livez", include_in_schema=False)
@router.options("/readyz", include_in_schema=False)
@router.options("/version", include_in_schema=False)
async def options() -> Response:
    """The methods that a health check may use."""
    return Response(status_code=204, headers={"allow": METHODS})


async def _state(name: str, request: Request) -> Health:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await parts_of(request).checks[name]()
    except Exception as error:  # noqa: BLE001 - whatever fails, the part is away; the answer and the log say which
        log.warning("readiness check failed", extra={"check": name, **why(error)})
        return "failing"
