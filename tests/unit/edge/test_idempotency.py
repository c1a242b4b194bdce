"""Routes that honour an Idempotency-Key, on a real Postgres (G8)."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import fields
from typing import Any, cast
from uuid import uuid4

import pytest
from conftest import ROOT
from fastapi import APIRouter, FastAPI
from scripted import TRACING
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Scope

from app.api import chat, jobs, responses
from app.domain.calls import Identity, Tenant
from app.domain.errors import InvalidRequest, OctantError, OutputInvalid, ProvidersUnavailable, UnknownModel
from app.domain.money import ZERO
from app.domain.records import Replay
from app.edge.answers import json_answer
from app.edge.errors import TABLE
from app.edge.failed_logins import FailedLogins
from app.edge.idempotency import IdempotentRoute
from app.edge.middleware import EdgeMiddleware
from app.edge.parts import EdgeParts
from app.edge.proxies import Proxies
from app.edge.sse import EventStream
from app.features.feature import FeatureParts
from app.features.installed import installed
from app.idempotency.idempotency import Idempotency, Reservation, StoredAnswer
from app.telemetry.metrics import Metrics

Handler = Callable[[Request], Awaitable[Response]]


class Keys:
    """Accepts every key, always as the same caller."""

    def fresh(self, _: str) -> None:
        return None

    def knows(self, _: str) -> bool:
        return True

    async def authenticate(self, _: str) -> Identity:
        return Identity(tenant=Tenant("unit", "Unit", ZERO, ZERO), key_id="k", user="")


class Service:
    """One POST route on the edge's real middleware, called over ASGI."""

    def __init__(self, engine: AsyncEngine, handler: Handler, *, max_bytes: int = 1000) -> None:
        self.outcomes: Counter[str] = Counter()
        self.handled = 0
        routes = APIRouter(route_class=IdempotentRoute)

        @routes.post("/v1/x")
        async def answer(request: Request) -> Response:
            self.handled += 1
            return await handler(request)

        self.replays: list[Replay] = []
        self._app = FastAPI()
        self._app.add_middleware(EdgeMiddleware, metrics=Metrics(), tracing=lambda: TRACING, redact=str, max_body_bytes=1000)
        self._app.include_router(routes)
        self.store = Idempotency(engine, secret=b"s", on_outcome=lambda o: self.outcomes.update([o]), max_bytes=max_bytes)
        about: dict[str, Any] = {"request_deadline": 5.0, "max_json_depth": 64, "checks": {}, "version": dict}
        about |= {"failed_logins": FailedLogins(20, Proxies("")), "jobs": None, "webhook_hosts": frozenset(), "tracing": TRACING}
        about |= {"switch": None, "replayed": self.replays.append, "failed": lambda _: None}
        self._app.state.edge = EdgeParts(keys=cast("Any", Keys()), idempotency=self.store, metrics=Metrics(), **about)

    async def post(
        self,
        key: str | None,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        leave: asyncio.Event | None = None,
        sent: list[Message] | None = None,
    ) -> list[Message]:
        """Return the messages that reach the client.

        The client leaves when ``leave`` is set. Each message is put into ``sent`` as it is sent.
        """
        got = [] if sent is None else sent
        headers = [*headers, (b"authorization", b"Bearer x"), *([(b"idempotency-key", key.encode())] if key else [])]
        scope: Scope = {
            "type": "http", "method": "POST", "path": "/v1/x", "raw_path": b"/v1/x", "query_string": b"", "headers": headers,
            "http_version": "1.1", "scheme": "http", "server": ("test", 80), "root_path": "",
        }  # fmt: skip
        incoming: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Message:
            if incoming:
                return incoming.pop()
            await (leave or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            got.append(message)

        await self._app(scope, receive, send)
        return got


def response_of(sent: list[Message]) -> tuple[int, bytes, bool]:
    """Return the status, the body, and whether it is a replay."""
    return (
        sent[0]["status"],
        b"".join(m.get("body", b"") for m in sent[1:]),
        (b"idempotency-replayed", b"true") in sent[0]["headers"],
    )


def code(sent: list[Message]) -> str:
    return str(json.loads(response_of(sent)[1])["error"]["code"])


def raising(error: Exception) -> Handler:
    async def handler(_: Request) -> Response:
        raise error

    return handler


async def fine(_: Request) -> Response:
    return json_answer({"id": uuid4().hex})


def test_every_post_of_every_product_honours_the_key() -> None:
    """Every new path that makes calls needs it."""
    parts = FeatureParts(**dict.fromkeys((each.name for each in fields(FeatureParts)), cast("Any", None)))
    routers = (
        chat.router(cast("Any", None)),
        responses.router(cast("Any", None)),
        *(feature.router(parts) for feature in installed()),
        jobs.router(frozenset()),
    )
    routes = [route for router in routers for route in router.routes]
    posts = [r for r in routes if "POST" in (getattr(r, "methods", None) or ())]
    assert len(posts) >= 4
    assert [r for r in posts if not isinstance(r, IdempotentRoute)] == []


def test_the_decision_names_the_errors_that_are_kept() -> None:
    (row,) = re.findall(r"^ *\| (.*) \| kept", (ROOT / "docs/decisions/0010-idempotency.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {leaf.__name__ for leaf, table_row in TABLE.items() if table_row.final}


def test_no_error_that_may_do_better_soon_is_kept() -> None:
    assert [leaf.__name__ for leaf, row in TABLE.items() if row.retry and row.final] == []


KEPT = [InvalidRequest("no"), OutputInvalid("no", violations=("$.a",))]
NOT_KEPT = [UnknownModel("no"), ProvidersUnavailable("no"), ValueError("a defect of ours")]


@pytest.mark.parametrize(
    ("error", "kept"), [(e, True) for e in KEPT] + [(e, False) for e in NOT_KEPT], ids=lambda v: repr(v)[:20]
)
async def test_a_final_answer_is_kept_and_every_other_frees_the_key(engine: AsyncEngine, error: Exception, kept: bool) -> None:
    service, key = Service(engine, raising(error)), uuid4().hex
    first, again = await service.post(key), await service.post(key)
    assert response_of(first)[:2] == response_of(again)[:2] or not kept
    assert (response_of(first)[2], response_of(again)[2]) == (False, kept)
    assert service.handled == (1 if kept else 2)
    assert service.outcomes == ({"stored": 1, "replayed": 1} if kept else {"released": 2})


async def test_a_failure_that_a_handler_returns_is_no_answer_to_keep(engine: AsyncEngine) -> None:
    """Ours are raised; a product of a fork may do otherwise."""

    async def busy(_: Request) -> Response:
        return json_answer({}, status=503)

    service, key = Service(engine, busy), uuid4().hex
    for _ in range(2):
        assert response_of(await service.post(key)) == (503, b"{}", False)
    assert service.outcomes == {"released": 2}


async def test_a_replay_is_recorded_with_its_caller_and_the_request_it_repeats(engine: AsyncEngine) -> None:
    """G8, O1."""
    service, key = Service(engine, fine), uuid4().hex
    first, again = await service.post(key), await service.post(key)
    (replay,) = service.replays
    ids = [{bytes(k): bytes(v).decode() for k, v in messages[0]["headers"]}[b"x-request-id"] for messages in (first, again)]
    assert [replay.replay_of, replay.request_id] == ids
    assert ids[0] != ids[1]
    assert (replay.path, replay.stream) == ("/v1/x", False)
    assert replay.seconds > 0


async def test_an_error_in_another_header_is_not_kept(engine: AsyncEngine) -> None:
    """Headers are no part of the fingerprint: the corrected request has the same."""
    service, key = Service(engine, fine), uuid4().hex
    assert response_of(await service.post(key, headers=[(b"octant-deadline-ms", b"soon")]))[0] == 400
    assert response_of(await service.post(key))[0] == 200
    assert service.outcomes == {"stored": 1}


async def test_an_answer_leaves_only_when_it_is_stored(engine: AsyncEngine) -> None:
    """A client with the whole answer may send the request again at once."""
    service, sent = Service(engine, fine), list[Message]()
    store = service.store.store
    before_storing: list[Message] = []

    async def slowly(claim: Reservation, answer: StoredAnswer) -> None:
        await asyncio.sleep(0.05)
        before_storing.extend(sent)
        await store(claim, answer)

    service.store.store = slowly  # type: ignore[method-assign]
    await service.post(uuid4().hex, sent=sent)
    assert [m["type"] for m in before_storing] == ["http.response.start"]
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]


async def test_an_answer_too_large_to_keep_is_given_once_and_its_key_never_works_again(engine: AsyncEngine) -> None:
    async def large(_: Request) -> Response:
        return json_answer(b'"' + b"x" * 999 + b'"')

    service, key = Service(engine, large), uuid4().hex
    assert response_of(await service.post(key))[0] == 200
    refused = await service.post(key)
    assert (response_of(refused)[0], code(refused)) == (422, "idempotency_key_reused")
    assert service.handled == 1


async def test_an_answer_of_just_the_most_bytes_is_kept(engine: AsyncEngine) -> None:
    async def large(_: Request) -> Response:
        return json_answer(b'"' + b"x" * 998 + b'"')

    service, key = Service(engine, large), uuid4().hex
    first, again = await service.post(key), await service.post(key)
    assert response_of(again) == (200, response_of(first)[1], True)


async def test_a_key_without_postgres_is_refused_and_no_key_needs_none() -> None:
    """Fails closed: "once" cannot be promised (ADR 0007)."""
    service = Service(create_async_engine("postgresql+psycopg://user@127.0.0.1:1/none"), fine)
    refused = await service.post("k")
    assert (response_of(refused)[0], code(refused)) == (503, "dependency_unavailable")
    assert service.handled == 0
    assert response_of(await service.post(None))[0] == 200


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_client_that_leaves_cancels_the_work_unless_it_sent_a_key(engine: AsyncEngine, *, keyed: bool) -> None:
    leave, working, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        await request.body()
        working.set()
        await go_on.wait()
        return await fine(request)

    service, key = Service(engine, slow), uuid4().hex
    request = asyncio.create_task(service.post(key if keyed else None, leave=leave))
    await working.wait()
    leave.set()
    done, _ = await asyncio.wait({request}, timeout=0.2)
    assert (request in done) == (not keyed)
    go_on.set()
    first = await request
    assert bool(first) == keyed
    if keyed:
        assert response_of(await service.post(key)) == (200, response_of(first)[1], True)
        assert service.outcomes == {"stored": 1, "replayed": 1}
    assert service.handled == 1


async def test_a_cancellation_at_shutdown_frees_the_key(engine: AsyncEngine) -> None:
    working = asyncio.Event()

    async def slow(_: Request) -> Response:
        working.set()
        return await asyncio.Future()

    service, key = Service(engine, slow), uuid4().hex
    request = asyncio.create_task(service.post(key))
    await working.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert service.outcomes == {"released": 1}


async def stream(events: AsyncGenerator[bytes, None]) -> Response:
    return EventStream(events, {}, AsyncExitStack(), frame_error=lambda error: f"error {error.code}".encode())


@pytest.mark.parametrize("failure", [None, ProvidersUnavailable("cut"), InvalidRequest("late"), ValueError("ours")])
async def test_a_stream_is_kept_only_if_it_ends_well(engine: AsyncEngine, failure: Exception | None) -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b"one "
        yield uuid4().hex.encode()
        if failure:
            raise failure

    service, key = Service(engine, lambda _: stream(cast("AsyncGenerator[bytes, None]", events()))), uuid4().hex
    if isinstance(failure, ValueError):
        with pytest.raises(ValueError, match="ours"):
            await service.post(key)  # the server then breaks the connection
        assert service.outcomes == {"released": 1}
        return
    first, again = await service.post(key), await service.post(key)
    assert (response_of(first)[2], response_of(again)[2]) == (False, failure is None)
    assert (response_of(first)[1] == response_of(again)[1]) == (failure is None)
    assert all(sent[-1].get("more_body", False) is False for sent in (first, again))
    if isinstance(failure, OctantError):
        assert response_of(first)[1].endswith(f"error {failure.code}".encode())
        assert service.outcomes == {"released": 2}
