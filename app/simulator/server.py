"""One listener for each provider and one for control (`control`), in one process.

A listener of its own for each provider makes ``refuse`` real: its socket is closed, so the connection is refused by the kernel.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import ModuleType
from typing import Any

from aiohttp import web

from app.domain.periodic import Periodic
from app.simulator import tokens
from app.simulator.brain import Brain
from app.simulator.caching import PromptCache
from app.simulator.control import Control, Stats
from app.simulator.faults import Faults
from app.simulator.request import Answer, Ask
from app.simulator.wires import CONTROL, WIRES

PING_SECONDS = 0.1
REFUSALS_EVERY = 0.02  # seconds between looks at the clocks of faults that refuse
NOTHING_REFUSES = 3600.0  # seconds between looks while there is no such fault: a command wakes the clock


class Endpoint:
    """One provider: its wire, its listener, its statistics."""

    def __init__(self, wire: ModuleType, faults: Faults, brain: Brain) -> None:
        """Not listening yet."""
        self._brain = brain
        self._cache = PromptCache()
        self.name: str = wire.NAME
        self.stats = Stats()
        self._wire = wire
        self._faults = faults

    def application(self) -> web.Application:
        """The provider's paths."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post(self._wire.PATH, self.answer)
        app.router.add_post("/v1/messages/count_tokens", self.count_tokens)
        if hasattr(self._wire, "EMBEDDINGS"):
            app.router.add_post(self._wire.EMBEDDINGS.PATH, self.embed)
        app.router.add_get("/v1/models", self.models)
        app.router.add_route("*", "/{rest:.*}", self.not_found)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for a completion, or break as a fault says."""
        return await self._counted(request, self._answer)

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for embeddings, or break as a fault says."""
        return await self._counted(request, self._embed)

    async def _counted(
        self, request: web.Request, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.stats.requests += 1
        self.stats.open += 1
        try:
            return await answer(request)
        except asyncio.CancelledError:
            self.stats.note_cancelled()
            raise
        except ConnectionResetError:
            self.stats.note_cancelled()
            return web.Response()
        finally:
            self.stats.open -= 1

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        begun = await self._begun(request, self._wire.EMBEDDINGS.ask_of)
        if isinstance(begun, web.StreamResponse):
            return begun
        body, ask, struck = begun
        lie = struck.get("wrong_usage")
        answer = self._wire.EMBEDDINGS.answer(body, ask, (lie["input_tokens"], lie["output_tokens"]) if lie else None)
        self.stats.billed.setdefault(ask.model, [0, 0])[0] += self._wire.EMBEDDINGS.count(body)
        return await self._whole(answer, struck)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        begun = await self._begun(request, self._wire.read)
        if isinstance(begun, web.StreamResponse):
            return begun
        _, ask, struck = begun
        answer = self._brain.answer(ask, struck.get("obey"))
        found = self._cache.count(ask.prefixes, answer.input_tokens)
        answer.cached_tokens, answer.written_tokens, answer.written_tokens_1h = found
        _lie(answer, ask, struck)
        self.stats.output_tokens += answer.output_tokens
        bill = self.stats.billed.setdefault(ask.model, [0, 0])
        bill[0] += answer.input_tokens
        identity = uuid.uuid4().hex
        if ask.stream:
            return await self._stream(
                request, self._wire.events(answer, ask, identity), struck, _Meter(bill, answer.output_tokens)
            )
        bill[1] += answer.output_tokens
        return await self._whole(self._wire.whole(answer, ask, identity), struck)

    async def _begun(
        self, request: web.Request, read: Callable[[Any], Ask]
    ) -> tuple[Any, Ask, Mapping[str, Any]] | web.StreamResponse:
        """Read a request, and give it with the faults that strike it; or its failure, where one of them is that."""
        if not self._wire.key_of(request.headers):
            return self._error(401, "No API key provided.")
        try:
            body = json.loads(await request.read())
            ask = read(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._error(400, f"The request is not valid: {type(error).__name__} {error}.")
        self.stats.recent.append({"model": ask.model, "stream": ask.stream, "traceparent": request.headers.get("traceparent")})
        struck = self._faults.strike(self.name, ask.model)
        key = self._wire.key_of(request.headers)
        if "wrong_key" in struck and key != struck["wrong_key"]["accepts"]:
            return self._error(401, f"Incorrect API key provided: {key}.")
        broken = await self._broken(request, ask, struck)
        return (body, ask, struck) if broken is None else broken

    async def _broken(  # noqa: C901, PLR0911 - a table
        self, request: web.Request, ask: Ask, struck: Mapping[str, Any]
    ) -> web.StreamResponse | None:
        """The failure instead of an answer, if a fault causes one; and the waiting before an answer."""
        if "latency" in struck:
            await asyncio.sleep(self._faults.delay(struck["latency"]))
        if "hang" in struck:
            return await self._hang(request, ask, str(struck["hang"]["sends"]))
        if "rate_limit" in struck:
            return self._error(429, "Rate limit reached.", _retry_after(struck["rate_limit"]["retry_after"]))
        if "status" in struck:
            return self._error(
                int(struck["status"]["status"]), "Broken on command.", _retry_after(struck["status"]["retry_after"])
            )
        if "echo" in struck:
            return await self._echoed(request, ask, int(struck["echo"]["status"]))
        if "slow_first_token" in struck and not ask.stream:
            await asyncio.sleep(struck["slow_first_token"]["seconds"])
        if "reset" in struck and not ask.stream:
            return await _reset(request, begun=False)
        proper = "text/event-stream" if ask.stream else "application/json"
        if "garbage_json" in struck:
            return web.Response(body=b"data: <html>{{{ not json\n\n", content_type=proper)
        if "wrong_content_type" in struck:
            return web.Response(text="<html><body>Welcome</body></html>", content_type="text/html")
        if "empty" in struck:
            return web.Response(body=b"", content_type=proper)
        return None

    async def _hang(self, request: web.Request, ask: Ask, sends: str) -> web.StreamResponse:
        """Say nothing, for ever: at once, after the headers, or but for what keeps a connection alive."""
        if sends != "nothing":
            proper = "text/event-stream" if ask.stream else "application/json"
            response = web.StreamResponse(headers={"content-type": proper, **self._ids()})
            await response.prepare(request)
            while sends == "pings":
                await response.write(self._wire.PING if ask.stream else b" ")
                await asyncio.sleep(PING_SECONDS)
        await asyncio.Event().wait()
        raise AssertionError

    async def _echoed(self, request: web.Request, ask: Ask, status: int) -> web.StreamResponse:
        """Repeat what came wherever an answer has words: vendors do, in the texts of errors above all."""
        word = (ask.last_user_text.split() or ["nothing"])[-1]
        if status == 200:
            answer = self._wire.whole(self._brain.answer(ask), ask, word)
            answer["model"] = word
        else:
            sent = f"{dict(request.headers)} {await request.text()}"
            answer = self._wire.error(status, f"Not understood: {sent}")
            answer["error"] |= {"type": word, "code": word, "param": word}
        return web.json_response(answer, status=status, headers={self._wire.REQUEST_ID: word})

    async def _whole(self, answer: dict[str, Any], struck: Mapping[str, Any]) -> web.StreamResponse:
        text = json.dumps(answer, ensure_ascii=False).encode()
        if "truncated_json" in struck:
            text = text[: len(text) // 2]
        return web.Response(body=text, content_type="application/json", headers=self._ids())

    async def _stream(
        self, request: web.Request, events: Iterable[bytes], struck: Mapping[str, Any], meter: "_Meter"
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8", **self._ids()})
        await response.prepare(request)
        if "slow_first_token" in struck:
            await asyncio.sleep(struck["slow_first_token"]["seconds"])
        cut = struck.get("cut_stream") or struck.get("truncated_json")
        for token, event in enumerate(events, start=-self._wire.HEAD):
            if "reset" in struck and token >= struck["reset"]["after_tokens"]:
                return await _reset(request, begun=True)
            if cut and token >= cut["after_tokens"]:
                await response.write(event[: len(event) // 2] if "truncated_json" in struck else b"")
                return response
            if "idle" in struck and token == struck["idle"]["after_tokens"]:
                await asyncio.sleep(struck["idle"]["seconds"])
            if token >= 0:
                meter.one()
            await response.write(event)
            self.stats.sent_bytes += len(event)
        meter.rest()
        await response.write_eof()
        return response

    async def count_tokens(self, request: web.Request) -> web.Response:
        """Anthropic's token counting."""
        try:
            ask: Ask = self._wire.read({"max_tokens": 1, **json.loads(await request.read())})
        except (ValueError, KeyError, TypeError) as error:
            return self._error(400, f"The request is not valid: {type(error).__name__} {error}.")
        return web.json_response({"input_tokens": tokens.count(ask.system + "".join(t.text for t in ask.turns))})

    async def models(self, _: web.Request) -> web.Response:
        """Any model name is answered; one is listed."""
        return web.json_response(
            {"object": "list", "data": [{"id": "simulated", "object": "model", "type": "model"}], "has_more": False}
        )

    async def not_found(self, request: web.Request) -> web.Response:
        """Every other path."""
        return self._error(404, f"Unknown path {request.path}.")

    def _error(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        return web.json_response(self._wire.error(status, message), status=status, headers={**self._ids(), **(headers or {})})

    def _ids(self) -> dict[str, str]:
        return {self._wire.REQUEST_ID: f"req_{uuid.uuid4().hex}"}


class Simulator:
    """All listeners. `start` returns the ports; a provider that is to refuse is closed and opened again on its port."""

    def __init__(self, host: str, brain: Brain) -> None:
        """Nothing listens yet."""
        self._host = host
        self._faults = Faults()
        self._endpoints = {name: Endpoint(wire, self._faults, brain) for name, wire in WIRES.items()}
        self._control = Control(self._faults, {name: e.stats for name, e in self._endpoints.items()}, self.apply_refusals)
        self._runners: dict[str, web.AppRunner] = {}
        self._sites: dict[str, web.TCPSite | None] = {}
        self._ports: dict[str, int] = {}
        self._clock = Periodic("refusals", self._follow_clocks, every=REFUSALS_EVERY)
        self._applying = asyncio.Lock()  # a listener is opened once, though a command and the clock both want it

    async def start(self, ports: Mapping[str, int]) -> dict[str, int]:
        """Listen; a port of 0 is a free one. Returns the port of each listener."""
        applications = {name: e.application() for name, e in self._endpoints.items()} | {CONTROL: self._control.application()}
        for name, application in applications.items():
            # handler_cancellation: a client that leaves cancels the handler, which is how a provider saves its work
            runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=1)
            await runner.setup()
            self._runners[name] = runner
            await self._open(name, ports[name])
            self._ports[name] = runner.addresses[-1][1]
        self._control.ports = dict(self._ports)
        self._clock.start()
        return dict(self._ports)

    async def stop(self) -> None:
        """Close everything."""
        await self._clock.stop()
        for runner in self._runners.values():
            await runner.cleanup()

    async def apply_refusals(self) -> None:
        """Close and reopen listeners as faults have come and gone."""
        await self._open_and_close_in_turn()
        self._clock.wake()

    async def _follow_clocks(self) -> None:
        """Close and reopen listeners as schedules and leases say."""
        await self._open_and_close_in_turn()
        if not self._faults.may_refuse() and None not in self._sites.values():
            self._clock.retry_in(NOTHING_REFUSES)

    async def _open_and_close_in_turn(self) -> None:
        async with self._applying:
            await self._open_and_close()

    async def _open_and_close(self) -> None:
        for name in self._endpoints:
            site = self._sites[name]
            if self._faults.refused(name) and site is not None:
                self._sites[name] = None
                await site.stop()
                for connection in list(getattr(self._runners[name].server, "connections", [])):
                    if connection.transport is not None:
                        connection.transport.abort()
            elif not self._faults.refused(name) and site is None:
                await self._open(name, self._ports[name])

    async def _open(self, name: str, port: int) -> None:
        site = web.TCPSite(self._runners[name], self._host, port, reuse_address=True, backlog=1024)
        await site.start()
        self._sites[name] = site


_NUMBER = re.compile(r"\b\d{1,6}\b(?![^\[\]]*\])")  # not in a name of a source


def _lie(answer: Answer, ask: Ask, struck: Mapping[str, Any]) -> None:
    if "schema_violation" in struck:
        if ask.schema is not None:
            answer.text = json.dumps({"unexpected": "this document does not follow the schema"})
        answer.calls = [(name, {"unexpected": True}) for name, _ in answer.calls]
    if "flood" in struck:
        answer.text = "word " * int(struck["flood"]["tokens"])
    if "sloppy_json" in struck and ask.schema is not None:
        answer.text = f"Here it is:\n```json\n{answer.text[:-1]},}}\n```"
    if "wrong_figures" in struck and ask.schema is None:
        answer.text = _NUMBER.sub(lambda found: str(int(found[0]) + 1), answer.text)
    if "wrong_usage" in struck:
        answer.cached_tokens = answer.written_tokens = answer.written_tokens_1h = 0
        answer.input_tokens = struck["wrong_usage"]["input_tokens"]
        answer.output_tokens = struck["wrong_usage"]["output_tokens"]


class _Meter:
    """A stream's tokens, billed as they are made: who leaves early does not pay for the rest."""

    def __init__(self, bill: list[int], tokens: int) -> None:
        self._bill = bill
        self._left = tokens

    def one(self) -> None:
        self._bill[1] += min(1, self._left)
        self._left -= min(1, self._left)

    def rest(self) -> None:
        self._bill[1] += self._left
        self._left = 0


async def _reset(request: web.Request, *, begun: bool) -> web.StreamResponse:
    """Abort the connection in the middle of an answer that promised more."""
    if not begun:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": "')
    if request.transport:
        request.transport.abort()
    raise ConnectionResetError


def _retry_after(wanted: Any) -> dict[str, str]:  # noqa: ANN401 - None, seconds, "date:SECONDS" or "ms:MILLISECONDS"
    if wanted is None:
        return {}
    form, _, value = str(wanted).partition(":")
    if form == "ms":
        return {"retry-after-ms": value}
    if form == "date":
        return {"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=float(value)), usegmt=True)}
    return {"retry-after": str(wanted)}
