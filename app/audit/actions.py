"""The operators' log: actor, action, subject, reason, time and outcome (S8). Chained, so that a change is found.

Each row carries an HMAC over itself and the one before it, keyed with the service's secret: a row that is changed,
inserted or removed without the secret breaks the chain, and `actions_head` holds its length. A whole database put back to an
earlier state goes unseen here: `octant audit verify --head` compares with a head noted elsewhere.

While Postgres is away an action is written to a file in the state folder, signed, and goes into the chain with the next one that
gets there. No user's id is stored here, as these rows are never erased: a pseudonym stands for it.
"""

import fcntl
import hashlib
import hmac
import json
import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Row, func, insert, select, text, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import actions, actions_head
from app.domain.errors import DependencyUnavailable, RateLimited
from app.security.redaction.pseudonyms import pseudonym_of
from app.security.redaction.redactor import Redactor

LOCK = 0x0C81
NOTES = "actions.jsonl"  # in the state folder
START = "0" * 64
PAGE = 1000
LATE = " (noted while Postgres was away)"
FORGED = "forged"
SIGN_IN = "console sign-in"  # it changes nothing
NOT_A_SUBJECT = ("reason", "quiet", "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that an operator did. ``outcome`` is ``ok`` or an error's code."""

    actor: str
    action: str
    subject: str
    reason: str
    outcome: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """State of the chain: its length, its head (``number:mac``) and its problems in words; none if it is whole."""

    count: int
    head: str
    problems: tuple[str, ...]


class ActionLog:
    """See the module."""

    def __init__(self, engine: AsyncEngine | None, *, secret: bytes, notes: Path) -> None:
        """``secret`` is the service's; a key of its own is derived. ``notes`` is the file for when Postgres is away.

        Without an ``engine`` there is only the file.
        """
        self._engine = engine
        self._key = hmac.digest(secret, b"octant operators' actions", hashlib.sha256)
        self._notes = notes

    async def append(self, action: Action) -> bool:
        """Record an action. False: Postgres is away, and it is in the local file. Raises OSError where that fails too.

        Raises FileNotFoundError where there is no folder for the file: one that is made now would be read by no later command.
        """
        try:
            if self._notes.parent.is_dir():
                with _Notes(self._notes) as notes:
                    await self._take([*self._noted(notes.read()), action])
                    notes.clear()
            else:
                await self._take([action])
        except (SQLAlchemyError, OSError):
            self.note(action)
            return False
        return True

    def note(self, action: Action) -> None:
        """Keep an action in the local file alone: the next `append` takes it into the chain. Blocks; raises OSError."""
        with _Notes(self._notes) as notes:
            notes.add(self._signed(action))

    async def write(self, action: Action, *, pause: timedelta | None = None) -> None:
        """Record an action in Postgres, or raise what SQLAlchemy raises: for the service, where nothing happens unlogged.

        Raises RateLimited where any operator did the same less than ``pause`` ago.

        `append` holds a lock on a file while it waits for Postgres, which an event loop with other requests must not do.
        """
        async with self._postgres().begin() as connection:
            if pause:
                await _alone(connection)
                newest = await connection.scalar(select(func.max(actions.c.at)).where(actions.c.action == action.action))
                if newest and action.at - newest < pause:
                    message = f"The last {action.action} was less than {pause.total_seconds():.0f} seconds ago."
                    raise RateLimited(message, retry_after=min(pause, newest + pause - action.at).total_seconds())
            await self._chain(connection, [action])

    async def newest(self, count: int, *, sign_ins: bool = True) -> Sequence[Row[Any]]:
        """The last actions, newest first; without ``sign_ins`` those that change something. Raises DependencyUnavailable."""
        wanted = select(actions).where(true() if sign_ins else actions.c.action != SIGN_IN)
        try:
            async with self._postgres().connect() as connection:
                return (await connection.execute(wanted.order_by(actions.c.number.desc()).limit(count))).all()
        except (SQLAlchemyError, OSError) as error:
            raise DependencyUnavailable("The log of actions cannot be read right now.", retry_after=5.0) from error

    async def verify(self, *, head: str | None = None) -> ChainCheck:
        """Read the whole chain and recompute it. ``head``: an earlier `ChainCheck.head`, which must still be in the chain."""
        problems: list[str] = []
        number, mac, seen = 0, START, False
        async with self._postgres().connect() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            async for row in _rows(connection):
                if row.number != number + 1:
                    problems.append(f"action {number + 1} is missing")
                if not hmac.compare_digest(row.mac, self._mac(row.number, _action(row), mac)):
                    problems.append(f"action {row.number} is not what was written, or does not follow the one before it")
                number, mac = row.number, row.mac
                seen = seen or head == f"{number}:{mac}"
            found = (await connection.execute(select(actions_head.c.number, actions_head.c.mac))).one_or_none()
        recorded = (found.number, found.mac) if found else (0, None)
        if recorded != ((number, self._head(number, mac)) if number else (0, None)):
            problems.append(
                f"the chain ends at {number}, its head says {recorded[0]}: the newest actions or the head were changed"
            )
        if head is not None and not seen:
            problems.append("the head that was given is not in the chain: it was put back to an earlier state")
        return ChainCheck(number, f"{number}:{mac}", tuple(problems))

    async def _take(self, new: Sequence[Action]) -> None:
        async with self._postgres().begin() as connection:
            await self._chain(connection, new)

    async def _chain(self, connection: AsyncConnection, new: Sequence[Action]) -> None:
        await _alone(connection)
        last = (
            await connection.execute(select(actions.c.number, actions.c.mac).order_by(actions.c.number.desc()).limit(1))
        ).first()
        known = set((await connection.execute(select(actions.c.id).where(actions.c.id.in_([a.id for a in new])))).scalars())
        number, mac = (last.number, last.mac) if last else (0, START)
        for action in new:
            if action.id in known:
                continue  # noted, brought over, and the file not emptied then; or twice the same line that is none of ours
            known.add(action.id)
            number += 1
            mac = self._mac(number, action, mac)
            await connection.execute(insert(actions).values(number=number, mac=mac, **asdict(action)))
        head = {"number": number, "mac": self._head(number, mac)}
        put = postgresql.insert(actions_head).values(one=True, **head)
        await connection.execute(put.on_conflict_do_update(index_elements=["one"], set_=head))

    def _postgres(self) -> AsyncEngine:
        if self._engine is None:
            raise ConnectionError("no database is named")
        return self._engine

    def _mac(self, number: int, action: Action, before: str) -> str:
        row = {**asdict(action), "number": number, "before": before, "id": str(action.id), "at": _moment(action.at)}
        return self._sign(json.dumps(row, sort_keys=True, separators=(",", ":")))

    def _head(self, number: int, mac: str) -> str:
        return self._sign(f"head {number} {mac}")

    def _sign(self, message: str) -> str:
        return hmac.digest(self._key, message.encode(), hashlib.sha256).hex()

    def _signed(self, action: Action) -> str:
        body = json.dumps({**asdict(action), "id": str(action.id), "at": _moment(action.at)}, sort_keys=True)
        return json.dumps({"action": body, "mac": self._sign(f"note {body}")})

    def _noted(self, lines: Sequence[str]) -> list[Action]:
        """The actions of the local file. A line that we did not write goes into the chain as forged."""
        return [self._note(line) for line in lines]

    def _note(self, line: str) -> Action:
        try:
            note = json.loads(line)
            if hmac.compare_digest(note["mac"], self._sign(f"note {note['action']}")):
                own = json.loads(note["action"])
                own |= {"id": uuid.UUID(own["id"]), "at": datetime.fromisoformat(own["at"]), "reason": own["reason"] + LATE}
                return Action(**own)
        except (ValueError, TypeError, KeyError):
            pass
        identity = uuid.uuid5(uuid.NAMESPACE_OID, line)
        return Action(actor="unknown", action="note", subject="a line of the local file", reason="", outcome=FORGED, id=identity)


class _Notes:
    """The local file, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> Self:
        self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def read(self) -> list[str]:
        return self._path.read_text().splitlines()

    def add(self, line: str) -> None:
        os.write(self._handle, line.encode() + b"\n")
        os.fsync(self._handle)

    def clear(self) -> None:
        os.ftruncate(self._handle, 0)


async def _rows(connection: AsyncConnection) -> AsyncIterator[Row[Any]]:
    after: int | None = None
    while True:
        page = select(actions).order_by(actions.c.number).limit(PAGE)
        rows = (await connection.execute(page if after is None else page.where(actions.c.number > after))).all()
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = rows[-1].number


def subject_of(parameters: Mapping[str, Any], redactor: Redactor) -> str:
    """The parameters of an action as given, redacted. A user appears by pseudonym, an API key by its id."""
    tenant = str(parameters.get("tenant") or parameters.get("tenant_id") or "")
    if "user" in parameters and not tenant:
        tenant = str(parameters.get("name") or "")  # `resume user TENANT USER`
    words = []
    for name, value in parameters.items():
        if name in NOT_A_SUBJECT or value in (None, "", False, [], ()):
            continue
        shown = str(value)
        if name == "user":
            shown = pseudonym_of(redactor, tenant, shown)
        elif name == "name" and parameters.get("scope") == "user" and "/" in shown:
            tenant, _, user = shown.partition("/")
            shown = f"{tenant}/{pseudonym_of(redactor, tenant, user)}"
        elif shown.startswith("oct_"):
            shown = shown.split("_")[1]
        words.append(name if value is True else f"{name}={shown}")
    return clean(" ".join(words), redactor)


def clean(text: str, redactor: Redactor) -> str:
    """Redact a text and make it storable: Postgres holds neither NUL nor half a surrogate pair."""
    return redactor.redact(text.replace("\0", "").encode("utf-8", "replace").decode(), tenant="")


def _action(row: Row[Any]) -> Action:
    return Action(**{name: getattr(row, name) for name in Action.__slots__})


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


async def _alone(connection: AsyncConnection) -> None:
    """Wait for the other writers of the log, for as long as a statement may take: no action is refused behind a slow one."""
    await connection.execute(text("SET LOCAL lock_timeout = 0"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
