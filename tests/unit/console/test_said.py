"""Question, answer and tools of a recorded call as readable text; tokens and money of a trace, each once."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from growth import is_linear
from records import a_record

from app.console.known import Known
from app.console.pages.trace import _words, bars_of, facts_of, opened, readable, total_of
from app.console.said import WAITS, Tool, said_of
from app.domain.records import step_text

FENCED = (
    '<question nonce="0a1b2c3d">\nWhere is my order NW-10001?\n</question>\n\nHelp articles:\n<passage id="x" nonce="0a1b2c3d">'
)


def request(*messages: tuple[str, list[dict[str, Any]]]) -> str:
    return json.dumps({"system": ["Be kind."], "messages": [{"role": role, "parts": parts} for role, parts in messages]})


def response(*parts: dict[str, Any]) -> str:
    return json.dumps({"parts": list(parts), "stop": "end"})


def test_the_question_is_the_users_last_words_without_the_products_around_them() -> None:
    said = said_of(
        request(("user", [{"text": "first"}]), ("assistant", [{"text": "yes"}]), ("user", [{"text": FENCED}])),
        response({"thinking": "hm"}, {"text": "It is on its way."}),
    )
    assert (said.question, said.answer) == ("Where is my order NW-10001?", "It is on its way.")


def test_a_tool_is_shown_with_its_arguments_and_its_result() -> None:
    use = {"tool_use": "get_order", "arguments": '{"order_id": "NW-10001"}'}
    got = {"tool_result": [{"text": "shipped"}], "is_error": False}
    asked = request(("user", [{"text": FENCED}]), ("assistant", [use]), ("user", [got]))
    assert said_of(asked, response()).tools == [Tool("get_order", '{"order_id": "NW-10001"}', "shipped", failed=False)]
    assert said_of(asked, response()).question == "Where is my order NW-10001?", "a tool's result is no question"
    assert said_of(request(("user", [{"text": "x"}])), response(use)).wants == ['get_order {"order_id": "NW-10001"}']


def test_a_tool_that_waits_for_the_customer_says_so() -> None:
    """It has run and changed nothing: a bare bar of 25 ms reads as if the order were gone."""
    use, waits = {"tool_use": "cancel_order", "arguments": "{}"}, f'{{"status": {WAITS}}}'
    got = {"tool_result": [{"text": waits}], "is_error": False}
    [tool] = said_of(request(("user", [{"text": "x"}]), ("assistant", [use]), ("user", [got])), response()).tools
    assert (tool.waits, tool.failed) == (True, False)


@pytest.mark.parametrize(
    "stored",
    ["", "not JSON", "[1]", '{"messages": ["hello"]}', '{"messages": {}, "parts": [1, {"text": 2}]}', "null", "[" * 20_000],
    ids=lambda stored: stored[:20],
)
def test_a_text_of_another_form_says_nothing(stored: str) -> None:
    assert not any(asdict(said_of(stored, stored)).values())
    assert "".join(readable(stored).split()) == "".join(stored.split())


def rows(*steps: tuple[str, str, int, int, bool]) -> list[dict[str, Any]]:
    row = asdict(a_record(id="call_1", steps=step_text(steps, 2)))
    tokens = {"input_tokens": 10, "cached_input_tokens": 3, "cache_write_tokens": 2, "output_tokens": 5}
    known = {**tokens, "usage_estimated": False}
    return [{**row, **known, "cost": 42, "attempts": [{**one, **known} for one in row["attempts"]]}]


def test_the_sum_of_a_trace_counts_each_call_once_and_no_attempt() -> None:
    total = total_of(rows() * 2)
    assert (total.input, total.output, total.cost, total.bound) == (30, 10, 84, False)


def test_an_upper_bound_is_marked_on_its_attempt_its_call_the_sum_and_in_the_answer() -> None:
    [row] = rows()
    row |= {"usage_estimated": True, "attempts": [{**one, "usage_estimated": n == 0} for n, one in enumerate(row["attempts"])]}
    bars = bars_of([row])
    assert [bar.bound for bar in bars if bar.kind == "call"] == [True]
    assert [bar.bound for bar in bars if bar.kind == "attempt"] == [one["usage_estimated"] for one in row["attempts"]]
    assert total_of([row]).bound
    assert "for at most $" in _words(Known([row], row["at"]))
    assert "at most" not in _words(Known(rows(), row["at"]))


def test_a_tool_leads_to_the_call_that_got_its_result() -> None:
    bars = bars_of(rows(("tool", "get_order", 0, 1, False)))
    assert [bar.opens for bar in opened(bars, {"call_1"}) if bar.kind == "tool"] == ["tools-call_1"]
    assert [bar.opens for bar in opened(bars, set()) if bar.kind == "tool"] == [""]


def test_facts_that_all_calls_share_are_said_once() -> None:
    first, second = rows()[0], {**rows()[0], "release": "2026-11-23"}
    assert "release" not in facts_of([first, second])
    assert facts_of([first, second])["tenant"] == "audit-tests"


def test_fences_that_are_never_closed_cost_no_more_than_their_number() -> None:
    """V3: a caller's text of 100 KB held the page for seconds."""
    assert is_linear(lambda size: said_of(request(("user", [{"text": "<question >\na" * size}])), ""), 1_000)
