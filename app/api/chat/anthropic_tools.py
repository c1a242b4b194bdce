"""Anthropic's tools as ours: those of the request, with the changes that its conversation makes to them.

A change is done here, for every vendor's model: the tools are offered as they are at the conversation's end.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from app.api.chat.anthropic_blocks import ttl_of, unsupported
from app.api.chat.anthropic_fields import AnyTool, MessagesRequest, ToolChangeBlock, ToolParam, VendorTool, WireMessage
from app.domain.errors import InvalidRequest
from app.domain.messages import ToolSpec

# Vendor tools that run where the caller is. All others run at the vendor and have prices of their own.
RUN_BY_CALLER = re.compile(r"(?:bash|text_editor|memory|computer)_20[0-9]{6}")


def tools_of(request: MessagesRequest) -> tuple[ToolSpec, ...]:
    """The tools that are offered now. Raises InvalidRequest or UnsupportedParameter."""
    tools = tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools or ()))
    if len({tool.name for tool in tools}) < len(tools):
        raise InvalidRequest("tools: Tool names must be unique.", param="tools")  # the vendor's words
    changes = tuple(_changes(request.messages))
    if not changes:
        return tools
    known = {tool.name: tool for tool in tools}
    offered = dict(known)
    for block, where in changes:
        tool = _changed(block, known, where)
        if block.type == "tool_addition":
            known[tool.name] = offered[tool.name] = tool
        else:
            offered.pop(tool.name, None)
    return tuple(offered.values())


def _changes(messages: Sequence[WireMessage]) -> Iterator[tuple[ToolChangeBlock, str]]:
    """The changes that instructions in the conversation make, with the places of their tools."""
    for at, message in enumerate(messages):
        if message.role == "system" and isinstance(message.content, list):
            for number, block in enumerate(message.content):
                if isinstance(block, ToolChangeBlock):
                    yield block, f"messages[{at}].content[{number}].tool"


def _changed(block: ToolChangeBlock, known: Mapping[str, ToolSpec], where: str) -> ToolSpec:
    """The tool of a change, as it is offered after an addition: at once, if it was deferred."""
    change = block.tool
    if change.definition and block.type == "tool_addition":
        return _tool(change.definition, f"{where}.definition")
    if change.type != "tool_reference":
        raise unsupported(f"{where}.type", "connect to the server yourself and offer its tools")
    tool = known.get(change.name or "")
    if tool is None:
        raise InvalidRequest(f"{where}.name: no tool of this request has this name.", param=f"{where}.name")
    return replace(tool, options={name: value for name, value in tool.options.items() if name != "defer_loading"})


def _tool(tool: AnyTool, where: str) -> ToolSpec:
    for caller in tool.allowed_callers or ():
        if caller != "direct":
            raise unsupported(f"{where}.allowed_callers", "no code runs at the vendor")
    if isinstance(tool, VendorTool):
        if tool.type == "function":
            raise InvalidRequest(
                f"{where}: OpenAI's form of a tool; here it has name, description and input_schema.", param=where
            )
        if not tool.name or not RUN_BY_CALLER.fullmatch(tool.type):
            raise unsupported(f"{where}.type", "tools that run at the vendor have prices of their own; offer a tool of yours")
        options = tool.model_dump(exclude_none=True, exclude={"name", "cache_control", "allowed_callers"})
        return ToolSpec(tool.name, "", {}, cache=ttl_of(tool), options=options)
    return _own_tool(tool)


def _own_tool(tool: ToolParam) -> ToolSpec:
    """A tool with a schema. Options that only repeat the default are left out."""
    options = {
        "eager_input_streaming": tool.eager_input_streaming,
        "defer_loading": tool.defer_loading or None,
        "input_examples": tool.input_examples or None,
    }
    return ToolSpec(
        tool.name,
        tool.description or "",
        tool.input_schema,
        strict=bool(tool.strict),
        cache=ttl_of(tool),
        options={name: value for name, value in options.items() if value is not None},
    )
