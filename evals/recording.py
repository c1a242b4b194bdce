"""Records models' replies and replays them (E10): a server between the service and the providers.

It stands at the providers' wire, not at the service's, so that a replay runs all of our own code: retrieval, prompts, the
tool loop, checks. A reply is found by its request: vendor, path and body. After a change of a prompt, model, case, article,
tool or parameter the recording lacks the request; the answer is then an error that nothing retries, and the run breaks and
says how many were missing. Two things differ in each run and are normalised first: the fences' nonces, and days, which the
sample orders count back from today.
"""

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from evals.cases import InvalidSuite

_NONCE = re.compile(r'nonce=(\\?")[0-9a-f]{8}\\?"')
_DAY = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_NOT_PASSED_ON = {"host", "content-length", "connection", "accept-encoding", "transfer-encoding"}
MISS = 400  # the service's recovery retries no such status and falls back from none: a missing reply must not be papered over
UPSTREAM_SECONDS = 600.0


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    recorded: str


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    vendor: str
    model: str
    content_type: str
    body: str


def key_of(vendor: str, path: str, body: bytes) -> str:
    """The key of a request. Bodies that mean the same as JSON have the same key."""
    text = json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    normalised = _DAY.sub("<day>", _NONCE.sub("nonce=-", text))
    return hashlib.sha256(f"{vendor} {path}\n{normalised}".encode()).hexdigest()[:32]


class Recording:
    """Recorded replies by the key of their request.

    Several replies to one request, of a run with repeats, are replayed in their order; the last one stays.
    """

    def __init__(self, header: _Header, replies: dict[str, list[_Reply]], upstreams: dict[str, str]) -> None:
        """Made by `record` and `replay`. ``upstreams`` are base URLs by vendor; none of them when replaying."""
        self.header = header
        self.misses = 0
        self.environment: dict[str, str] = {}  # further settings of the service: keys where the simulator is recorded
        self._replies = replies
        self._upstreams = upstreams
        self._played: dict[str, int] = {}

    @property
    def title(self) -> str:
        """The label and day of the recording."""
        return f"{self.header.label}, recorded {self.header.recorded}"

    @contextmanager
    def serving(self) -> Generator[dict[str, str], None, None]:
        """Serve on the loopback until the end of the block. Yields the environment that points a service here."""
        loop, ready = asyncio.new_event_loop(), threading.Event()
        ports: list[int] = []

        async def start() -> web.AppRunner:
            app = web.Application(client_max_size=64 << 20)
            app.router.add_route("POST", "/{vendor}/{path:.*}", self._answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports.append(runner.addresses[0][1])
            return runner

        def serve() -> None:
            asyncio.set_event_loop(loop)
            runner = loop.run_until_complete(start())
            ready.set()
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ready.wait()
        here = f"http://127.0.0.1:{ports[0]}"
        env = {"OCTANT_OPENAI__BASE_URL": f"{here}/openai/v1", "OCTANT_ANTHROPIC__BASE_URL": f"{here}/anthropic"}
        try:
            keys = {} if self._upstreams else {"OCTANT_OPENAI__API_KEY": "recording", "OCTANT_ANTHROPIC__API_KEY": "recording"}
            yield env | keys | self.environment
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def write(self, path: Path) -> None:
        """Write the recording, in an order that does not change with the run's."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [reply.model_dump_json() for key in sorted(self._replies) for reply in self._replies[key]]
        path.write_text("\n".join([self.header.model_dump_json(), *lines]) + "\n", encoding="utf-8")

    async def _answer(self, request: web.Request) -> web.Response:
        vendor, path, body = request.match_info["vendor"], request.match_info["path"], await request.read()
        key = key_of(vendor, path, body)
        if self._upstreams:
            return await self._pass_on(request, key, body)
        return self._play(key)

    def _play(self, key: str) -> web.Response:
        replies = self._replies.get(key)
        if not replies:
            self.misses += 1
            error = {
                "type": "invalid_request_error",
                "message": "not in the recording: the request has changed since it was made",
            }
            return web.json_response({"type": "error", "error": error}, status=MISS)
        at = self._played.get(key, 0)
        self._played[key] = at + 1
        reply = replies[min(at, len(replies) - 1)]
        return web.Response(text=reply.body, content_type=reply.content_type.partition(";")[0])

    async def _pass_on(self, request: web.Request, key: str, body: bytes) -> web.Response:
        """Call the provider. Only replies are kept: a recorded failure would be replayed for ever."""
        vendor, base = request.match_info["vendor"], self._upstreams[request.match_info["vendor"]]
        path = request.match_info["path"]
        url = base.rstrip("/") + "/" + (path.removeprefix("v1/") if base.rstrip("/").endswith("/v1") else path)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        timeout = aiohttp.ClientTimeout(total=UPSTREAM_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.post(url, data=body, headers=headers) as answer:
            text, kind = await answer.text(), answer.headers.get("content-type", "application/json")
            status = answer.status
        if status == 200:
            model = _model(body)
            self._replies.setdefault(key, []).append(_Reply(key=key, vendor=vendor, model=model, content_type=kind, body=text))
        return web.Response(text=text, status=status, content_type=kind.partition(";")[0])


def record(label: str, upstreams: dict[str, str]) -> Recording:
    """Begin a recording, which calls the providers and keeps their replies."""
    return Recording(_Header(label=label, recorded=datetime.now(UTC).date().isoformat()), {}, upstreams)


def replay(path: Path) -> Recording:
    """Read a recording. Raises InvalidSuite where it cannot be read."""
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
        replies: dict[str, list[_Reply]] = {}
        for line in lines:
            reply = _Reply.model_validate_json(line)
            replies.setdefault(reply.key, []).append(reply)
        return Recording(_Header.model_validate_json(first), replies, {})
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InvalidSuite(f"{path}: {error}") from error


def _model(body: bytes) -> str:
    request: Any = json.loads(body)
    return str(request.get("model", "")) if isinstance(request, dict) else ""
