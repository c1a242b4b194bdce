"""Answers grounded in articles and tools, hand-overs to a person, and tickets.

Each turn of the tool loop is one whole pass through the gateway: pinned, held, recorded and settled by itself. Retrieval comes
before the first pass, so a release may go live between the two. Then the turn is discarded, and the question begins again on the
new release. An answer's prompt, models and articles are therefore always those of one release.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Call, Done, Identity, Receipt, Reply, TextDelta
from app.domain.errors import AnswerWithheld, ContentRefused, DependencyUnavailable, OctantError, Stopped
from app.domain.messages import Message, Text, ToolResult, ToolUse
from app.domain.money import to_dollars
from app.domain.routes import Pin
from app.edge.requests import CallContext
from app.features.support import citations, tickets, tools
from app.features.support.actions import Actions
from app.features.support.citations import Checked
from app.features.support.exchange import HANDED_OVER, PROMPT, Exchange
from app.features.support.indexing import NAME
from app.features.support.retrieval import Passage, Retriever
from app.features.support.shop import Shop
from app.features.support.wire import ActionDecision, AnswerRequest, TicketRequest
from app.features.support.words import words
from app.gateway.call_state import LAST_RESORT
from app.gateway.gateway import Gateway
from app.security.guard.guard import Guard, Policy, fence, nonce
from app.security.guard.stored_text import KeptTexts
from app.telemetry.spans import Tracing

FEATURE = "support"
TICKET_PROMPT = "support/ticket"
MOST_TURNS = 5
MOST_PASSAGES = 4
MOST_USES = 20  # of tools, in one answer
FEW_WORDS = 3
NOTHING_FOUND = "No help article covers the question."
UNSUPPORTED = "Neither a help article nor a tool result supports the answer that was written."
DECLINED = "The model declined to answer."
NO_MODEL = "No model could be reached."
REFUSED = "The question looks like an attack on the assistant."
WITHHELD = "What the assistant wrote was withheld: it gave away its instructions."
TOO_LONG = f"No answer after {MOST_TURNS} turns."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an answer: ``status`` and ``delta``, and at last ``done``, the answer."""

    name: Literal["status", "delta", "done"]
    data: Mapping[str, Any]
    receipt: Receipt


class Support:
    """See the module."""

    def __init__(
        self,
        gateway: Gateway,
        engine: AsyncEngine,
        index_directory: Path,
        kept: KeptTexts,
        tracing: Tracing,
        guard: Guard,
        actions: Actions,
    ) -> None:
        """``index_directory`` holds the index files; the live release selects one."""
        self._guard = guard
        self._actions = actions
        self._kept = kept
        self._tracing = tracing
        self._gateway = gateway
        self._engine = engine
        self._indexes = index_directory

    async def answer(self, request: AnswerRequest, context: CallContext) -> AsyncGenerator[Event, None]:
        """Answer a question, or hand it over. Raises OctantError; the first event comes when the first model answers.

        A stream shows text as it is written, but only ``done`` is final: there the citations are checked, and it may say that a
        person takes over although text was shown.
        """
        exchange = self._begin(request, context)
        if not exchange.passages and not _may_need_tools(request):
            exchange.receipts.append(await self._gateway.record_no_evidence(exchange.call()))
            yield await self._conclude(exchange, None, NOTHING_FOUND)
            return
        for _ in range(MOST_TURNS):
            reply: Reply | None = None
            try:
                async with aclosing(self._turn(exchange)) as turn:
                    async for event in turn:
                        if isinstance(event, Reply):
                            reply = event
                        else:
                            yield event
            except (ContentRefused, AnswerWithheld) as stopped:
                yield await self._conclude(exchange, None, REFUSED if isinstance(stopped, ContentRefused) else WITHHELD)
                return
            if exchange.receipts[-1].release != exchange.pin.release:
                self._begin_again(exchange)
                yield self._status(exchange, "restarted")
            elif reply and not reply.tool_uses:
                yield await self._conclude(exchange, *_judged(exchange, reply))
                return
            elif reply:
                await self._use_tools(exchange, reply)
                yield self._status(exchange, "tools")
                if exchange.handed_over:
                    yield await self._conclude(exchange, reply, "")
                    return
        yield await self._conclude(exchange, None, TOO_LONG)

    async def ticket(self, request: TicketRequest, context: CallContext) -> tuple[dict[str, Any], Receipt]:
        """File a ticket from a customer's text. Raises OctantError, OutputInvalid where no model gave a valid one."""
        call = Call(
            id=context.request_id,
            identity=context.identity_for(request.user),
            feature="support.ticket",
            target=TICKET_PROMPT,
            deadline=context.deadline,
            variables={"text": fence("customer_message", request.text, nonce=nonce())},
            output=tickets.OUTPUT,
        )
        try:
            answer = await self._gateway.complete(call)
        except (ContentRefused, AnswerWithheld) as stopped:
            if stopped.receipt is None:
                raise
            ticket, receipt = tickets.unread(request.text), stopped.receipt
        else:
            ticket, receipt = tickets.read(answer.reply, request.text), answer.receipt
        ticket = tickets.as_kept(ticket, self._kept, call.identity.tenant.id)
        number = await tickets.store(self._engine, call.identity, ticket)
        about = {"request_id": context.request_id, "release": receipt.release, "cost_usd": to_dollars(receipt.cost)}
        return {"id": number, **ticket.model_dump(), **about}, receipt

    async def decide(self, action_id: str, decision: ActionDecision, context: CallContext, *, confirm: bool) -> dict[str, Any]:
        """Let the customer confirm or cancel an offered action, if the live prompt still allows its tool.

        Raises Stopped for a confirmation while an operator has stopped the tenant's calls; cancelling is always possible. Raises
        Forbidden, NotFound, ActionClosed, DependencyUnavailable.
        """
        identity = context.identity_for(decision.user)
        if not confirm:
            return await self._actions.cancel(identity, action_id, decision.token)
        self._gateway.refuse_if_stopped(identity, feature=FEATURE)
        prompt = self._gateway.pin_of(PROMPT, identity).prompt
        allowed = prompt.tools if prompt else ()
        refuse = partial(self._gateway.refuse_if_stopped, identity)
        return await self._actions.confirm(
            identity, action_id, decision.token, allowed, refuse=lambda tool: refuse(feature=FEATURE, tool=tool)
        )

    def _begin(self, request: AnswerRequest, context: CallContext) -> Exchange:
        identity = context.identity_for(request.user)
        pin = self._gateway.pin_of(PROMPT, identity)
        passages = self._search(request, pin)
        return Exchange(request, context, identity, pin, passages)

    def _begin_again(self, exchange: Exchange) -> None:
        """Start over on the release that is live now. Side effects of tools stay; repeating them changes nothing."""
        exchange.pin = self._gateway.pin_of(PROMPT, exchange.identity)
        exchange.passages = self._search(exchange.request, exchange.pin)
        exchange.messages.clear()

    def _search(self, request: AnswerRequest, pin: Pin) -> tuple[Passage, ...]:
        """Search for the question; a short one, such as "and for boots?", with the turn before it."""
        if NAME not in pin.indexes:
            raise DependencyUnavailable("The live release has no knowledge base.")
        retriever = Retriever(self._indexes / f"{pin.indexes[NAME]}.sqlite")
        before = [turn.text for turn in request.conversation if turn.role == "customer"][-1:]
        short = len(words(request.question)) < FEW_WORDS
        with self._tracing.retrieval(pin.indexes[NAME], MOST_PASSAGES) as span:
            found = retriever.search(" ".join([request.question, *before]) if short else request.question, MOST_PASSAGES)
            span.note({"octant.retrieval.articles": [passage.article_id for passage in found]})
        return found

    async def _turn(self, exchange: Exchange) -> AsyncGenerator[Event | Reply, None]:
        """One pass through the gateway: text as it comes, if it is a stream, then the whole reply.

        Raises the error that stopped it; its cost until then is in the exchange's receipts.
        """
        before = len(exchange.receipts)
        try:
            async with aclosing(self._pass(exchange)) as events:
                async for event in events:
                    yield event
        except OctantError as stopped:
            if stopped.receipt:
                exchange.receipts[before:] = [stopped.receipt]
            stopped.receipt = exchange.receipt()  # of all turns
            raise

    async def _pass(self, exchange: Exchange) -> AsyncGenerator[Event | Reply, None]:
        call = exchange.call()
        if not call.stream:
            answer = await self._gateway.complete(call)
            exchange.receipts.append(answer.receipt)
            yield answer.reply
            return
        async with self._gateway.stream(call) as streaming:
            exchange.receipts.append(streaming.receipt)
            yield self._status(exchange, "answering")
            async for chunk in streaming.chunks:
                exchange.receipts[-1] = streaming.receipt
                if isinstance(chunk, TextDelta):
                    yield Event("delta", {"text": chunk.text}, exchange.receipt())
                elif isinstance(chunk, Done):
                    yield chunk.reply
            exchange.receipts[-1] = streaming.receipt

    async def _use_tools(self, exchange: Exchange, reply: Reply) -> None:
        """Run a reply's tool calls in order; the next turn gets both."""
        context = tools.Context(self._engine, exchange.identity, exchange.context.request_id, self._kept)
        results = []
        for use in reply.tool_uses:
            outcome = await self._use(use, exchange, context)
            exchange.outcomes.append(outcome)
            results.append(ToolResult(use.id, (Text(outcome.content),), is_error=outcome.code not in ("ok", "pending")))
        exchange.messages += [Message("assistant", reply.parts), Message("user", tuple(results))]

    async def _use(self, use: ToolUse, exchange: Exchange, context: tools.Context) -> tools.Outcome:
        """Run one tool, with a span of its own. An unknown name does not name a span."""
        name = use.name if use.name in exchange.allowed else tools.UNKNOWN
        exchange.uses += 1
        self._gateway.refuse_if_stopped(exchange.identity, feature=FEATURE)
        if exchange.uses > MOST_USES:
            return tools.Outcome(name, "rate_limited", {"error": "Too many tools for one answer. Answer with what you have."})
        if self._is_stopped(exchange.identity, name):
            return tools.Outcome(name, "refused", {"error": "An operator has stopped this tool. Answer without it."})
        with self._tracing.tool(name, use.id) as span:
            try:
                outcome = await tools.call(use, allowed=exchange.allowed, context=context, confirmed=exchange.confirms)
            except OctantError as error:
                span.fail(error.code)
                raise
            if outcome.is_fact:
                span.note({"octant.tool.outcome": outcome.code})
            else:
                span.fail(outcome.code)
        return outcome

    def _is_stopped(self, identity: Identity, tool: str) -> bool:
        try:
            self._gateway.refuse_if_stopped(identity, tool=tool)
        except Stopped:
            return True
        return False

    async def _conclude(self, exchange: Exchange, reply: Reply | None, otherwise: str) -> Event:
        """Build the answer if evidence supports it, else hand over with the reason ``otherwise``.

        Raises Stopped if an operator has stopped the tenant's calls and the answer needs a hand-over or offers actions.
        """
        checked = citations.check(reply.text if reply else "", exchange.passages)
        removed = exchange.citations_removed + checked.removed
        if removed:
            log.warning("citations removed", extra={"removed": removed, "release": exchange.pin.release})
        handover = exchange.handed_over
        if handover is None and not _holds(exchange, reply, checked):
            self._gateway.refuse_if_stopped(exchange.identity, feature=FEATURE)
            shop = Shop(self._engine, exchange.identity)
            number = await shop.hand_over(exchange.context.request_id, otherwise)
            handover = tools.Outcome(tools.HAND_OVER, "ok", {"handover_id": number, "reason": otherwise})
            checked = Checked("", (), checked.removed)
        reason = WITHHELD if otherwise == WITHHELD or handover is None else handover.result["reason"]
        body = {
            "outcome": "handed_over" if handover else "answered",
            "answer": checked.text or HANDED_OVER,
            "citations": [asdict(citation) for citation in checked.citations],
            "citations_removed": removed,
            "retrieved": [passage.article_id for passage in exchange.passages],
            "tools": [outcome.as_json() for outcome in exchange.outcomes],
            "handover": {"id": handover.result["handover_id"], "reason": reason} if handover else None,
            "actions": [] if handover else await self._offer(exchange),
            "truncated": bool(reply and reply.stop in ("max_tokens", "context_window")),
        }
        try:
            body = self._final_check(exchange, body)
        except AnswerWithheld:
            return await self._conclude(exchange, None, WITHHELD)
        return Event("done", {**body, **_receipt_fields(exchange.receipt())}, exchange.receipt())

    def _final_check(self, exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
        """Check the whole answer: the model's text, quotations of articles, names from the shop.

        Nothing changes it afterwards. Raises AnswerWithheld.
        """
        check = self._guard.last_look(exchange.pin)
        try:
            return check.document(body)
        finally:
            reported = exchange.receipt().degraded
            flags = self._guard.flags(found for found in check.found if f"guard:{found}" not in reported)
            undelivered = Policy.of(exchange.pin).undelivered(flags)
            exchange.flags += [flag for flag in flags if flag not in undelivered]

    async def _offer(self, exchange: Exchange) -> list[dict[str, Any]]:
        """Store the proposed actions, each with the token that confirms it; only now, as a turn may be discarded."""
        where = (exchange.identity, exchange.context.request_id, exchange.proposals, exchange.tainted_by)
        if exchange.proposals:
            self._gateway.refuse_if_stopped(exchange.identity, feature=FEATURE)
        return [pending.as_json() for pending in await self._actions.offer(*where)]

    def _status(self, exchange: Exchange, step: str) -> Event:
        data = {
            "step": step,
            "retrieved": [p.article_id for p in exchange.passages],
            "tools": [outcome.as_json() for outcome in exchange.outcomes],
        }
        return Event("status", data, exchange.receipt())


def _judged(exchange: Exchange, reply: Reply) -> tuple[Reply | None, str]:
    """The reply to conclude with, and the reason for a hand-over if nothing supports it."""
    if LAST_RESORT in exchange.receipts[-1].degraded:
        return None, NO_MODEL
    return reply, DECLINED if reply.stop == "refusal" else UNSUPPORTED


def _holds(exchange: Exchange, reply: Reply | None, checked: Checked) -> bool:
    """Whether a finished text rests on an article that was shown or on a tool's result."""
    if reply is None or reply.stop == "refusal" or not checked.text:
        return False
    return bool(checked.citations) or any(outcome.is_fact for outcome in exchange.outcomes)


def _may_need_tools(request: AnswerRequest) -> bool:
    """Whether tools may answer without articles: the question names an order or continues a conversation."""
    return bool(request.conversation or tickets.orders_named(request.question))


def _receipt_fields(receipt: Receipt) -> dict[str, Any]:
    """The receipt's fields in the body: a stream's headers leave before they are known."""
    return {
        "request_id": receipt.request_id,
        "trace_id": receipt.trace_id,
        "release": receipt.release,
        "provider": receipt.provider,
        "model": receipt.model,
        "attempts": receipt.attempts,
        "fallbacks": receipt.fallbacks,
        "degraded": list(receipt.degraded),
        "cost_usd": to_dollars(receipt.cost),
    }
