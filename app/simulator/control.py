"""The control listener: faults, faults under a lease, and the counts of requests."""

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from aiohttp import web

from app.domain.origins import of_a_page
from app.simulator.faults import BadFault, Faults, parse

REMEMBERED = 100
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHORTEST_LEASE, LONGEST_LEASE = 0.1, 60.0


@dataclass(slots=True)
class Stats:
    """Counts of one provider's requests."""

    requests: int = 0
    open: int = 0
    cancelled: int = 0
    last_cancelled_at: float = 0.0  # seconds since the epoch
    output_tokens: int = 0
    sent_bytes: int = 0  # of streams
    billed: dict[str, list[int]] = field(default_factory=dict)  # by model: tokens in, and tokens out as far as they were made
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note_cancelled(self) -> None:
        """A client left before its answer's end."""
        self.cancelled += 1
        self.last_cancelled_at = time.time()

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "recent"}
        return {**counts, "recent": list(self.recent)}

    def reset(self) -> None:
        """Count from zero. Requests under way stay open."""
        fresh = Stats(open=self.open)
        for f in fields(self):
            setattr(self, f.name, getattr(fresh, f.name))


@web.middleware
async def _programs_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if of_a_page(request.headers):
        return web.json_response({"error": "No web page may use the simulator."}, status=403)
    return await handler(request)


class Control:
    """The application of the control listener. ``ports`` are those of all listeners, once they listen."""

    def __init__(self, faults: Faults, stats: Mapping[str, Stats], apply: Callable[[], Awaitable[None]]) -> None:
        """``apply`` closes and opens listeners after a change of the faults."""
        self._faults = faults
        self._stats = stats
        self._apply = apply
        self.ports: Mapping[str, int] = {}

    def application(self) -> web.Application:
        """Its paths."""
        app = web.Application(middlewares=[_programs_only])
        app.router.add_get("/health", self._health)
        app.router.add_get("/faults", self._get_faults)
        app.router.add_put("/faults", self._put_faults)
        app.router.add_delete("/faults", self._delete_faults)
        app.router.add_put("/leases/{name}", self._put_lease)
        app.router.add_delete("/leases/{name}", self._delete_lease)
        app.router.add_get("/stats", self._get_stats)
        app.router.add_delete("/stats", self._delete_stats)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "ports": dict(self.ports)})

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def _put_faults(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
            self._faults.add([parse(fault) for fault in (body if isinstance(body, list) else [body])])
        except (BadFault, ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        await self._apply()
        return web.json_response(self._faults.as_json())

    async def _delete_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        await self._apply()
        return web.json_response([])

    async def _put_lease(self, request: web.Request) -> web.Response:
        """Begin a lease with its faults. Without faults renew it: answers 410 where it has ended."""
        name = request.match_info["name"]
        try:
            body = json.loads(await request.read())
            seconds = min(max(float(body["seconds"]), SHORTEST_LEASE), LONGEST_LEASE)
            if "faults" in body:
                self._faults.lease(name, seconds, [parse(fault) for fault in body["faults"]])
            elif not self._faults.renew(name, seconds):
                return web.json_response({"error": f"the lease {name} has ended"}, status=410)
        except (BadFault, ValueError, TypeError, KeyError) as error:
            return web.json_response({"error": str(error)}, status=400)
        await self._apply()
        return web.json_response(self._faults.as_json())

    async def _delete_lease(self, request: web.Request) -> web.Response:
        self._faults.end(request.match_info["name"])
        await self._apply()
        return web.json_response([])

    async def _get_stats(self, _: web.Request) -> web.Response:
        return web.json_response({name: stats.as_json() for name, stats in self._stats.items()})

    async def _delete_stats(self, _: web.Request) -> web.Response:
        for stats in self._stats.values():
            stats.reset()
        return web.json_response({})
