"""Reads request and answer back from recorded support calls (E9).

They are for scorers that need no expectation.

The customer's answer is made of the model's reply by the product's own functions: which citations hold, what is handed over.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from app.domain.calls import Reply, Usage
from app.domain.errors import OutputInvalid
from app.domain.messages import Text
from app.features.support import citations, tickets
from app.features.support.exchange import HANDED_OVER
from app.features.support.retrieval import Passage
from evals.languages import surely
from evals.online.recorded import SCORED, TOKEN, Unreadable
from evals.scoring import Finding, findings
from evals.suite import Reader, Scored
from evals.suites.support.answers import Citation, SupportAnswer, SupportTicket, ToolCall
from evals.suites.support.cases import (
    AnswerCase,
    AnswerExpectation,
    Message,
    Question,
    TicketCase,
    TicketExpectation,
    Turn,
)
from evals.suites.support.scorers import ANSWER_SCORERS, TICKET_SCORERS

HAND_OVER = "hand_over_to_human"
_FENCED = r'<{}(?P<attributes>[^>]*?) nonce="[^"]*">\n(?P<text>.*?)\n</{}>'
_QUESTION, _TURN, _PASSAGE, _MESSAGE = (
    re.compile(_FENCED.format(label, label), re.DOTALL) for label in ("question", "turn", "passage", "customer_message")
)
_NAMED = re.compile(r'(?:id|role)="([^"]*)"')
_NO_FACT = ("Call it again with valid arguments", "There is no such tool", "Used too often", "Too many tools")
_ANY: dict[str, Any] = {
    "id": "recorded",
    "failure_mode": "unsupported_claim",
    "criteria": "Nothing is expected but what holds for every answer.",
    "origin": "production",
    "added": date(1970, 1, 1),
}


class RecordedAnswer(SupportAnswer):
    """An answer with its sources: passages as the model saw them, and the tools' results."""

    passages: dict[str, str]
    tool_results: str
    invented: int

    def source(self, article_id: str) -> str | None:
        """The passage as it was shown: of the index that was live then."""
        return self.passages.get(article_id)

    @property
    def looked_up(self) -> str:
        """The tools' results."""
        return self.tool_results

    @property
    def leaks(self) -> list[str]:
        """In a redacted text personal data are tokens; those of passages are public."""
        public = {found.group() for text in self.passages.values() for found in TOKEN.finditer(text)}
        return sorted({found[1] for found in TOKEN.finditer(self.answer) if found.group() not in public})


def invented_sources(_: AnswerCase, answer: RecordedAnswer) -> Sequence[str]:
    """A model names only sources that it saw.

    The product takes the others out; the model was wrong all the same.
    """
    return [f"sources named that it was not shown: {answer.invented}"] if answer.invented else []


def _answer(row: Mapping[str, Any], request: dict[str, Any], response: dict[str, Any]) -> Scored:
    first, texts = request["messages"][0]["parts"][0]["text"], _texts(response)
    question = _QUESTION.search(first)
    if question is None:
        raise Unreadable("no question")
    turns = tuple(Turn(role=_role(found["attributes"]), text=found["text"]) for found in _TURN.finditer(first))
    case_input = Question(question=question["text"], user="recorded", conversation=turns)
    wire = {"endpoint": "support/answer"} | {name: value for name, value in case_input.body.items() if name != "user"}
    if row["outcome"] not in SCORED:
        return Scored(wire, {"outcome": row["outcome"]}, ())
    if row["outcome"] == "output_invalid":
        return Scored(wire, {"outcome": row["outcome"]}, (Finding("service", "no model gave valid output"),))
    answer = _as_seen(first, request["messages"][1:], response, texts)
    in_doubt = answer.outcome != "answered" or surely(TOKEN.sub("", answer.answer)) is None  # of few words, and of a token, any
    expected = None if in_doubt else surely(TOKEN.sub("", case_input.question))
    expect = AnswerExpectation.model_validate({"figures_from_sources": True, "language": expected})
    case = AnswerCase(endpoint="support/answer", input=case_input, expect=expect, **_ANY)
    wrong = findings(ANSWER_SCORERS, case, answer) + tuple(Finding("sources", words) for words in invented_sources(case, answer))
    return Scored(wire, answer.model_dump(include={"outcome", "answer", "citations", "tools"}), wrong)


def _as_seen(first: str, later: Sequence[dict[str, Any]], response: dict[str, Any], text: str) -> RecordedAnswer:
    """The customer's answer, as `app.features.support` concludes. Raises Unreadable where the request ended before."""
    shown = [Passage(_name(p["attributes"]), *_title(p["text"]), 0.0) for p in _PASSAGE.finditer(first)]
    called = [part["tool_use"] for part in response["parts"] if "tool_use" in part]
    if called and HAND_OVER not in called:
        raise Unreadable("left in the middle")
    tools, results = _tools(later)
    checked = citations.check(text, shown)
    holds = bool(checked.text and response["stop"] != "refusal" and (checked.citations or any(t.outcome == "ok" for t in tools)))
    handed = HAND_OVER in called or not holds
    return RecordedAnswer(
        outcome="handed_over" if handed else "answered",
        answer=HANDED_OVER if handed else checked.text,
        citations=[] if handed else [Citation(article_id=c.article_id, quote=c.quote) for c in checked.citations],
        tools=[*tools, *(ToolCall(name=name, outcome="ok") for name in called)],
        passages={p.article_id: f"{p.title}\n{p.text}" for p in shown},
        tool_results=results,
        invented=checked.removed,
    )


def _tools(messages: Sequence[dict[str, Any]]) -> tuple[list[ToolCall], str]:
    """The tools that were called, and their results.

    An answer may rest on any fact of the shop, be it a refusal.
    """
    parts = [part for message in messages for part in message["parts"]]
    names = [part["tool_use"] for part in parts if "tool_use" in part]
    results = [_inner(part) for part in parts if "tool_result" in part]
    facts = ["ok" if not any(word in result for word in _NO_FACT) else "failed" for result in results]
    return [ToolCall(name=name, outcome=outcome) for name, outcome in zip(names, facts, strict=False)], " ".join(results)


def _ticket(row: Mapping[str, Any], request: dict[str, Any], response: dict[str, Any]) -> Scored:
    found = _MESSAGE.search(request["messages"][0]["parts"][0]["text"])
    if found is None:
        raise Unreadable("no message")
    message = Message(text=found["text"], user="recorded")
    wire = {"endpoint": "support/tickets", "text": message.text}
    if row["outcome"] not in SCORED:
        return Scored(wire, {"outcome": row["outcome"]}, ())
    if row["outcome"] == "output_invalid":
        return Scored(wire, {"outcome": row["outcome"]}, (Finding("service", "no model gave valid output"),))
    reply = Reply(parts=(Text(_texts(response)),), stop=response["stop"], usage=Usage(), provider="", model="")
    try:
        ticket = tickets.read(reply, message.text).model_dump()
    except OutputInvalid as error:
        return Scored(wire, {}, tuple(Finding("schema", words) for words in error.violations))
    orders, language = tickets.orders_named(message.text), surely(TOKEN.sub("", message.text))
    fields = {"order_id": next(iter(orders))} if len(orders) == 1 else {}
    fields |= {"language": language} if language else {}
    expect = TicketExpectation.model_validate({"fields": fields})
    case = TicketCase(endpoint="support/tickets", input=message, expect=expect, **_ANY)
    return Scored(wire, ticket, findings(TICKET_SCORERS, case, SupportTicket.model_validate(ticket)))


READERS: Mapping[str, Reader] = {
    "support.answer": _answer,
    "support.ticket": _ticket,
}


def _texts(response: dict[str, Any]) -> str:
    return "".join(part["text"] for part in response.get("parts", ()) if "text" in part)


def _inner(part: dict[str, Any]) -> str:
    return " ".join(inner["text"] for inner in part["tool_result"] if "text" in inner)


def _name(attributes: str) -> str:
    found = _NAMED.search(attributes)
    return found[1] if found else ""


def _role(attributes: str) -> Literal["customer", "assistant"]:
    return "assistant" if _name(attributes) == "assistant" else "customer"


def _title(text: str) -> tuple[str, str]:
    title, _, rest = text.partition("\n")
    return title, rest
