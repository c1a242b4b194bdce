"""Requests of one vendor's callers, as the other vendor takes them: wire in, body out."""

import base64
from dataclasses import replace
from typing import Any

import pytest
import vendor_rules

from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.messages import (
    Image,
    Message,
    OutputSchema,
    Part,
    Sampling,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.domain.money import MicroUSD
from app.domain.routes import Pin, PriceTable, Route, Target
from app.gateway.providers import anthropic_wire, dialect, openai_wire
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.dialect_merge import Contradiction, Schema, Unfit, merge
from app.gateway.providers.dialect_names import tool_name
from app.gateway.providers.openai_reading import Reading
from app.gateway.rendering import lowered, render

Value = Any  # of a field
LONG = "mcp__plugin_chrome-devtools-mcp_chrome-devtools__get_console_message"
OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def request(*messages: Message, **fields: Value) -> ModelRequest:
    empty = ModelRequest(
        model="m",
        system=(),
        messages=messages or (Message("user", (Text("hi"),)),),
        sampling=Sampling(max_output_tokens=100),
        timeouts=Timeouts(1, 1, 1, 1),
    )
    return replace(empty, **fields)


def user(*parts: Part) -> Message:
    return Message("user", parts)


def model(*parts: Part) -> Message:
    return Message("assistant", parts)


def to_anthropic(wanted: ModelRequest) -> dict[str, Any]:
    body = anthropic_wire.body(wanted, stream=False)
    assert vendor_rules.anthropic_messages(body) == []
    return body


def to_openai(wanted: ModelRequest) -> dict[str, Any]:
    body = openai_wire.body(wanted, legacy_max_tokens=False, stream=False)
    assert vendor_rules.openai_chat(body) == []
    return body


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\t"])
def test_blank_text_is_not_sent_where_the_vendor_refuses_it(blank: str) -> None:
    use, result = ToolUse("c1", "f", "{}"), ToolResult("c1", (Text(blank), Text("42")))
    wanted = request(user(Text("a")), model(Text(blank)), user(Text("b")), model(Text(blank), use), user(result))
    body = to_anthropic(replace(wanted, system=(Text(blank), Text("s"))))
    assert [[b["type"] for b in m["content"]] for m in body["messages"]] == [["text", "text"], ["tool_use"], ["tool_result"]]
    assert [m["role"] for m in to_openai(wanted)["messages"]] == ["user", "assistant", "user", "assistant", "tool"]


def test_a_beginning_of_the_answer_does_not_end_in_blanks() -> None:
    assert to_anthropic(request(user(Text("a")), model(Text("Sure: \n"))))["messages"][-1]["content"][0]["text"] == "Sure:"


def test_a_last_turn_of_blank_text_alone_passes_the_vendor_over_that_refuses_it() -> None:
    wanted = request(user(Text(" ")))
    assert dialect.unsayable(wanted, dialect.ANTHROPIC) == {"blank_text"}
    assert dialect.unsayable(wanted, dialect.OPENAI) == frozenset()


@pytest.mark.parametrize("identity", ["functions.f:0", "call_0", "", "x" * 300, "chatcmpl-tool-é", "call|fc_1"])
def test_ids_of_any_server_become_the_vendor_s_and_results_keep_to_their_calls(identity: str) -> None:
    wanted = request(user(Text("q")), model(ToolUse(identity, "f", "{}")), user(ToolResult(identity, (Text("42"),))))
    messages = to_anthropic(wanted)["messages"]
    assert messages[1]["content"][0]["id"] == messages[2]["content"][0]["tool_use_id"]
    for name in ("gpt-6-sol", "Mistral-Large-3", "devstral-small"):
        chat = to_openai(replace(wanted, model=name))["messages"]
        assert chat[1]["tool_calls"][0]["id"] == chat[2]["tool_call_id"]
        assert name == "gpt-6-sol" or (len(chat[2]["tool_call_id"]) == 9 and chat[2]["tool_call_id"].isalnum())
    assert to_anthropic(wanted) == to_anthropic(wanted), "the same each time: a prompt cache depends on it"


def test_ids_that_are_taken_as_they_are_stay_as_they_are() -> None:
    wanted = request(user(Text("q")), model(ToolUse("toolu_01A", "f", "{}")), user(ToolResult("toolu_01A", ())))
    assert to_anthropic(wanted)["messages"][1]["content"][0]["id"] == "toolu_01A"
    assert to_openai(wanted)["messages"][1]["tool_calls"][0]["id"] == "toolu_01A"


def test_ids_that_repeat_in_later_turns_stay_apart() -> None:
    turn = (model(ToolUse("call_0", "f", "{}")), user(ToolResult("call_0", (Text("1"),))))
    messages = to_anthropic(request(user(Text("q")), *turn, *turn))["messages"]
    ids = [b.get("id") or b.get("tool_use_id") for m in messages[1:] for b in m["content"]]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    both = (ToolUse("", "f", "{}"), ToolUse("", "g", "{}"))
    messages = to_anthropic(request(user(Text("q")), model(*both), user(ToolResult("", ()), ToolResult("", ()))))["messages"]
    assert [b["id"] for b in messages[1]["content"]] == [b["tool_use_id"] for b in messages[2]["content"]]


def test_long_tool_names_are_shortened_there_and_restored_on_the_way_back() -> None:
    tools = (ToolSpec(LONG, "", OBJECT), ToolSpec(LONG + "s", "", OBJECT), ToolSpec("short", "", OBJECT))
    history = (user(Text("q")), model(ToolUse("c1", LONG, "{}")), user(ToolResult("c1", ())))
    wanted = request(*history, tools=tools, tool_choice=ToolChoice("tool", LONG))
    body = to_openai(wanted)
    sent = [tool["function"]["name"] for tool in body["tools"]]
    assert len(set(sent)) == 3
    assert sent[2] == "short"
    assert body["tool_choice"]["function"]["name"] == body["messages"][1]["tool_calls"][0]["function"]["name"] == sent[0]
    reading = Reading(wanted, "p")
    call = {"id": "c2", "type": "function", "function": {"name": sent[0], "arguments": "{}"}}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    assert reading.deltas(chunk)[0].name == LONG  # type: ignore[union-attr]
    assert reading.reply(None).tool_uses[0].name == LONG
    assert [t["name"] for t in to_anthropic(wanted)["tools"]] == [LONG, LONG + "s", "short"]


@pytest.mark.parametrize("name", ["21st_magic_component_builder", "1c_reload", "12306__tickets", "_f", "-f", "3" * 64, "é1"])
def test_a_tool_s_name_begins_with_a_letter_where_the_vendor_wants_it(name: str) -> None:
    """Gemini and Moonshot refuse the whole request (dust-tt/dust#28212, OmniRoute#13715, openclaw/openclaw#79179)."""
    tools = (ToolSpec(name, "", OBJECT), ToolSpec(f"{name}x", "", OBJECT), ToolSpec("f", "", OBJECT))
    history = (user(Text("q")), model(ToolUse("c1", name, "{}")), user(ToolResult("c1", ())))
    for vendor in ("gemini-3.1-pro-preview", "google/gemini-3.6-flash", "kimi-k3", "moonshot-v1-8k"):
        wanted = request(*history, model=vendor, tools=tools, tool_choice=ToolChoice("tool", name))
        body = to_openai(wanted)
        sent = [tool["function"]["name"] for tool in body["tools"]]
        assert all(one[0].isascii() and one[0].isalpha() for one in sent)
        assert len(set(sent)) == 3
        assert sent[2] == "f"
        assert body["messages"][-2]["tool_calls"][0]["function"]["name"] == sent[0]
        call = {"id": "c2", "type": "function", "function": {"name": sent[0], "arguments": "{}"}}
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
        assert Reading(wanted, "p").deltas(chunk)[0].name == name  # type: ignore[union-attr]
    untouched = to_openai(request(tools=(ToolSpec("1c_reload", "", OBJECT),)))
    assert untouched["tools"][0]["function"]["name"] == "1c_reload"


@pytest.mark.parametrize("name", ["functions.f", "my tool", "Zürich", "", "x" * 200])
def test_a_name_that_no_vendor_takes_becomes_one_that_both_take(name: str) -> None:
    for longest in (64, 128):
        assert vendor_rules.anthropic_tool({"name": tool_name(name, longest), "input_schema": {"type": "object"}}) == []
        assert len(tool_name(name, longest)) <= longest
    assert tool_name(name, 64) != tool_name(name + "x", 64)


@pytest.mark.parametrize(
    ("stop", "openai", "anthropic"),
    [
        (("END",), (), ()),
        (("\n",), (), ("stop",)),
        (("END", " "), (), ("stop",)),
        (("",), (), ()),
        (("a", "b", "c", "d", "e"), ("stop",), ()),
        (("a", "b", "c", "d", ""), (), ()),
    ],
)
def test_stop_sequences_pass_over_the_vendor_that_cannot_take_them(
    stop: tuple[str, ...], openai: tuple[str, ...], anthropic: tuple[str, ...]
) -> None:
    wanted = request(sampling=Sampling(max_output_tokens=10, stop=stop))
    assert dialect.unsayable(wanted, dialect.OPENAI) == frozenset(openai)
    assert dialect.unsayable(wanted, dialect.ANTHROPIC) == frozenset(anthropic)
    to_anthropic(wanted)  # where a route ignores `stop`
    to_openai(wanted)


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        ("image/png;charset=utf-8", "image/png"),
        ("image/webp", "image/webp"),
        ("image/svg+xml", None),
        ("image/heic", None),
    ],
)
def test_image_types_are_named_as_registered_or_pass_the_vendor_over(media_type: str, sent: str | None) -> None:
    image = Image(data="AA==", media_type=media_type)
    for parts in ((image,), (ToolResult("c1", (image,)),)):
        wanted = request(user(Text("q")), model(ToolUse("c1", "f", "{}")), user(*parts))
        assert dialect.unsayable(wanted, dialect.ANTHROPIC) == (frozenset() if sent else {"image_type"})
        assert dialect.unsayable(wanted, dialect.OPENAI) == frozenset()
        if sent:
            assert sent in str(to_anthropic(wanted)["messages"][2])
            assert f"data:{sent};base64" in str(to_openai(wanted)["messages"][-1])


@pytest.mark.parametrize("said", ["image/png", "image/jpeg", "image/svg+xml", "application/octet-stream", ""])
@pytest.mark.parametrize(
    ("start", "sent"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"\xff\xd8\xff\xe1\x00\x18Exif", "image/jpeg"),
        (b"GIF89a\x01\x00\x01\x00", "image/gif"),
        (b"GIF87a\x01\x00\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_an_image_is_of_the_type_of_its_bytes_whatever_its_caller_says(start: bytes, sent: str, said: str) -> None:
    """As OpenAI reads it, and Claude refuses it (home-assistant/core#167208, anthropics/claude-code#15746)."""
    wanted = request(user(Image(data=base64.b64encode(start + bytes(20)).decode(), media_type=said)))
    assert dialect.unsayable(wanted, dialect.ANTHROPIC) == frozenset()
    assert to_anthropic(wanted)["messages"][0]["content"][0]["source"]["media_type"] == sent
    assert f"data:{sent};base64," in str(to_openai(wanted)["messages"][0])


def test_a_sound_is_no_picture_though_it_begins_as_one() -> None:
    wave = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20)).decode()
    assert dialect.image_type(Image(data=wave, media_type="image/bmp")) == "image/bmp"


def test_an_image_by_url_has_no_type_to_check() -> None:
    assert dialect.unsayable(request(user(Image(url="https://x.org/a"))), dialect.ANTHROPIC) == frozenset()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "schema",
    [
        OBJECT,
        {**OBJECT, "required": []},
        {"type": "object"},
        {},
        {"anyOf": [OBJECT, {"type": "object", "properties": {"m": {"type": "array"}}}]},
        {"$ref": "#/$defs/A", "$defs": {"A": OBJECT}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 2, "format": "uri"}}, "required": ["a"]},
    ],
)
def test_every_tool_s_schema_is_sent_in_a_form_that_the_vendor_takes(schema: dict[str, Any], strict: bool) -> None:
    wanted = request(tools=(ToolSpec("f", "", schema, strict=strict),))
    for body, tool in ((to_openai(wanted), "function"), (to_anthropic(wanted), None)):
        sent = body["tools"][0][tool] if tool else body["tools"][0]
        assert strict or "strict" not in sent
    assert dialect.unsayable(wanted, dialect.OPENAI) == dialect.unsayable(wanted, dialect.ANTHROPIC) == frozenset()


def test_strict_tools_over_the_vendor_s_limits_are_sent_as_hints() -> None:
    """Anthropic: 20 strict tools, 24 optional properties and 16 unions in a request."""
    tools = tuple(ToolSpec(f"f{n}", "", OBJECT, strict=True) for n in range(25))
    assert sum("strict" in tool for tool in to_anthropic(request(tools=tools))["tools"]) == 20
    many = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(13)}}
    tools = tuple(ToolSpec(f"f{n}", "", many, strict=True) for n in range(3))
    assert ["strict" in tool for tool in to_anthropic(request(tools=tools))["tools"]] == [True, False, False]


def test_names_of_properties_that_anthropic_refuses_and_too_many_tools_pass_a_vendor_over() -> None:
    odd = ToolSpec("f", "", {"type": "object", "properties": {"$filter": {"type": "string"}}})
    assert dialect.unsayable(request(tools=(odd,)), dialect.ANTHROPIC) == {"tools"}
    assert dialect.unsayable(request(tools=(odd,)), dialect.OPENAI) == frozenset()
    many = request(tools=tuple(ToolSpec(f"f{n}", "", OBJECT) for n in range(129)))
    assert dialect.unsayable(many, dialect.OPENAI) == {"tools"}
    assert dialect.unsayable(many, dialect.ANTHROPIC) == frozenset()


@pytest.mark.parametrize("strict", [True, False])
def test_an_output_schema_is_enforced_where_the_vendor_can_and_a_hint_where_not(strict: bool) -> None:
    optional = OutputSchema("answer", {**OBJECT, "required": []}, strict=strict)
    assert to_openai(request(output=optional))["response_format"]["json_schema"]["strict"] is False
    assert to_anthropic(request(output=optional))["output_config"]["format"]["schema"]["additionalProperties"] is False
    closed = to_openai(request(output=OutputSchema("answer", OBJECT, strict=strict)))["response_format"]["json_schema"]
    assert closed["strict"] is strict
    counts = OutputSchema("counts", {"type": "object", "additionalProperties": {"type": "integer"}}, strict=strict)
    body = to_anthropic(request(output=counts))
    assert "output_config" not in body
    assert '"additionalProperties": {"type": "integer"}' in body["system"][-1]["text"]
    assert to_openai(request(output=counts))["response_format"]["json_schema"]["schema"]["additionalProperties"] == {
        "type": "integer"
    }


def test_an_output_that_is_no_object_passes_openai_over() -> None:
    names = request(output=OutputSchema("names", {"type": "array", "items": {"type": "string"}}))
    assert dialect.unsayable(names, dialect.OPENAI) == {"schema"}
    assert to_anthropic(names)["output_config"]["format"]["schema"]["type"] == "array"


def test_any_json_object_is_asked_for_as_before() -> None:
    anything = request(output=OutputSchema("object", {}, strict=False))
    assert to_openai(anything)["response_format"] == {"type": "json_object"}
    assert to_anthropic(anything)["system"] == [{"type": "text", "text": anthropic_wire.ANY_OBJECT}]


def test_a_request_that_both_vendors_take_is_the_same_after_it_was_made_fit() -> None:
    wanted = request(
        user(Text("q")), model(Text("a"), ToolUse("c1", "f", "{}")), user(ToolResult("c1", (Text("42"),))),
        system=(Text("s"),), tools=(ToolSpec("f", "d", {**OBJECT, "required": ["n"]}),),
        sampling=Sampling(max_output_tokens=10, stop=("END",)),
    )  # fmt: skip
    assert dialect.fit(wanted, dialect.OPENAI) == dialect.fit(wanted, dialect.ANTHROPIC) == wanted


def rendered(sampling: Sampling, limit: int) -> tuple[ModelRequest, tuple[str, ...]]:
    tenant = Tenant("t", "t", MicroUSD(1), MicroUSD(1))
    call = Call(
        id="r", identity=Identity(tenant=tenant, key_id="k", user="u"), feature="chat", target="fast",
        deadline=Deadline.after(9), messages=(Message("user", (Text("hi"),)),), sampling=sampling,
    )  # fmt: skip
    route = Route(name="fast", targets=(Target("a", "m"),), max_output_tokens=limit)
    made = render(call, Pin(release="r", route=route, prices=PriceTable("p", {})))
    return made, lowered(call.sampling, made.sampling)


def thinking(budget: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


@pytest.mark.parametrize(
    ("wanted", "budget", "limit", "sent", "codes"),
    [
        (4096, 2048, 1024, None, ("output_shortened", "thinking_dropped")),
        (4096, 2048, 8192, 2048, ()),
        (32000, 10000, 2048, 1024, ("output_shortened", "thinking_shortened")),
        (32000, 16000, 8000, 4000, ("output_shortened", "thinking_shortened")),
        (4096, 1024, 2048, 1024, ("output_shortened",)),
        (4096, 4000, 1025, 1024, ("output_shortened", "thinking_shortened")),
    ],
)
def test_a_thinking_budget_keeps_its_share_under_the_route_s_limit_or_is_dropped_and_reported(
    wanted: int, budget: int, limit: int, sent: int | None, codes: tuple[str, ...]
) -> None:
    """Anthropic wants at least 1,024 and fewer than the output limit; the answer keeps room."""
    made, reported = rendered(Sampling(max_output_tokens=wanted, extra=thinking(budget)), limit)
    body = to_anthropic(made)
    assert body.get("thinking", {}).get("budget_tokens") == sent
    assert reported == codes
    assert ("thinking" in made.requested) == (sent is not None), "without thinking any model can answer"


@pytest.mark.parametrize(("wanted", "codes"), [(None, ()), (100, ()), (1024, ()), (1025, ("output_shortened",))])
def test_a_lowered_output_limit_is_reported(wanted: int | None, codes: tuple[str, ...]) -> None:
    made, reported = rendered(Sampling(max_output_tokens=wanted), 1024)
    assert (made.sampling.max_output_tokens, reported) == (min(wanted or 1024, 1024), codes)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"type": "integer"}, {"type": "number"}, {"type": ["integer"]}),
        ({"type": "number"}, {"type": ["integer", "null"]}, {"type": ["integer"]}),
        ({"type": "string"}, {"type": "null"}, Contradiction),
        ({"enum": ["a", 1]}, {"enum": [1, True]}, {"enum": [1]}),
        ({"enum": [1]}, {"enum": [True]}, Contradiction),
        ({"required": ["a"]}, {"required": ["b", "a"]}, {"required": ["a", "b"]}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"a": {}, "b": {}}},
         {"properties": {"a": {}}, "additionalProperties": False}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"required": ["b"]}, Contradiction),
        ({"minimum": 1}, {"minimum": 2, "maximum": 3}, {"minimum": 1, "maximum": 3}),
        ({"anyOf": [{}]}, {"anyOf": [{}, {}]}, Unfit),
        ({"description": "a"}, {"description": "b"}, {"description": "a"}),
    ],
)  # fmt: skip
def test_two_schemas_at_once(one: Schema, other: Schema, both: Schema | type[Exception]) -> None:
    if isinstance(both, dict):
        assert merge(one, other) == both
    else:
        with pytest.raises(both):
            merge(one, other)
