"""Which code ran when: the history that a rollback of code goes back through (B1, B2).

Each worker adds a row at its start, so the history needs no deploy tool. A rollback adds one, too: after it, the code that it
went back from is no earlier code any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.releases.tables import code_versions

START, ROLLBACK = "start", "rollback"
MOST = 5000  # rows that are read; workers start a few times a day
_SCHEMA = text("SELECT version_num FROM alembic_version ORDER BY 1")


@dataclass(frozen=True, slots=True)
class Code:
    """The code that runs here: its ``name`` as deployed, the package's version and the folder. Empty: not known."""

    name: str = ""
    version: str = ""
    place: str = ""

    async def record(self, engine: AsyncEngine, *, by: str, kind: str = START, reason: str = "") -> None:
        """Add a row, unless the code is not known. Raises SQLAlchemyError or OSError."""
        if not self.name:
            return
        async with engine.begin() as connection:
            values = {"code": self.name, "version": self.version, "place": self.place, "kind": kind, "by": by, "reason": reason}
            await connection.execute(insert(code_versions).values(**values, schema=await schema(connection)))


@dataclass(frozen=True, slots=True)
class Deployed:
    """A row of the history. ``schema``: the database's revisions when it was written."""

    code: str
    version: str
    place: str
    schema: tuple[str, ...]
    kind: str
    by: str
    reason: str
    at: datetime


async def schema(connection: AsyncConnection) -> list[str]:
    """The database's revisions."""
    return list((await connection.execute(_SCHEMA)).scalars())


async def read(engine: AsyncEngine) -> list[Deployed]:
    """The history, oldest first."""
    statement = select(code_versions).order_by(code_versions.c.number.desc()).limit(MOST)
    async with engine.connect() as connection:
        rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
    return [Deployed(**{**{n: v for n, v in row.items() if n != "number"}, "schema": tuple(row["schema"])}) for row in rows[::-1]]


def path_of(history: Sequence[Deployed]) -> list[str]:
    """The codes that led to the one that runs, which is the last. A rollback takes away what came after its target."""
    path: list[str] = []
    for row in history:
        if row.kind == ROLLBACK and row.code in path:
            path[path.index(row.code) + 1 :] = []
        elif path[-1:] != [row.code]:
            path.append(row.code)
    return path


def target(history: Sequence[Deployed], to: str = "") -> Deployed:
    """The code to go back to: the one before, or ``to``, of which a beginning is enough. Its first row, so its own schema.

    Raises Misconfigured with the codes that are known.
    """
    path = path_of(history)
    known = ", ".join(dict.fromkeys(reversed(path))) or "none"
    if to:
        names = sorted({row.code for row in history if row.code.startswith(to)})
        if len(names) != 1:
            raise Misconfigured(f"{to!r} is the beginning of {len(names)} codes that ran here. Known: {known}.")
        name = names[0]
    elif len(path) < 2:
        raise Misconfigured(f"No earlier code ran here. Known: {known}. Name another with --to.")
    else:
        name = path[-2]
    if name == path[-1]:
        raise Misconfigured(f"{name} runs already.")
    return next(row for row in history if row.code == name)


def commit_of(checkout: Path) -> str:
    """The commit of a git checkout, a linked one too; empty where it is none. Starts no process."""
    git = checkout / ".git"
    try:
        if git.is_file():
            git = (checkout / git.read_text().removeprefix("gitdir:").strip()).resolve()
        shared = git / "commondir"
        home = (git / shared.read_text().strip()).resolve() if shared.is_file() else git
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        for place in (git / name, home / name):
            if place.is_file():
                return place.read_text().strip()
        packed = (line.partition(" ") for line in (home / "packed-refs").read_text().splitlines())
        return next((commit for commit, _, ref in packed if ref == name), "")
    except OSError:
        return ""
