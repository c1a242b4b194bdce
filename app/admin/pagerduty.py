"""`POST /v1/hooks/pagerduty`: what people do in PagerDuty comes back to the pages (P3).

Not among the operators' paths: PagerDuty comes from the internet, and the operators' listener is kept away from it.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import DependencyUnavailable
from app.edge.identity import NeedsSignature
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.requests import parsed
from app.oncall.paging.answers import IGNORED, PagerDutyMessage, answer_of
from app.oncall.paging.paging import Paging

MOST_BYTES = 256 * 1024  # PagerDuty drops a larger one itself
HEADER = "x-pagerduty-signature"


def router(paging: Paging | None, secret: Callable[[], str]) -> APIRouter:
    """The endpoint. ``secret``: of the webhook subscription; empty for none."""
    routes = APIRouter(prefix="/v1/hooks", tags=["admin"])
    signed = NeedsSignature("pagerduty", HEADER, secret, MOST_BYTES)

    @routes.post("/pagerduty", openapi_extra=takes(PagerDutyMessage), dependencies=[Depends(signed)])
    async def take(request: Request) -> Response:
        """Take an event of a PagerDuty incident, in the form of its webhooks, version 3. Events of no concern are passed over."""
        if paging is None:
            raise DependencyUnavailable("Paging is off: OCTANT_PAGING__RECEIVERS is empty.")
        answer = answer_of(parsed(PagerDutyMessage, await body_of(request)), now=datetime.now(UTC))
        event = await paging.answer(answer) if answer else IGNORED
        return Response(json.dumps({"event": event}), media_type="application/json")

    return routes
