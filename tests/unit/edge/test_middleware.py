"""The outermost layer of every request, on a bare ASGI application."""

import asyncio
import gzip
import json
import logging
import random
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from redis.exceptions import ResponseError
from scripted import TRACING
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.calls import Identity, Tenant
from app.domain.errors import InvalidRequest, Unauthenticated, UnknownModel
from app.domain.money import MicroUSD
from app.domain.records import FailedAnswer
from app.edge.admin import AdminSide
from app.edge.errors import AlarmTest
from app.edge.identity import IDENTIFIED
from app.edge.limits import RequestLimits
from app.edge.middleware import EdgeMiddleware
from app.security.redaction.redactor import Redactor
from app.telemetry.metrics import Metrics

REDACT = partial(Redactor(b"tests").redact, tenant="")


class Client:
    """Speaks ASGI to an application: sends one body, may leave, keeps what it got."""

    def __init__(self, app: ASGIApp, *, body: bytes = b"{}", headers: dict[str, str] | None = None, path: str = "/v1/x") -> None:
        self.got: list[Message] = []
        self._left = asyncio.Event()
        self._body: bytes | None = body
        raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
        self._scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
        self._app = app

    async def run(self) -> "Client":
        await self._app(self._scope, self._receive, self._send)
        return self

    def leave(self) -> None:
        self._left.set()

    @property
    def status(self) -> int:
        return int(self.got[0]["status"]) if self.got else 0

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.got[0]["headers"]}

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(b"".join(m["body"] for m in self.got[1:]))

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.got.append(message)


def wrapped(
    handler: Callable[[Receive, Send], Any], *, limit: int = 1000, admin: AdminSide | None = None, metrics: Metrics | None = None
) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await handler(receive, send)

    return EdgeMiddleware(
        app,
        metrics=metrics or Metrics(),
        tracing=lambda: TRACING,
        redact=REDACT,
        max_body_bytes=limit,
        head=RequestLimits(200, 10, 400),
        admin=admin or AdminSide(port=0, strict_transport=False),
    )


async def read_and_answer(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_an_error_is_answered_in_the_envelope_of_its_path() -> None:
    async def fails(receive: Receive, send: Send) -> None:
        raise InvalidRequest("no", param="x")

    openai = await Client(wrapped(fails)).run()
    assert (openai.status, openai.json["error"]["param"]) == (400, "x")
    anthropic = await Client(wrapped(fails), path="/v1/messages").run()
    assert anthropic.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/v1/messages", "/v1/messages"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/openai/models/", "/v1/models"),
        ("/v1/nothing", None),
    ],
)
async def test_a_wrong_base_url_is_answered_with_the_path_that_is_here(path: str, hint: str | None) -> None:
    async def fails(receive: Receive, send: Send) -> None:
        raise HTTPException(404)

    client = await Client(wrapped(fails), path=path).run()
    message = client.json["error"]["message"]
    assert (client.status, message.startswith("No such path.")) == (404, True)
    assert (f"{hint}:" in message) if hint else message == "No such path."


async def test_an_unforeseen_error_answers_500_without_its_text() -> None:
    async def fails(receive: Receive, send: Send) -> None:
        raise ValueError("password=hunter2")

    client = await Client(wrapped(fails)).run()
    assert client.status == 500
    assert "hunter2" not in json.dumps(client.json)


@pytest.mark.parametrize(
    ("raised", "cause", "status"),
    [
        (ValueError("a bug"), "bug", 500),
        (AlarmTest("on purpose"), "alarm_test", 500),
        (ProgrammingError("SELECT", None, psycopg.errors.SyntaxError("syntax error")), "bug", 503),
        (IntegrityError("INSERT", None, psycopg.errors.CheckViolation("'Ada'")), "bug", 503),
        (psycopg.InternalError("cache lookup failed"), "bug", 503),
        (ResponseError("unknown command"), "bug", 503),
        (ArgumentError("no such column of ours"), "bug", 500),
    ],
)
async def test_an_unforeseen_error_is_counted_and_a_store_s_answers_503(raised: Exception, cause: str, status: int) -> None:
    async def fails(receive: Receive, send: Send) -> None:
        raise raised

    metrics = Metrics()
    client = await Client(wrapped(fails, metrics=metrics)).run()
    assert client.status == status
    assert client.headers.get("retry-after") == ("5" if status == 503 else None)
    counted = {
        c: metrics.registry.get_sample_value("octant_unexpected_errors_total", {"cause": c})
        for c in ("bug", "task", "alarm_test")
    }
    assert counted == {"bug": 0.0, "task": 0.0, "alarm_test": 0.0} | {cause: 1.0}


@pytest.mark.parametrize("known", [True, False], ids=["a key", "no key"])
async def test_an_error_s_line_says_which_whose_and_why_and_it_is_counted(
    caplog: pytest.LogCaptureFixture, *, known: bool
) -> None:
    holder = Identity(tenant=Tenant("acme", "Acme", MicroUSD(1), MicroUSD(1)), key_id="k1", user="ada")
    counted = list[FailedAnswer]()

    class Refusing:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if known:
                scope[IDENTIFIED] = holder
            raise UnknownModel("No model 'gpt-4o-mini'. Known: smart.")

    app = EdgeMiddleware(
        Refusing(), metrics=Metrics(), tracing=lambda: TRACING, redact=REDACT, max_body_bytes=1000, failed=lambda: counted.append
    )
    with caplog.at_level(logging.INFO):
        client = await Client(app, headers={"x-request-id": "req_of_a_test"}).run()
    (line,) = [record for record in caplog.records if record.message == "request"]
    (one,) = counted
    assert client.status == one.status == 404
    assert (one.code, one.request_id, one.message) == (
        "model_not_found",
        "req_of_a_test",
        "No model 'gpt-4o-mini'. Known: smart.",
    )
    assert (one.tenant, one.key_id) == (("acme", "k1") if known else ("", ""))
    logged = [getattr(line, name, None) for name in ("code", "reason", "tenant", "key_id")]
    assert logged == ["model_not_found", one.message, *(("acme", "k1") if known else (None, None))]


async def test_a_refused_call_with_a_key_that_ended_is_counted_as_its_holders() -> None:
    """In a leak these lines are looked for. The caller reads no more than before."""
    counted = list[FailedAnswer]()

    async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
        error = Unauthenticated("This API key, k1, was revoked. Use another one.")
        error.holder = "acme", "k1"
        raise error

    app = EdgeMiddleware(
        refuse, metrics=Metrics(), tracing=lambda: TRACING, redact=REDACT, max_body_bytes=1000, failed=lambda: counted.append
    )
    client = await Client(app).run()
    (one,) = counted
    assert (client.status, one.tenant, one.key_id) == (401, "acme", "k1")
    assert "acme" not in str(client.json)


@pytest.mark.parametrize(("headers", "came"), [({}, 1001), ({"content-length": "1001"}, 1001), ({"content-length": "1001"}, 1)])
async def test_a_body_over_the_limit_is_refused_by_its_length_and_as_it_comes(headers: dict[str, str], came: int) -> None:
    client = await Client(wrapped(read_and_answer), body=b"x" * came, headers=headers).run()
    assert (client.status, client.json["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("known", "status"), [(False, 415), (True, 200)])
async def test_a_body_is_decompressed_once_its_caller_is_known_and_not_before(known: bool, status: int) -> None:
    """S8: a bomb costs its sender a valid key."""
    read: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if known:
            scope[IDENTIFIED] = True
        read.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    edge = EdgeMiddleware(app, metrics=Metrics(), tracing=lambda: TRACING, redact=REDACT, max_body_bytes=1000)
    client = await Client(edge, body=gzip.compress(b"plain"), headers={"content-encoding": "gzip"}).run()
    assert (client.status, read) == (status, [b"plain"] if known else [])


async def test_every_answer_carries_its_trace_whatever_refuses_the_request() -> None:
    """G10: for refused heads and bodies, our failures and a handler's own answers; a health check's leads to its log line."""

    async def breaks(receive: Receive, send: Send) -> None:
        raise ValueError

    trace = uuid.uuid4().hex
    sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    refused = [
        Client(wrapped(breaks), headers=sent),
        Client(wrapped(read_and_answer), headers=sent),
        Client(wrapped(read_and_answer), headers=sent, body=b"x" * 1001),
        Client(wrapped(read_and_answer), headers=sent | {f"x-{n}": "y" for n in range(20)}),
    ]
    answers = [await client.run() for client in refused]
    assert [client.status for client in answers] == [500, 200, 413, 431]
    assert {client.headers["octant-trace-id"] for client in answers} == {trace}
    watched = await Client(wrapped(read_and_answer), path="/livez").run()
    assert len(watched.headers["octant-trace-id"]) == 32


async def test_a_harmless_request_id_is_kept_and_another_replaced() -> None:
    kept = await Client(wrapped(read_and_answer), headers={"x-request-id": "abc-12345"}).run()
    assert kept.headers["x-request-id"] == "abc-12345"
    replaced = await Client(wrapped(read_and_answer), headers={"x-request-id": "a b\tc; drop"}).run()
    assert replaced.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "sent", ["4111-1111-1111-1111", "123-45-6789", "415-555-0134", "sk-live-0123456789abcdef", "10.11.12.13"]
)
async def test_an_id_that_is_a_personal_number_or_a_secret_is_replaced(sent: str) -> None:
    replaced = await Client(wrapped(read_and_answer), headers={"x-request-id": sent}).run()
    assert replaced.headers["x-request-id"].startswith("req_")


async def test_ids_as_libraries_make_them_are_kept() -> None:
    """The same UUIDs each time: one in some thousands looks like a person's number, and is replaced."""
    app, drawn = wrapped(read_and_answer), random.Random(1)  # noqa: S311 - no secret
    ids = [uuid.UUID(int=drawn.getrandbits(128), version=4) for _ in range(1000)]
    for made in [*map(str, ids[:500]), *(one.hex for one in ids[500:]), "01JD4X0Q8C5T9E2B7R3M6N1V0W"]:
        assert (await Client(app, headers={"x-request-id": made}).run()).headers["x-request-id"] == made


async def test_a_client_that_leaves_cancels_the_handler() -> None:
    """R7."""
    cancelled = asyncio.Event()

    async def slow(receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    client = Client(wrapped(slow))
    running = asyncio.create_task(client.run())
    await asyncio.sleep(0)
    client.leave()
    done, _ = await asyncio.wait({running}, timeout=2)  # not `timeout()`: that would itself cancel what it waits for
    assert running in done
    assert cancelled.is_set()
    assert client.got == []


async def test_a_client_that_leaves_after_the_answer_cancels_nothing() -> None:
    finished = False

    async def tidy(receive: Receive, send: Send) -> None:
        nonlocal finished
        await read_and_answer(receive, send)
        client.leave()
        for _ in range(5):
            await asyncio.sleep(0)
        finished = True

    client = Client(wrapped(tidy))
    await client.run()
    assert finished


async def test_a_cancellation_from_elsewhere_is_passed_on() -> None:
    async def slow(receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(30)

    running = asyncio.create_task(Client(wrapped(slow)).run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
