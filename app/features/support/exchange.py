"""One question on its way to an answer: passages, turns and tool results so far, and its cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.domain.calls import Call, Identity, Receipt
from app.domain.messages import Message
from app.domain.routes import Pin
from app.edge.requests import CallContext
from app.features.support import citations, tools
from app.features.support.retrieval import Passage
from app.features.support.wire import AnswerRequest
from app.security.guard.guard import UNCONFIRMED, Policy, fence, nonce
from app.telemetry.spans import current_trace_id

PROMPT = "support/answer"
HANDED_OVER = "I have handed your question over to a colleague, who will get back to you."
_LABEL = re.compile(r"<(?=[\s/]*(?:passage|turn|question)\b)", re.IGNORECASE)


@dataclass(slots=True)
class Exchange:
    """Mutable, owned by the one task that serves the request. ``pin`` and ``passages`` belong together: see `Support`."""

    request: AnswerRequest
    context: CallContext
    identity: Identity
    pin: Pin
    passages: Sequence[Passage]
    messages: list[Message] = field(default_factory=list)
    outcomes: list[tools.Outcome] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    uses: int = 0
    citations_removed: int = 0
    flags: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The tools that the prompt allows."""
        return self.pin.prompt.tools if self.pin.prompt else ()

    @property
    def confirms(self) -> bool:
        """Whether the model may cause side effects without confirmation; only where the prompt's policy allows it."""
        return Policy.of(self.pin).actions[UNCONFIRMED] != "block"

    @property
    def tainted_by(self) -> list[str]:
        """Untrusted texts that the model has read: the customer's always, articles and tools' answers where shown."""
        read = {"question": True, "conversation": self.request.conversation, "passages": self.passages, "tools": self.outcomes}
        return [source for source, there in read.items() if there]

    @property
    def proposals(self) -> list[tools.Proposal]:
        """Actions that wait for the customer, each once."""
        found = [outcome.proposal for outcome in self.outcomes if outcome.proposal]
        return [proposal for at, proposal in enumerate(found) if proposal not in found[:at]]

    @property
    def handed_over(self) -> tools.Outcome | None:
        """The hand-over, if a person has taken over."""
        return next((o for o in self.outcomes if o.name == tools.HAND_OVER and o.code == "ok"), None)

    def call(self) -> Call:
        """The next turn: the same question and passages, then the turns since."""
        return Call(
            id=self.context.request_id,
            identity=self.identity,
            feature="support.answer",
            target=PROMPT,
            deadline=self.context.deadline,
            variables={"question": _question(self.request), "passages": _passages(self.passages)},
            messages=tuple(self.messages),
            tools=tools.offered(self.allowed),
            stream=self.request.stream,
            last_resort=HANDED_OVER,
            finish=self._with_true_citations,
        )

    def _with_true_citations(self, text: str) -> str:
        """The answer's text as this product gives it, before the guard checks it."""
        checked = citations.check(text, self.passages)
        self.citations_removed = checked.removed
        return checked.text

    def receipt(self) -> Receipt:
        """One receipt over all turns. Without a model call it has no provider, no attempt and no cost."""
        if not self.receipts:
            return Receipt(
                request_id=self.context.request_id,
                trace_id=current_trace_id(),
                release=self.pin.release,
                provider="",
                model="",
                attempts=0,
                fallbacks=0,
                degraded=tuple(self.flags),
            )
        receipt = total(self.receipts)
        return replace(receipt, degraded=(*receipt.degraded, *self.flags)) if self.flags else receipt


def total(receipts: Sequence[Receipt]) -> Receipt:
    """The last turn's receipt with the attempts, money and time of all."""
    flags = dict.fromkeys(flag for receipt in receipts for flag in receipt.degraded)
    return replace(
        receipts[-1],
        attempts=sum(r.attempts for r in receipts),
        fallbacks=sum(r.fallbacks for r in receipts),
        degraded=tuple(flags),
        cost=type(receipts[-1].cost)(sum(r.cost for r in receipts)),
        overhead_ms=sum(r.overhead_ms for r in receipts),
    )


def _question(request: AnswerRequest) -> str:
    """Earlier turns, then the question. All of it comes from outside, so all of it is fenced."""
    mark = nonce()
    turns = [fence("turn", _without_labels(turn.text), nonce=mark, role=turn.role) for turn in request.conversation]
    return "\n".join([*turns, fence("question", _without_labels(request.question), nonce=mark)])


def _passages(passages: Sequence[Passage]) -> str:
    mark = nonce()
    shown = [fence("passage", f"{p.title}\n{p.text}", nonce=mark, id=p.article_id) for p in passages]
    return "\n\n".join(shown) or "(none found)"


def _without_labels(text: str) -> str:
    """Break up this prompt's labels, so that customers cannot open a passage; `fence` does its own."""
    return _LABEL.sub("< ", text)
