"""Replies without a place on Anthropic's wire reach the client all the same."""

import json

import pytest

from app.api.chat.anthropic_answer import message
from app.domain.calls import Reply, Usage
from app.domain.messages import ToolUse
from app.edge.answers import json_answer


@pytest.mark.parametrize(
    "arguments", ["{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_arguments_that_cannot_be_an_object_are_passed_on_as_text(arguments: str) -> None:
    """Arguments may be nested at any depth: the caller gets an answer, never status 500."""
    reply = Reply(parts=(ToolUse("u", "f", arguments),), stop="tool_use", usage=Usage(), provider="p", model="m")
    answer = json.loads(bytes(json_answer(message(reply, request_id="req_1", alias="smart")).body))
    assert answer["content"] == [{"type": "tool_use", "id": "u", "name": "f", "input": {"invalid_arguments": arguments}}]
