"""Answers of 4xx and 5xx, counted by the minute: also of requests that never became a call, or failed after one.

Records know calls alone. A wrong model name, an expired key, a product that cannot use an answer: a caller is refused, and no
call says so. Here are the tenant, the path, the code, the last request's id and words, and the keys that most of them went to, so
that "all our calls are refused" has an answer at night. A user's id is not here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import failed_answers as table
from app.domain.periodic import Periodic
from app.domain.records import FailedAnswer
from app.domain.turns import Turns

WRITE_EVERY = 2.0
COUNTED_BY = timedelta(minutes=1)
MOST = 1000  # kinds of answers that wait: tenants by path and code; those beyond are not counted
LONGEST = 300  # characters of an answer's words
KIND, OF_THE_LAST = ("tenant", "path", "status", "code"), ("request_id", "key_id", "message")
MOST_KEYS = 20  # of a kind and a minute; answers to others count without their key
SHOWN = 12  # kinds of answers that a summary shows

# The key with the most answers of several rows' ``keys``; of rows that older code wrote there is none.
MOST_KEY = """
    SELECT one.key, sum(one.value::bigint)::bigint AS number
    FROM jsonb_array_elements(keys) AS of_row, jsonb_each_text(of_row) AS one WHERE one.key <> ''
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
"""
_KINDS = text(f"""
    WITH kinds AS (
        SELECT {", ".join(KIND)}, sum(answers)::bigint AS answers, max(at) AS minute,
               {", ".join(f"(array_agg({name} ORDER BY at DESC))[1] AS {name}" for name in OF_THE_LAST)}, jsonb_agg(keys) AS keys
        FROM failed_answers WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
        GROUP BY {", ".join(KIND)}
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY status >= 500 ORDER BY answers DESC, {", ".join(KIND)}) AS place FROM kinds
    )
    SELECT {", ".join(KIND)}, answers, minute, request_id, message, coalesce(most.key, key_id) AS key_id,
           coalesce(most.number, 0) AS of_key
    FROM ranked LEFT JOIN LATERAL ({MOST_KEY}) most ON true WHERE place <= :shown ORDER BY status >= 500 DESC, place
""")  # noqa: S608 - names are constants
_ADDED_KEYS = text(f"""
    (SELECT jsonb_object_agg(key, number) FROM (
        SELECT key, sum(value::bigint) AS number
        FROM (SELECT * FROM jsonb_each_text(failed_answers.keys) UNION ALL SELECT * FROM jsonb_each_text(excluded.keys)) AS one
        GROUP BY key ORDER BY 2 DESC, 1 LIMIT {MOST_KEYS}
    ) AS most)
""")  # noqa: S608 - a number
_Key = tuple[datetime, str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Answers of one kind within a range, with the last one's minute, request and words.

    ``key_id`` is the key that most of them went to: ``of_key``.
    """

    tenant: str
    path: str
    status: int
    code: str
    answers: int
    minute: datetime
    request_id: str
    key_id: str
    of_key: int
    message: str


class FailedAnswers:
    """Counts failed answers, and adds them to the table every two seconds. Without Postgres they wait, up to `MOST` kinds."""

    def __init__(self, engine: AsyncEngine, *, clean: Callable[[str, str], str]) -> None:
        """``clean`` redacts a text of a tenant: the text, then the tenant."""
        self._engine = engine
        self._clean = clean
        self._counts: dict[_Key, tuple[Counter[str], FailedAnswer]] = {}
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
            keys, _ = self._counts.get(key) or (Counter(), answer)
            keys[answer.key_id if answer.key_id in keys or len(keys) < MOST_KEYS else ""] += 1
            self._counts[key] = (keys, answer)

    async def write(self) -> None:
        """Add what was counted to the table. Raises SQLAlchemyError or OSError, and keeps it then."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        rows, turns = list[dict[str, object]](), Turns()
        for key, (keys, answer) in sorted(counts.items(), key=lambda one: one[0]):
            rows.append(self._row(key, keys, answer))  # redacted: a thousand of them take a hundred milliseconds
            await turns.give()
        added = insert(table)
        newest = {name: added.excluded[name] for name in OF_THE_LAST}
        changed = {**newest, "answers": table.c.answers + added.excluded.answers, "keys": _ADDED_KEYS}
        adding = added.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(adding, rows)
        except (SQLAlchemyError, OSError):
            for key, (keys, answer) in counts.items():
                newer, last = self._counts.get(key) or (Counter(), answer)
                self._counts[key] = (keys + newer, last)
            raise

    def _row(self, key: _Key, keys: Counter[str], answer: FailedAnswer) -> dict[str, object]:
        return {
            **dict(zip(("at", *KIND), key, strict=True)),
            "answers": keys.total(),
            "keys": dict(keys),
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
