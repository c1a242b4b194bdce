"""The endpoint for PagerDuty's webhooks: its signature, its limits, and what it takes (P3)."""

import hashlib
import hmac
import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asgi import answered
from fastapi import FastAPI
from scripted import TRACING

from app.admin.pagerduty import MOST_BYTES, router
from app.edge.failed_logins import FailedLogins
from app.edge.middleware import EdgeMiddleware
from app.edge.proxies import Proxies
from app.oncall.paging.answers import Answer
from app.telemetry.metrics import Metrics

SECRET = "made-up-signing-secret"
REFERENCE = {"id": "PLH1HKV", "type": "user_reference", "summary": "Ada Lovelace", "self": "https://pd.example/users/PLH1HKV"}
MESSAGE: dict[str, Any] = {
    "event": {
        "id": "01EVENT",
        "event_type": "incident.acknowledged",
        "resource_type": "incident",
        "agent": REFERENCE,
        "client": None,
        "data": {
            "id": "PGR0VU2", "type": "incident", "number": 2, "status": "acknowledged", "incident_key": "octant-abc-1",
            "title": "It is down.", "assignees": [REFERENCE], "urgency": "high", "priority": None,
        },
    }
}  # fmt: skip


def message(*, ago: timedelta = timedelta(seconds=5), data: Any = None, **event: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    made = deepcopy(MESSAGE)
    made["event"] |= {"occurred_at": f"{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z", **event}
    if data is not None:
        made["event"]["data"] = data
    return made


def sign(body: bytes, secret: str = SECRET) -> str:
    """As PagerDuty's documentation describes it."""
    return "v1=" + hmac.new(secret.encode("ascii"), body, hashlib.sha256).hexdigest()


@dataclass
class Service:
    """The endpoint behind the real edge, with a paging that keeps what it gets."""

    taken: list[Answer] = field(default_factory=list)
    secret: str = SECRET

    def __post_init__(self) -> None:
        """Build the application."""
        self.metrics = Metrics()
        app = FastAPI()
        app.include_router(router(self, lambda: self.secret))  # type: ignore[arg-type]
        app.state.edge = SimpleNamespace(
            max_json_depth=64, failed_logins=FailedLogins(2, Proxies("127.0.0.1")), metrics=self.metrics, tracing=TRACING
        )
        app.add_middleware(
            EdgeMiddleware, metrics=self.metrics, tracing=lambda: TRACING, redact=str, max_body_bytes=4 * MOST_BYTES
        )
        self.app = app

    async def answer(self, answer: Answer) -> str:
        self.taken.append(answer)
        return answer.kind

    async def post(self, body: Any, signature: str | None = None) -> tuple[int, Any]:  # noqa: ANN401 - any JSON
        """Status and answer of a request, by default with the right signature."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
        headers.append((b"x-pagerduty-signature", (sign(raw) if signature is None else signature).encode()))
        return await answered(self.app, {"path": "/v1/hooks/pagerduty", "headers": headers}, raw)


async def test_an_acknowledgement_comes_in_with_its_person_also_while_the_secret_is_rotated() -> None:
    service, body = Service(), json.dumps(message()).encode()
    assert await service.post(body) == (200, {"event": "acknowledged"})
    assert (await service.post(body, f"v1={'0' * 64},{sign(body)}"))[0] == 200
    assert (await service.post(body, f"{sign(body, 'the next one')}, {sign(body)}"))[0] == 200
    expected = Answer(identity="01EVENT", kind="acknowledged", key="octant-abc-1", by="Ada Lovelace", people="Ada Lovelace")
    assert service.taken == [expected] * 3


async def test_without_the_signature_nothing_is_taken_and_guessing_waits() -> None:
    service, body = Service(), json.dumps(message()).encode()
    changed = body.replace(b"octant-abc-1", b"octant-abc-2")
    codes = []
    for raw, signature in ((body, ""), (changed, sign(body)), (body, sign(body).removeprefix("v1="))):
        status, answer = await service.post(raw, signature)
        codes.append((status, answer["error"]["code"]))
    assert codes == [(401, "invalid_api_key"), (401, "invalid_api_key"), (429, "rate_limit_exceeded")]
    assert service.taken == []
    assert (await service.post(body))[0] == 200, "the right signature never waits"
    assert (await Service(secret="").post(body, sign(body, "")))[0] == 403, "an empty secret signs nothing"


@pytest.mark.parametrize("ago", [timedelta(hours=50), timedelta(days=400), timedelta(minutes=-10)])
async def test_an_event_that_pagerduty_no_longer_sends_is_refused_with_its_field(ago: timedelta) -> None:
    service = Service()
    status, answer = await service.post(message(ago=ago))
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "invalid_request", "event.occurred_at")
    assert service.taken == []


@pytest.mark.parametrize(
    "body",
    [
        message(event_type="pagey.ping", data={"message": "Hello from your friend Pagey!", "type": "ping"}, agent=None),
        message(event_type="incident.annotated", data={"id": "P1", "type": "incident_note", "content": "x"}),
        message(event_type="incident.triggered"),
        message(event_type="service.updated", data={"id": "P1", "type": "service", "teams": []}),
        message(event_type="a.kind.that.comes.later", data={}),
        message(data=MESSAGE["event"]["data"] | {"incident_key": None}),
    ],
    ids=lambda body: body["event"]["event_type"],
)
async def test_an_event_of_no_concern_is_answered_200_and_passed_over(body: dict[str, Any]) -> None:
    """Three refusals in a row, and PagerDuty sends nothing for a day."""
    service = Service()
    assert (await service.post(body), service.taken) == ((200, {"event": "ignored"}), [])


async def test_an_automation_there_has_no_person() -> None:
    service = Service()
    for agent in (None, {**REFERENCE, "type": "inbound_integration_reference"}, {**REFERENCE, "type": "service_reference"}):
        await service.post(message(agent=agent))
    await service.post(message(agent={**REFERENCE, "summary": None}))
    assert [answer.by for answer in service.taken] == ["", "", "", "a person"]


@pytest.mark.parametrize(
    ("change", "field_named"),
    [
        ({"id": ""}, "event.id"),
        ({"id": "a\0"}, "event.id"),
        ({"data": "x"}, "event.data"),
        ({"data": {"incident_key": "a\0"}}, "event.data.incident_key"),
        *(
            ({"occurred_at": at}, "event.occurred_at")
            for at in ("yesterday", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
        ),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_with_the_field(change: dict[str, Any], field_named: str) -> None:
    status, answer = await Service().post(message(**change))
    assert (status, answer["error"]["param"]) == (400, field_named)


async def test_a_body_that_is_too_large_or_no_json_is_refused() -> None:
    service = Service()
    large = message() | {"x": "x" * MOST_BYTES}
    assert [(await service.post(body))[0] for body in (large, b"{", b"[" * 1000)] == [413, 400, 400]
