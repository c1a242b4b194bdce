"""What a receiver is sent, in our own form; how a delivery ended; and the port of receivers."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, get_args

Action = Literal["trigger", "acknowledge", "resolve"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Name = Literal["pagerduty", "incident_io", "webhook", "apprise"]
NAMES: tuple[Name, ...] = get_args(Name)
ACKNOWLEDGES = frozenset({"pagerduty", "webhook", "apprise"})  # incident.io's alert events are firing or resolved
DEMO_RECEIVER = "the demo's receiver"  # acknowledges the demo's own test page: a machine, so it shows no person's time
MOST_BYTES = 512 * 1024  # of one event, for PagerDuty and for incident.io

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event of a page. ``level`` and ``person``: who is called; ``by``: who acknowledged or resolved. Times in ISO 8601."""

    page: str
    action: Action
    alert: str
    severity: str
    summary: str
    triggered_at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    level: int = 0
    person: str = ""
    by: str = ""
    test: bool = False

    def as_json(self) -> dict[str, Any]:
        """For a row or a receiver."""
        return asdict(self)

    @property
    def title(self) -> str:
        """The summary, marked where it is a test."""
        return f"[TEST] {self.summary}" if self.test else self.summary

    @property
    def details(self) -> dict[str, Any]:
        """Everything that a person needs beside the title."""
        wanted = {"page": self.page, "level": self.level, "person": self.person, "by": self.by, **self.links}
        return {name: value for name, value in wanted.items() if value} | {"labels": dict(self.labels)}


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended. ``retry_after`` in seconds; ``refused``: the receiver will not take it as it is."""

    sent: bool
    reason: str = ""
    retry_after: float | None = None
    refused: bool = False


class Receiver(Protocol):
    """A service that calls people."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    async def send(self, message: Message, key: str) -> Result:
        """Send once. ``key`` is the same for all events of one round of a page. Never raises for a receiver's failure."""


async def attempt(receiver: Receiver, message: Message, key: str, *, within: float) -> Result:
    """Send once within so many seconds. A fault of ours in it is a failed attempt, too: the page goes on to the fallback."""
    try:
        async with asyncio.timeout(within):
            return await receiver.send(message, key)
    except TimeoutError:
        return Result(sent=False, reason="TimeoutError")
    except Exception as error:
        log.exception("a receiver's answer met a bug", extra={"receiver": receiver.name})
        return Result(sent=False, reason=type(error).__name__)


def receivers_key(page_key: str, number: int) -> str:
    """The key of a page's round, the same before and after an outage of Postgres. At most 64 characters."""
    return f"octant-{hashlib.sha256(page_key.encode()).hexdigest()[:40]}-{number}"


def within(body: dict[str, Any], labels: dict[str, Any], most: int = MOST_BYTES) -> bytes:
    """A body as JSON of at most ``most`` bytes; ``labels``, a part of it, is emptied where that is needed."""
    written = json.dumps(body, ensure_ascii=False).encode()
    if len(written) > most:
        labels.clear()
        labels["truncated"] = f"the labels are over {most:,} bytes: `octant oncall page show` has them"
        written = json.dumps(body, ensure_ascii=False).encode()
    return written
