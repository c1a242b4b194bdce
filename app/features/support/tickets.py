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
from app.security.guard.stored_text import KeptTexts

OUTPUT = OutputSchema("ticket", Ticket.model_json_schema())
# As keyboards write it: digits of any script, letters of double width, and for the hyphen a dash or Japanese long vowel mark.
_HYPHEN = r"[\s\u200e\u200f]?[-\u2010-\u2015\u2212\u30fc\ufe58\ufe63\uff0d\uff70][\s\u200e\u200f]?"
_ORDER = re.compile(rf"(?<![A-Z0-9\uff21-\uff3a\uff10-\uff19])[N\uff2e][W\uff37](?:{_HYPHEN})?(\d{{5}})(?!\d)", re.IGNORECASE)
_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8}){0,3}\s*")  # models add a region or a script: pt-BR, zh_Hans
LONGEST_SUMMARY, LONGEST_PRODUCT = 200, 128


def read(reply: Reply, text: str) -> Ticket:
    """Take a ticket from a model's reply to ``text``. Raises OutputInvalid.

    An order number counts only if the customer wrote it: one that the model made up would be another customer's order.
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
    named = next(iter(orders_named(ticket.order_id or "")), None)
    return ticket.model_copy(
        update={
            "order_id": named if named in written else None,
            "product": ticket.product or None,
            "language": named_language[1].lower() if (named_language := _LANGUAGE.fullmatch(ticket.language)) else "und",
        }
    )


def unread(text: str) -> Ticket:
    """The ticket of a refused message or withheld summary: a person reads it."""
    return Ticket(
        category="other",
        priority="normal",
        order_id=min(orders_named(text), default=None),
        product=None,
        sentiment="neutral",
        language="und",
        summary="A person has to read this message: its automatic summary was withheld.",
    )


def as_kept(ticket: Ticket, kept: KeptTexts, tenant: str) -> Ticket:
    """Make the ticket's words safe for many readers and any page. Nothing changes it afterwards."""
    longest = {"summary": LONGEST_SUMMARY, "product": LONGEST_PRODUCT}
    words = {name: value for name in longest if (value := getattr(ticket, name))}
    return ticket.model_copy(update={name: kept.line(value, longest[name], tenant=tenant) for name, value in words.items()})


def orders_named(text: str) -> frozenset[str]:
    """The order numbers in a text, as the shop writes them."""
    return frozenset(f"NW-{int(number):05}" for number in _ORDER.findall(text))


def as_the_shop_writes(number: str) -> str:
    """An order number as the shop writes it; any other text as it is."""
    found = _ORDER.fullmatch(number.strip())
    return f"NW-{int(found[1]):05}" if found else number


async def store(engine: AsyncEngine, identity: Identity, ticket: Ticket) -> str:
    """Store a ticket. Returns its id. Raises DependencyUnavailable."""
    values: dict[str, Any] = {**ticket.model_dump(), "tenant": identity.tenant.id, "user": identity.user}
    async with transaction(engine) as connection:
        number = await connection.scalar(insert(tickets).values(values).returning(tickets.c.id))
    return f"T-{number}"
