"""A customer's escalation: a snapshot of everything that decides, as it is at that moment, and an incident."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import figures
from app.oncall import triggers
from app.oncall.incidents.store import incident_for_page
from app.oncall.triggers import Trigger
from app.releases.way_back import way_back

LONGEST_TEXT = 2000
SEVERITY = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the customer says. ``call``: the id of a call or a request; ``by``: the operator."""

    tenant: str
    text: str
    by: str
    call: str = ""


async def escalate(
    engine: AsyncEngine,
    report: Report,
    *,
    redact: Callable[[str], str],
    around: Mapping[str, Sequence[Any]],
) -> Trigger:
    """Store the snapshot and open an incident. ``around``: stops and circuits, as they were read. Raises SQLAlchemyError.

    The text is redacted before it is stored. Records are kept by id, so their texts go with them when a user is erased.
    """
    back = await way_back(engine)
    title = f"{report.tenant} escalates"
    trigger = Trigger(
        kind="escalation", subject=report.tenant, key=f"escalation:{uuid.uuid4()}", by=report.by, release=back.release,
        text=redact(report.text)[:LONGEST_TEXT],
        command=back.command(title),
        evidence={
            **back.as_json(),
            "last_hour": await figures.of_tenant(engine, report.tenant, figures.HOUR),
            "week": await figures.of_tenant(engine, report.tenant, figures.WEEK),
            "records": await figures.records_of(engine, report.tenant, request=report.call),
            **around,
        },
    )  # fmt: skip
    number = await triggers.store(engine, trigger)
    if number is None:
        raise RuntimeError("a random key was stored already")
    async with engine.begin() as connection:
        key, now = f"escalation:{number}", datetime.now(UTC)
        incident = await incident_for_page(connection, dedup_key=key, title=title, severity=SEVERITY, at=now, clean=redact)
    await triggers.add_evidence(engine, number, {"incident": str(incident)})
    stored = await triggers.one(engine, number)
    if stored is None:
        raise RuntimeError("a stored trigger is gone")
    return stored
