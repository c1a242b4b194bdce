"""What goes to Claude: only what its API accepts (docs.anthropic.com/en/api/messages)."""

import base64
from typing import Any

import pytest
import vendor_rules

from app.domain.messages import (
    Document,
    Image,
    Message,
    Native,
    OutputSchema,
    Part,
    Refusal,
    Role,
    Sampling,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.gateway.metering import keeps_for_an_hour
from app.gateway.providers import anthropic_models as models
from app.gateway.providers import anthropic_wire as wire
from app.gateway.providers.base import ModelRequest, Timeouts, foreign

Json = dict[str, Any]
HOUR: Json = {"type": "ephemeral", "ttl": "1h"}
SHORT: Json = {"type": "ephemeral"}
ROLES: dict[str, Role] = {"u": "user", "a": "assistant", "s": "system"}


def request(*messages: Message, **changes: object) -> ModelRequest:
    fields: Json = {
        "model": "claude-x",
        "system": (),
        "messages": messages or (user("hello"),),
        "sampling": Sampling(max_output_tokens=50),
        "timeouts": Timeouts(1, 1, 1, 1),
    }
    return ModelRequest(**{**fields, **changes})


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message("assistant", user(*parts).parts)


def system(text: str) -> Message:
    return Message("system", (Text(text),))


def sent(*messages: Message, **changes: object) -> Json:
    return wire.body(request(*messages, **changes), stream=False)


def shape(body: Json) -> list[tuple[str, list[str]]]:
    return [(turn["role"], [block.get("text", block["type"]) for block in turn["content"]]) for turn in body["messages"]]


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\t \u00a0"])
def test_blank_text_is_not_sent(blank: str) -> None:
    assert shape(sent(user("a"), assistant(blank), user("b"))) == [("user", ["a", "b"])]
    called = sent(user("a"), assistant(blank, ToolUse("t", "f", "{}")), user(ToolResult("t", (Text(blank),))))
    assert shape(called) == [("user", ["a"]), ("assistant", ["tool_use"]), ("user", ["tool_result"])]
    assert called["messages"][2]["content"][0]["content"] == []


def test_a_begun_answer_does_not_end_in_blanks() -> None:
    assert shape(sent(user("a"), assistant("The answer is "))) == [("user", ["a"]), ("assistant", ["The answer is"])]


def test_a_request_without_a_word_is_not_for_claude() -> None:
    assert wire.lacks(request(user(""), assistant(" "))) == {"messages"}
    assert wire.lacks(request(user("a"))) == frozenset()


def test_instructions_keep_their_place_and_the_first_are_the_system_prompt() -> None:
    body = sent(system("first"), user("a"), system("Be brief."), assistant("b"), system=(Text("zero"),))
    assert [block["text"] for block in body["system"]] == ["zero", "first"]
    assert shape(body) == [("user", ["a"]), ("system", ["Be brief."]), ("assistant", ["b"])]


def test_instructions_without_any_turn_are_what_claude_answers() -> None:
    body = sent(system("Say hello."), system("In French."))
    assert shape(body) == [("user", ["Say hello.", "In French."])]
    assert "system" not in body


def test_results_of_tools_follow_their_calls_before_anything_else() -> None:
    use, result = ToolUse("t", "f", "{}"), ToolResult("t", (Text("42"),))
    assert shape(sent(user("a"), assistant(use), user("wait"), user(result))) == [
        ("user", ["a"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result", "wait"]),
    ]
    assert shape(sent(user("a"), assistant(use), system("Be brief."), user(result))) == [
        ("user", ["a"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("system", ["Be brief."]),
    ]


@pytest.mark.parametrize(
    "form",
    [
        "usu",
        "usua",
        "uasu",
        "uasua",
        "uas",
        "usas",
        "ussau",
        "uasau",
        "uasa",
        "su",
        "suasusu",
        "uassuu",
        " su",
        " s",
        " sau",
        "us u",
        "us su",
    ],
)
@pytest.mark.parametrize("model", ["claude-x", "claude-opus-4-8", "claude-haiku-5-5", "claude-sonnet-5", "claude-haiku-4-5"])
def test_instructions_stand_only_where_the_vendor_takes_them(form: str, model: str) -> None:
    """A blank is a turn that is not sent, such as an answer's reasoning that Claude did not sign."""
    made = [assistant(Thinking("hm")) if role == " " else Message(ROLES[role], (Text(str(at)),)) for at, role in enumerate(form)]
    body = sent(*made, model=model)
    assert vendor_rules.anthropic_roles([turn["role"] for turn in body["messages"]]) == []
    assert vendor_rules.anthropic_by_model(body) == []
    said = [block["text"] for part in (body.get("system", []), *(turn["content"] for turn in body["messages"])) for block in part]
    assert sorted(set(said) - {models.GO_ON}) == sorted(str(at) for at, role in enumerate(form) if role != " ")


def test_instructions_that_stand_elsewhere_come_after_the_next_turn_of_the_user() -> None:
    late = [("user", ["a", "c"]), ("system", ["b"]), ("assistant", ["d"])]
    assert shape(sent(user("a"), system("b"), user("c"), assistant("d"))) == late
    assert shape(sent(user("a"), assistant("b"), system("c"), user("d"), system("e"))) == [
        ("user", ["a"]),
        ("assistant", ["b"]),
        ("user", ["d"]),
        ("system", ["c", "e"]),
    ]
    assert shape(sent(user("a"), assistant("b"), system("Sum it up."))) == [
        ("user", ["a"]),
        ("assistant", ["b"]),
        ("user", ["Sum it up."]),
    ]


@pytest.mark.parametrize("unsigned", [Thinking("hm"), Thinking("hm", signature=""), Thinking("", redacted="")])
def test_reasoning_that_claude_did_not_sign_is_never_sent(unsigned: Thinking) -> None:
    assert shape(sent(user("a"), assistant(unsigned, "b"), user("c")))[1] == ("assistant", ["b"])


def test_every_cache_mark_arrives_with_its_time() -> None:
    body = sent(
        user(Image(url="https://x", cache="1h"), Document(text="d", cache="1h")),
        assistant(ToolUse("t", "f", "{}", cache="5m")),
        user(ToolResult("t", (Text("42"),), cache="5m")),
        tools=(ToolSpec("f", "", {"type": "object"}),),
    )
    first, second, third = (turn["content"] for turn in body["messages"])
    assert [block["cache_control"] for block in (*first, *second, *third)] == [HOUR, HOUR, SHORT, SHORT]
    body = sent(
        user(Text("a", cache="5m")),
        system=(Text("s", cache="1h"),),
        tools=(ToolSpec("f", "", {"type": "object"}, cache="1h"),),
        native={"anthropic": {"cache_control": HOUR}},
    )
    assert (body["cache_control"], body["tools"][0]["cache_control"]) == (HOUR, HOUR)
    assert body["system"][0]["cache_control"] == HOUR


def test_marks_over_the_vendors_limits_are_taken_out_the_earliest_first() -> None:
    texts = [Text(str(number), cache="5m") for number in range(6)]
    blocks = sent(user(*texts))["messages"][0]["content"]
    assert [block["text"] for block in blocks if "cache_control" in block] == ["2", "3", "4", "5"]
    blocks = sent(user(*texts), native={"anthropic": {"cache_control": SHORT}})["messages"][0]["content"]
    assert [block["text"] for block in blocks if "cache_control" in block] == ["3", "4", "5"]


def test_a_mark_for_five_minutes_does_not_stand_before_one_for_an_hour() -> None:
    found = Native("anthropic", {"type": "search_result", "content": [{"type": "text", "text": "x", "cache_control": SHORT}]})
    asked = request(user(found, Text("a", cache="1h"), Text("b", cache="5m")), system=(Text("ours", cache="5m"),))
    body = wire.body(asked, stream=False)
    assert "cache_control" not in body["system"][0]
    first, second, third = body["messages"][0]["content"]
    assert "cache_control" not in first["content"][0]
    assert (second["cache_control"], third["cache_control"]) == (HOUR, SHORT)
    assert found.block["content"][0]["cache_control"] == SHORT  # the call's own is as it was


@pytest.mark.parametrize(
    ("document", "source"),
    [
        (Document(data="AA", media_type="application/pdf"), {"type": "base64", "media_type": "application/pdf", "data": "AA"}),
        (Document(text="words"), {"type": "text", "media_type": "text/plain", "data": "words"}),
        (Document(url="https://x/y.pdf"), {"type": "url", "url": "https://x/y.pdf"}),
        (
            Document(data=base64.b64encode(b"a,b").decode(), media_type="text/csv; charset=utf-8"),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
    ],
)  # fmt: skip
def test_a_document_is_sent_in_the_form_that_claude_reads(document: Document, source: Json) -> None:
    assert wire.lacks(request(user(document))) == frozenset()
    assert sent(user(document))["messages"][0]["content"] == [{"type": "document", "source": source}]


@pytest.mark.parametrize("media_type", ["application/msword", "image/tiff", None])
def test_a_file_that_claude_does_not_read_goes_to_another_model(media_type: str | None) -> None:
    assert wire.lacks(request(user(Document(data="AA==", media_type=media_type)))) == {"document"}
    inside = ToolResult("t", (Document(data="AA==", media_type=media_type),))
    assert wire.lacks(request(user(inside))) == {"document"}


def test_a_title_context_and_citations_go_with_their_parts() -> None:
    cited = {"type": "char_location", "cited_text": "x", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
    body = sent(user(Document(text="d", name="n", options={"context": "c"})), assistant(Text("a", citations=(cited,))))
    assert body["messages"][0]["content"][0].items() >= {"title": "n", "context": "c"}.items()
    assert body["messages"][1]["content"] == [{"type": "text", "text": "a", "citations": [cited]}]


def test_a_refusal_of_another_model_is_its_text() -> None:
    assert shape(sent(user("a"), assistant(Refusal("No.")), user("b")))[1] == ("assistant", ["No."])


def test_what_only_one_vendor_has_goes_to_no_other() -> None:
    ours, theirs = Native("anthropic", {"type": "search_result"}), Native("openai", {"type": "input_audio"})
    assert wire.lacks(request(user("a", ours))) == frozenset()
    assert wire.lacks(request(user("a", theirs))) == {"input_audio"}
    assert foreign(request(user(ToolResult("t", (ours,)))), "openai") == {"search_result"}
    fields: Json = {"anthropic": {"context_management": {}, "cache_control": {}}}
    assert foreign(request(native=fields, requested=frozenset({"context_management"})), "openai") == {"context_management"}
    tools = (ToolSpec("f", "", {}, options={"eager_input_streaming": True, "defer_loading": True}),)
    assert foreign(request(tools=tools), "openai") == {"tools.defer_loading"}
    assert wire.lacks(request(tools=tools)) == frozenset()


CLOSED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def test_native_fields_and_options_of_tools_are_sent() -> None:
    native = {"context_management": {"edits": []}, "output_config": {"task_budget": {"total": 9}}, "max_tokens": 0}
    tools = (
        ToolSpec("f", "does", CLOSED, options={"eager_input_streaming": True}),
        ToolSpec("bash", "", {}, options={"type": "bash_20250124"}),
    )
    body = sent(native={"anthropic": native}, tools=tools, output=OutputSchema("o", CLOSED))
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": CLOSED},
        "task_budget": {"total": 9},
    }
    assert (body["context_management"], body["max_tokens"]) == ({"edits": []}, 0)
    assert body["tools"] == [
        {"name": "f", "eager_input_streaming": True, "input_schema": CLOSED, "description": "does"},
        {"name": "bash", "type": "bash_20250124"},
    ]


def test_a_count_takes_the_whole_prompt_and_no_limit_of_the_output() -> None:
    native = {"context_management": {"edits": []}, "service_tier": "standard_only"}
    thinking = {"type": "enabled", "budget_tokens": 2048}
    body = wire.counting(
        request(native={"anthropic": native}, sampling=Sampling(max_output_tokens=1, stop=("x",), extra={"thinking": thinking}))
    )
    assert body.keys() == {"model", "messages", "thinking", "context_management"}
    assert body["thinking"] == thinking


@pytest.mark.parametrize(
    ("asked", "hour"),
    [
        (request(), False),
        (request(user(Text("a", cache="5m"))), False),
        (request(user(ToolResult("t", (Text("a", cache="1h"),)))), True),
        (request(tools=(ToolSpec("f", "", {}, cache="1h"),)), True),
        (request(system=(Text("s", cache="1h"),)), True),
        (request(native={"anthropic": {"cache_control": HOUR}}), True),
        (request(user(Native("anthropic", {"type": "document", "cache_control": HOUR}))), True),
    ],
)
def test_a_request_that_caches_for_an_hour_is_known_before_it_is_sent(asked: ModelRequest, *, hour: bool) -> None:
    """C6: its worst case is dearer."""
    assert keeps_for_an_hour(asked) is hour
