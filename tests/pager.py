"""A receiver of pages that checks what the vendors publish, apart from the code that sends.

PagerDuty: the schema of Events API v2 in its own API description (reference/events-v2), with the limits of its documentation: a
routing key of 32 characters, a dedup key of 255, a summary of 1,024, an event of 512 KB. incident.io: the body of "Create an HTTP
alert event" in its API reference. Standard Webhooks: the signature of its specification.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from aiohttp import web

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "made-up-token"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"made up, for tests of pages only").decode()
MOST_BYTES = 512 * 1024
TEXT = {"type": "string"}
URL = {"type": "string", "pattern": "^https?://"}
PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": TEXT,
        "client_url": URL,
        "links": {"type": "array", "items": {"type": "object", "required": ["href"], "properties": {"href": URL, "text": TEXT}}},
        "images": {"type": "array"},
        "payload": {
            "type": "object",
            "required": ["summary", "severity", "source"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "severity": {"enum": ["critical", "warning", "error", "info"]},
                "source": {"type": "string", "minLength": 1},
                "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$"},
                "component": TEXT,
                "group": TEXT,
                "class": TEXT,
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
INCIDENT_IO = {
    "type": "object",
    "required": ["status", "title", "deduplication_key"],
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["firing", "resolved"]},
        "title": {"type": "string", "minLength": 1},
        "deduplication_key": {"type": "string", "minLength": 1},
        "description": TEXT,
        "metadata": {"type": "object"},
        "source_url": URL,
    },
}


@dataclass
class Pager:
    """The three receivers on one server. ``answers``: what the next requests get instead, as (status, headers)."""

    base: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    heartbeats: int = 0
    on_event: Callable[[], None] = lambda: None

    def of(self, receiver: str) -> list[dict[str, Any]]:
        """The events that a receiver took."""
        return [event for name, event in self.events if name == receiver]

    def actions(self, receiver: str) -> list[str]:
        """Their actions."""
        names = {"pagerduty": "event_action", "incident_io": "status", "webhook": "type"}
        return [str(event[names[receiver]]) for event in self.of(receiver)]

    async def pagerduty(self, request: web.Request) -> web.Response:
        """``POST /v2/enqueue``."""
        body, refused = await self._read(request, PAGERDUTY)
        if body is not None and body["routing_key"] != ROUTING_KEY:
            refused = web.json_response({"status": "invalid event", "errors": ["routing_key"]}, status=400)
        if refused is not None or body is None:
            return refused or web.Response(status=500)
        self._take("pagerduty", body)
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}, status=202)

    async def incident_io(self, request: web.Request) -> web.Response:
        """``POST /v2/alert_events/http/{alert_source_config_id}``."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return web.json_response({"type": "authentication_error"}, status=401)
        body, refused = await self._read(request, INCIDENT_IO)
        if refused is not None or body is None:
            return refused or web.Response(status=500)
        self._take("incident_io", body)
        answer = {"status": "success", "message": "Event accepted for processing", "deduplication_key": body["deduplication_key"]}
        return web.json_response(answer, status=202)

    async def webhook(self, request: web.Request) -> web.Response:
        """Verifies the signature, as the specification says it."""
        raw, headers = await request.read(), request.headers
        if self.answers:
            status, more = self.answers.pop(0)
            return web.Response(status=status, headers=more)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
        if not fresh or f"v1,{expected}" not in headers["webhook-signature"].split():
            self.wrong.append("signature")
            return web.Response(status=401)
        self.ids.append(headers["webhook-id"])
        self._take("webhook", json.loads(raw))
        return web.Response(status=204)

    async def heartbeat(self, _: web.Request) -> web.Response:
        """A checker that a heartbeat reaches."""
        self.heartbeats += 1
        return web.Response()

    async def _read(self, request: web.Request, schema: dict[str, Any]) -> tuple[dict[str, Any] | None, web.Response | None]:
        raw = await request.read()
        if self.answers:
            status, headers = self.answers.pop(0)
            return None, web.Response(status=status, headers=headers)
        if len(raw) > MOST_BYTES:
            self.wrong.append(f"{len(raw)} bytes")
            return None, web.Response(status=413)
        body = json.loads(raw)
        found = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]
        if found:
            self.wrong += found
            return None, web.json_response({"status": "invalid event", "errors": found}, status=400)
        return body, None

    def _take(self, receiver: str, body: dict[str, Any]) -> None:
        self.events.append((receiver, body))
        self.on_event()


@asynccontextmanager
async def running_pager() -> AsyncIterator[Pager]:
    """The receivers on a free port of this machine."""
    pager = Pager()
    application = web.Application(client_max_size=2**22)
    application.router.add_post("/v2/enqueue", pager.pagerduty)
    application.router.add_post("/v2/alert_events/http/SOURCE", pager.incident_io)
    application.router.add_post("/hook", pager.webhook)
    application.router.add_route("*", "/beat", pager.heartbeat)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    pager.base = f"http://127.0.0.1:{port}"
    try:
        yield pager
    finally:
        await runner.cleanup()
