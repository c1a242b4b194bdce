"""Searches for tools in the input: one that the caller runs is a call of the function that it is offered as."""

import json
from typing import Any, Literal

from app.api.responses.parsing import Json, Many, Wire, read
from app.api.responses.tools import SEARCH, joined
from app.domain.errors import InvalidRequest
from app.domain.messages import Part, Text, ToolResult, ToolUse

SEARCHES = ("tool_search_call", "tool_search_output")


class _Search(Wire):
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    created_by: str | None = None
    internal_chat_message_metadata_passthrough: Json | None = None


class SearchCall(_Search):
    """A search for tools."""

    type: Literal["tool_search_call"]
    arguments: Any = None


class SearchOutput(_Search):
    """The tools that a search found. They are offered from then on."""

    type: Literal["tool_search_output"]
    tools: Many[Json]


def searched(kind: str, value: Json, at: str) -> tuple[Literal["user", "assistant"], list[Part]]:
    """A search for tools by the caller, as a call of the function that it is offered as."""
    if kind == "tool_search_call":
        call = read(SearchCall, value, at)
        return "assistant", [ToolUse(_id_of(call, at), SEARCH, json.dumps(call.arguments or {}, ensure_ascii=False))]
    output = read(SearchOutput, value, at)
    names = [name for tool in output.tools for name in _names(tool)]
    found = f"These tools can be called now: {', '.join(names)}." if names else "No tool was found."
    return "user", [ToolResult(_id_of(output, at), (Text(found),))]


def _id_of(item: SearchCall | SearchOutput, at: str) -> str:
    if not item.call_id:
        raise InvalidRequest(f"Missing required parameter: '{at}.call_id'.", param=f"{at}.call_id")
    return item.call_id


def _names(tool: Json) -> list[str]:
    """The names by which the model knows a tool, or the tools of a namespace."""
    if tool.get("type") == "namespace":
        return [joined(tool["name"], inner["name"]) for inner in tool["tools"]]
    return [tool["name"]] if "name" in tool else []
