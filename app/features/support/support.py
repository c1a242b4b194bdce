"""The product: an answer grounded in articles and tools, or a person; and a ticket from free text.

Each turn of the tool loop is one whole pass through the gateway: pinned, held, recorded and settled by itself.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Answer, Call, Done, Receipt, Reply, TextDelta
from app.domain.errors import OutputInvalid
from app.domain.messages import Message, OutputSchema, Text, ToolResult
from app.domain.money import to_dollars
from app.domain.routes import Pin
from app.edge.requests import CallContext
from app.features.support import citations, tools
from app.features.support.indexing import NAME
from app.features.support.retrieval import Passage, Retriever
from app.features.support.tables import tickets
from app.features.support.wire import AnswerRequest, Ticket, TicketRequest
from app.gateway.gateway import Gateway
from app.security.guard import fence, nonce

PROMPT, TICKET_PROMPT = "support/answer", "support/ticket"
MOST_TURNS = 5
PASSAGES = 4
NO_EVIDENCE = "No help article and no tool result supports an answer."
HANDED_OVER = "I have handed your question over to a colleague, who will get back to you."


@dataclass(slots=True)
class Exchange:
    """One question on its way to an answer."""

    context: CallContext
    call: Call
    pin: Pin
    passages: Sequence[Passage]
    history: list[Message] = field(default_factory=list)
    outcomes: list[tools.Outcome] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


class Support:
    """See the module."""

    def __init__(self, gateway: Gateway, engine: AsyncEngine, index_directory: Path) -> None:
        """Indexes are opened when a release first pins them."""
        self._gateway = gateway
        self._engine = engine
        self._directory = index_directory
        self._retrievers: dict[str, Retriever] = {}

    async def answer(self, request: AnswerRequest, context: CallContext) -> tuple[dict[str, Any], Receipt]:
        """Answer a question, or hand it over. Returns the body and the last call's receipt."""
        exchange = self._begin(request, context)
        reply = None
        for _ in range(MOST_TURNS):
            answer = await self._gateway.complete(self._call(exchange), traceparent=context.traceparent)
            reply = await self._take(exchange, answer)
            if reply:
                break
        return await self._conclude(exchange, reply), exchange.receipts[-1]

    async def stream(self, request: AnswerRequest, context: CallContext) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield ``(event, data)``: ``status`` and ``delta`` as they come, then ``done`` with the same body as `answer`.

        Text is shown as it is written; what holds is the body of ``done``, whose citations are checked.
        """
        exchange = self._begin(request, context)
        yield "status", {"retrieved": [p.article_id for p in exchange.passages]}
        reply = None
        for _ in range(MOST_TURNS):
            async with self._gateway.stream(self._call(exchange, stream=True), traceparent=context.traceparent) as streaming:
                async for chunk in streaming.chunks:
                    if isinstance(chunk, TextDelta):
                        yield "delta", {"text": chunk.text}
                    elif isinstance(chunk, Done):
                        reply = await self._take(exchange, Answer(chunk.reply, streaming.receipt))
            if reply:
                break
            yield "status", {"tools": [{"name": o.name, "outcome": o.outcome} for o in exchange.outcomes]}
        yield "done", await self._conclude(exchange, reply)

    async def ticket(self, request: TicketRequest, context: CallContext) -> tuple[dict[str, Any], Receipt]:
        """File a ticket. The order number must stand in the text: one that does not is never passed on."""
        call = Call(
            id=context.request_id,
            identity=context.identity_for(request.user),
            feature="support.ticket",
            target=TICKET_PROMPT,
            deadline=context.deadline,
            variables={"text": fence("customer_message", request.text, nonce=nonce())},
            output=OutputSchema("ticket", Ticket.model_json_schema()),
        )
        answer = await self._gateway.complete(call, traceparent=context.traceparent)
        if answer.reply.stop == "refusal":
            raise OutputInvalid("The model would not read this message.", violations=("refusal",))
        ticket = Ticket.model_validate_json(answer.reply.text)
        values = {**ticket.model_dump(), "summary": ticket.summary[:200], "language": ticket.language[:8]}
        if not ticket.order_id or ticket.order_id.lower() not in request.text.lower():
            values["order_id"] = None
        values["product"] = ticket.product[:128] if ticket.product else None
        stored = {**values, "tenant": call.identity.tenant.id, "user": call.identity.user}
        async with self._engine.begin() as connection:
            number = (await connection.execute(insert(tickets).values(stored).returning(tickets.c.id))).scalar_one()
        return {"id": f"T-{number}", **values, "request_id": context.request_id}, answer.receipt

    def _begin(self, request: AnswerRequest, context: CallContext) -> Exchange:
        """Retrieve from the index of the release that the first call will be pinned to."""
        pin = self._gateway.pin_of(PROMPT)
        passages = self._retriever(pin).search(request.question, PASSAGES)
        mark = nonce()
        shown = [fence("passage", f"{p.title}\n{p.text}", nonce=mark, id=p.article_id) for p in passages]
        asked = [fence(said.role, said.text, nonce=mark) for said in request.conversation]
        call = Call(
            id=context.request_id,
            identity=context.identity_for(request.user),
            feature="support.answer",
            target=PROMPT,
            deadline=context.deadline,
            variables={
                "question": "\n".join([*asked, fence("question", request.question, nonce=mark)]),
                "passages": "\n\n".join(shown) or "(none found)",
            },
            tools=tuple(tools.TOOLS[name].spec() for name in (pin.prompt.tools if pin.prompt else ()) if name in tools.TOOLS),
        )
        return Exchange(context, call, pin, passages)

    def _call(self, exchange: Exchange, *, stream: bool = False) -> Call:
        return replace(exchange.call, messages=tuple(exchange.history), stream=stream)

    async def _take(self, exchange: Exchange, answer: Answer) -> Reply | None:
        """Run the tools that a reply asks for. Returns the reply if it asks for none, or if a person took over."""
        exchange.receipts.append(answer.receipt)
        if not answer.reply.tool_uses:
            return answer.reply
        allowed = exchange.pin.prompt.tools if exchange.pin.prompt else ()
        context = tools.Context(self._engine, exchange.call.identity, exchange.call.id)
        results = []
        for use in answer.reply.tool_uses:
            outcome = await tools.call(use.name, use.arguments, allowed=allowed, context=context)
            exchange.outcomes.append(outcome)
            results.append(ToolResult(use.id, (Text(outcome.content),), is_error=outcome.outcome != "ok"))
        exchange.history += [Message("assistant", answer.reply.parts), Message("user", tuple(results))]
        return answer.reply if _handed_over(exchange) else None

    async def _conclude(self, exchange: Exchange, reply: Reply | None) -> dict[str, Any]:
        """Answered if something supports the text, else handed over: no evidence is never an answer."""
        text, sources = citations.check(reply.text if reply else "", exchange.passages)
        supported = bool(sources) or any(o.outcome in ("ok", "refused") for o in exchange.outcomes)
        if not _handed_over(exchange) and not (text and supported):
            context = tools.Context(self._engine, exchange.call.identity, exchange.call.id)
            arguments = tools.HandOverArguments(reason=NO_EVIDENCE).model_dump_json()
            exchange.outcomes.append(await tools.call(tools.HAND_OVER, arguments, allowed=(tools.HAND_OVER,), context=context))
            text, sources = "", ()
        handed = _handed_over(exchange)
        return {
            "outcome": "handed_over" if handed else "answered",
            "answer": text or HANDED_OVER,
            "citations": [asdict(c) for c in sources],
            "tools": [{"name": o.name, "outcome": o.outcome} for o in exchange.outcomes],
            "handover": {"id": handed.data["handover_id"], "reason": _reason(exchange)} if handed else None,
            "request_id": exchange.call.id,
            "release": exchange.receipts[-1].release,
            "cost_usd": to_dollars(sum(r.cost for r in exchange.receipts)),
        }

    def _retriever(self, pin: Pin) -> Retriever:
        version = pin.indexes[NAME]
        if version not in self._retrievers:
            self._retrievers[version] = Retriever(self._directory / f"{version}.sqlite")
        return self._retrievers[version]


def _handed_over(exchange: Exchange) -> tools.Outcome | None:
    return next((o for o in exchange.outcomes if o.name == tools.HAND_OVER and o.outcome == "ok"), None)


def _reason(exchange: Exchange) -> str:
    """Why a person is needed: the model's words, or ours where it had none."""
    for message in exchange.history:
        for part in message.parts:
            if getattr(part, "name", "") == tools.HAND_OVER:
                return str(tools.HandOverArguments.model_validate_json(part.arguments).reason)  # type: ignore[union-attr]
    return NO_EVIDENCE
