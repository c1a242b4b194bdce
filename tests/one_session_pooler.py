"""A pooler before Postgres that gives every client's transactions the same session, as PgBouncer's transaction mode does."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lying_postgres import ENCRYPT, frame_of
from session_server import SessionServer

IDLE = b"Z\x00\x00\x00\x05I"


@asynccontextmanager
async def one_session(host: str, port: int, database: str) -> AsyncGenerator[int, None]:
    """Run the pooler before the server of that host, or of that folder of sockets, and yield the pooler's port."""
    socket = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else ""
    server, far = await (asyncio.open_unix_connection(socket) if socket else asyncio.open_connection(host, port))
    asked = f"user\0postgres\0database\0{database}\0client_encoding\0utf8\0\0".encode()
    far.write(struct.pack("!ii", len(asked) + 8, 196608) + asked)
    greeting = await _until_ready(server)
    turn = asyncio.Lock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _startup(reader, writer)
            writer.write(greeting)
            while True:
                kind, first = await frame_of(reader)
                if kind == b"X":
                    break
                async with turn:
                    await _transaction(first, reader, writer, server, far)
        finally:
            writer.close()

    try:
        async with SessionServer().listening(serve) as pooler:
            yield pooler.port
    finally:
        far.close()


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        length, request = struct.unpack("!ii", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        if request not in ENCRYPT:
            return
        writer.write(b"N")


async def _transaction(
    first: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server: asyncio.StreamReader,
    far: asyncio.StreamWriter,
) -> None:
    """Relay until the server is outside a transaction again."""
    sent = first
    while True:
        far.write(sent)
        if sent[:1] in b"QS":
            answer = await _until_ready(server)
            writer.write(answer)
            await writer.drain()
            if answer.endswith(IDLE):
                return
        _, sent = await frame_of(reader)


async def _until_ready(server: asyncio.StreamReader) -> bytes:
    found = b""
    while True:
        kind, frame = await frame_of(server)
        found += frame
        if kind == b"Z":
            return found
