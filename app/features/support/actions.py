"""Pending actions: side effects that wait for the customer's confirmation by token (S3).

A model reads third-party text, so its request counts as the customer's only once the customer confirms it. The caller gets the
token beside the answer; no prompt contains it, so no model can confirm. It is valid for one action: the table keeps a keyed hash
over token, tenant, user, tool and exact arguments, and a changed row no longer fits its token.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import ActionClosed, NotFound, RateLimited
from app.domain.messages import ToolUse
from app.features.support import tools
from app.features.support.shop import transaction
from app.features.support.tables import actions
from app.security.guard.stored_text import KeptTexts

MINUTES = 15
MOST_OFFERED = 3  # of one answer: a customer who is offered ten buttons presses the wrong one


@dataclass(frozen=True, slots=True)
class Pending:
    """One pending action. ``token`` is in no prompt and no log."""

    id: str
    tool: str
    arguments: Mapping[str, Any]
    summary: str
    expires_at: datetime
    token: str

    def as_json(self) -> dict[str, Any]:
        """The action for its caller."""
        about = {"id": self.id, "tool": self.tool, "arguments": dict(self.arguments), "summary": self.summary}
        return {**about, "expires_at": self.expires_at.isoformat(), "token": self.token}


def _allow(_tool: str) -> None:
    """Let every tool act."""


class Actions:
    """Pending actions in Postgres."""

    def __init__(self, engine: AsyncEngine, kept: KeptTexts, *, secret: bytes) -> None:
        """``secret`` keys the hashes of tokens; ``kept`` prepares a model's text to be stored and shown."""
        self._engine = engine
        self._kept = kept
        self._secret = secret

    async def offer(
        self, identity: Identity, request_id: str, proposals: Sequence[tools.Proposal], tainted_by: Sequence[str]
    ) -> list[Pending]:
        """Store the proposed actions, each with its token."""
        until = datetime.now(UTC) + timedelta(minutes=MINUTES)
        line = partial(self._kept.line, tenant=identity.tenant.id)
        made = [
            Pending(f"act_{secrets.token_hex(12)}", p.tool, _kept(p, line), p.summary, until, secrets.token_urlsafe(32))
            for p in proposals[:MOST_OFFERED]
        ]
        rows = [
            {
                "id": pending.id,
                "tenant": identity.tenant.id,
                "user": identity.user,
                "request_id": request_id,
                "tool": pending.tool,
                "arguments": dict(pending.arguments),
                "tainted_by": list(tainted_by),
                "token_hash": self._hash(pending.token, identity, pending.id, pending.tool, pending.arguments),
                "expires_at": until,
            }
            for pending in made
        ]
        if rows:
            async with transaction(self._engine) as connection:
                await connection.execute(insert(actions), rows)
        return made

    async def confirm(
        self, identity: Identity, action_id: str, token: str, allowed: Collection[str], *, refuse: Callable[[str], None] = _allow
    ) -> dict[str, Any]:
        """Do the action, once: a second confirmation returns the first result.

        ``refuse`` gets the tool before anything is decided, and may raise. Raises NotFound, ActionClosed, RateLimited,
        DependencyUnavailable.
        """
        row = await self._decide(identity, action_id, token, "confirmed", refuse)
        outcome = row["outcome"]
        if outcome is None:  # not done yet, or its process died: the shop does an action once, however often it is called
            use = ToolUse(action_id, row["tool"], json.dumps(row["arguments"]))
            context = tools.Context(self._engine, identity, row["request_id"], self._kept)
            done = await tools.call(use, allowed=allowed, context=context)
            if done.code == "rate_limited":  # nothing is done, and the confirmation still counts
                raise RateLimited("Too many of these in a minute. Confirm it again in a minute.", retry_after=60.0)
            outcome = {"outcome": done.code, "result": dict(done.result)}
            async with transaction(self._engine) as connection:
                await connection.execute(update(actions).where(actions.c.id == action_id).values(outcome=outcome))
        return {**_public(row), **outcome}

    async def cancel(self, identity: Identity, action_id: str, token: str) -> dict[str, Any]:
        """Cancel the action for good. Raises the errors of `confirm`."""
        return _public(await self._decide(identity, action_id, token, "cancelled"))

    async def _decide(
        self, identity: Identity, action_id: str, token: str, wanted: str, refuse: Callable[[str], None] = _allow
    ) -> dict[str, Any]:
        """Write the decision, and return the row. Another caller learns nothing, not even that it exists."""
        async with transaction(self._engine) as connection:
            statement = select(actions).where(
                actions.c.id == action_id, actions.c.tenant == identity.tenant.id, actions.c.user == identity.user
            )
            found = (await connection.execute(statement.with_for_update())).mappings().one_or_none()
            row = dict(found) if found else None
            expected = self._hash(token, identity, action_id, row["tool"], row["arguments"]) if row else b""
            if row is None or not hmac.compare_digest(expected, row["token_hash"]):
                raise NotFound("No such action.")
            if row["status"] == "pending":
                refuse(row["tool"])
                if row["expires_at"] <= datetime.now(UTC):
                    raise ActionClosed("The action has expired. Ask again.")
                decided = {"status": wanted, "decided_at": datetime.now(UTC)}
                await connection.execute(update(actions).where(actions.c.id == action_id).values(decided))
                row |= decided
        if row["status"] != wanted:
            raise ActionClosed(f"The action was {row['status']} already.")
        return row

    def _hash(self, token: str, identity: Identity, action_id: str, tool: str, arguments: Mapping[str, Any]) -> bytes:
        bound = [token, identity.tenant.id, identity.user, action_id, tool, dict(arguments)]
        return hmac.new(self._secret, b"action\x00" + json.dumps(bound, sort_keys=True).encode(), hashlib.sha256).digest()


def _kept(proposal: tools.Proposal, line: Callable[[str, int], str]) -> dict[str, Any]:
    """The arguments as stored, shown and used: the model's reason redacted, order numbers unchanged."""
    reason = proposal.arguments.get("reason")
    kept = dict(proposal.arguments)
    return kept if reason is None else {**kept, "reason": line(reason, tools.LONGEST_REASON)}


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "status", "tool", "arguments")}
