"""Tickets: from a customer's free text to a typed, checked and stored row."""

import re
from typing import Any

from pydantic import ValidationError
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity, Reply
from app.domain.errors import OutputInvalid
from app.domain.messages import OutputSchema
from app.features.support.shop import transaction
from app.features.support.tables import tickets
from app.features.support.wire import Ticket
from app.security.redaction import Redactor

OUTPUT = OutputSchema("ticket", Ticket.model_json_schema())
_ORDER = re.compile(r"(?<![A-Z0-9])NW-[0-9]{5}(?![0-9])", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1F\x7F]+")
LONGEST_SUMMARY, LONGEST_PRODUCT = 200, 128


def read(reply: Reply, text: str) -> Ticket:
    """Take a ticket from a model's reply to ``text``. Raises OutputInvalid.

    An order number counts only if the customer wrote it: one that the model made up would be somebody else's order.
    """
    if reply.stop == "refusal":
        raise OutputInvalid("No model would read this message.", violations=("refusal",))
    try:
        ticket = Ticket.model_validate_json(reply.text)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        violations = tuple(f"$.{'.'.join(map(str, e['loc']))}: {e['type']}" for e in found)
        raise OutputInvalid("No model gave a valid ticket.", violations=violations) from None
    written = orders_named(text)
    named = (ticket.order_id or "").strip().upper()
    return ticket.model_copy(
        update={
            "order_id": named if named in written else None,
            "product": shortened(ticket.product, LONGEST_PRODUCT) if ticket.product else None,
            "language": ticket.language.lower() if re.fullmatch(r"[A-Za-z]{2,3}", ticket.language) else "und",
            "summary": shortened(ticket.summary, LONGEST_SUMMARY),
        }
    )


def unread(text: str) -> Ticket:
    """The ticket of a message that no model may read, or whose summary was withheld: a person reads it."""
    return Ticket(
        category="other",
        priority="normal",
        order_id=min(orders_named(text), default=None),
        product=None,
        sentiment="neutral",
        language="und",
        summary="A person has to read this message: its automatic summary was withheld.",
    )


def redacted(ticket: Ticket, redactor: Redactor, tenant: str) -> Ticket:
    """The same ticket with card numbers, passwords and the like taken out of its words: a queue has many readers."""
    longest = {"summary": LONGEST_SUMMARY, "product": LONGEST_PRODUCT}  # a token may be longer than what it stands for
    words = {name: value for name in longest if (value := getattr(ticket, name))}
    clean = {name: shortened(redactor.redact(value, tenant=tenant), longest[name]) for name, value in words.items()}
    return ticket.model_copy(update=clean)


def orders_named(text: str) -> frozenset[str]:
    """The order numbers that stand in a text, in capitals."""
    return frozenset(number.upper() for number in _ORDER.findall(text))


async def store(engine: AsyncEngine, identity: Identity, ticket: Ticket) -> str:
    """Store a ticket. Returns its id. Raises DependencyUnavailable."""
    values: dict[str, Any] = {**ticket.model_dump(), "tenant": identity.tenant.id, "user": identity.user}
    async with transaction(engine) as connection:
        number = await connection.scalar(insert(tickets).values(values).returning(tickets.c.id))
    return f"T-{number}"


def shortened(text: str, longest: int) -> str:
    """One line of at most ``longest`` characters, cut between words where it can be."""
    line = " ".join(_CONTROLS.sub(" ", text).split())
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"
