"""The endpoint for Alertmanager: its token, its limits, and what it takes (P3)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from asgi import answered
from fastapi import FastAPI
from scripted import TRACING

from app.admin.alertmanager import MOST_BYTES, router
from app.edge.admin import AdminSide
from app.edge.failed_logins import FailedLogins
from app.edge.middleware import EdgeMiddleware
from app.edge.proxies import Proxies
from app.oncall.paging.alarms import Alarm, as_json, from_json
from app.telemetry.metrics import Metrics

TOKEN = "made-up-token"
PORT = 8081
ALERT = {
    "status": "firing",
    "labels": {"alertname": "OctantDown", "severity": "page"},
    "annotations": {"summary": "It is down.", "runbook_url": "https://runbook.example/observability.md", "dashboard": "d"},
    "startsAt": "2026-11-26T03:00:00.123Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph",
    "fingerprint": "1a30ba71cca2921f",
}
MESSAGE = {
    "version": "4",
    "groupKey": '{}/{severity="page"}:{alertname="OctantDown"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "pager",
    "groupLabels": {"alertname": "OctantDown"},
    "commonLabels": {"alertname": "OctantDown", "severity": "page"},
    "commonAnnotations": {"summary": "It is down."},
    "externalURL": "http://alertmanager:9093",
    "alerts": [ALERT],
}


@dataclass
class Service:
    """The endpoint behind the real edge, with a paging that keeps what it gets."""

    taken: list[Alarm] = field(default_factory=list)
    token: str = TOKEN
    on: bool = True

    def __post_init__(self) -> None:
        """Build the application."""
        self.metrics = Metrics()
        app = FastAPI()
        app.include_router(router(self if self.on else None, lambda: self.token))  # type: ignore[arg-type]
        app.state.edge = SimpleNamespace(
            max_json_depth=64, failed_logins=FailedLogins(2, Proxies("127.0.0.1")), metrics=self.metrics, tracing=TRACING
        )
        app.add_middleware(
            EdgeMiddleware,
            metrics=self.metrics,
            tracing=lambda: TRACING,
            redact=str,
            max_body_bytes=4 * MOST_BYTES,
            admin=AdminSide(port=PORT),
        )
        self.app = app

    async def take(self, alarm: Alarm) -> str:
        self.taken.append(alarm)
        return "triggered"

    async def post(self, body: Any, token: str = TOKEN, port: int = PORT) -> tuple[int, Any]:  # noqa: ANN401 - any JSON
        """Status and answer of a request; a body of bytes is sent as it is."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), *([(b"authorization", f"Bearer {token}".encode())] if token else [])]
        scope = {"path": "/v1/admin/alertmanager", "headers": headers, "server": ("127.0.0.1", port)}
        return await answered(self.app, scope, raw)


async def test_a_group_of_alerts_becomes_one_alarm_and_unknown_fields_are_passed_over() -> None:
    service = Service()
    second = {**ALERT, "fingerprint": "b", "new": {"of": "the vendor"}}
    body = MESSAGE | {"alerts": [ALERT, second], "truncatedAlerts": 3, "notificationReason": "first", "routeId": 7}
    assert await service.post(body) == (200, {"event": "triggered"})
    (alarm,) = service.taken
    assert (alarm.key, alarm.alert, alarm.firing, alarm.severity) == (MESSAGE["groupKey"], "OctantDown", True, "page")
    assert (alarm.summary, alarm.fingerprints, alarm.left_out) == ("It is down. (and 1 more)", ("1a30ba71cca2921f", "b"), 3)
    assert alarm.links["runbook"].endswith("/observability.md")
    assert from_json(json.loads(json.dumps(as_json(alarm)))) == alarm, "a file holds all of it"


async def test_without_the_token_nothing_is_read_and_guessing_waits() -> None:
    service = Service()
    for token in ("", "wrong"):
        status, answer = await service.post(b"not even JSON", token)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    status, answer = await service.post(MESSAGE, "wrong again")
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert service.taken == []
    assert (await service.post(MESSAGE))[0] == 200, "the right token never waits"
    assert TOKEN not in json.dumps(answer)


async def test_a_service_without_a_token_or_without_receivers_takes_nothing() -> None:
    assert (await Service(token="").post(MESSAGE, ""))[0] == 403
    assert (await Service(token="").post(MESSAGE, "x"))[0] == 403
    status, answer = await Service(on=False).post(MESSAGE)
    assert (status, "OCTANT_PAGING__RECEIVERS" in answer["error"]["message"]) == (503, True), "Alertmanager tries a 5xx again"


async def test_only_the_operators_listener_has_the_endpoint() -> None:
    assert (await Service().post(MESSAGE, port=8080))[0] == 404


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "field_named"),
    [
        (lambda m: m.update(version="3"), "version"),
        (lambda m: m.pop("groupKey"), "groupKey"),
        (lambda m: m.update(groupKey=""), "groupKey"),
        (lambda m: m.update(status="broken"), "status"),
        (lambda m: m.update(alerts=[]), "alerts"),
        (lambda m: m.update(commonLabels={"a": 1}), "commonLabels.a"),
        (lambda m: m.update(truncatedAlerts="3"), "truncatedAlerts"),
        (lambda m: m.update(alerts=[{**ALERT, "startsAt": "yesterday"}]), "alerts.0.startsAt"),
        (lambda m: m.update(alerts=[ALERT, {**ALERT, "labels": None}]), "alerts.1.labels"),
        (lambda m: m.update(alerts=[{k: v for k, v in ALERT.items() if k != "fingerprint"}]), "alerts.0.fingerprint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_payload_that_does_not_fit_is_refused_with_the_field(change: Change, field_named: str) -> None:
    service, body = Service(), json.loads(json.dumps(MESSAGE))
    change(body)
    status, answer = await service.post(body)
    assert (status, answer["error"]["param"], service.taken) == (400, field_named, [])


async def test_a_body_that_is_too_large_too_deep_or_no_json_is_refused() -> None:
    service = Service()
    huge = MESSAGE | {"commonAnnotations": {"summary": "x" * MOST_BYTES}}
    assert [(await service.post(body))[0] for body in (huge, b"[" * 1000, b"{", b"\xff")] == [413, 400, 400, 400]
    assert service.taken == []


async def test_what_postgres_or_an_index_cannot_hold_is_changed_and_not_refused() -> None:
    service = Service()
    long = MESSAGE | {
        "groupKey": "k" * 5000,
        "commonLabels": {"a": "x\x00y"},
        "commonAnnotations": {"summary": "s\x00" + "s" * 3000},
    }
    other = long | {"groupKey": "k" * 5001}
    for body in (long, other):
        assert (await service.post(body))[0] == 200
    first, second = service.taken
    assert (len(first.key), first.key == second.key) == (512, False)
    assert (len(first.summary), "\x00" in str(first)) == (1024, False)
