"""Items of tools that ran at a vendor, or that a vendor defines, in the history of a conversation that began there.

These tools are not offered here, but what they did is part of the conversation: a call becomes one of a function of that name,
with its result, as the models of all vendors know it. Fields that are not read here change no answer: the items are the vendor's
own. Sources: the types of OpenAI's SDK 3.54, and Codex's.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.api.responses.parsing import Json
from app.api.responses.tools import joined
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import Image, Part, Role, Text, ToolResult, ToolUse
from app.edge import media

Turn = tuple[Role, list[Part]]
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST_NAME = 64
# What an assistant said holds what these found; lists of tools and requests for leave say nothing to a model.
SILENT = frozenset({"web_search_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"})
_COMPACTED = (
    "'{kind}' holds the conversation in a form that only its vendor reads: send the items that it stands for, or a summary of"
    " them as a message."
)
_PROGRAM = "'{kind}' is of programmatic tool calling, which this service does not support: send function calls and their outputs."
REFUSED: Mapping[str, str] = {
    "compaction": _COMPACTED,
    "context_compaction": _COMPACTED,
    "compaction_trigger": "This service does not compact conversations: ask for a summary in a request of its own.",
    "configuration_update": "'{kind}' is not supported: set reasoning and text of the request itself.",
    "program": _PROGRAM,
    "program_output": _PROGRAM,
}


def refuse(kind: str, at: str) -> None:
    """Raise UnsupportedParameter for an item that cannot be read, and say what to send instead."""
    if kind in REFUSED:
        raise UnsupportedParameter(REFUSED[kind].format(kind=kind), param=f"{at}.type")


def check_approvals(items: Sequence[Json]) -> None:
    """Refuse leave for a call that no item made: the vendor would make it now. Raises UnsupportedParameter."""
    made = {_asked(item) for item in items if item.get("type") == "mcp_call"}
    for index, item in enumerate(items):
        allows = item.get("type") == "mcp_approval_response" and item.get("approve") is True
        if allows and _asked(item) not in made:
            message = "MCP servers are not called by this service: have the client call them, and offer their tools as functions."
            raise UnsupportedParameter(message, param=f"input[{index}].type")


def _asked(item: Json) -> str:
    """The request for leave that an item belongs to; empty without one."""
    return _Item(item, "").text("approval_request_id")


def turns_of(kind: str, value: Json, at: str) -> list[Turn]:
    """The turns that an item stands for; none for a silent one. Raises InvalidRequest, UnsupportedParameter."""
    return [] if kind in SILENT else list(_READERS[kind](_Item(value, at)))


class _Item:
    """An item, read field by field."""

    def __init__(self, value: Json, at: str) -> None:
        self.value, self.at = value, at

    def text(self, name: str) -> str:
        """A text, or nothing."""
        found = self.value.get(name)
        return found if isinstance(found, str) else ""

    def objects(self, name: str) -> list[Json]:
        """The objects of a list, or nothing."""
        found = self.value.get(name)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def required(self, *names: str) -> str:
        """The first of these texts that is there. Raises InvalidRequest."""
        for name in names:
            if found := self.text(name):
                return found
        raise InvalidRequest(f"Missing required parameter: '{self.at}.{names[0]}'.", param=f"{self.at}.{names[0]}")

    def call(self, name: str, arguments: object) -> Turn:
        """The call, as one of a function."""
        return "assistant", [ToolUse(self.required("call_id", "id"), _name(name), json.dumps(arguments, ensure_ascii=False))]

    def result(self, *content: Text | Image, failed: bool = False) -> Turn:
        """Its result."""
        return "user", [ToolResult(self.required("call_id", "id"), content, is_error=failed)]

    @property
    def failed(self) -> bool:
        """Whether the vendor says so."""
        return self.value.get("status") in ("failed", "incomplete")


def _name(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name)[:LONGEST_NAME] or "tool"


def _lines(texts: Iterable[object]) -> Text:
    return Text("\n".join(text for text in texts if isinstance(text, str) and text) or "(no output)")


def _file_search(item: _Item) -> Iterator[Turn]:
    """Without results, which the vendor sends where they were asked for, the answer holds what was found."""
    if results := item.objects("results"):
        yield item.call("file_search", {"queries": item.value.get("queries")})
        yield item.result(_lines(f"{one.get('filename')}: {one.get('text')}" for one in results))


def _code_interpreter(item: _Item) -> Iterator[Turn]:
    yield item.call("code_interpreter", {"code": item.text("code")})
    yield item.result(_lines(one.get("logs") for one in item.objects("outputs")), failed=item.failed)


def _mcp(item: _Item) -> Iterator[Turn]:
    error = item.value.get("error")
    words = error if isinstance(error, str) or not error else json.dumps(error, ensure_ascii=False)
    name = _name(joined(item.text("server_label"), item.required("name")))
    yield "assistant", [ToolUse(item.required("id"), name, item.text("arguments") or "{}")]
    yield item.result(_lines([item.text("output"), words]), failed=bool(error) or item.failed)


def _image_generation(item: _Item) -> Iterator[Turn]:
    yield item.call("image_generation", {"prompt": item.text("revised_prompt")})
    yield item.result(Text("No image was made." if item.failed else "The image was shown to the user."), failed=item.failed)


def _call_of(name: str, field: str, *others: str) -> Callable[[_Item], Iterator[Turn]]:
    """A call whose output is an item of its own."""

    def read(item: _Item) -> Iterator[Turn]:
        found: Any = next((item.value[one] for one in (field, *others) if item.value.get(one)), {})
        yield item.call(name, found if isinstance(found, dict) else {field: found})

    return read


def _shell_output(item: _Item) -> Iterator[Turn]:
    words: list[object] = []
    for one in item.objects("output"):
        words += [one.get("stdout"), one.get("stderr")]
        if isinstance(end := one.get("outcome"), dict):
            words.append(f"exit code {end.get('exit_code')}" if end.get("type") == "exit" else "timed out")
    yield item.result(_lines(words))


def _output(item: _Item) -> Iterator[Turn]:
    yield item.result(_lines([item.text("output"), item.text("status")]), failed=item.failed)


def _screenshot(item: _Item) -> Iterator[Turn]:
    output = item.value.get("output")
    address = output.get("image_url") if isinstance(output, dict) else None
    if not isinstance(address, str) or not address:
        message = "Files are not stored by this service: send the screenshot itself, as image_url."
        raise UnsupportedParameter(message, param=f"{item.at}.output.image_url")
    found = media.inline(address) if media.holds_data(address) else None
    yield item.result(Image(media_type=found[0], data=found[1]) if found else Image(url=address))


def _agent_message(item: _Item) -> Iterator[Turn]:
    """A message of one agent to another, as Codex writes it."""
    parts = item.objects("content")
    if any(part.get("type") == "encrypted_content" for part in parts):
        message = "A message between agents that only its vendor reads cannot be taken: send its text."
        raise UnsupportedParameter(message, param=f"{item.at}.content")
    heading = f"Message from {item.text('author')} to {item.text('recipient')}:"
    yield "user", [_lines([heading, *(part.get("text") for part in parts)])]


_READERS: Mapping[str, Callable[[_Item], Iterator[Turn]]] = {
    "agent_message": _agent_message,
    "apply_patch_call": _call_of("apply_patch", "operation"),
    "apply_patch_call_output": _output,
    "code_interpreter_call": _code_interpreter,
    "computer_call": _call_of("computer", "actions", "action"),
    "computer_call_output": _screenshot,
    "file_search_call": _file_search,
    "image_generation_call": _image_generation,
    "local_shell_call": _call_of("local_shell", "action"),
    "local_shell_call_output": _output,
    "mcp_call": _mcp,
    "shell_call": _call_of("shell", "action"),
    "shell_call_output": _shell_output,
}
KINDS = (*_READERS, *sorted(SILENT))
