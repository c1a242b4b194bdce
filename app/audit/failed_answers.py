"""Answers of 4xx and 5xx, counted by the minute: also of requests that never became a call, or failed after one.

Records know calls alone. A wrong model name, an expired key, a product that cannot use an answer: a caller is refused, and no
call says so. Here are the tenant, the path, the code and the last request's id and words, so that "all our calls are refused"
has an answer at night. A user's id is not here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import failed_answers as table
from app.domain.periodic import Periodic
from app.domain.records import FailedAnswer
from app.domain.turns import Turns

WRITE_EVERY = 2.0
MOST = 1000  # kinds of answers that wait: tenants by path and code; those beyond are not counted
LONGEST = 300  # characters of an answer's words
KIND, OF_THE_LAST = ("tenant", "path", "status", "code"), ("request_id", "key_id", "message")
SHOWN = 12  # kinds of answers that a summary shows

_KINDS = text(f"""
    WITH kinds AS (
        SELECT {", ".join(KIND)}, sum(answers)::bigint AS answers, max(at) AS minute,
               {", ".join(f"(array_agg({name} ORDER BY at DESC))[1] AS {name}" for name in OF_THE_LAST)}
        FROM failed_answers WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
        GROUP BY {", ".join(KIND)}
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY status >= 500 ORDER BY answers DESC, {", ".join(KIND)}) AS place FROM kinds
    )
    SELECT {", ".join(KIND)}, answers, minute, {", ".join(OF_THE_LAST)} FROM ranked WHERE place <= :shown
    ORDER BY status >= 500 DESC, place
""")  # noqa: S608 - names are constants
_Key = tuple[datetime, str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Answers of one kind within a range, with the last one's minute, request, key and words."""

    tenant: str
    path: str
    status: int
    code: str
    answers: int
    minute: datetime
    request_id: str
    key_id: str
    message: str


class FailedAnswers:
    """Counts failed answers, and adds them to the table every two seconds. Without Postgres they wait, up to `MOST` kinds."""

    def __init__(self, engine: AsyncEngine, *, clean: Callable[[str, str], str]) -> None:
        """``clean`` redacts a text of a tenant: the text, then the tenant."""
        self._engine = engine
        self._clean = clean
        self._counts: dict[_Key, tuple[int, FailedAnswer]] = {}
        self._writing = Periodic(
            "failed answers", self.write, every=WRITE_EVERY, survives=(SQLAlchemyError, OSError), complaint="failed answers wait"
        )

    async def start(self) -> None:
        """Begin to write."""
        self._writing.start()

    async def aclose(self) -> None:
        """Write what waits, and stop."""
        self._writing.wake()
        await self._writing.stop(grace=WRITE_EVERY)

    def note(self, answer: FailedAnswer) -> None:
        """Count one. Neither waits nor raises."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        key = (minute, answer.tenant, answer.path, answer.status, answer.code)
        if key in self._counts or len(self._counts) < MOST:
            self._counts[key] = (self._counts.get(key, (0, answer))[0] + 1, answer)

    async def write(self) -> None:
        """Add what was counted to the table. Raises SQLAlchemyError or OSError, and keeps it then."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        rows, turns = list[dict[str, object]](), Turns()
        for key, (number, answer) in sorted(counts.items(), key=lambda one: one[0]):
            rows.append(self._row(key, number, answer))  # redacted: a thousand of them take a hundred milliseconds
            await turns.give()
        added = insert(table)
        newest = {name: added.excluded[name] for name in OF_THE_LAST}
        adding = added.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={"answers": table.c.answers + added.excluded.answers, **newest}
        )
        try:
            async with self._engine.begin() as connection:
                await connection.execute(adding, rows)
        except (SQLAlchemyError, OSError):
            for key, (number, answer) in counts.items():
                newer = self._counts.get(key)
                self._counts[key] = (number + (newer[0] if newer else 0), newer[1] if newer else answer)
            raise

    def _row(self, key: _Key, number: int, answer: FailedAnswer) -> dict[str, object]:
        return {
            **dict(zip(("at", *KIND), key, strict=True)),
            "answers": number,
            "request_id": answer.request_id,
            "key_id": answer.key_id,
            "message": self._clean(answer.message[:LONGEST], answer.tenant),
        }


async def failed_answers(connection: AsyncConnection, since: datetime, until: datetime) -> Sequence[Failed]:
    """The most frequent kinds of failed answers: of 5xx, and behind them as many of 4xx. Whole minutes count.

    Raises SQLAlchemyError.
    """
    rows = await connection.execute(_KINDS, {"since": since, "until": until, "shown": SHOWN})
    return [Failed(**row) for row in rows.mappings()]
