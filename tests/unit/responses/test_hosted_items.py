"""A history that began at OpenAI, with its own tools, goes on here (G1, ADR 0030)."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from app.api.responses import hosted_items
from app.api.responses.input_items import conversation
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import Image, Message, Part, Text, ToolResult, ToolUse

SCREEN = "data:image/png;base64,iVBORw0KGgo="


def use(identity: str, name: str, **arguments: Any) -> ToolUse:  # noqa: ANN401 - any JSON
    return ToolUse(identity, name, json.dumps(arguments))


def result(identity: str, *lines: str, failed: bool = False) -> ToolResult:
    return ToolResult(identity, (Text("\n".join(lines)),), is_error=failed)


HISTORY: dict[str, tuple[list[dict[str, Any]], list[Part]]] = {
    "silent": (
        [
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "mcp_list_tools", "id": "l", "server_label": "wiki", "tools": []},
            {"type": "mcp_approval_request", "id": "ap_1", "arguments": "{}", "name": "ask", "server_label": "wiki"},
            {"type": "mcp_approval_response", "approval_request_id": "ap_1", "approve": False},
            {"type": "file_search_call", "id": "fs_1", "queries": ["q"], "status": "completed", "results": None},
        ],
        [],
    ),
    "file search": (
        [{"type": "file_search_call", "id": "fs_1", "queries": ["q"], "results": [{"filename": "a.md", "text": "words"}]}],
        [use("fs_1", "file_search", queries=["q"]), result("fs_1", "a.md: words")],
    ),
    "code interpreter": (
        [{"type": "code_interpreter_call", "id": "ci", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]}],
        [use("ci", "code_interpreter", code="1+1"), result("ci", "2")],
    ),
    "code interpreter without output": (
        [{"type": "code_interpreter_call", "id": "ci", "code": None, "outputs": None, "status": "failed"}],
        [use("ci", "code_interpreter", code=""), result("ci", "(no output)", failed=True)],
    ),
    "MCP": (
        [
            {"type": "mcp_approval_response", "approval_request_id": "ap_1", "approve": True},
            {"type": "mcp_call", "id": "m", "server_label": "a wiki", "name": "ask", "arguments": '{"q": 1}', "output": "yes",
             "approval_request_id": "ap_1"},
        ],
        [use("m", "a_wiki__ask", q=1), result("m", "yes")],
    ),
    "MCP that failed": (
        [{"type": "mcp_call", "id": "m", "server_label": "w", "name": "ask", "arguments": "", "error": {"code": 500}}],
        [ToolUse("m", "w__ask", "{}"), result("m", '{"code": 500}', failed=True)],
    ),
    "image": (
        [{"type": "image_generation_call", "id": "ig", "status": "completed", "result": "iVBO", "revised_prompt": "a cat"}],
        [use("ig", "image_generation", prompt="a cat"), result("ig", "The image was shown to the user.")],
    ),
    "local shell": (
        [
            {"type": "local_shell_call", "id": "ls", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "c1", "output": "a.py"},
        ],
        [use("c1", "local_shell", type="exec", command=["ls"]), result("c1", "a.py")],
    ),
    "shell": (
        [
            {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls", "x"]}},
            {
                "type": "shell_call_output",
                "call_id": "c1",
                "output": [
                    {"stdout": "a.py", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
                    {"stdout": "", "stderr": "slow", "outcome": {"type": "timeout"}},
                ],
            },
        ],
        [use("c1", "shell", commands=["ls", "x"]), result("c1", "a.py", "exit code 0", "slow", "timed out")],
    ),
    "patch": (
        [
            {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "no such file"},
        ],
        [use("c1", "apply_patch", type="delete_file", path="a"), result("c1", "no such file", "failed", failed=True)],
    ),
    "computer": (
        [
            {"type": "computer_call", "id": "cu", "call_id": "c1", "actions": [{"type": "wait"}], "pending_safety_checks": []},
            {"type": "computer_call_output", "call_id": "c1", "output": {"type": "computer_screenshot", "image_url": SCREEN}},
        ],
        [use("c1", "computer", actions=[{"type": "wait"}]),
         ToolResult("c1", (Image(data="iVBORw0KGgo=", media_type="image/png"),))],
    ),
    "agents": (
        [{"type": "agent_message", "author": "/root/a", "recipient": "/root", "content": [{"text": "Done."}]}],
        [Text("Message from /root/a to /root:\nDone.")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HISTORY)
def test_what_a_vendors_tool_did_stays_part_of_the_conversation(kind: str) -> None:
    items, parts = HISTORY[kind]
    before, after = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    _, messages = conversation([before, *items, after, {"role": "user", "content": "and?"}])
    found = [part for message in messages for part in message.parts]
    assert found == [Text("q"), *parts, Text("a"), Text("and?")]
    assert all(one.role != other.role for one, other in pairwise(messages))


def test_calls_side_by_side_keep_their_results_together() -> None:
    """A function's call and a hosted one in one answer: both results follow both calls."""
    called = {"type": "function_call", "call_id": "f", "name": "f", "arguments": "{}"}
    hosted = HISTORY["code interpreter"][0][0]
    _, messages = conversation([called, hosted, {"type": "function_call_output", "call_id": "f", "output": "x"}])
    assert messages == (
        Message("assistant", (ToolUse("f", "f", "{}"), use("ci", "code_interpreter", code="1+1"))),
        Message("user", (result("ci", "2"), result("f", "x"))),
    )


@pytest.mark.parametrize(
    ("item", "param", "words"),
    [
        ({"type": "compaction", "encrypted_content": "x"}, "input[0].type", "a summary"),
        ({"type": "context_compaction"}, "input[0].type", "a summary"),
        ({"type": "compaction_trigger"}, "input[0].type", "a request of its own"),
        ({"type": "configuration_update"}, "input[0].type", "reasoning and text"),
        ({"type": "program", "code": "x"}, "input[0].type", "function calls"),
        ({"type": "program_output"}, "input[0].type", "function calls"),
        ({"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}, "input[0].type", "have the client call"),
        (
            {"type": "computer_call_output", "call_id": "c", "output": {"file_id": "file_1"}},
            "input[0].output.image_url",
            "send the screenshot",
        ),
        (
            {"type": "agent_message", "content": [{"type": "encrypted_content", "encrypted_content": "x"}]},
            "input[0].content",
            "send its text",
        ),
    ],
)
def test_what_only_the_vendor_reads_is_refused_with_what_to_send_instead(item: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(UnsupportedParameter, match=words) as refused:
        conversation([item, {"role": "user", "content": "q"}])
    assert refused.value.param == param


@pytest.mark.parametrize("kind", [kind for kind in hosted_items.KINDS if kind not in hosted_items.SILENT])
@pytest.mark.parametrize(
    "value",
    [{}, {"output": 7, "action": 7, "content": 7, "results": 7}, {"id": 7, "call_id": None, "name": ["x"], "outputs": [7]}],
)
def test_an_item_of_another_form_is_the_callers_mistake_or_nothing(kind: str, value: dict[str, Any]) -> None:
    turns, param = turns_or_fault(kind, {"type": kind, **value})
    assert (param or "input[0]").startswith("input[0]")
    assert {role for role, _ in turns} <= {"assistant", "user"}


def turns_or_fault(kind: str, item: dict[str, Any]) -> tuple[list[Any], str | None]:
    """The turns of an item, or the parameter that the refusal names."""
    try:
        return hosted_items.turns_of(kind, item, "input[0]"), None
    except (InvalidRequest, UnsupportedParameter) as refused:
        return [], refused.param


@pytest.mark.parametrize("kind", ["mcp_call", "mcp_approval_response"])
@pytest.mark.parametrize("asked", [[], {}, ["ap_1"], 7, None])
def test_leave_for_what_is_no_name_is_the_callers_mistake_or_nothing(kind: str, asked: Any) -> None:  # noqa: ANN401 - any JSON
    item = {"type": kind, "id": "m", "name": "ask", "approve": True, "approval_request_id": asked}
    with suppress(UnsupportedParameter):
        conversation([item, {"role": "user", "content": "q"}])
