"""Requests as they leave for OpenAI's models, and for servers that only speak its protocol."""

import json
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
    Sampling,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.gateway.providers import openai_wire
from app.gateway.providers.base import ModelRequest, Timeouts

HI = Message("user", (Text("hi"),))


def request(*messages: Message, **changes: object) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": "gpt-6-luna",
        "system": (),
        "messages": messages or (HI,),
        "sampling": Sampling(max_output_tokens=50),
        "timeouts": Timeouts(1, 1, 1, 1),
    }
    return ModelRequest(**{**fields, **changes})


def body(*messages: Message, legacy: bool = False, **changes: object) -> dict[str, Any]:
    made = openai_wire.body(request(*messages, **changes), legacy_max_tokens=legacy, stream=False)
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def content(part: Part) -> Any:  # noqa: ANN401 - any JSON
    return body(Message("user", (Text("see"), part)))["messages"][0]["content"][1]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((Text("The sky is "), Text("blue"), Text(".")), "The sky is blue."),  # as an answer with citations comes
        ((Text("I look."), ToolUse("c1", "f", "{}"), Text("And wait.")), "I look.\n\nAnd wait."),
        ((Text("First."), Thinking("hm", signature="s"), Text("Then.")), "First.\n\nThen."),
        ((ToolUse("c1", "f", "{}"),), None),
    ],
)
def test_texts_of_an_answer_with_something_between_them_are_paragraphs(parts: tuple[Part, ...], said: str | None) -> None:
    assert body(HI, Message("assistant", parts))["messages"][1]["content"] == said


def test_a_tool_loop_becomes_openai_messages() -> None:
    conversation = (
        Message("user", (Text("look"), Image(data="AAAA", media_type="image/png"))),
        Message("assistant", (Thinking("hm", signature="s"), Text("ok"), ToolUse("c1", "f", '{"a":1}'))),
        Message("user", (ToolResult("c1", (Text("gone"),), is_error=True), Text("and?"))),
    )
    tool = ToolSpec("f", "does f", {"type": "object"}, strict=True)
    choice = ToolChoice("tool", "f", parallel=False)
    made = body(*conversation, legacy=True, system=(Text("Be brief."),), tools=(tool,), tool_choice=choice)
    assert [m["role"] for m in made["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert made["messages"][1]["content"][1]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert made["messages"][2]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert "hm" not in json.dumps(made)
    assert made["messages"][3] == {"role": "tool", "tool_call_id": "c1", "content": "Error: gone"}
    assert made["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert (made["parallel_tool_calls"], made["max_tokens"]) == (False, 50)
    assert "max_completion_tokens" not in made


@pytest.mark.parametrize("none", ["", " \n", "null"])
def test_arguments_that_are_none_are_an_empty_object_in_a_history(none: str) -> None:
    made = body(HI, Message("assistant", (ToolUse("c1", "f", none),)), Message("user", (ToolResult("c1", (Text("ok"),)),)))
    assert made["messages"][1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize(("schema", "kind"), [({}, "json_object"), ({"type": "object"}, "json_schema")])
def test_structured_output_is_requested_with_its_schema(schema: dict[str, object], kind: str) -> None:
    assert body(output=OutputSchema("ticket", schema))["response_format"]["type"] == kind


DOCUMENTS: list[tuple[Document, dict[str, Any]]] = [
    (
        Document(data="JVBERi0=", media_type="application/pdf", name="a.pdf"),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ),
    (
        Document(data="JVBERi0=", media_type="application/pdf"),
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ),
    (Document(text="all of it", media_type="text/plain"), {"type": "text", "text": "all of it"}),
    (Document(text="all of it", name="a.txt"), {"type": "text", "text": "a.txt:\n\nall of it"}),
]


@pytest.mark.parametrize(("document", "wire"), DOCUMENTS)
def test_a_document_is_a_file_and_a_plain_one_is_text(document: Document, wire: dict[str, Any]) -> None:
    assert content(document) == wire


def test_documents_and_images_of_a_tools_result_follow_as_the_users() -> None:
    shown = (Text("see"), Image(url="https://x.example/a.png"), Document(data="JVBERi0=", media_type="application/pdf"))
    tool, user = body(Message("user", (ToolResult("c1", shown),)))["messages"]
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "see"}
    assert [part["type"] for part in user["content"]] == ["image_url", "file"]


def test_results_of_tools_follow_their_calls_before_instructions_between_them() -> None:
    """As Codex sends what its hooks say, which OpenAI's chat completions do not take (deepseek-ai/DeepSeek-V3#1588)."""
    calls = Message("assistant", (ToolUse("c1", "f", "{}"), ToolUse("c2", "f", "{}")))
    hooks = [Message("system", (Text(text),)) for text in ("first", "second", "third")]
    shown = Message("user", (ToolResult("c1", (Image(url="https://x.example/a.png"),)), Text("also")))
    made = body(HI, hooks[0], calls, hooks[1], shown, hooks[2], Message("user", (ToolResult("c2", (Text("2"),)),)))
    assert [message.get("tool_call_id", message["role"]) for message in made["messages"]] == [
        *("user", "system", "assistant"),
        *("c1", "c2"),
        *("system", "user", "system"),
    ]
    assert vendor_rules.openai_chat(made) == []


def test_a_result_without_a_call_is_left_to_the_vendor() -> None:
    orphan = Message("user", (ToolResult("c9", (Text("9"),)),))
    made = body(HI, Message("assistant", (ToolUse("c1", "f", "{}"),)), Message("system", (Text("s"),)), orphan)
    assert [message["role"] for message in made["messages"]] == ["user", "assistant", "system", "tool"]
    assert vendor_rules.openai_chat(made)


def test_texts_alone_are_one_text_for_servers_that_only_speak_the_protocol() -> None:
    """sarvamai/sarvam-ai-cookbook#107, brontoguana/krasis#10, nextcloud/integration_openai#236: they refuse a list."""
    texts, seen = (Text("One."), Text("Two.")), (Text("See:"), Image(url="https://x.org/a.png"))
    assert body(Message("user", texts), legacy=True)["messages"][0]["content"] == "One.\n\nTwo."
    assert [part["type"] for part in body(Message("user", seen), legacy=True)["messages"][0]["content"]] == ["text", "image_url"]
    assert [part["text"] for part in body(Message("user", texts))["messages"][0]["content"]] == ["One.", "Two."]


def test_a_refusal_of_the_history_keeps_its_place_where_it_is_known() -> None:
    refused = Message("assistant", (Refusal("No."),))
    assert body(HI, refused)["messages"][1] == {"role": "assistant", "content": None, "refusal": "No."}
    assert body(HI, refused, legacy=True)["messages"][1] == {"role": "assistant", "content": "No."}


def test_instructions_and_names_keep_their_place() -> None:
    late = Message("system", (Text("Be brief."), Text("In French.")))
    made = body(Message("user", (Text("hi"),), "ada"), late, Message("assistant", (Text("x"),), "bot"))["messages"]
    assert made == [
        {"role": "user", "content": "hi", "name": "ada"},
        {"role": "system", "content": "Be brief.\n\nIn French."},
        {"role": "assistant", "content": "x", "name": "bot"},
    ]


def test_instructions_alone_are_a_conversation() -> None:
    assert body(Message("system", (Text("Say hi."),)))["messages"] == [{"role": "system", "content": "Say hi."}]


def test_an_empty_turn_stays_one() -> None:
    made = body(HI, Message("assistant", (Text(""),)), Message("user", (Text(""),)))["messages"]
    assert [message["content"] for message in made] == ["hi", "", ""]


def test_fields_of_openai_alone_are_sent_unchanged_and_others_are_not() -> None:
    native = {"openai": {"verbosity": "low", "logit_bias": {"1": 2}, "prompt_cache_key": "k"}, "anthropic": {"thread": {}}}
    made = body(native=native)
    assert (made["verbosity"], made["logit_bias"], made["prompt_cache_key"]) == ("low", {"1": 2}, "k")
    assert "thread" not in made
    assert "prompt_cache_key" not in body(native=native, legacy=True)
    assert body(native=native, legacy=True)["verbosity"] == "low"


def test_cache_marks_are_sent_only_where_the_caller_caches_explicitly() -> None:
    messages = (Message("user", (Text("a", "5m"), Image(url="https://x.example", cache="1h"), Text("b"))),)
    assert "breakpoint" not in json.dumps(body(*messages, system=(Text("s", "5m"),)))
    explicit = {"openai": {"prompt_cache_options": {"mode": "explicit"}}}
    system, user = body(*messages, system=(Text("s", "5m"), Text("t")), native=explicit)["messages"]
    assert [part.get("prompt_cache_breakpoint") for part in system["content"]] == [{"mode": "explicit"}, None]
    assert [part.get("prompt_cache_breakpoint") for part in user["content"]] == [
        {"mode": "explicit"},
        {"mode": "explicit", "ttl": "12h"},
        None,
    ]


BLOCK = {"type": "search_result", "source": "x"}
LACKING: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"requested": frozenset({"top_k", "seed"})}, {"top_k"}),
    ({"native": {"openai": {"verbosity": "low"}}, "requested": frozenset({"verbosity"})}, set()),
    ({"native": {"anthropic": {"thread": {}}}, "requested": frozenset({"thread"})}, {"thread"}),
    ({"native": {"anthropic": {"thread": {}}}}, set()),
    ({"messages": (Message("user", (Native("anthropic", BLOCK),)),)}, {"search_result"}),
    ({"messages": (Message("user", (ToolResult("c", (Native("anthropic", BLOCK),)),)),)}, {"search_result"}),
    ({"messages": (Message("user", (Native("openai", {"type": "x"}),)),)}, set()),
    ({"messages": (Message("user", (Document(url="https://x.example/a.pdf"),)),)}, {"document_url"}),
    ({"messages": (Message("user", (ToolResult("c", (Document(url="https://x.example/a.pdf"),)),)),)}, {"document_url"}),
    ({"messages": (Message("user", (Document(data="x", media_type="application/pdf"),)),)}, set()),
]


@pytest.mark.parametrize(("changes", "lacking"), LACKING)
def test_what_openai_cannot_express_is_known_before_the_call(changes: dict[str, Any], lacking: set[str]) -> None:
    assert openai_wire.lacks(request(**changes)) == lacking
