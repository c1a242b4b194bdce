"""Each scorer sees what it is there for, and nothing else."""

from typing import Any

import pytest

from evals.cases import AnswerCase, TicketCase
from evals.scorers import score
from evals.wording import states

QUOTE = "Gift cards never expire and have no fees."
GOOD_ANSWER = {
    "outcome": "answered",
    "answer": "Gift cards never expire, and start at $10. [gift-cards]",
    "citations": [{"article_id": "gift-cards", "title": "Gift cards", "quote": QUOTE}],
    "tools": [{"name": "get_order", "outcome": "ok"}, {"name": "cancel_order", "outcome": "refused"}],
    "release": "a further field",
}
GOOD_TICKET = {
    "category": "returns", "priority": "normal", "order_id": None, "product": "Drizzle rain jacket",
    "sentiment": "neutral", "language": "en", "summary": "Wants to return a jacket.",
}  # fmt: skip


def found(kind: str, expect: dict[str, Any], body: dict[str, Any]) -> list[str]:
    head = {
        "id": "one",
        "failure_mode": "wrong_tool",
        "criteria": "Passes if all of it holds.",
        "origin": "tests",
        "added": "2026-01-01",
    }
    if kind == "answer":
        about = {"endpoint": "support/answer", "input": {"question": "Do the 5 cards expire?", "user": "ada"}}
        return [str(f) for f in score(AnswerCase.model_validate({**head, **about, "expect": expect}), body)]
    about = {"endpoint": "support/tickets", "input": {"text": "I want to return it.", "user": "ada"}}
    return [str(f) for f in score(TicketCase.model_validate({**head, **about, "expect": expect}), body)]


@pytest.mark.parametrize(
    "expect",
    [
        {"outcome": "answered"},
        {"cites": ["shipping-times", "gift-cards"]},
        {"says": ["gift cards", ["do not expire", "NEVER  expire"]]},
        {"says_not": ["$100"]},
        {"calls": ["get_order"], "calls_not": ["request_refund"], "does_not": ["cancel_order"]},
        {"figures_from_sources": True},
    ],
)
def test_a_good_answer_passes(expect: dict[str, Any]) -> None:
    assert found("answer", expect, GOOD_ANSWER) == []


@pytest.mark.parametrize(
    ("expect", "change", "finding"),
    [
        ({"outcome": "handed_over"}, {}, "outcome: is answered, not handed_over"),
        ({"cites": ["shipping-times"]}, {}, "retrieval: cites gift-cards, none of shipping-times"),
        ({"cites": ["gift-cards"]}, {"citations": []}, "retrieval: cites nothing"),
        ({"outcome": "answered"}, {"citations": [{"article_id": "gift-cards", "quote": "They expire."}]}, "grounding: the quote"),
        ({"outcome": "answered"}, {"citations": [{"article_id": "gift-cards", "quote": ""}]}, "grounding: the quote"),
        ({"outcome": "answered"}, {"citations": [{"article_id": "made-up", "quote": QUOTE}]}, "grounding: cites made-up"),
        ({"says": ["$100"]}, {}, "facts: does not say '$100'"),
        ({"says": [["a year", "12 months"]]}, {}, "facts: does not say 'a year or 12 months'"),
        ({"says_not": ["never expire"]}, {}, "forbidden: says 'never expire'"),
        ({"calls": ["cancel_order"]}, {}, "tools: cancel_order did not succeed; called: get_order (ok), cancel_order (refused)"),
        ({"calls_not": ["cancel_order"]}, {}, "tools: cancel_order was called"),
        ({"does_not": ["get_order"]}, {}, "tools: get_order was done"),
        (
            {"figures_from_sources": True},
            {"answer": "They start at $12 for all 5 cards. [gift-cards]"},
            "figures: says 12, which",
        ),
    ],
)
def test_a_bad_answer_is_told_what_is_wrong_with_it(expect: dict[str, Any], change: dict[str, Any], finding: str) -> None:
    problems = found("answer", expect, {**GOOD_ANSWER, **change})
    assert len(problems) == 1
    assert problems[0].startswith(finding)


@pytest.mark.parametrize(
    "expect",
    [
        {"fields": {"category": "returns", "order_id": None, "product": "jacket"}},
        {"fields": {"category": ["refund", "returns"], "priority": ["low", "normal"]}},
        {"summary_says": ["jacket"], "summary_says_not": ["4111 1111 1111 1111"]},
    ],
)
def test_a_good_ticket_passes(expect: dict[str, Any]) -> None:
    assert found("ticket", expect, GOOD_TICKET) == []


@pytest.mark.parametrize(
    ("expect", "finding"),
    [
        ({"fields": {"category": "refund"}}, "fields: category is 'returns', not 'refund'"),
        ({"fields": {"category": ["refund", "payment"]}}, "fields: category is 'returns'"),
        ({"fields": {"order_id": "NW-10001"}}, "fields: order_id is None, not 'NW-10001'"),
        ({"fields": {"product": None}}, "fields: product is 'Drizzle rain jacket', not None"),
        ({"fields": {"product": "boots"}}, "fields: product is"),
        ({"summary_says": ["boots"]}, "summary: does not say 'boots'"),
        ({"summary_says_not": ["a jacket"]}, "summary: says 'a jacket'"),
    ],
)
def test_a_bad_ticket_is_told_what_is_wrong_with_it(expect: dict[str, Any], finding: str) -> None:
    problems = found("ticket", expect, GOOD_TICKET)
    assert len(problems) == 1
    assert problems[0].startswith(finding)


@pytest.mark.parametrize(
    ("text", "fact", "stated"),
    [
        ("It takes Three\u00a0 to five days.", "three to five days", True),
        ("within 130 days", "30 days", False),
        ("from $750", "$75", False),
        ("from $75.50", "$75", False),
        ("from $75.", "$75", True),
        ("it\u2019s \u201cfree\u201d", 'it\'s "free"', True),
        ("discount", "count", False),
        ("3\u20135 days", "3-5 days", True),
        ("comfort 25 \u2109", "25 °F", True),
        ("anything", ("no", "thing"), False),
    ],
)
def test_words_are_compared_whole(text: str, fact: str | tuple[str, ...], stated: bool) -> None:
    assert states(text, fact) is stated
