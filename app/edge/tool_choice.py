"""The choice among tools, as every API reads it."""

from collections.abc import Iterable

from app.domain.errors import InvalidRequest
from app.domain.messages import ToolChoice, ToolSpec


def offered(choice: ToolChoice, tools: Iterable[ToolSpec]) -> ToolChoice:
    """The choice, where a call that it requires can come. Raises InvalidRequest where no model could satisfy it."""
    if choice.mode in ("any", "tool") and not any(choice.name in (None, tool.name) for tool in tools):
        raise InvalidRequest("The tool that 'tool_choice' requires is not among 'tools'.", param="tool_choice")
    return choice
