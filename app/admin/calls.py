"""`/v1/admin/calls`: the records of calls, for operators and their tools (O2).

A key with the scope ``admin`` reads the records of every tenant, one with ``read`` those of its own tenant; if it is bound to a
user, that user's.
"""

import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.audit import export
from app.audit.actions import Action, ActionLog, subject_of
from app.audit.call_filter import CallFilter, Sort, bounds_of, searched
from app.audit.query import MOST, cursor_of, every_call, find_calls, get_call, with_attempts
from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, Forbidden, NotFound
from app.edge.identity import reader
from app.security.redaction.redactor import Redactor

MOST_EXPORTED = 1_000_000
CHUNK = 1 << 16
Format = Literal["jsonl", "parquet"]
MEDIA = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


class _Search(BaseModel):
    """The query's parameters, without the fields of `CallFilter`."""

    model_config = ConfigDict(extra="forbid")

    at_least: list[str] = []
    at_most: list[str] = []
    limit: int = Field(default=50, ge=1, le=MOST)

    def filter_for(self, identity: Identity, redactor: Redactor) -> CallFilter:
        """As a filter that sees no more than its holder may. Raises Forbidden or InvalidRequest."""
        values = self.model_dump(exclude={"at_least", "at_most"})
        wanted, own = CallFilter(**values, ranges=bounds_of(self.at_least, self.at_most)), _own(identity, redactor)
        for name, value in own.items():
            if getattr(wanted, name) not in (None, value, identity.user):
                raise Forbidden(f"This API key reads the records of its own {name} only.")
        return replace(wanted, since=_aware(wanted.since), until=_aware(wanted.until), **own)


if TYPE_CHECKING:

    class Wanted(_Search):
        """The query's parameters, of which code reads these."""

        tenant: str | None
        sort: Sort
else:
    Wanted = create_model(
        "Wanted",
        __base__=_Search,
        __doc__="The query's parameters, as `octant calls` has them as options.",
        **{f.name: (f.type, Field(default=f.default, max_length=f.about.most)) for f in searched()},
    )


class Exported(Wanted):
    """The same, as a file."""

    format: Format = "jsonl"
    limit: int = Field(default=MOST_EXPORTED, ge=1, le=MOST_EXPORTED)


def router(engine: AsyncEngine, actions: ActionLog, redactor: Redactor) -> APIRouter:
    """The endpoints on a database. ``actions`` gets a row for each export: records leave the service with it."""
    made = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(reader)])

    @made.get("/calls")
    async def find(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
        """One page of records, without their attempts; ``next`` leads to the one behind it."""
        identity = await _reader(request)
        with _records():
            found = await find_calls(engine, wanted.filter_for(identity, redactor))
        more = cursor_of(found[-1], wanted.sort) if len(found) == wanted.limit else None
        return _json({"data": found, "next": more})

    @made.get("/calls/export", responses={200: {"content": {media: {} for media in MEDIA.values()}}})
    async def as_file(request: Request, wanted: Annotated[Exported, Query()]) -> Response:
        """Every matching record as one file. The operators' log records the export before the first byte leaves."""
        identity = await _reader(request)
        values = wanted.model_dump(exclude={"format"})
        pages = every_call(engine, Wanted.model_construct(**values).filter_for(identity, redactor))
        with _records():
            file = await _written(pages, wanted.format)
            try:
                await actions.write(_exported(identity, wanted, redactor))
            except BaseException:
                file.close()
                raise
        headers = {"content-disposition": f'attachment; filename="calls.{wanted.format}"'}
        return StreamingResponse(_chunks(file), media_type=MEDIA[wanted.format], headers=headers)

    @made.get("/calls/{call_id}")
    async def show(request: Request, call_id: str) -> Response:
        """One call with its attempts."""
        identity = await _reader(request)
        with _records():
            found = await get_call(engine, call_id)
        if found is None or any(found[name] != value for name, value in _own(identity, redactor).items()):
            raise NotFound(f"No call {call_id!r}.")
        return _json(found)

    @made.get("/traces/{trace_id}")
    async def trace(request: Request, trace_id: str) -> Response:
        """Every call of a trace with its attempts, in the order in which they began."""
        identity = await _reader(request)
        wanted = CallFilter(trace_id=trace_id, **_own(identity, redactor), ascending=True, limit=1000)
        with _records():
            found = await with_attempts(engine, await find_calls(engine, wanted))
        return _json({"data": found})

    return made


def _exported(identity: Identity, wanted: Exported, redactor: Redactor) -> Action:
    """The log's row of an export: API key and filter, with the user as a pseudonym."""
    parameters = {**wanted.model_dump(exclude_defaults=True), "tenant": wanted.tenant, **_own(identity, redactor)}
    return Action(actor=identity.actor, action="calls export", subject=subject_of(parameters, redactor), reason="", outcome="ok")


@contextmanager
def _records() -> Generator[None, None, None]:
    """Postgres' absence in our words. Raises DependencyUnavailable."""
    try:
        yield
    except DataError:
        raise  # the store is there: a value cannot be held
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable("The records cannot be read right now.", retry_after=5.0) from error


async def _reader(request: Request) -> Identity:
    """The reader's identity. Raises Unauthenticated or Forbidden."""
    return await reader(request)


def _own(identity: Identity, redactor: Redactor) -> dict[str, Any]:
    """The tenant whose records alone may be seen, and the user as records have them; nothing for an operator."""
    if "admin" in identity.scopes:
        return {}
    tenant = {"tenant": identity.tenant.id}
    return tenant | ({"user": redactor.redact(identity.user, tenant=identity.tenant.id)} if identity.user else {})


def _aware(at: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at


def _json(content: Any) -> Response:  # noqa: ANN401 - what JSON takes
    return Response(json.dumps(content, default=datetime.isoformat, ensure_ascii=False), media_type="application/json")


async def _written(pages: AsyncIterator[list[dict[str, Any]]], form: Format) -> IO[bytes]:
    """Write the whole file before the answer begins: an error until then still sets the status."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_chunks`
    try:
        await (export.write_jsonl if form == "jsonl" else export.write_parquet)(pages, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def _chunks(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
