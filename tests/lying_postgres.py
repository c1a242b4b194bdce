"""A proxy before Postgres that answers statements, or new sessions, with an error, over real TCP."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from session_server import SessionServer

ENCRYPT = {80877103, 80877104}  # requests for TLS and for GSSAPI: answered with no

# The words that Postgres 18 says, by the error's code.
ACCENTS = {
    "53300": "sorry, too many clients already",
    "57P03": "the database system is starting up",
    "57P01": "terminating connection due to administrator command",
    "57P02": "terminating connection because of crash of another server process",
    "57P05": "terminating connection due to idle-session timeout",
    "25006": "cannot execute INSERT in a read-only transaction",
    "25P03": "terminating connection due to idle-in-transaction timeout",
    "53100": 'could not extend file "base/5/16384": No space left on device',
    "53200": "out of shared memory",
    "53400": "could not open more files",
    "55P03": "canceling statement due to lock timeout",
    "57014": "canceling statement due to statement timeout",
    "40001": "could not serialize access due to concurrent update",
    "40P01": "deadlock detected",
    "58030": 'could not read block 0 in file "base/5/16384": Input/output error',
    "28P01": 'password authentication failed for user "octant"',
    "28000": 'role "octant" is not permitted to log in',
    "3D000": 'database "octant" does not exist',
    "42501": "permission denied for table calls",
    "0A000": "cached plan must not change result type",
    "26000": 'prepared statement "_pg3_0" does not exist',
    "42P05": 'prepared statement "_pg3_0" already exists',
    "42P01": 'relation "calls" does not exist',  # of a session whose search_path another client has set, or before a migration
    "42703": 'column "version" does not exist',
    "3F000": "no schema has been selected to create in",
    "57P04": "terminating connection because its database was dropped",
    "25P04": "terminating connection due to transaction timeout",
    "55000": "cannot execute nextval() during recovery",
    "XX000": "cache lookup failed for relation 16384",
    "XX001": "invalid page in block 0 of relation base/5/16384",
    "08P01": "server login failed",  # as a pooler says it
    # Of classes that nothing here is written for: a trigger or an extension of the operator's, another server of the protocol.
    "0B000": "invalid transaction initiation",
    "25P01": "there is no active transaction",
    "2D000": "invalid transaction termination while executing commit",
    "34000": 'cursor "portal" does not exist',
    "40003": "restart transaction: result is ambiguous",  # CockroachDB
    "54000": "target lists can have at most 1664 entries",
    "58000": "storage failure: page server is away",
    "F0001": 'lock file "postmaster.pid" already exists',
    "HV00N": "could not connect to server",  # of a foreign table
    "P0001": "this table is frozen for an audit",  # of a trigger
    "XX999": "internal error",
    "ZZ999": "a code of this server alone",
}
# What a statement of ours would be at fault for: it counts as a bug, too.
OURS = {
    "21000": "ON CONFLICT DO UPDATE command cannot affect row a second time",
    "22012": "division by zero",
    "23505": "duplicate key value violates unique constraint",
    "23514": "new row violates check constraint",
    "24000": "invalid cursor state",
    "42601": 'syntax error at or near "SELECT"',
    "42883": "function now() does not exist",
    "44000": "new row violates check option for view",
}
ENDS = frozenset({"57P01", "57P02", "57P04", "57P05", "25P03", "25P04"})  # the server closes the session with them


class LyingPostgres(SessionServer):
    """The proxy. ``at_door`` and ``at_statement`` give the error's code, or None for the true answer."""

    def __init__(self) -> None:
        super().__init__()
        self.at_door: Callable[[], str | None] = lambda: None
        self.at_statement: Callable[[bytes], str | None] = lambda _: None

    def running(self, host: str, port: int) -> AbstractAsyncContextManager["LyingPostgres"]:
        """Relay to the server of that host, or of that folder of sockets."""
        return self.listening(lambda reader, writer: self._session(reader, writer, host, port))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        while True:
            (length, request), rest = struct.unpack("!ii", await reader.readexactly(8)), b""
            rest = await reader.readexactly(length - 8)
            if request not in ENCRYPT:
                break
            writer.write(b"N")
        if code := self.at_door():
            writer.write(_error("FATAL", code))
            await writer.drain()
            writer.close()
            return
        socket = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else ""
        far_reader, far_writer = await (asyncio.open_unix_connection(socket) if socket else asyncio.open_connection(host, port))
        far_writer.write(struct.pack("!ii", length, request) + rest)
        back = asyncio.create_task(_pump(far_reader, writer))
        try:
            while await self._message(reader, writer, far_writer):
                pass
        finally:
            back.cancel()
            far_writer.close()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: asyncio.StreamWriter) -> bool:
        """Relay one message, or answer it. Returns whether the session goes on."""
        kind, frame = await frame_of(reader)
        code = self.at_statement(frame) if kind in b"QP" else None
        if code is None:
            far.write(frame)
            return True
        if kind == b"P":  # the server passes over the rest up to the client's Sync
            while kind != b"S":
                kind, _ = await frame_of(reader)
        ends = code in ENDS
        writer.write(_error("FATAL" if ends else "ERROR", code) + (b"" if ends else b"Z\x00\x00\x00\x05I"))
        await writer.drain()
        if ends:
            writer.close()
        return not ends


async def frame_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


def _error(severity: str, code: str) -> bytes:
    words = {"S": severity, "V": severity, "C": code, "M": (ACCENTS | OURS)[code]}
    fields = b"".join(f"{name}{word}\0".encode() for name, word in words.items())
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
