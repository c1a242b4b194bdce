"""`POST /v1/admin/alarm-test`: fail on purpose, to test the alarm."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from app.audit.actions import Action, ActionLog, clean
from app.domain.calls import Identity
from app.edge.errors import AlarmTest
from app.edge.identity import operator
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.requests import parsed
from app.security.redaction.redactor import Redactor

ACTION = "alarm test"
PAUSE = timedelta(minutes=1)  # of all replicas together: an alarm that sounds all the time is turned off


class AlarmTestRequest(BaseModel):
    """The body. ``reason`` is kept in the log of operators' actions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reason: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1F\x7F]+$")


def router(actions: ActionLog, redactor: Redactor) -> APIRouter:
    """The endpoint. ``actions`` gets a row before the error is raised."""
    routes = APIRouter(prefix="/v1/admin", tags=["admin"])

    @routes.post("/alarm-test", openapi_extra=takes(AlarmTestRequest))
    async def break_on_purpose(request: Request, identity: Annotated[Identity, Depends(operator)]) -> Response:
        """Fail with a 500, counted, logged and traced like any bug; `OctantAlarmTest` fires within two minutes.

        Answers 429 within a minute of the test before.
        """
        wanted = parsed(AlarmTestRequest, await body_of(request))
        reason = clean(wanted.reason, redactor)
        await actions.write(Action(actor=identity.actor, action=ACTION, subject="", reason=reason, outcome="raised"), pause=PAUSE)
        raise AlarmTest("This error was raised on purpose, by an operator who tests the alarm.")

    return routes
