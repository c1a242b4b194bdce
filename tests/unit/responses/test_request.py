"""The Responses API's request in our words (G1, ADR 0030)."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.responses.answer import Frame
from app.api.responses.request import read
from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import FixRequest, InvalidRequest, ResponseNotStored, UnsupportedParameter
from app.domain.json_text import DEEPEST, too_much
from app.domain.messages import Document, Image, Message, Refusal, Text, Thinking, ToolChoice, ToolResult, ToolUse
from app.domain.money import MicroUSD
from app.edge.requests import CallContext

TENANT = Tenant(id="acme", name="Acme", daily_cap=MicroUSD(1), user_daily_cap=MicroUSD(1))
CONTEXT = CallContext("req_1", Identity(tenant=TENANT, key_id="k", user=""), Deadline.after(60))
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "f", "parameters": SCHEMA}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": "b"}'}
SIGNED = "octant-1." + base64.urlsafe_b64encode(json.dumps([["Hm.", "sig", None], ["", None, "sealed"]]).encode()).decode()


def called(**body: Any) -> Call:  # noqa: ANN401 - any JSON
    return read(json.dumps({"model": "smart", "input": "hi", **body}).encode(), CONTEXT)[1]


def user(*parts: Any) -> Message:  # noqa: ANN401 - any part
    return Message("user", parts)


def said(*parts: Any) -> Message:  # noqa: ANN401 - any part
    return Message("assistant", parts)


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        ("hi", [user(Text("hi"))]),
        ([{"role": "user", "content": "hi"}], [user(Text("hi"))]),
        ([{"type": "message", "id": "msg_1", "role": "user", "content": "hi"}], [user(Text("hi"))]),
        (
            [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "", "phase": "commentary"},
                {"role": "user", "content": "go on"},
            ],
            [user(Text("q")), said(Text("")), user(Text("go on"))],
        ),
        (
            [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {
                    "role": "assistant",
                    "type": "message",
                    "id": "msg_1",
                    "status": "completed",
                    "content": [
                        {"type": "output_text", "text": "b", "annotations": [], "logprobs": [], "parsed": {"x": 1}},
                        {"type": "refusal", "refusal": "No."},
                    ],
                },
                {"role": "user", "content": "c"},
            ],
            [user(Text("a")), said(Text("b"), Refusal("No.")), user(Text("c"))],
        ),
        (
            [{"role": "user", "content": "q"}, CALL, {**CALL, "call_id": "c2", "status": "completed", "id": "fc_1"}],
            [user(Text("q")), said(ToolUse("c1", "f", '{"a": "b"}'), ToolUse("c2", "f", '{"a": "b"}'))],
        ),
        (
            [CALL, {"type": "function_call_output", "call_id": "c1", "output": "out", "id": None, "status": None}],
            [said(ToolUse("c1", "f", '{"a": "b"}')), user(ToolResult("c1", (Text("out"),)))],
        ),
        (
            [
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [
                        {"type": "input_text", "text": "seen"},
                        {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
                    ],
                }
            ],
            [user(ToolResult("c1", (Text("seen"), Image(url="https://x/y.png", detail="low"))))],
        ),
        (
            [
                {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
                {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
            ],
            [said(ToolUse("c1", "patch", '{"input": "*** Begin"}')), user(ToolResult("c1", (Text("ok"),)))],
        ),
        (
            [{**CALL, "namespace": "space"}],
            [said(ToolUse("c1", "space__f", '{"a": "b"}'))],
        ),
        (
            [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNED}, CALL],
            [said(Thinking("Hm.", "sig"), Thinking("", None, "sealed"), ToolUse("c1", "f", '{"a": "b"}'))],
        ),
        (
            [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "Hm."}],
                    "encrypted_content": "gAAAA-of-another-service",
                },
                CALL,
            ],
            [said(Thinking("Hm."), ToolUse("c1", "f", '{"a": "b"}'))],
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "data:image/png;charset=x;base64,AAAA", "detail": "auto"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                        {"type": "input_file", "filename": "b.pdf", "file_data": "JVBE"},
                        {"type": "input_file", "file_url": "https://x/c.pdf"},
                        {"type": "input_file", "filename": "d.txt", "file_data": "data:text/plain;base64,aGk="},
                        {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}},
                        {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                    ],
                }
            ],
            [
                user(
                    Image(data="AAAA", media_type="image/png", detail="auto"),
                    Document(data="JVBE", media_type="application/pdf", name="a.pdf"),
                    Document(data="JVBE", media_type="application/pdf", name="b.pdf"),
                    Document(url="https://x/c.pdf"),
                    Document(text="hi", media_type="text/plain", name="d.txt"),
                    Text("t", cache="5m"),
                    Text("t", cache="1h"),
                )
            ],
        ),
        (
            [{"role": "assistant", "content": "I look.", "phase": "commentary"}, {"role": "assistant", "content": "Done."}],
            [said(Text("I look."), Text("\n\n"), Text("Done."))],
        ),
        (
            [{"role": "assistant", "content": "I look."}, CALL, {"role": "assistant", "content": "Done."}],
            [said(Text("I look."), ToolUse("c1", "f", '{"a": "b"}'), Text("Done."))],
        ),
        (
            [{"role": "user", "content": "q"}, {"role": "developer", "content": "Be brief."}],
            [user(Text("q")), Message("system", (Text("Be brief."),))],
        ),
        ([{"role": "system", "content": "Alone."}], [Message("system", (Text("Alone."),))]),
    ],
)
def test_input_items_become_the_turns_of_a_conversation(items: object, messages: list[Message]) -> None:
    assert list(called(input=items).messages) == messages


def test_instructions_and_leading_system_items_are_the_system_text() -> None:
    given = [{"role": "developer", "content": [{"type": "input_text", "text": "b"}]}, {"role": "system", "content": "c"}]
    call = called(instructions="a", input=[*given, {"role": "user", "content": "hi"}])
    assert call.system == (Text("a"), Text("b"), Text("c"))
    assert call.messages == (user(Text("hi")),)


def test_only_the_reasoning_of_this_turn_is_sent_back_if_so_requested() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNED}
    result = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    items = [thought, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}, thought, CALL, result]
    for context, kept in (("all_turns", 4), ("auto", 4), ("current_turn", 2), (None, 4)):
        call = called(input=items, reasoning={"context": context})
        assert sum(isinstance(part, Thinking) for message in call.messages for part in message.parts) == kept, context


@pytest.mark.parametrize(
    ("schema", "asked", "strict"),
    [
        (SCHEMA, None, True),
        (LOOSE, None, False),
        (LOOSE, True, True),
        (SCHEMA, False, False),
        (None, None, False),
        ({**SCHEMA, "properties": {"a": LOOSE}}, None, False),
        ({**SCHEMA, "properties": {"a": {"anyOf": [SCHEMA, {"type": "null"}]}}}, None, True),
    ],
)
def test_a_function_is_strict_where_its_schema_is_fit_for_that(schema: object, asked: bool | None, strict: bool) -> None:
    """As the vendor documents it: strict by default, where the schema allows it."""
    wanted, call = read(
        json.dumps({"model": "m", "input": "x", "tools": [{**FUNCTION, "parameters": schema, "strict": asked}]}).encode(), CONTEXT
    )
    assert [tool.strict for tool in call.tools] == [strict]
    assert wanted.tools.echo[0]["strict"] is strict


def test_tools_of_every_kind_that_the_caller_runs_are_offered() -> None:
    """What Codex sends: functions, namespaces, custom tools, tools in an item, and web search always."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    space = {"type": "namespace", "name": "space", "description": "", "tools": [FUNCTION, {"type": "custom", "name": "exec"}]}
    added = {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "late"}, FUNCTION]}
    wanted, call = read(
        json.dumps(
            {
                "model": "m",
                "input": [added, {"role": "user", "content": "x"}],
                "tools": [
                    FUNCTION,
                    space,
                    {"type": "custom", "name": "patch", "description": "Patch.", "format": grammar},
                    {"type": "web_search", "external_web_access": False},
                ],
            }
        ).encode(),
        CONTEXT,
    )
    assert [tool.name for tool in call.tools] == ["f", "space__f", "space__exec", "patch", "late"]
    assert call.tools[3].description == "Patch.\n\nThe input must match this lark grammar:\nstart: WORD"
    assert wanted.tools.custom == {"space__exec", "patch", "late"}
    assert wanted.tools.spaces == {"space__f": ("space", "f"), "space__exec": ("space", "exec")}
    assert call.without == ("grammar", "web_search")
    assert len(wanted.tools.echo) == 4
    assert call.messages == (user(Text("x")),)


SEARCH: dict[str, Any] = {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": SCHEMA}


def test_a_search_for_tools_by_the_caller_is_a_function_and_its_findings_are_offered() -> None:
    """What Codex sends where it has many tools."""
    late = {"type": "namespace", "name": "maps", "description": "d", "tools": [{**FUNCTION, "defer_loading": True}]}
    call = called(
        tools=[SEARCH],
        input=[
            {"role": "user", "content": "q"},
            {"type": "tool_search_call", "execution": "client", "call_id": "s1", "arguments": {"query": "maps"}, "id": "tsc_1"},
            {"type": "tool_search_output", "execution": "client", "call_id": "s1", "status": "completed", "tools": [late]},
            {"type": "tool_search_call", "execution": "client", "call_id": "s2", "arguments": None},
            {"type": "tool_search_output", "execution": "client", "call_id": "s2", "tools": []},
        ],
    )
    assert [tool.name for tool in call.tools] == ["tool_search", "maps__f"]
    assert (call.tools[0].description, call.tools[0].schema) == ("Finds tools.", SCHEMA)
    assert list(call.messages) == [
        user(Text("q")),
        said(ToolUse("s1", "tool_search", '{"query": "maps"}')),
        user(ToolResult("s1", (Text("These tools can be called now: maps__f."),))),
        said(ToolUse("s2", "tool_search", "{}")),
        user(ToolResult("s2", (Text("No tool was found."),))),
    ]
    assert call.without == ()


def test_the_vendors_search_for_tools_is_left_out_and_all_tools_are_offered_at_once() -> None:
    deferred = {**FUNCTION, "defer_loading": True}
    found = {"type": "tool_search_output", "execution": "server", "call_id": None, "tools": [{**FUNCTION, "name": "g"}]}
    asked = [{"role": "user", "content": "q"}, {"type": "tool_search_call", "execution": "server", "arguments": {}}, found]
    call = called(tools=[deferred, {"type": "tool_search"}], input=asked)
    assert [tool.name for tool in call.tools] == ["f", "g"]
    assert (list(call.messages), call.without) == ([user(Text("q"))], ("tool_search",))


def test_images_are_left_out_beside_own_tools_and_refused_alone() -> None:
    """Cline offers it with all of its tools; alone it is what the caller wants."""
    images = {"type": "image_generation", "output_format": "png"}
    call = called(tools=[images, FUNCTION, {"type": "web_search"}])
    assert ([tool.name for tool in call.tools], call.without) == (["f"], ("image_generation", "web_search"))
    for tools, choice, param in (
        ([images], None, "tools[0].type"),
        ([images, FUNCTION], {"type": images["type"]}, "tool_choice.type"),
    ):
        with pytest.raises(UnsupportedParameter) as refused:
            called(tools=tools, tool_choice=choice)
        assert refused.value.param == param


@pytest.mark.parametrize(
    ("choice", "expected", "offered"),
    [
        (None, ToolChoice("auto"), ["f", "g"]),
        ("auto", ToolChoice("auto"), ["f", "g"]),
        ("none", ToolChoice("none"), ["f", "g"]),
        ("required", ToolChoice("any"), ["f", "g"]),
        ({"type": "function", "name": "g"}, ToolChoice("tool", "g"), ["f", "g"]),
        ({"type": "custom", "name": "f"}, ToolChoice("tool", "f"), ["f", "g"]),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]},
            ToolChoice("auto"),
            ["g"],
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            ToolChoice("any"),
            ["g"],
        ),
    ],
)
def test_every_form_of_a_tool_choice_is_honoured(choice: object, expected: ToolChoice, offered: list[str]) -> None:
    call = called(tools=[FUNCTION, {**FUNCTION, "name": "g"}], tool_choice=choice)
    assert call.tool_choice == expected
    assert [tool.name for tool in call.tools] == offered


def test_parameters_reach_the_call() -> None:
    call = called(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        stream=True,
        user="ada",
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
        prompt_cache_key="k",
    )
    sampling = call.sampling
    assert (sampling.max_output_tokens, sampling.temperature, sampling.top_p) == (9, 0.5, 0.9)
    assert (sampling.extra, call.stream, call.identity.user, call.tool_choice.parallel) == ({"effort": "low"}, True, "ada", False)
    assert call.output
    assert (call.output.name, call.output.schema, call.output.strict) == ("n", SCHEMA, True)
    assert call.native["openai"] == {"verbosity": "low", "prompt_cache_key": "k"}
    assert call.native["anthropic"] == {"cache_control": {"type": "ephemeral"}}
    assert call.needs == {"verbosity"}


def test_the_description_of_a_schema_reaches_the_model() -> None:
    form = {"type": "json_schema", "name": "n", "description": "A ticket.", "schema": {"type": "object"}}
    output = called(text={"format": form}).output
    assert output
    assert output.schema == {"type": "object", "description": "A ticket."}


def test_notes_of_codex_to_the_vendor_are_left_out_of_every_item() -> None:
    """Codex adds them where it takes this service for the vendor: its own provider with another base URL."""
    notes = {"internal_chat_message_metadata_passthrough": {"turn_id": "t", "content_item_kinds": ["user.text"]}}
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": "Look."},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"type": "tool_search_call", "execution": "client", "call_id": "c3", "arguments": {}},
        {"type": "tool_search_output", "execution": "client", "call_id": "c3", "tools": []},
    ]
    assert called(input=[item | notes for item in items]).messages == called(input=items).messages


@pytest.mark.parametrize(
    "body",
    [
        {"store": True, "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}, "truncation": "disabled"},
        {"store": False, "background": False, "service_tier": "auto", "previous_response_id": None, "conversation": None},
        {"text": {"verbosity": "medium", "format": {"type": "text"}}, "max_tool_calls": 3, "top_logprobs": 0},
        {"context_management": [], "access_programs": {"cyber": "standard"}, "image": {"context_compression": "auto"}},
        {"client_metadata": {"a": {"b": 1}}, "stream_options": {"include_obfuscation": True}, "tools": [], "tool_choice": "auto"},
        {"reasoning": {"effort": None, "summary": None, "context": "auto", "mode": "standard"}, "prompt": None},
        {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}, "safety_identifier": "x"},
        {"include": ["web_search_call.action.sources", "file_search_call.results"], "truncation": "auto"},
    ],
)
def test_a_value_that_asks_for_nothing_is_taken(body: dict[str, Any]) -> None:
    call = called(**body)
    assert (call.needs, call.without) == (frozenset(), ())


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, ResponseNotStored, "previous_response_id"),
        ({"conversation": "conv_1"}, UnsupportedParameter, "conversation"),
        ({"background": True}, UnsupportedParameter, "background"),
        ({"truncation": "middle"}, UnsupportedParameter, "truncation"),
        ({"service_tier": "flex"}, UnsupportedParameter, "service_tier"),
        ({"include": ["x", "message.output_text.logprobs"]}, UnsupportedParameter, "include[0]"),
        ({"reasoning": {"mode": "pro"}}, UnsupportedParameter, "reasoning.mode"),
        ({"reasoning": {"effort": "huge"}}, InvalidRequest, "reasoning.effort"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, UnsupportedParameter, "input[0].type"),
        ({"input": [{"id": "msg_1"}]}, UnsupportedParameter, "input[0].type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, InvalidRequest, "input"),
        ({"input": [{"type": "nonsense"}]}, InvalidRequest, "input[0].type"),
        ({"input": [{"content": "x"}]}, InvalidRequest, "input[0].role"),
        ({"input": [{"role": "robot", "content": "x"}]}, InvalidRequest, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, InvalidRequest, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            UnsupportedParameter,
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]},
            InvalidRequest,
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]},
            UnsupportedParameter,
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
            UnsupportedParameter,
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]},
            InvalidRequest,
            "input[0].content[0].image_url",
        ),
        ({"input": [{"role": "user", "content": [7]}]}, InvalidRequest, "input[0].content[0]"),
        ({"input": [{**CALL, "extra": 1}]}, InvalidRequest, "input[0].extra"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, InvalidRequest, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 5}]}, InvalidRequest, "input[0].output"),
        (
            {"input": [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "octant-1.%%"}]},
            InvalidRequest,
            "input[0].encrypted_content",
        ),
        ({"input": []}, InvalidRequest, "input"),
        ({"input": None}, InvalidRequest, "input"),
        ({"input": 5}, InvalidRequest, "input"),
        ({"temperature": "warm"}, InvalidRequest, "temperature"),
        ({"metadata": {"a": 1}}, InvalidRequest, "metadata.a"),
        ({"surprise": 1}, InvalidRequest, "surprise"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, InvalidRequest, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, InvalidRequest, "text.format.schema"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, UnsupportedParameter, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, UnsupportedParameter, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a b"}]}, InvalidRequest, "tools[0].name"),
        ({"tools": [FUNCTION, FUNCTION]}, InvalidRequest, "tools[1].name"),
        ({"tools": [SEARCH, {**FUNCTION, "name": "tool_search"}]}, InvalidRequest, "tools[1].name"),
        ({"tools": [SEARCH], "tool_choice": {"type": "tool_search"}}, UnsupportedParameter, "tool_choice.type"),
        ({"input": [{"type": "tool_search_call", "execution": "client"}]}, InvalidRequest, "input[0].call_id"),
        ({"tools": [{**FUNCTION, "allowed_callers": ["programmatic"]}]}, UnsupportedParameter, "tools[0].allowed_callers"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
            InvalidRequest,
            "tools[0].tools[0].name",
        ),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, InvalidRequest, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "web_search_preview"}}, UnsupportedParameter, "tool_choice.type"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, InvalidRequest, "tool_choice"),
        ({"tool_choice": "sometimes"}, InvalidRequest, "tool_choice"),
    ],
)
def test_a_refusal_names_its_field(body: dict[str, Any], error: type[FixRequest], param: str) -> None:
    with pytest.raises(error) as refused:
        called(**body)
    assert refused.value.param == param


def test_a_reference_is_refused_with_what_to_do_instead() -> None:
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        with pytest.raises(UnsupportedParameter, match="send the item itself"):
            called(input=[item])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": {"role": "user", "content": "x"}}, "expected a string or an array"),
        ({"input": [{"role": "human", "content": "x"}]}, "expected 'user', 'assistant', 'system' or 'developer'"),
        ({"text": {"format": "text"}}, "expected an object"),
        ({"stream": "true"}, "expected true or false"),
        ({"messages": []}, "goes to /v1/chat/completions"),
    ],
)
def test_a_refusal_says_what_was_expected(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        called(**body)


def test_a_response_by_id_is_refused_with_the_code_by_which_clients_send_the_whole() -> None:
    with pytest.raises(ResponseNotStored) as refused:
        called(previous_response_id="resp_1")
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'"x"', b"\xff", b'{"model": 1, "input": "x"}'])
def test_a_body_that_is_no_request_is_a_typed_refusal(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body, CONTEXT)


def test_a_refusal_does_not_repeat_what_the_caller_sent() -> None:
    with pytest.raises(InvalidRequest) as refused:
        called(input=[{**CALL, "call me at 555 1234": 1}])
    assert "555" not in refused.value.message
    assert refused.value.param == "input[0].a field"


SEED: dict[str, Any] = {
    "model": "smart",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": SIGNED},
        CALL,
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "c", "annotations": []}]},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "late"}]},
    ],
    "tools": [FUNCTION, {"type": "namespace", "name": "n", "tools": [FUNCTION]}, {"type": "web_search"}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "metadata": {"a": "b"},
    "include": ["reasoning.encrypted_content"],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.sampled_from(["type", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "a", "content"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    found = [at] if at else []
    for step, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        found += places(inner, (*at, step))
    return found


@settings(max_examples=200)
@given(place=st.sampled_from(places(SEED)), value=JSON, drop=st.booleans())
def test_a_body_with_any_value_anywhere_is_read_or_refused_by_type(place: tuple[Any, ...], value: Any, drop: bool) -> None:  # noqa: ANN401
    body = copy.deepcopy(SEED)
    parent: Any = body
    for step in place[:-1]:
        parent = parent[step]
    if drop:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    sent = json.dumps(body).encode()
    if too_much(sent, DEEPEST):  # as the edge does first, for an infinity
        return
    try:
        wanted, _ = read(sent, CONTEXT)
    except FixRequest:
        return
    json.dumps(Frame(wanted, request_id="req_1").response("completed", []), allow_nan=False)
