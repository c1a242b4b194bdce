"""Requests in Anthropic's form: what they become, and what is refused by name. The values are those of the SDK's own types."""

import json
from typing import Any

import pytest

from app.api.chat import anthropic_betas
from app.api.chat.anthropic_request import CountRequest, read
from app.api.chat.anthropic_user import user_of
from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import Document, Image, Message, Native, Text, Thinking, ToolResult, ToolUse
from app.domain.money import MicroUSD
from app.edge.requests import CallContext

Json = dict[str, Any]
ACME = Tenant("acme", "Acme", MicroUSD(1), MicroUSD(1))
CONTEXT = CallContext(request_id="req_1", identity=Identity(tenant=ACME, key_id="k", user=""), deadline=Deadline.after(1))
HI: Json = {"role": "user", "content": "hi"}
HOUR: Json = {"type": "ephemeral", "ttl": "1h"}
SHORT: Json = {"type": "ephemeral"}
PDF: Json = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
TOOL: Json = {"name": "f", "input_schema": {"type": "object"}}
USE: Json = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
DEVICE, ACCOUNT, SESSION = "a" * 64, "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def call_of(*messages: Json, betas: tuple[str, ...] = (), **fields: object) -> Call:
    body = {"model": "smart", "max_tokens": 50, "messages": list(messages) or [HI], **fields}
    return read(json.dumps(body).encode(), CONTEXT, betas=betas)[1]


def change(kind: str, **tool: object) -> Json:
    return {"type": kind, "tool": {"type": "tool_reference", **tool}}


def part_of(block: Json) -> object:
    return call_of({"role": "user", "content": [block]}).messages[0].parts[0]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": HOUR}, Text("a", cache="1h")),
        ({"type": "text", "text": "a", "citations": None}, Text("a")),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": SHORT},
            Image(url="https://x/y.png", cache="5m"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x"}, "transformations": {"oversized_image": "downsize"}},
            Image(url="https://x"),
        ),
        (
            {"type": "document", "source": PDF, "title": "t", "context": "c", "citations": {"enabled": False}},
            Document(data="JVBERi0=", media_type="application/pdf", name="t", options={"context": "c"}),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "cache_control": HOUR},
            Document(text="words", media_type="text/plain", cache="1h"),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}, Document(url="https://x/y.pdf")),
        ({**USE, "cache_control": HOUR, "caller": {"type": "direct"}}, ToolUse("t1", "f", "{}", cache="1h")),
        ({"type": "tool_result", "tool_use_id": "t1", "content": None, "is_error": None}, ToolResult("t1", ())),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "cache_control": HOUR},
            ToolResult("t1", (Text("ok"),), cache="1h"),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "tool_reference", "tool_name": "g"}]},
            ToolResult("t1", (Native("anthropic", {"type": "tool_reference", "tool_name": "g"}),)),
        ),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Thinking("hm", None)),
        ({"type": "thinking", "signature": "sig"}, Thinking("", "sig")),
        ({"type": "redacted_thinking", "data": "x"}, Thinking("", redacted="x")),
    ],
)
def test_a_block_keeps_its_content_and_its_cache_mark(block: Json, part: object) -> None:
    assert part_of(block) == part


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]},
        {"type": "document", "source": PDF, "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://x"},
            "transformations": {"oversized_image": "error"},
            "cache_control": HOUR,
        },
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": None}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "x", "page_age": None, "n": [None]}]},
    ],
)
def test_a_block_that_claude_alone_has_is_kept_as_it_came(block: Json) -> None:
    assert part_of(block) == Native("anthropic", block)


def test_instructions_in_the_middle_keep_their_place() -> None:
    call = call_of(HI, {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": SHORT}]})
    assert call.messages == (Message("user", (Text("hi"),)), Message("system", (Text("Be brief.", cache="5m"),)))


def test_instructions_for_one_turn_go_when_the_next_user_speaks() -> None:
    brief = {"role": "system", "content": "Be brief.", "clear_at": "next_user_message"}
    assert [m.role for m in call_of(HI, brief, {"role": "assistant", "content": "yes"}).messages] == [
        "user",
        "system",
        "assistant",
    ]
    assert call_of(HI, brief, HI).messages == (Message("user", (Text("hi"), Text("hi"))),)


def test_neighbouring_turns_of_one_role_are_one_as_at_the_vendor() -> None:
    """So a tool's result follows its call at models of the other vendor too, whatever the user said before it."""
    use, result = (
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "tool_result", "tool_use_id": "t", "content": "r"},
    )
    call = call_of(HI, {"role": "assistant", "content": [use]}, HI, {"role": "user", "content": [result]})
    assert [message.role for message in call.messages] == ["user", "assistant", "user"]
    assert call.messages[2].parts == (Text("hi"), ToolResult("t", (Text("r"),)))
    answers = [{"role": "assistant", "content": text} for text in ("One.", "Two.")]
    assert call_of(HI, *answers).messages[1].parts == (Text("One."), Text("\n\n"), Text("Two."))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"thread": {"type": "create"}}, "thread"),
        ({"fallbacks": "default"}, "fallbacks"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"compaction": {"type": "summarize"}}, "compaction"),
        ({"billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}}, "billing_policy"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, "tools[0].type"),
        ({"tools": [{"type": "bash_code_execution_20250825", "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "memory_bank_20270101", "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "computer_toolset_20260801"}]}, "tools[1].type"),
        ({"tools": [{**TOOL, "allowed_callers": ["direct", "code_execution_20260120"]}]}, "tools[0].allowed_callers"),
        (
            {"context_management": {"edits": [{"type": "compact_20260112", "pause_after_compaction": True}]}},
            "context_management.edits[0].pause_after_compaction",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "x"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "x"}}]}]},
            "messages[0].content[0].source",
        ),
        (
            {"messages": [HI, {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "x"}}]}]},
            "messages[1].content[0].source",
        ),
        ({"messages": [HI, {"role": "system", "content": [{"type": "mcp_tool_listing"}]}]}, "messages[1].content[0]"),
        (
            {"messages": [HI, {"role": "system", "content": [change("tool_addition", type="mcp_toolset_reference")]}]},
            "messages[1].content[0].tool.type",
        ),
    ],
)
def test_what_lives_or_runs_at_the_vendor_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        call_of(**{"messages": [HI], **fields})
    assert refused.value.param == param
    assert refused.value.message.startswith(param)


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": "standard", "fallbacks": [], "mcp_servers": [], "container": None, "thread": None},
        {"billing_policy": {"type": "billing_policy", "bill_to": "self"}},
        {"diagnostics": {"previous_message_id": None}, "service_tier": "auto", "metadata": {"user_id": None}},
        {"tools": [{**TOOL, "type": "custom", "defer_loading": False, "allowed_callers": ["direct"], "input_examples": []}]},
        {"tools": [{**TOOL, "description": None, "strict": None, "cache_control": None, "eager_input_streaming": None}]},
        {"context_management": None, "thinking": {"type": "disabled"}, "output_config": {"effort": None}},
        {"context_management": {"edits": []}, "stream": None, "stop_sequences": None, "tool_choice": None},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": None}},
        {"top_k": -1, "top_p": -1, "thinking": {"type": "disabled", "budget_tokens": 0}},
    ],
)
def test_a_value_that_asks_for_nothing_is_taken(fields: Json) -> None:
    call = call_of(**fields)
    assert (call.needs, dict(call.native), call.sampling.top_k, call.sampling.top_p) == (frozenset(), {}, None, None)
    assert all(not tool.options for tool in call.tools)


def test_two_tools_of_one_name_are_refused_in_the_vendor_s_words() -> None:
    """Servers of MCP that are joined bring them. No model could say which one it calls."""
    with pytest.raises(InvalidRequest, match=r"^tools: Tool names must be unique\.$"):
        call_of(tools=[TOOL, {**TOOL, "description": "another"}])


@pytest.mark.parametrize(
    ("tools", "choice"), [([TOOL], {"type": "tool", "name": "no_such"}), ([], {"type": "any"}), (None, {"type": "any"})]
)
def test_a_required_call_that_no_tool_can_answer_is_refused(tools: list[Json] | None, choice: Json) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call_of(tools=tools, tool_choice=choice)
    assert refused.value.param == "tool_choice"


def test_a_thinking_budget_of_zero_is_left_out_unless_thinking_needs_one() -> None:
    assert call_of(thinking={"type": "adaptive", "budget_tokens": 0}).sampling.extra == {"thinking": {"type": "adaptive"}}
    for budget in (None, 0, 1023):
        with pytest.raises(InvalidRequest) as refused:
            call_of(thinking={"type": "enabled", "budget_tokens": budget})
        assert refused.value.param == "thinking.budget_tokens"


def test_a_tool_that_instructions_add_or_withdraw_is_offered_or_not_from_there_on() -> None:
    """Claude Code sends it where its tools change."""
    late, gone, new = ({**TOOL, "name": name} for name in ("late", "gone", "new"))
    blocks = [
        {"type": "text", "text": "More tools."},
        change("tool_addition", name="late"),
        change("tool_removal", name="gone"),
        change("tool_addition", type="tool_definition", definition=new),
    ]
    tools = [{**late, "defer_loading": True}, gone, TOOL]
    call = call_of(messages=[HI, {"role": "system", "content": blocks}, HI], tools=tools)
    assert [(tool.name, dict(tool.options)) for tool in call.tools] == [("late", {}), (TOOL["name"], {}), ("new", {})]
    assert call.messages[1] == Message("system", (Text("More tools."),))
    only = {"role": "system", "content": [change("tool_removal", name="new"), change("tool_addition", name="gone")]}
    again = call_of(messages=[HI, {"role": "system", "content": blocks}, only], tools=tools)
    assert [tool.name for tool in again.tools] == ["late", TOOL["name"], "gone"]
    assert [message.role for message in again.messages] == ["user", "system"]


@pytest.mark.parametrize(
    ("role", "name", "param"),
    [("system", "unknown", "messages[1].content[0].tool.name"), ("user", TOOL["name"], "messages[1].content[0]")],
)
def test_a_change_of_an_unknown_tool_or_by_the_user_is_refused_by_its_place(role: str, name: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call_of(messages=[HI, {"role": role, "content": [change("tool_addition", name=name)]}], tools=[TOOL])
    assert refused.value.param == param


def test_the_effort_of_the_last_system_message_that_sets_one_counts() -> None:
    """Claude Code sets it so, with or without text."""
    said = [
        HI,
        {"role": "system", "content": "x", "output_config": {"effort": "low"}},
        {"role": "system", "content": [], "output_config": {"effort": "max"}},
        {"role": "system", "content": "y", "output_config": {}},
        HI,
    ]
    call = call_of(messages=said, output_config={"effort": "medium"})
    assert call.sampling.extra == {"effort": "max"}
    assert [message.role for message in call.messages] == ["user", "system", "user"]
    with pytest.raises(InvalidRequest) as refused:
        call_of(messages=[{**HI, "output_config": {"effort": "low"}}])
    assert refused.value.param == "messages[0].output_config"


def test_options_of_a_tool_are_kept_for_claude() -> None:
    examples = [{"city": "Bern"}]
    tool = {**TOOL, "eager_input_streaming": True, "defer_loading": True, "input_examples": examples, "cache_control": HOUR}
    spec = call_of(tools=[tool]).tools[0]
    assert spec.options == {"eager_input_streaming": True, "defer_loading": True, "input_examples": examples}
    assert spec.cache == "1h"


def test_a_vendor_tool_that_the_caller_runs_is_kept_with_its_type() -> None:
    spec = call_of(tools=[{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9}]).tools[0]
    assert spec.name == "str_replace_based_edit_tool"
    assert spec.options == {"type": "text_editor_20250728", "max_characters": 9}


KEEP_ALL: Json = {"type": "clear_thinking_20251015", "keep": "all"}
CLEAR: Json = {"type": "clear_tool_uses_20250919", "keep": {"type": "tool_uses", "value": 3}}


@pytest.mark.parametrize(("edits", "needs"), [([KEEP_ALL], False), ([KEEP_ALL, CLEAR], True)])
def test_rules_for_long_conversations_go_to_claude_with_their_beta(edits: list[Json], needs: bool) -> None:
    call = call_of(context_management={"edits": edits}, betas=("interleaved-thinking-2025-05-14",))
    assert call.native["anthropic"]["context_management"] == {"edits": edits}
    assert call.betas == ("interleaved-thinking-2025-05-14", "context-management-2025-06-27")
    assert call.needs == ({"context_management"} if needs else frozenset())


def test_fields_of_the_body_that_only_claude_has_are_passed_on() -> None:
    call = call_of(
        cache_control=HOUR,
        service_tier="standard_only",
        output_config={"effort": "low", "task_budget": {"type": "tokens", "total": 9}},
        thinking={"type": "adaptive", "display": "summarized"},
    )
    assert call.native["anthropic"] == {
        "cache_control": HOUR,
        "service_tier": "standard_only",
        "output_config": {"task_budget": {"type": "tokens", "total": 9}},
    }
    assert call.needs == {"output_config"}
    assert call.sampling.extra == {"thinking": {"type": "adaptive", "display": "summarized"}, "effort": "low"}


def test_filling_only_the_cache_is_for_claude_alone() -> None:
    call = call_of(max_tokens=0)
    assert call.native["anthropic"] == {"max_tokens": 0}
    assert call.needs == {"max_tokens"}


def test_the_older_name_of_structured_output_is_read() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    call = call_of(output_format=form)
    assert call.output
    assert call.output.schema == {"type": "object"}
    with pytest.raises(InvalidRequest):
        call_of(output_format=form, output_config={"format": form})


def test_the_vendors_limits_are_ours() -> None:
    """A history of thousands of turns, and a tool of each of many servers, is read."""
    assert len(call_of(*[HI, {**HI, "role": "assistant"}] * 2500).messages) == 5000
    assert len(call_of(tools=[{**TOOL, "name": f"f{n}"} for n in range(300)]).tools) == 300


def test_a_count_needs_no_limit_of_the_output() -> None:
    body = {"model": "smart", "messages": [HI], "thinking": {"type": "enabled", "budget_tokens": 2048}}
    assert read(json.dumps(body).encode(), CONTEXT, CountRequest)[1].sampling.extra["thinking"]["budget_tokens"] == 2048


@pytest.mark.parametrize(
    ("sent", "user"),
    [
        (None, None),
        ("", None),
        ("ada", "ada"),
        ("x" * 128, "x" * 128),
        (f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}", ACCOUNT),
        (f"user_{DEVICE}_account__session_{SESSION}", DEVICE),
        (json.dumps({"device_id": DEVICE, "account_uuid": ACCOUNT, "session_id": SESSION}), ACCOUNT),
        (json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": SESSION}), DEVICE),
        ("{not json", "{not json"),
        ('{"other": 1}', '{"other": 1}'),
    ],
)
def test_the_user_is_the_account_or_the_device_never_the_session(sent: str | None, user: str | None) -> None:
    assert user_of(sent) == user


def test_an_id_longer_than_the_ledger_takes_stands_as_its_hash() -> None:
    first, second = user_of("a" * 256), user_of("a" * 255 + "b")
    assert first
    assert second
    assert first != second
    assert len(first) <= 128
    with pytest.raises(InvalidRequest):
        call_of(metadata={"user_id": "a" * 257})


def test_betas_go_on_if_we_know_them_and_are_named_if_not() -> None:
    read_ = anthropic_betas.read(
        ["context-1m-2025-08-07, files-api-2025-04-14", "context-1m-2025-08-07,per-turn-control-2026-07-01,made-up-1"]
    )
    assert read_.allowed == ("context-1m-2025-08-07",)
    assert read_.headers == {"octant-ignored-betas": "files-api-2025-04-14,made-up-1"}
    assert anthropic_betas.read([]).headers == {}


@pytest.mark.parametrize("value", ["a\nb", "ä", "x" * 65, ",".join(f"b{n}" for n in range(65))])
def test_a_beta_header_that_holds_no_names_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest):
        anthropic_betas.read([value])


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image", "source": {"type": "url", "url": "ftp://x"}}, "source.url"),
        ({"type": "document", "source": {"type": "text", "media_type": "text/html", "data": ""}}, "source.media_type"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": 1}]}, "content[0].text"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(block: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        part_of(block)
    assert refused.value.param == f"messages[0].content[0].{param}"


def test_a_tool_in_openais_form_is_refused_with_the_fields_that_it_has_here() -> None:
    with pytest.raises(InvalidRequest, match="OpenAI's form of a tool") as refused:
        call_of(tools=[TOOL, {"type": "function", "function": {"name": "f"}}])
    assert refused.value.param == "tools[1]"
