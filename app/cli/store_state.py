"""`octant stores`: whether Postgres and Valkey take reads and writes, what fills them, and which session holds up others."""

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from app.cli.audited import changes

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from app.security.redaction.redactor import Redactor

app = typer.Typer(help="Postgres and Valkey: whether they take reads and writes, and what holds them up.")

WRITE, PROBE_MS = Path(__file__).parents[1] / "budget" / "check.lua", 1000  # all that the budget writes
MOST_WORDS = 200  # of a session's last statement
WIDTH = 10

# None of them is a connection: a process of the server names its role, database and the client's host and port.
FIND_HOLDER = (
    "on its machine, the sessions by their role, database and client:",
    "  ps -eo pid,lstart,args | grep '[p]ostgres: '",
    "`kill PID` ends one of them; first end the program that opened them (`ss -tnp` on its machine; of `[local]`, `ss -xp`)",
)
# Postgres shows the sessions of other roles to a member of pg_read_all_stats alone: their query is empty otherwise.
_SESSIONS = """
    SELECT b.pid, b.usename, b.application_name, host(b.client_addr) AS host, b.state, b.query,
           extract(epoch FROM now() - coalesce(b.xact_start, b.state_change, b.backend_start)) AS since, count(*) AS waiting
    FROM pg_stat_activity a CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS of_a (blocker)
      JOIN pg_stat_activity b ON b.pid = of_a.blocker
    WHERE a.datname = current_database()
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY since DESC
"""
_POSTGRES = """
    SELECT current_database() AS database, pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           current_setting('max_connections')::int AS most, pg_database_size(current_database()) AS bytes
"""


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Say of each store whether it answers and takes writes, what fills it, and which session others wait for.

    Exit code 1: one does not, or a session holds up others.
    """
    if context.invoked_subcommand is None and not asyncio.run(_show()):
        raise typer.Exit(1)


@app.command("end")
@changes("stores end")
def end(pid: Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="Its number, as shown.")]) -> None:
    """End a session of Postgres that others wait for: its transaction is undone. Refused for any other session."""
    asyncio.run(_end(pid))


async def _show() -> bool:
    from app.cli.stores import settings_with_stores
    from app.security.redaction.redactor import Redactor
    from app.stores import build_engine, build_valkey

    settings = settings_with_stores()
    engine, valkey = build_engine(settings, pooled=False), build_valkey(settings)
    try:
        found = [
            await _postgres(engine, _place(settings.database_url), Redactor(settings.secret)),
            await _valkey(valkey, settings.valkey_url),
        ]
    finally:
        await engine.dispose()
        await valkey.aclose()
    for _, lines in found:
        for name, line in lines:
            print(f"{name:{WIDTH}} {line}".rstrip())
    return all(well for well, _ in found)


async def _postgres(engine: "AsyncEngine", place: str, redactor: "Redactor") -> tuple[bool, list[tuple[str, str]]]:
    """Whether it is well, and the lines that say so."""
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from app.console import formats
    from app.domain.store_errors import POSTGRES, away, takes_no_more
    from app.stack.pooling import SHARED, sessions_are_shared

    try:
        async with engine.connect() as connection:
            state = (await connection.execute(text(_POSTGRES))).one()
            holding = await _holding(connection)
        shared = await sessions_are_shared(engine)
    except (DBAPIError, OSError) as error:
        lines = [("Postgres", f"{place}: {away(POSTGRES, error)}")]
        return False, lines + ([("", f"  {line}") for line in FIND_HOLDER] if takes_no_more(error) else [])
    words = "takes no writes: it is read-only" if state.read_only else "takes reads and writes"
    lines = [
        ("Postgres", f"{place}: {words}"),
        ("", f"{state.connections} of {state.most} connections; {formats.size(state.bytes)} of data"),
    ]
    lines += [("", SHARED)] if shared else []
    for session in holding:
        program, host = session.application_name or "a program without a name", session.host or "this machine"
        who = f"{session.usename or 'a role'}, {program} at {host}"
        said = redactor.redact_text(" ".join((session.query or "").split()), tenant="")[:MOST_WORDS]  # half a number is none
        waiting = formats.number(session.waiting, "session waits", "sessions wait")
        lines.append(
            ("", f"{waiting} for {session.pid}: {who}, {session.state or 'active'} for {formats.seconds(session.since)}")
        )
        lines += [("", f"  its last statement: {said}")] if said else []
        lines.append(("", f"  octant stores end {session.pid}"))
    return not (holding or shared or state.read_only), lines


async def _holding(connection: "AsyncConnection") -> list[Any]:
    """The sessions that others wait for, the oldest transaction first."""
    from sqlalchemy import text

    return list((await connection.execute(text(_SESSIONS))).all())


async def _valkey(valkey: "Redis", url: str) -> tuple[bool, list[tuple[str, str]]]:
    """As `_postgres`. A script that writes is tried: a full one answers reads, and a role may lack scripts alone."""
    from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

    from app.budget.hold import epoch_key
    from app.budget.scopes import key
    from app.domain.store_errors import VALKEY, away, is_sentinel, reason

    place = _place(url)
    about: dict[str, Any] = {}
    try:
        about = await valkey.info()
    except ResponseError:
        pass  # a role may lack INFO, or a host has renamed it: the service does without
    except (RedisError, OSError) as error:
        return False, [("Valkey", f"{place}: {away(VALKEY, error)}")]
    try:
        await valkey.register_script(WRITE.read_text())(keys=[epoch_key(0), key(0, "stores")], args=[PROBE_MS])
        refused, full = "", False
    except (RedisError, OSError) as error:
        refused, full = reason(error), isinstance(error, OutOfMemoryError)
    if is_sentinel(about):
        refused = "this is a Sentinel, which keeps no data: the service needs the address of the primary that it watches"
    lines = [("Valkey", f"{place}: {f'takes no writes: {refused}' if refused else 'takes reads and writes'}")]
    return not refused, [*lines, *(_filled(about, url if full else "") if about else [])]


def _filled(about: dict[str, Any], full_at: str) -> Iterator[tuple[str, str]]:
    from app.console import formats

    used, most = int(about.get("used_memory", 0)), int(about.get("maxmemory", 0))
    yield (
        "",
        f"{formats.size(used)} of {formats.size(most) if most else 'no limit'} of memory; role {about.get('role', 'unknown')}",
    )
    if full_at:
        wanted = max(2 * used // 2**20, 64)
        # A password is not printed; without one, as in a demo, the variable may be unset where the command is pasted.
        url = '"$OCTANT_VALKEY_URL"' if urlsplit(full_at).password else shlex.quote(full_at)
        yield "", f"  valkey-cli -u {url} config set maxmemory {wanted}mb"


async def _end(pid: int) -> None:
    from sqlalchemy import text

    from app.cli.database import database
    from app.domain.errors import NotFound

    async with database() as (engine, _), engine.connect() as connection:
        if pid not in {session.pid for session in await _holding(connection)}:
            raise NotFound(f"No session waits for {pid}. `octant stores` shows those that others wait for.")
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    print(f"Session {pid} is ended; its transaction is undone.")


def _place(url: str) -> str:
    """Host, port and database of an address, without user and password."""
    parts = urlsplit(url)
    host = parts.hostname or dict(parse_qsl(parts.query)).get("host", "")  # of a socket: a folder
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
