"""`python -m app.stack.gameday.proxy`: a TCP proxy whose faults are leases. Prints its ports as one line of JSON.

It stands between the service and a store, so that the store goes away for the service alone. The control port takes the
simulator's requests for leases; the one fault is ``{"kind": "refuse"}``: connections are closed and new ones are refused.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

from app.domain.leases import Leases
from app.domain.origins import of_a_page
from app.domain.periodic import Periodic

CHUNK = 1 << 16
EVERY = 0.02
REFUSE = [{"kind": "refuse"}]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _programs_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if of_a_page(request.headers):
        return web.json_response({"error": "No web page may use this port."}, status=403)
    return await handler(request)


class Proxy:
    """One listener and its connections."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Nothing listens yet."""
        self._target = target
        self._leases = Leases()
        self._name = ""
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._applying = asyncio.Lock()

    async def start(self) -> int:
        """Listen. Returns the port."""
        await self._listen()
        return self._port

    async def apply(self) -> None:
        """Close or open the listener as the lease says."""
        async with self._applying:
            refused = self._leases.live(self._name)
            if refused and self._server:
                self._server.close()
                self._server = None
                for writer in list(self._open):
                    writer.transport.abort()
            elif not refused and self._server is None:
                await self._listen()

    def control(self) -> web.Application:
        """The application of the control port."""
        app = web.Application(middlewares=[_programs_only])
        app.router.add_put("/leases/{name}", self._put)
        app.router.add_delete("/leases/{name}", self._delete)
        return app

    async def _put(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], json.loads(await request.read())
        if body.get("faults", REFUSE) != REFUSE:
            return web.json_response({"error": f"the only faults are {REFUSE}"}, status=400)
        if "faults" in body:
            self._name = name
            self._leases.take(name, float(body["seconds"]))
        elif name != self._name or not self._leases.renew(name, float(body["seconds"])):
            return web.json_response({"error": f"the lease {name} has ended"}, status=410)
        await self.apply()
        return web.json_response(REFUSE)

    async def _delete(self, request: web.Request) -> web.Response:
        self._leases.drop(request.match_info["name"])
        await self.apply()
        return web.json_response([])

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, there_writer)
        self._open.update(pair)
        copies = [asyncio.create_task(_copy(reader, there_writer)), asyncio.create_task(_copy(there_reader, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            self._open.difference_update(pair)
            for one in pair:
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def run(target: str) -> None:
    """Serve until the process ends."""
    host, _, port = target.rpartition(":")
    proxy = Proxy((host, int(port)))
    listening = await proxy.start()
    runner = web.AppRunner(proxy.control(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(json.dumps({"port": listening, "control": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    Periodic("leases", proxy.apply, every=EVERY).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m app.stack.gameday.proxy", description=__doc__)
    parser.add_argument("--target", required=True, help="HOST:PORT")
    asyncio.run(run(parser.parse_args().target))
