"""`Idempotency-Key`: a POST with one is done once, however often it is sent (G8, ADR 0010).

Source: draft-ietf-httpapi-idempotency-key-header. A route of this class changes nothing for a request without the header. With
it, the first request does the work, and its answer is stored before its last byte leaves; the work goes on if the client goes
away. Every further request with the key gets the same status, ``octant-*`` headers and bytes.
"""

import json
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.domain import json_text
from app.domain.errors import IdempotencyKeyReused, InvalidRequest, OctantError
from app.domain.records import Replay
from app.domain.user_ids import MOST_USER
from app.edge.deferral import deferring
from app.edge.errors import TABLE, dialect_for, render
from app.edge.identity import authenticated
from app.edge.middleware import OUTLIVES_CLIENT
from app.edge.parts import parts_of
from app.edge.requests import CallContext, call_context
from app.idempotency.idempotency import Idempotency, Reservation, StoredAnswer

HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Headers that hold for every replay. Request ids, limits and dates are those of the new request.
KEPT = frozenset({"content-type", "content-length", "cache-control", "x-accel-buffering", "x-should-retry"})
OURS = "octant-"
REPLAY_OF = "octant-replay-of"  # the request id under which the answer was first given

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class IdempotentRoute(APIRoute):
    """A route whose POSTs honour the header. Every route that makes model calls is one."""

    @property
    def lean(self) -> bool:
        """Whether its endpoint needs nothing but a request and its context, so that no framework has to solve what it needs."""
        needs = self.dependant
        other = (needs.path_params, needs.query_params, needs.header_params, needs.cookie_params, needs.body_params)
        context = [(part.name, part.call) for part in needs.dependencies] == [("context", call_context)]
        return context and needs.request_param_name == "request" and not any(other)

    def get_route_handler(self) -> Answer:
        """The handler, with a check for the header before it."""
        answer = deferring(self._leanly if self.lean else super().get_route_handler())
        if "POST" not in (self.methods or ()):
            return answer

        async def look_for_key(request: Request) -> Response:
            if HEADER in request.headers:
                return await _once(request, answer)
            return await answer(request)

        return look_for_key

    async def _leanly(self, request: Request) -> Response:
        """Call the endpoint as the framework would."""
        context = await call_context(request, await authenticated(request))
        response: Response = await self.endpoint(request, context)
        return response


async def _once(request: Request, answer: Answer) -> Response:
    """Do the request if it is the first with its key; else give the first one's answer.

    Raises Unauthenticated, Forbidden, InvalidRequest, and the errors of `Idempotency.claim`, before anything is done.
    """
    began = time.perf_counter()
    context = await call_context(request, await authenticated(request))  # faults of other headers are reported first
    key = _key_of(request)
    request.scope[OUTLIVES_CLIENT] = True
    store = parts_of(request).idempotency
    target = f"{request.url.path}?{request.url.query}"
    found = await store.claim(context.identity, key, store.fingerprint(request.method, target, await request.body()))
    if isinstance(found, StoredAnswer):
        again = _Again(found)
        parts_of(request).replayed(_replay(request, context, found, await _user_in(request), time.perf_counter() - began))
        return again
    try:
        response = await answer(request)
    except OctantError as error:
        if not TABLE[type(error)].final:
            await store.release(found)
            raise
        status, headers, body = render(error, dialect_for(request.scope), context.request_id)
        return _Kept(Response(body, status, headers), found, store, context.request_id, final=True)
    except BaseException:
        await store.release(found)
        raise
    return _Kept(response, found, store, context.request_id, final=False)


def _key_of(request: Request) -> str:
    sent = request.headers.getlist(HEADER)
    if len(sent) != 1 or not KEY.fullmatch(sent[0]):
        raise InvalidRequest("Idempotency-Key must be one value of 1 to 255 visible ASCII characters.", param="Idempotency-Key")
    return sent[0]


async def _user_in(request: Request) -> str:
    """The end user in the body, which equals the first request's body."""
    try:
        raw = await request.body()
        body = {} if json_text.too_deep(raw) else json.loads(raw)
        named = body.get("user") or (body.get("metadata") or {}).get("user_id")
    except (ValueError, AttributeError):
        return ""
    return named if isinstance(named, str) and len(named) <= MOST_USER else ""


def _replay(request: Request, context: CallContext, stored: StoredAnswer, user: str, seconds: float) -> Replay:
    headers, route = dict(stored.headers), request.scope.get("route")
    return Replay(
        request_id=context.request_id,
        identity=context.identity,
        user=context.identity.user or user,
        feature=next(iter(getattr(route, "tags", ())), "other"),
        path=getattr(route, "path", request.url.path),
        release=headers.get("octant-release", ""),
        stream=headers.get("content-type", "").startswith("text/event-stream"),
        replay_of=headers.get(REPLAY_OF),
        seconds=seconds,
    )


class _Kept(Response):
    """An answer that is stored before its last message is sent, if ``final`` or a success.

    Any other answer, and one that breaks on the way, frees its key.
    """

    def __init__(self, response: Response, claim: Reservation, store: Idempotency, request_id: str, *, final: bool) -> None:
        super().__init__()
        self._request_id = request_id
        self._final = final
        self._response = response
        self._claim = claim
        self._store = store
        self._start: Message = {}
        self._last: Message | None = None
        self._body: list[bytes] = []
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            self._note(message)
            if message is not self._last:
                await send(message)

        try:
            await self._response(scope, receive, noting)
        except BaseException as error:
            if self._start or not (isinstance(error, OctantError) and TABLE[type(error)].final):
                await self._store.release(self._claim)
                if self._last:
                    await send(self._last)
                raise
            self._final = True  # a stream that never began: its refusal is the answer to the key
            status, headers, body = render(error, dialect_for(scope), self._request_id)
            await Response(body, status, headers)(scope, receive, noting)
        if self._final or self._start["status"] < 300:
            await self._store.store(self._claim, self._answer())
        else:
            await self._store.release(self._claim)
        if self._last:
            await send(self._last)

    def _note(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        chunk: bytes = message.get("body", b"")
        self._bytes += len(chunk)
        if self._bytes > self._store.max_bytes:
            self._body.clear()
        else:
            self._body.append(chunk)
        if not message.get("more_body", False):
            self._last = message

    def _answer(self) -> StoredAnswer:
        sent = ((str(name, "latin-1").lower(), str(value, "latin-1")) for name, value in self._start["headers"])
        headers = *((name, value) for name, value in sent if name in KEPT or name.startswith(OURS)), (REPLAY_OF, self._request_id)
        whole = self._bytes <= self._store.max_bytes
        return StoredAnswer(self._start["status"], headers, b"".join(self._body) if whole else None)


class _Again(Response):
    """A replayed answer under a new request id. Raises IdempotencyKeyReused if its bytes were not kept."""

    def __init__(self, stored: StoredAnswer) -> None:
        if stored.body is None:
            message = "The answer to this Idempotency-Key was too large to keep, so it cannot be given again. Use a new key."
            raise IdempotencyKeyReused(message)
        super().__init__(status_code=stored.status)
        self.body = stored.body
        headers = *stored.headers, (REPLAYED, "true")
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
