"""Erases a user's data, and exports it (O8).

Everything in Postgres goes in one transaction. Records that are not in Postgres yet, in the queue of a worker or in a spill
file, are dropped when they come: a writer of records holds a shared lock and reads `erasures` first (`app.audit.rows`), and
erasing waits for writers that read it before. A call that is under way may still leave a ledger entry or a stored answer when it
ends; so erasing is done a second time when every whole answer that had begun must have ended, and reports a stream that still
flows. It is safe to repeat.
"""

import base64
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import BindParameter, TextClause, bindparam, text
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit import erasures
from app.budget import forgetting
from app.domain.personal import PersonalData
from app.erasure.plan import PLAN
from app.security.redaction.redactor import FAILED, Redactor, TenantPattern

LISTS = ("users", "requests", "traces")


@dataclass(frozen=True, slots=True)
class Person:
    """A user of a tenant. ``forms``: the id as it was sent, and as records have it. ``pseudonym`` stands for it afterwards.

    In the ledger and its alerts the pseudonym may stand from the beginning (`Redactor.ledger_name`), so it is searched too.

    Records have it as redaction left it when they were written; a tenant's own patterns may have been others then.
    """

    tenant: str
    forms: tuple[str, ...]
    pseudonym: str

    @classmethod
    def of(cls, tenant: str, user: str, redactor: Redactor, history: Iterable[Sequence[TenantPattern]] = ()) -> "Person":
        """The person behind an id. ``history``: the sets of the tenant's patterns that were in force.

        Where redaction fails, there is no form: the text in records is then the same for all users.
        """
        redactors = (redactor, *(redactor.with_patterns(patterns) for patterns in history))
        left = dict.fromkeys((user, *(each.redact(user, tenant=tenant) for each in redactors)))
        forms = tuple(form for form in left if form != FAILED)
        return cls(tenant, forms, redactor.pseudonym(user, tenant=tenant))


async def count(engine: AsyncEngine, person: Person) -> dict[str, int]:
    """How many rows of each table are about a person. Raises what SQLAlchemy raises."""
    async with engine.connect() as connection:
        parameters = await _parameters(connection, person)
        return {d.table: (await connection.execute(_counting(d), _found_by(d, parameters))).scalar_one() for d in PLAN}


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each table were deleted or changed, and whether money is held: a call is under way."""

    rows: dict[str, int]
    under_way: bool


async def erase(engine: AsyncEngine, valkey: Redis, person: Person, redactor: Redactor) -> Erased:
    """Forget a person. Raises what the stores raise."""
    people = [redactor.pseudonym(form, tenant=person.tenant) for form in person.forms]
    await erasures.note(engine, person.tenant, people, datetime.now(UTC))
    async with engine.begin() as connection:
        await erasures.wait_for_writers(connection)
        parameters = await _parameters(connection, person)
        done: dict[str, int] = {}
        for data in PLAN:
            result = await connection.execute(_erasing(data), _needed(_erasing(data), parameters))
            done[data.table] = result.scalar_one() if data.erase else result.rowcount
    names = (*person.forms, person.pseudonym)
    left = [await forgetting.rename_counters(valkey, person.tenant, name, person.pseudonym) for name in names]
    return Erased(done, any(left))


async def rows(engine: AsyncEngine, person: Person) -> AsyncIterator[dict[str, Any]]:
    """Everything about a person, a row at a time, with its table. Raises what SQLAlchemy raises."""
    async with engine.connect() as connection:
        parameters = await _parameters(connection, person)
        for data in PLAN:
            statement = text(f'SELECT * FROM "{data.table}" WHERE {_sql(data.where)}')  # noqa: S608 - our own words
            async with connection.stream(_typed(statement), _needed(statement, _found_by(data, parameters))) as found:
                async for row in found.mappings():
                    own = {name: _jsonable(value) for name, value in row.items() if name not in data.hidden}
                    yield {"table": data.table, **own}


async def _parameters(connection: AsyncConnection, person: Person) -> dict[str, Any]:
    """The parameters of the plan's statements."""
    own = _typed(text('SELECT request_id, trace_id FROM calls WHERE tenant = :tenant AND "user" = ANY(:users)'))
    found = (await connection.execute(own, {"tenant": person.tenant, "users": list(person.forms)})).all()
    return {
        "tenant": person.tenant,
        "users": list(person.forms),
        "person": person.pseudonym,
        "requests": sorted({row.request_id for row in found}),
        "traces": sorted({row.trace_id for row in found}),
    }


def _found_by(data: PersonalData, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same, for reading one table."""
    if not data.pseudonymous:
        return dict(parameters)
    return {**parameters, "users": [*parameters["users"], parameters["person"]]}


def _counting(data: PersonalData) -> TextClause:
    return _typed(text(f'SELECT count(*) FROM "{data.table}" WHERE {_sql(data.where)}'))  # noqa: S608 - our own words


def _erasing(data: PersonalData) -> TextClause:
    if data.erase:
        return _typed(text(data.erase))
    if data.change:
        values = ", ".join(f'"{column}" = {value}' for column, value in data.change.items())
        return _typed(text(f'UPDATE "{data.table}" SET {values} WHERE {_sql(data.where)}'))  # noqa: S608 - our own words
    return _typed(text(f'DELETE FROM "{data.table}" WHERE {_sql(data.where)}'))  # noqa: S608 - our own words


def _sql(where: str) -> str:
    """Casts are no parameters."""
    return where.replace("::", r"\:\:")


def _typed(statement: TextClause) -> TextClause:
    names = statement._bindparams  # noqa: SLF001 - SQLAlchemy has no other way to ask which there are
    lists: list[BindParameter[Any]] = [bindparam(name, type_=ARRAY(SqlText)) for name in LISTS if name in names]
    return statement.bindparams(*lists)


def _needed(statement: TextClause, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name in statement._bindparams}  # noqa: SLF001 - see above


def _jsonable(value: Any) -> Any:  # noqa: ANN401 - any column's value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
