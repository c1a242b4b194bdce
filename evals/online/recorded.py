"""From a recorded call back to what was asked and what was answered, so that the scorers of cases can judge it.

The record holds the request as the model got it and the reply as the model gave it, both redacted. What the customer saw is made
of them by the product's own functions: which citations hold, what is handed over. Nothing is expected of an answer but what
holds for every answer, so only scorers that need no expectation can find something.

Which features are read, `READERS` says; a fork adds its own, and deletes the worked example's.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from pydantic import ValidationError

from app.audit.rows import storable
from app.domain.calls import Reply, Usage
from app.domain.errors import OutputInvalid
from app.domain.messages import Text
from app.features.support import citations, tickets
from app.features.support.exchange import HANDED_OVER
from app.features.support.retrieval import Passage
from evals.answers import Citation, SupportAnswer, SupportTicket, ToolCall
from evals.cases import AnswerCase, AnswerExpectation, Message, Question, TicketCase, TicketExpectation, Turn
from evals.languages import surely
from evals.scorers import ANSWER_SCORERS, TICKET_SCORERS, Finding, findings

SCORED = ("ok", "output_invalid")  # outcomes that are the product's own; what an outage did, the objectives count
HAND_OVER = "hand_over_to_human"
# What redaction leaves of personal data, by kind. A tag of HTML looks the same but for the digest.
TOKEN = re.compile(r"<([a-z][a-z0-9_-]*(?=:)|redaction-failed(?=>))(?::[0-9a-f]{8})?>")
_FENCED = r'<{}(?P<told>[^>]*?) nonce="[^"]*">\n(?P<text>.*?)\n</{}>'
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


class Unreadable(Exception):  # noqa: N818 - the record is
    """A record that is not in the form its feature writes, or of a request that was left before its end."""


class RecordedAnswer(SupportAnswer):
    """An answer with what it was made of: passages as the model was shown them, and what tools said."""

    passages: dict[str, str]
    tool_results: str
    invented: int

    def source(self, article_id: str) -> str | None:
        """The passage as it was shown: of the index that was live then."""
        return self.passages.get(article_id)

    @property
    def looked_up(self) -> str:
        """What tools said."""
        return self.tool_results

    @property
    def leaks(self) -> list[str]:
        """In a redacted text personal data are tokens; those of passages are public."""
        public = {found.group() for text in self.passages.values() for found in TOKEN.finditer(text)}
        return sorted({found[1] for found in TOKEN.finditer(self.answer) if found.group() not in public})


@dataclass(frozen=True, slots=True)
class Read:
    """What was asked (the body of the request, without its user), what came of it, and what is wrong with that."""

    asked: Mapping[str, Any]
    seen: Mapping[str, Any]
    findings: tuple[Finding, ...]


def read(row: Mapping[str, Any]) -> Read:
    """Read a row of ``calls``, the last of its request; all of it can be stored. Raises Unreadable, whatever a model wrote."""
    try:
        request = _storable(json.loads(row["request"]))
        response = _storable(json.loads(row["response"])) if row["response"] else {}
        made = READERS[row["feature"]](row, request, response or {})
        # again: a text may be JSON itself, with escapes of its own
        wrong = tuple(replace(found, words=storable(found.words)) for found in made.findings)
        return Read(_storable(made.asked), _storable(made.seen), wrong)
    except (ValidationError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise Unreadable(f"{row['feature']}: {type(error).__name__}") from error


def _storable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same without NUL and half surrogates, which JSON may bring by escapes and JSONB refuses."""
    match value:
        case Mapping():
            return {storable(name): _storable(item) for name, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
    return storable(value)


def invented_sources(_: AnswerCase, answer: RecordedAnswer) -> Sequence[str]:
    """A model names only sources that it was shown. The product takes the others out; the model was wrong all the same."""
    return [f"sources named that it was not shown: {answer.invented}"] if answer.invented else []


def _answer(row: Mapping[str, Any], request: dict[str, Any], response: dict[str, Any]) -> Read:
    first, texts = request["messages"][0]["parts"][0]["text"], _texts(response)
    question = _QUESTION.search(first)
    if question is None:
        raise Unreadable("no question")
    turns = tuple(Turn(role=_role(found["told"]), text=found["text"]) for found in _TURN.finditer(first))
    asked = Question(question=question["text"], user="recorded", conversation=turns)
    wire = {"endpoint": "support/answer"} | {name: value for name, value in asked.wire.items() if name != "user"}
    if row["outcome"] not in SCORED:
        return Read(wire, {"outcome": row["outcome"]}, ())
    if row["outcome"] == "output_invalid":
        return Read(wire, {"outcome": row["outcome"]}, (Finding("service", "no model gave valid output"),))
    answer = _told(first, request["messages"][1:], response, texts)
    in_doubt = answer.outcome != "answered" or surely(TOKEN.sub("", answer.answer)) is None  # of few words, and of a token, any
    expected = None if in_doubt else surely(TOKEN.sub("", asked.question))
    expect = AnswerExpectation.model_validate({"figures_from_sources": True, "language": expected})
    case = AnswerCase(endpoint="support/answer", input=asked, expect=expect, **_ANY)
    wrong = findings(ANSWER_SCORERS, case, answer) + tuple(Finding("sources", words) for words in invented_sources(case, answer))
    return Read(wire, answer.model_dump(include={"outcome", "answer", "citations", "tools"}), wrong)


def _told(first: str, later: Sequence[dict[str, Any]], response: dict[str, Any], text: str) -> RecordedAnswer:
    """What the customer was told, as `app.features.support` concludes. Raises Unreadable where the request ended before."""
    shown = [Passage(_name(p["told"]), *_title(p["text"]), 0.0) for p in _PASSAGE.finditer(first)]
    asked_for = [part["tool_use"] for part in response["parts"] if "tool_use" in part]
    if asked_for and HAND_OVER not in asked_for:
        raise Unreadable("left in the middle")
    tools, results = _tools(later)
    checked = citations.check(text, shown)
    holds = bool(checked.text and response["stop"] != "refusal" and (checked.citations or any(t.outcome == "ok" for t in tools)))
    handed = HAND_OVER in asked_for or not holds
    return RecordedAnswer(
        outcome="handed_over" if handed else "answered",
        answer=HANDED_OVER if handed else checked.text,
        citations=[] if handed else [Citation(article_id=c.article_id, quote=c.quote) for c in checked.citations],
        tools=[*tools, *(ToolCall(name=name, outcome="ok") for name in asked_for)],
        passages={p.article_id: f"{p.title}\n{p.text}" for p in shown},
        tool_results=results,
        invented=checked.removed,
    )


def _tools(messages: Sequence[dict[str, Any]]) -> tuple[list[ToolCall], str]:
    """The tools that were called, and what they said. An answer may rest on whatever the shop said, be it no."""
    parts = [part for message in messages for part in message["parts"]]
    names = [part["tool_use"] for part in parts if "tool_use" in part]
    results = [_inner(part) for part in parts if "tool_result" in part]
    facts = ["ok" if not any(word in result for word in _NO_FACT) else "failed" for result in results]
    return [ToolCall(name=name, outcome=word) for name, word in zip(names, facts, strict=False)], " ".join(results)


def _ticket(row: Mapping[str, Any], request: dict[str, Any], response: dict[str, Any]) -> Read:
    found = _MESSAGE.search(request["messages"][0]["parts"][0]["text"])
    if found is None:
        raise Unreadable("no message")
    asked = Message(text=found["text"], user="recorded")
    wire = {"endpoint": "support/tickets", "text": asked.text}
    if row["outcome"] not in SCORED:
        return Read(wire, {"outcome": row["outcome"]}, ())
    if row["outcome"] == "output_invalid":
        return Read(wire, {"outcome": row["outcome"]}, (Finding("service", "no model gave valid output"),))
    reply = Reply(parts=(Text(_texts(response)),), stop=response["stop"], usage=Usage(), provider="", model="")
    try:
        ticket = tickets.read(reply, asked.text).model_dump()
    except OutputInvalid as error:
        return Read(wire, {}, tuple(Finding("schema", words) for words in error.violations))
    orders, language = tickets.orders_named(asked.text), surely(TOKEN.sub("", asked.text))
    fields = {"order_id": next(iter(orders))} if len(orders) == 1 else {}
    fields |= {"language": language} if language else {}
    expect = TicketExpectation.model_validate({"fields": fields})
    case = TicketCase(endpoint="support/tickets", input=asked, expect=expect, **_ANY)
    return Read(wire, ticket, findings(TICKET_SCORERS, case, SupportTicket.model_validate(ticket)))


READERS: Mapping[str, Callable[[Mapping[str, Any], dict[str, Any], dict[str, Any]], Read]] = {
    "support.answer": _answer,
    "support.ticket": _ticket,
}


def _texts(response: dict[str, Any]) -> str:
    return "".join(part["text"] for part in response.get("parts", ()) if "text" in part)


def _inner(part: dict[str, Any]) -> str:
    return " ".join(inner["text"] for inner in part["tool_result"] if "text" in inner)


def _name(told: str) -> str:
    found = _NAMED.search(told)
    return found[1] if found else ""


def _role(told: str) -> Literal["customer", "assistant"]:
    return "assistant" if _name(told) == "assistant" else "customer"


def _title(text: str) -> tuple[str, str]:
    title, _, rest = text.partition("\n")
    return title, rest
