"""OpenAI's requests as its clients really send them, and the calls that they ask for."""

import base64
import json
import re
from typing import Any

import pytest

from app.api.chat import openai_request
from app.api.chat.openai_fields import ChatCompletionRequest
from app.api.chat.openai_request import NOTHING, VENDOR
from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import Document, Image, Message, Part, Refusal, Text, ToolChoice, ToolResult, ToolUse, merged
from app.domain.money import ZERO
from app.edge.requests import CallContext

Json = dict[str, Any]
WHO = Identity(Tenant("t", "T", ZERO, ZERO), "k", "")
HI: Json = {"role": "user", "content": "hi"}
HELLO = Message("user", (Text("hi"),))
OF_MESSAGE: Any = {
    "role": "assistant",
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "tool_calls": [],
    "reasoning_content": "2+2",
}
TOOL: Json = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
TOOLS = [TOOL, {"type": "function", "function": {"name": "g"}}]
EPHEMERAL = {"type": "ephemeral"}
PDF = base64.b64encode(b"%PDF-1.7").decode()


def called(*messages: Json, **fields: Any) -> Call:  # noqa: ANN401 - any JSON
    body = {"model": "smart", "messages": list(messages) or [HI], **fields}
    return openai_request.read(json.dumps(body).encode(), CallContext("req_1", WHO, Deadline.after(1)))[1]


def parts(*content: Json) -> tuple[Part, ...]:
    return called({"role": "user", "content": list(content)}).messages[0].parts


NOTHING_ASKED: list[Json] = [
    *({name: None} for name in ChatCompletionRequest.model_fields if name not in ("model", "messages")),
    {"n": 1},
    {"logprobs": False, "top_logprobs": 0},
    {"logit_bias": {}},
    {"verbosity": "medium"},
    {"modalities": ["text"]},
    {"modalities": []},
    {"functions": [], "function_call": "none"},
    {"function_call": "auto"},
    {"tools": [], "tool_choice": "auto"},
    {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
    {"stop": ""},
    {"stop": []},
    {"stop": [""]},
    {"max_completion_tokens": 0},
    {"max_tokens": 0},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "text", "json_schema": None}},
    {"service_tier": "auto"},
    {"service_tier": "default"},
    {"store": True, "metadata": {}},
    {"metadata": {"k" * 64: "v" * 512}},
    {"stream": False, "stream_options": None},
    {"stream_options": {"include_obfuscation": False}},
    {"prediction": {"type": "content", "content": "mostly this"}},
    {"prediction": {"type": "content", "content": [{"type": "text", "text": "mostly this"}]}},
    {"prompt_cache_key": ""},
    {"prompt_cache_options": {}},
]


@pytest.mark.parametrize("fields", NOTHING_ASKED, ids=json.dumps)
def test_a_value_that_asks_for_nothing_is_taken(fields: Json) -> None:
    call, plain = called(**fields), called()
    for name in ("messages", "system", "tools", "output", "native", "needs", "sampling"):
        assert getattr(call, name) == getattr(plain, name), name
    assert call.tool_choice.mode in ("auto", "none")


CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HISTORY: dict[str, tuple[list[Json], tuple[Message, ...]]] = {
    "an empty answer": ([HI, {"role": "assistant", "content": ""}, HI], (HELLO, Message("assistant", (Text(""),)), HELLO)),
    "an answer of null": ([HI, {"role": "assistant", "content": None}, HI], (HELLO, Message("assistant", (Text(""),)), HELLO)),
    "an answer without content": ([HI, {"role": "assistant"}], (HELLO, Message("assistant", (Text(""),)))),
    "an answer of no parts": ([HI, {"role": "assistant", "content": []}], (HELLO, Message("assistant", (Text(""),)))),
    "an empty turn": ([{"role": "user", "content": ""}], (Message("user", (Text(""),)),)),
    "an object of the SDK": (
        [
            HI,
            {
                "role": "assistant",
                "content": '{"a":1}',
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "tool_calls": None,
                "parsed": {"a": 1},
            },
        ],
        (HELLO, Message("assistant", (Text('{"a":1}'),))),
    ),
    "calls of the stream helper": (
        [
            HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}", "parsed_arguments": {}},
                    }
                ],
            },
        ],
        (HELLO, Message("assistant", (ToolUse("c", "f", "{}"),))),
    ),
    "calls of Hugging Face's client": (
        [
            HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}", "description": None}}],
            },
        ],
        (HELLO, Message("assistant", (ToolUse("c", "f", "{}"),))),
    ),
    "the rest of a message in its parts": (
        [
            HI,
            {"role": "assistant", "content": [{"type": "text", "text": "4", **OF_MESSAGE}]},
            {"role": "assistant", "content": [{**OF_MESSAGE, "type": "refusal", "refusal": "No.", "content": None}]},
        ],
        (HELLO, Message("assistant", (Text("4"), Refusal("No.")))),
    ),
    "null for what other roles have": (
        [
            {**HI, "name": None, "tool_calls": None, "tool_call_id": None, "function_call": None, "refusal": None, "audio": None},
            {"role": "assistant", "content": "x", "tool_call_id": None},
        ],
        (HELLO, Message("assistant", (Text("x"),))),
    ),
    "null for what other parts have": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi", "image_url": None},
                    {"type": "image_url", "text": None, "image_url": {"url": "https://x/y.png"}},
                ],
            }
        ],
        (Message("user", (Text("hi"), Image(url="https://x/y.png"))),),
    ),
    "an image between a tool's texts": (
        [
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": EPHEMERAL},
                    {"type": "text", "text": "map"},
                ],
            }
        ],
        (Message("user", (ToolResult("c", (Text("a"), Image(url="https://x/y.png"), Text("map")), cache="5m"),)),),
    ),
    "an editor's own fields": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://x/y.png", "media_type": "image/png", "format": None}}
                ],
                "copilot_cache_control": EPHEMERAL,
            },
            {"role": "assistant", "content": "x", "cot_id": "1", "cot_summary": "hm"},
        ],
        (Message("user", (Image(url="https://x/y.png", cache="5m"),)), Message("assistant", (Text("x"),))),
    ),
    "no calls": ([HI, {"role": "assistant", "content": "x", "tool_calls": []}], (HELLO, Message("assistant", (Text("x"),)))),
    "reasoning of open models": (
        [HI, {"role": "assistant", "content": "4", "reasoning_content": "2+2", "reasoning": "2+2", "reasoning_details": [{}]}],
        (HELLO, Message("assistant", (Text("4"),))),
    ),
    "fields of litellm": (
        [HI, {"role": "assistant", "content": "4", "provider_specific_fields": {}, "thinking_blocks": [], "images": []}],
        (HELLO, Message("assistant", (Text("4"),))),
    ),
    "a refusal": (
        [HI, {"role": "assistant", "content": None, "refusal": "No."}],
        (HELLO, Message("assistant", (Refusal("No."),))),
    ),
    "a refusal in parts": (
        [HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
        (HELLO, Message("assistant", (Refusal("No."),))),
    ),
    "a tool's name on its result": (
        [HI, {"role": "tool", "tool_call_id": "c", "name": "f", "content": "42"}],
        (Message("user", (Text("hi"), ToolResult("c", (Text("42"),)))),),
    ),
    "a tool's result of null": (
        [HI, {"role": "tool", "tool_call_id": "c", "content": None}],
        (Message("user", (Text("hi"), ToolResult("c", (Text(""),)))),),
    ),
    "a tool's result in parts": (
        [HI, {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]}],
        (Message("user", (Text("hi"), ToolResult("c", (Text("4"), Text("2"))))),),
    ),
    "a tool's result without parts": (
        [HI, {"role": "tool", "tool_call_id": "c", "content": []}],
        (Message("user", (Text("hi"), ToolResult("c", (Text(""),)))),),
    ),
    "two answers, one after the other": (
        [HI, {"role": "assistant", "content": "One."}, {"role": "assistant", "content": "Two."}],
        (HELLO, Message("assistant", (Text("One."), Text("\n\n"), Text("Two.")))),
    ),
    "an answer, and its calls in messages of their own": (
        [HI, {"role": "assistant", "content": "I look."}, {"role": "assistant", "tool_calls": [CALL]}],
        (HELLO, Message("assistant", (Text("I look."), ToolUse("c", "f", "{}")))),
    ),
    "a function's call and result": (
        [
            HI,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": None},
        ],
        (
            HELLO,
            Message("assistant", (ToolUse("function_1", "f", "{}"),)),
            Message("user", (ToolResult("function_1", (Text("1"),)),)),
            Message("assistant", (ToolUse("function_3", "f", "{}"),)),
            Message("user", (ToolResult("function_3", (Text(""),)),)),
        ),
    ),
    "a function's call without a result": (
        [
            HI,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "user", "name": "agent", "content": "1"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        ],
        (
            HELLO,
            Message("assistant", (ToolUse("function_1", "f", "{}"),)),
            Message("user", (ToolResult("function_1", (Text(""),)),)),
            Message("user", (Text("1"),), "agent"),
            Message("assistant", (ToolUse("function_3", "f", "{}"),)),
            Message("user", (ToolResult("function_3", (Text(""),)),)),
        ),
    ),
    "names of participants": (
        [{**HI, "name": "ada"}, {**HI, "name": "bob"}, {**HI, "name": "bob"}],
        (Message("user", (Text("hi"),), "ada"), Message("user", (Text("hi"), Text("hi")), "bob")),
    ),
    "instructions in the middle": (
        [HI, {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "In French."}, HI],
        (HELLO, Message("system", (Text("Be brief."), Text("In French."))), HELLO),
    ),
    "instructions alone": (
        [{"role": "developer", "content": "Say hi."}, {"role": "system", "content": "Twice."}],
        (Message("system", (Text("Say hi."), Text("Twice."))),),
    ),
}


@pytest.mark.parametrize(("messages", "expected"), HISTORY.values(), ids=HISTORY)
def test_a_history_is_taken_as_clients_send_it(messages: list[Json], expected: tuple[Message, ...]) -> None:
    call = called(*messages)
    assert (call.system, call.messages) == ((), expected)


def test_instructions_before_the_first_turn_are_the_calls_own() -> None:
    call = called({"role": "system", "content": "a"}, {"role": "developer", "content": [{"type": "text", "text": "b"}]}, HI)
    assert (call.system, call.messages) == ((Text("a"), Text("b")), (HELLO,))


def test_cache_marks_are_taken_wherever_clients_put_them() -> None:
    text = {"type": "text", "text": "a"}
    hour = {"type": "ephemeral", "ttl": "1h"}
    image = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    call = called(
        {"role": "system", "content": [{**text, "cache_control": hour}, text, {**text, "prompt_cache_breakpoint": {}}]},
        {"role": "user", "content": [{**text, "cache_control": EPHEMERAL}, {**image, "cache_control": hour}]},
        {"role": "assistant", "content": "b", "cache_control": EPHEMERAL},
        {"role": "tool", "tool_call_id": "c", "content": [{**text, "cache_control": EPHEMERAL}]},
        {"role": "user", "content": "c", "cache_control": hour},
        tools=[{**TOOL, "cache_control": hour}, {"type": "function", "function": {"name": "g", "cache_control": EPHEMERAL}}],
    )
    assert call.system == (Text("a", "1h"), Text("a"), Text("a", "5m"))
    assert call.messages[0].parts == (Text("a", "5m"), Image(url="https://x.example/a.png", cache="1h"))
    assert call.messages[1].parts == (Text("b", "5m"),)
    assert call.messages[2].parts == (ToolResult("c", (Text("a"),), cache="5m"), Text("c", "1h"))
    assert [tool.cache for tool in call.tools] == ["1h", "5m"]


DATA_URLS = ["data:image/png;base64,AAAA", "data:image/png;charset=utf-8;base64,AAAA", "DATA:IMAGE/PNG;BASE64,AAAA"]


@pytest.mark.parametrize("url", DATA_URLS)
def test_an_image_in_a_data_url_may_have_parameters(url: str) -> None:
    assert parts({"type": "image_url", "image_url": {"url": url}}) == (Image(data="AAAA", media_type="image/png"),)


@pytest.mark.parametrize("url", ["data:image/png,AAAA", "data:;base64,AAAA", "data:image/png;base64,", "ftp://x/a.png", ""])
def test_an_image_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parts({"type": "image_url", "image_url": {"url": url}})
    assert refused.value.param == "messages[0].content[0].image_url"


NOTE = base64.b64encode("Grüße".encode()).decode()
FILES: list[tuple[Json, Document]] = [
    (
        {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
        Document(data=PDF, media_type="application/pdf", name="a.pdf"),
    ),
    ({"file_data": PDF}, Document(data=PDF, media_type="application/pdf")),
    ({"file_data": "https://x/a.pdf", "filename": "a.pdf"}, Document(url="https://x/a.pdf", name="a.pdf")),
    ({"file_data": f"data:text/plain;base64,{NOTE}", "file_id": None}, Document(text="Grüße", media_type="text/plain")),
]


@pytest.mark.parametrize(("file", "document"), FILES)
def test_a_file_is_a_document(file: Json, document: Document) -> None:
    assert parts({"type": "file", "file": file}) == (document,)


@pytest.mark.parametrize("file", [{}, {"filename": "a.pdf"}, {"file_data": "data:text/plain;base64,%%"}])
def test_a_file_without_content_is_refused_by_name(file: Json) -> None:
    with pytest.raises(InvalidRequest, match=r"messages\[0\].content\[0\].file"):
        parts({"type": "file", "file": file})


PASSED: list[Json] = [
    {"verbosity": "low"},
    {"verbosity": "high"},
    {"logit_bias": {"50256": -100}},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 20},
]


@pytest.mark.parametrize("fields", PASSED, ids=json.dumps)
def test_a_field_of_openai_alone_is_passed_on_and_narrows_the_route(fields: Json) -> None:
    call = called(**fields)
    assert call.native == {VENDOR: fields}
    assert call.needs == set(fields)


def test_options_of_the_vendors_cache_are_passed_on_and_narrow_nothing() -> None:
    fields = {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h"}
    call = called(**fields)
    assert (call.native, call.needs) == ({VENDOR: fields}, frozenset())


REFUSED: list[tuple[Json, str]] = [
    ({"n": 2}, "n"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"format": "mp3", "voice": "ash"}}, "audio"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"tools": [TOOL, {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]}, "tools[1].custom"),
    ({"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "tool_choice.custom"),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file.file_id",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]},
        "messages[0].content[0].input_audio",
    ),
    ({"messages": [HI, {"role": "assistant", "audio": {"id": "a"}}]}, "messages[1].audio"),
    (
        {
            "messages": [
                HI,
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "c", "input": ""}}]},
            ]
        },
        "messages[1].tool_calls[0].custom",
    ),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[param for _, param in REFUSED])
def test_a_field_that_cannot_be_honoured_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        called(**fields)
    assert refused.value.param == param
    assert param in refused.value.message


WRONG: list[tuple[Json, str]] = [
    ({"n": 0}, "n"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"verbosity": "loud"}, "verbosity"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"metadata": {"k" * 65: ""}}, "metadata"),
    ({"metadata": {"k": "v" * 513}}, "metadata"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ({"tools": [TOOL] * 129}, "tools"),
    ({"messages": []}, "messages"),
    ({"tool_choice": {"type": "function", "function": {"name": "f", "extra": 1}}}, "tool_choice.function.extra"),
    ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "", "model": "m"}]}, "messages[0].model"),
    ({"top_k": 3}, "top_k"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[param for _, param in WRONG])
def test_what_the_vendor_refuses_is_refused_once_by_its_path(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        called(**fields)
    assert refused.value.param == param
    assert len(re.findall(rf"\b{re.escape(param)}\b", refused.value.message)) == 1


CHOICES: list[tuple[object, list[str], ToolChoice]] = [
    (None, ["f", "g"], ToolChoice()),
    ("auto", ["f", "g"], ToolChoice()),
    ("none", ["f", "g"], ToolChoice("none")),
    ("required", ["f", "g"], ToolChoice("any")),
    ({"type": "function", "function": {"name": "g"}}, ["f", "g"], ToolChoice("tool", "g")),
    (
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}},
        ["g"],
        ToolChoice(),
    ),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL]}}, ["f"], ToolChoice("any")),
    (
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "name": "f"}]}},
        ["f"],
        ToolChoice("any"),
    ),
]


RULES: list[tuple[Json, str, str]] = [
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "Missing required parameter"),
    ({"messages": [{"role": "human", "content": "hi"}]}, "messages[0].role", "expected one of 'system', "),
    ({"messages": [{"role": "user", "content": {"text": "hi"}}]}, "messages[0].content", "expected a string or an array"),
    ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0].type", "Missing required parameter"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type", "expected one of 'text', "),
    ({"messages": [{"role": "system", "content": [{"type": "image"}]}]}, "messages[0].content[0].type", "expected 'text'"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}]},
        "messages[0].tool_calls[0].function.arguments",
        "expected a string",
    ),
    ({"messages": [{"role": "user", "content": "x", "tool_call_id": "c"}]}, "messages[0].tool_call_id", "Unrecognized"),
    ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type", "Missing required parameter"),
    ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].function", "Missing required parameter"),
    ({"tools": TOOLS, "tool_choice": "f"}, "tool_choice", "expected 'none', 'auto' or 'required' or an object"),
    ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.type", "expected one of 'function', "),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "expected at most 4 items"),
    ({"max_tokens": -1}, "max_tokens", "expected at least 0"),
    ({"temperature": 3}, "temperature", "expected at most 2"),
    (
        {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
        "tools[0].function.name",
        "expected a string that matches ^[",
    ),
    ({"max_tokens": 100.5}, "max_tokens", "expected an integer"),
    ({"response_format": "json"}, "response_format", "expected an object"),
]


@pytest.mark.parametrize(("fields", "param", "words"), RULES, ids=[param for _, param, _ in RULES])
def test_a_refusal_names_the_place_and_what_was_expected_there(fields: Json, param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        called(**fields)
    assert refused.value.param == param
    assert words in refused.value.message


def test_a_body_of_the_other_api_is_sent_there() -> None:
    with pytest.raises(InvalidRequest, match="goes to /v1/responses") as refused:
        openai_request.read(b'{"model": "smart", "input": "hi"}', CallContext("req_1", WHO, Deadline.after(1)))
    assert refused.value.param == "messages"


NO_JSON = [(b"", "EOF", "column 0"), (b"{'a': 1}", "key must be a string", "column 2"), (b"{}\n}", "trailing", "line 2")]


@pytest.mark.parametrize(("body", "reason", "place"), NO_JSON)
def test_a_body_that_is_no_json_is_refused_with_reason_and_place(body: bytes, reason: str, place: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        openai_request.read(body, CallContext("req_1", WHO, Deadline.after(1)))
    assert reason in refused.value.message
    assert place in refused.value.message


@pytest.mark.parametrize(
    ("extra", "signature"),
    [({"google": {"thought_signature": "Abc="}}, "Abc="), ({"google": {}}, None), ({"x": 1}, None), (None, None)],
)
def test_a_thought_signature_comes_back_with_its_call(extra: object, signature: str | None) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}
    said = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "4"}]
    part = called(messages=said).messages[0].parts[0]
    assert isinstance(part, ToolUse)
    assert part.signature == signature


@pytest.mark.parametrize(("choice", "names", "expected"), CHOICES)
def test_a_choice_of_tools_is_honoured(choice: object, names: list[str], expected: ToolChoice) -> None:
    call = called(tools=TOOLS, tool_choice=choice)
    assert ([tool.name for tool in call.tools], call.tool_choice) == (names, expected)


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        (TOOLS, {"type": "function", "function": {"name": "no_such"}}),
        ([], {"type": "function", "function": {"name": "f"}}),
        ([], "required"),
        (None, "required"),
    ],
)
def test_a_required_call_that_no_tool_can_answer_is_refused(tools: list[Json] | None, choice: object) -> None:
    """No model could satisfy it: each attempt would be paid for, and none be valid."""
    with pytest.raises(InvalidRequest) as refused:
        called(tools=tools, tool_choice=choice)
    assert refused.value.param == "tool_choice"


def test_an_allowed_tool_that_is_not_offered_is_refused() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "x"}}]}}
    with pytest.raises(InvalidRequest, match="allowed_tools"):
        called(tools=TOOLS, tool_choice=choice)


@pytest.mark.parametrize(
    "function",
    [
        {"name": "f"},
        {"name": "f", "description": None, "parameters": None, "strict": None},
        {"name": "f", "requires_confirmation": False, "external_execution": False, "approval_type": "required"},
    ],
)
def test_a_tool_needs_no_more_than_a_name(function: Json) -> None:
    tool = called(tools=[{"type": "function", "function": function}]).tools[0]
    assert (tool.name, tool.description, tool.schema, tool.strict) == ("f", "", NOTHING, False)


def test_the_mcp_server_that_copilot_notes_with_a_tool_is_taken() -> None:
    tool = {"type": "function", "function": {"name": "f"}, "copilot_mcp_server_name": "files"}
    assert [tool.name for tool in called(tools=[tool]).tools] == ["f"]


def test_functions_are_tools_of_which_one_is_called() -> None:
    functions = [{"name": "f", "description": "does", "parameters": {"type": "object"}}, {"name": "g"}]
    call = called(functions=functions, function_call={"name": "g"})
    assert [(tool.name, tool.schema) for tool in call.tools] == [("f", {"type": "object"}), ("g", NOTHING)]
    assert call.tool_choice == ToolChoice("tool", "g", parallel=False)


def test_the_description_of_a_schema_reaches_the_model() -> None:
    named = {"name": "x", "description": "A ticket.", "schema": {"type": "object"}}
    output = called(response_format={"type": "json_schema", "json_schema": named}).output
    assert output
    assert output.schema == {"type": "object", "description": "A ticket."}
    bare = called(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": None}}).output
    assert bare
    assert bare.schema == {}


def test_an_empty_answer_before_another_one_adds_nothing_to_it() -> None:
    """As agents send one back that said nothing."""
    turns = [Message("assistant", (Text(""),)), Message("assistant", (Text("b"),)), Message("assistant", (Text("c"),))]
    (merged_turn,) = merged(turns)
    assert "".join(part.text for part in merged_turn.parts if isinstance(part, Text)) == "b\n\nc"
