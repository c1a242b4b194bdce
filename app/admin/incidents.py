"""`/v1/admin/incidents`: incidents, their timelines and the report of pages, for operators and their tools (P4)."""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from app.audit.actions import Action, ActionLog, clean
from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, NotFound
from app.edge.identity import operator
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.requests import parsed
from app.oncall.incidents.duty import FindDuties
from app.oncall.incidents.report import report
from app.oncall.incidents.store import LONGEST_TEXT, Incidents
from app.oncall.incidents.timeline import timeline
from app.security.redaction.redactor import Redactor

MOST_DAYS = 400


def _number(number: Annotated[str, Path(description="The incident's number.")]) -> int:
    """Read an incident's number. Raises NotFound for what is none."""
    if not re.fullmatch("[1-9][0-9]{0,15}", number):
        raise NotFound("No such incident.")
    return int(number)


Number = Annotated[int, Depends(_number)]


class IncidentNote(BaseModel):
    """The body of a note."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")


def router(engine: AsyncEngine, actions: ActionLog, redactor: Redactor, duties: FindDuties) -> APIRouter:
    """The endpoints. ``actions`` gets a row before a note is stored; ``duties`` reads the rotation and its covers."""
    made = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(operator)])
    redacted = partial(clean, redactor=redactor)
    incidents = Incidents(engine, clean=redacted)

    @made.get("/incidents")
    async def find(days: Annotated[int, Query(ge=0, le=MOST_DAYS)] = 0) -> Response:
        """The open incidents, newest first; with ``days`` also those that were open within so many days."""
        with _records():
            found = await incidents.list(since=datetime.now(UTC) - timedelta(days=days) if days else None)
        return _json({"data": [asdict(one) for one in found]})

    @made.get("/incidents/{number}")
    async def show(number: Number) -> Response:
        """One incident with its timeline."""
        with _records():
            found = await incidents.find(number)
            entries = await timeline(engine, found, clean=redacted)
        return _json({**asdict(found), "timeline": [asdict(entry) for entry in entries]})

    @made.post("/incidents/{number}/notes", openapi_extra=takes(IncidentNote))
    async def note(request: Request, number: Number, identity: Annotated[Identity, Depends(operator)]) -> Response:
        """Add a note to the timeline, also of a closed incident."""
        wanted = parsed(IncidentNote, await body_of(request))
        with _records():
            found = await incidents.find(number)
            subject = redacted(f"on={number} text={wanted.text}")
            await actions.write(Action(actor=identity.actor, action="incident note", subject=subject, reason="", outcome="ok"))
            await incidents.note(found, wanted.text, by=identity.actor)
        return _json({"number": found.number})

    @made.get("/incident-report")
    async def of_pages(days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 28) -> Response:
        """Pages by week, alert and person, with the times to acknowledge and to recover, in seconds."""
        now = datetime.now(UTC)
        since = now - timedelta(days=days)
        with _records():
            found = await report(engine, await duties(since), since, now)
        return _json(asdict(found))

    return made


@contextmanager
def _records() -> Generator[None, None, None]:
    """Postgres' absence in our words. Raises DependencyUnavailable."""
    try:
        yield
    except DataError:
        raise  # the store is there: a value cannot be held
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable("The incidents cannot be read right now.", retry_after=5.0) from error


def _json(content: Any) -> Response:  # noqa: ANN401 - what JSON takes
    return Response(json.dumps(content, default=str, ensure_ascii=False), media_type="application/json")
