"""Requests of generic tests to this product (`tests/products.py`)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from products import Body, Plants, Probes

from app.features.support import tables as support

ANSWER, TICKETS = "/v1/support/answer", "/v1/support/tickets"
NOT_COVERED = {"question": "asdfgh qwerty zxcvb", "user": "ada"}  # no article answers it: no model is called, a person takes over
COVERED = {"question": "How long does standard shipping take?", "user": "ada"}
OWNER = "who owns the row: the shop, and the person who takes a case over, need the id that the tenant sent"


def _planted(plant: Plants) -> Iterator[tuple[str, Body]]:
    yield ANSWER, {"question": plant.text("answer, question") + " where is my order NW-10001?", "user": "ada"}
    yield ANSWER, {"question": "hand me over to a human", "user": plant.secret("answer, user")}
    conversation = [{"role": "customer", "text": plant.text("answer, conversation")}]
    yield ANSWER, {"question": "and for boots?", "user": "ada", "conversation": conversation, "stream": True}
    yield TICKETS, {"text": plant.text("ticket, text"), "user": plant.secret("ticket, user")}


def _rows(tenant: str, user: str, request_id: str) -> dict[Any, list[dict[str, Any]]]:
    own, unique, now = {"tenant": tenant, "user": user}, uuid4().hex, datetime.now(UTC)
    order = f"NW-{unique[:8]}"
    return {
        support.orders: [{**own, "id": order, "status": "shipped", "ordered_on": now.date(), "total_cents": 100}],
        support.refunds: [{"order_id": order, "reason": f"{user} of {tenant} wants it"}],
        support.actions: [
            {
                **own, "id": f"a{unique[:20]}", "request_id": request_id, "tool": "t", "arguments": {"reason": user},
                "tainted_by": [], "token_hash": b"h", "expires_at": now,
            }
        ],
        support.tool_use: [{**own, "tool": "t", "minute": now, "calls": 1}],
        support.handovers: [{**own, "request_id": request_id, "reason": "asked"}],
        support.tickets: [
            {**own, "category": "c", "priority": "p", "sentiment": "s", "language": "en", "summary": f"{user} writes"},
        ],
    }  # fmt: skip


PROBES = Probes(
    refused={
        ANSWER: [COVERED, {**COVERED, "stream": True}, NOT_COVERED, {**NOT_COVERED, "stream": True}],
        TICKETS: [{"text": "My tent from order NW-10001 arrived torn!", "user": "ada"}],
        "/v1/support/actions/{action_id}/confirm": [],  # needs its action's token: `test_stop.py`
    },
    goes_on=frozenset({"/v1/support/actions/{action_id}/cancel"}),
    planted=_planted,
    kept_as_sent={
        ("support_handovers", "user"): OWNER,
        ("support_tickets", "user"): OWNER,
        ("support_actions", "user"): OWNER,
        ("support_tool_use", "user"): OWNER,
    },
    rows=_rows,
)
