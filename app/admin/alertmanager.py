"""`POST /v1/admin/alertmanager`: alerts come in from Alertmanager, and become pages (P3)."""

import json
from collections.abc import Callable

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import BodyTooLarge, DependencyUnavailable
from app.edge.identity import NeedsToken
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.requests import parsed
from app.oncall.paging.alarms import AlertmanagerMessage, alarm_of
from app.oncall.paging.paging import Paging

MOST_BYTES = 1024 * 1024  # a hundred alerts (`max_alerts` of our Alertmanager) take a tenth of it


def router(paging: Paging | None, token: Callable[[], str]) -> APIRouter:
    """The endpoint. ``token``: what Alertmanager must send as its bearer token; empty for no client."""
    routes = APIRouter(prefix="/v1/admin", tags=["admin"])

    @routes.post(
        "/alertmanager", openapi_extra=takes(AlertmanagerMessage), dependencies=[Depends(NeedsToken("alertmanager", token))]
    )
    async def take(request: Request) -> Response:
        """Take a group of alerts, in Alertmanager's webhook form, version 4. Once this answers 200 the page is stored."""
        if paging is None:
            raise DependencyUnavailable("Paging is off: OCTANT_PAGING__RECEIVERS is empty.")
        body = await body_of(request)
        if len(body) > MOST_BYTES:
            raise BodyTooLarge(f"The body is over {MOST_BYTES:,} bytes: lower max_alerts in Alertmanager's configuration.")
        event = await paging.take(alarm_of(parsed(AlertmanagerMessage, body)))
        return Response(json.dumps({"event": event}), media_type="application/json")

    return routes
