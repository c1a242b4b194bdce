"""The receivers: PagerDuty, incident.io, a signed webhook, and everything that apprise knows.

Their forms are the vendors' own: PagerDuty Events API v2 (developer.pagerduty.com/docs/events-api-v2), incident.io's HTTP alert
source (docs.incident.io/api-reference/alert-events-v2), Standard Webhooks (standardwebhooks.com). Keys are read when they are
used, so a rotated file is used for the next page.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.domain.errors import Misconfigured
from app.oncall.paging.message import Message, Result, within
from app.oncall.paging.sending import ACCEPTED, ANY_2XX, post
from app.security.webhooks import Sessions, deliver, signed

LONGEST_SUMMARY = 1024  # PagerDuty's
SEVERITIES = {
    "page": "critical",
    "critical": "critical",
    "error": "error",
    "ticket": "warning",
    "warning": "warning",
    "info": "info",
}
_APART = re.compile(r"\s+|,(?=[A-Za-z][\w+-]*://)")
UNKNOWN = "error"  # a severity that is not in the list still calls
Secret = Callable[[], str]


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """Events API v2. It takes an event with a 202; a key is 32 characters, a summary 1,024, an event 512 KB at most."""

    http: Sessions
    url: str
    routing_key: Secret = field(repr=False)
    name: str = "pagerduty"

    async def send(self, message: Message, key: str) -> Result:
        """Send one event."""
        return await post(self.http, self.url, self.event(message, key), {}, receiver=self.name, taken=ACCEPTED)

    def event(self, message: Message, key: str) -> bytes:
        """The event's JSON."""
        body: dict[str, Any] = {"routing_key": self.routing_key(), "event_action": message.action, "dedup_key": key}
        details = message.details
        if message.action == "trigger":
            body["payload"] = {
                "summary": message.title[:LONGEST_SUMMARY],
                "source": message.labels.get("instance") or "octant",
                "severity": SEVERITIES.get(message.severity, UNKNOWN),
                "timestamp": message.triggered_at,
                "class": message.alert,
                "custom_details": details,
            }
            body["client"] = "Octant"
            body["links"] = [{"href": href, "text": name} for name, href in message.links.items() if _is_web(href)]
        return within(body, details["labels"])


@dataclass(frozen=True, slots=True)
class IncidentIo:
    """An HTTP alert source: events are firing or resolved, so an acknowledgement is not sent."""

    http: Sessions
    url: str
    token: Secret = field(repr=False)
    name: str = "incident_io"

    async def send(self, message: Message, key: str) -> Result:
        """Send one event."""
        details = message.details
        body = {
            "title": message.title,
            "status": "resolved" if message.action == "resolve" else "firing",
            "deduplication_key": key,
            "description": _description(message),
            "metadata": {**details, "severity": message.severity, "alert": message.alert},
        }
        sources = (message.links.get(name, "") for name in ("dashboard", "source"))
        if source := next(filter(_is_web, sources), ""):
            body["source_url"] = source
        headers = {"authorization": f"Bearer {self.token()}"}
        return await post(self.http, self.url, within(body, details["labels"]), headers, receiver=self.name, taken=ACCEPTED)


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """A server of the operator's own, signed by Standard Webhooks as our other webhooks are."""

    http: Sessions
    url: str
    secret: str = field(repr=False)
    name: str = "webhook"

    async def send(self, message: Message, key: str) -> Result:
        """Send one event. Its id is the same when it is sent again, so a receiver can pass a repetition over."""
        data = message.as_json() | {"dedup_key": key}
        body = within({"type": f"page.{message.action}", "data": data}, data["labels"])
        identity = f"{message.page}-{message.action}-{key.rpartition('-')[2]}"
        headers = signed(self.secret, identity, body)
        return await post(self.http, self.url, body, headers, receiver=self.name, taken=ANY_2XX)

    async def announce(self, title: str, text: str) -> bool:
        """Send a message that pages no person: the one at a change of the shift. Returns whether the server took it."""
        body = json.dumps({"type": "oncall.handoff", "data": {"title": title, "text": text}}, ensure_ascii=False).encode()
        identity = f"handoff-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        return await deliver(self.http, self.url, body, secret=self.secret, message_id=identity)


class Notifier(Protocol):
    """The part of apprise that is used."""

    def notify(self, *, body: str, title: str) -> bool | None:
        """Send to every address; blocks."""


@dataclass(frozen=True, slots=True)
class Apprise:
    """Every address that apprise knows. The operator chooses them: the guard of webhooks does not see these requests."""

    notifier: Callable[[], Notifier]
    name: str = "apprise"

    async def send(self, message: Message, key: str) -> Result:
        """Send one event to all addresses; one that fails makes it fail, and all are tried again."""
        title = f"{message.action.upper()} {message.title}"[:LONGEST_SUMMARY]
        body = f"{_description(message)}\n{json.dumps(dict(message.labels), ensure_ascii=False)}\n{key}"
        try:
            sent = await asyncio.to_thread(lambda: self.notifier().notify(body=body, title=title))
        except Exception as error:  # noqa: BLE001 - a hundred plugins, each with errors of its own: a failure like any other
            return Result(sent=False, reason=type(error).__name__)
        return Result(sent=bool(sent), reason="" if sent else "apprise")


@dataclass(frozen=True, slots=True)
class _Blocking:
    """apprise's own object as a `Notifier`."""

    call: Callable[[str, str], bool]

    def notify(self, *, body: str, title: str) -> bool | None:
        """Send to every address."""
        return self.call(body, title)


def apprise_of(addresses: Secret) -> Apprise:
    """The receiver behind apprise's addresses, apart by commas or blanks.

    Raises Misconfigured without the extra, or for an address that it does not know.
    """
    try:
        import apprise
    except ImportError:
        raise Misconfigured('The receiver apprise needs its package: pip install "octant[apprise]".') from None

    def build() -> Notifier:
        made = apprise.Apprise()
        for number, address in enumerate(_split(addresses()), start=1):
            if not made.add(address):
                raise Misconfigured(f"OCTANT_PAGING__APPRISE_URLS: address {number} is none that apprise knows.")
        notifier: Any = made
        # Without its format, a text goes into mails and Telegram as the HTML that it may hold.
        return _Blocking(lambda body, title: bool(notifier.notify(body=body, title=title, body_format="text")))

    build()
    return Apprise(build)


def _is_web(address: str) -> bool:
    """Whether an address is one that a button may open: an annotation can hold any."""
    return address.startswith(("https://", "http://"))


def _split(addresses: str) -> Iterable[str]:
    """Addresses, apart by blanks or commas; a comma within one stays, as between two recipients of a mail."""
    return filter(None, (one.strip(",") for one in _APART.split(addresses)))


def _description(message: Message) -> str:
    """Lines for a person: what to run, whom it calls, where to read."""
    called = f"Level {message.level}: {message.person}." if message.person else ""
    by = f"By {message.by}." if message.by else ""
    runbook = f"Runbook: {message.links['runbook']}" if message.links.get("runbook") else ""
    how = f"Acknowledge: `octant oncall ack {message.page}`" if message.action == "trigger" else ""
    return "\n".join(line for line in (message.alert, called, by, how, runbook) if line)
