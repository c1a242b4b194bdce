"""What an Anthropic client is told of a reply that has no place on its wire."""

import json

import pytest

from app.api.chat.anthropic_answer import message
from app.domain.calls import Reply, Usage
from app.domain.messages import ToolUse
from app.edge.answers import json_answer


@pytest.mark.parametrize(
    "arguments", ["{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_arguments_that_cannot_be_written_as_an_object_are_told_as_they_came(arguments: str) -> None:
    """A model nests as deep as it likes: whoever asked gets an answer all the same, never status 500."""
    reply = Reply(parts=(ToolUse("u", "f", arguments),), stop="tool_use", usage=Usage(), provider="p", model="m")
    told = json.loads(bytes(json_answer(message(reply, request_id="req_1", alias="smart")).body))
    assert told["content"] == [{"type": "tool_use", "id": "u", "name": "f", "input": {"invalid_arguments": arguments}}]
