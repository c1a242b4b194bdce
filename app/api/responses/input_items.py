"""Input items as a conversation: what a client sends for the whole of it, since nothing is stored (ADR 0030).

Items of vendors' own tools are read by `hosted_items`; those that only a vendor can read are known by name and refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from app.api.responses import hosted_items
from app.api.responses.parsing import Json, Many, Wire, kind_of, read
from app.api.responses.reasoning import decoded
from app.api.responses.search_items import SEARCHES, SearchOutput, searched
from app.api.responses.tools import custom_arguments, joined
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import (
    CacheTtl,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    extend,
)
from app.edge import media

Status = Literal["in_progress", "completed", "incomplete"]
KNOWN = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "additional_tools",
    "tool_search_call",
    "tool_search_output",
    *hosted_items.KINDS,
)
NOT_STORED = "Items are not stored by this service: send the item itself, not a reference to it (with store: false, SDKs do)."


class Breakpoint(Wire):
    """The end of a prefix worth caching. A longer time than the vendor's shortest is an hour elsewhere."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class _Part(Wire):
    prompt_cache_breakpoint: Breakpoint | None = None

    @property
    def cache(self) -> CacheTtl | None:
        """The mark in our words."""
        mark = self.prompt_cache_breakpoint
        return None if mark is None else "1h" if mark.ttl else "5m"


class InputText(_Part):
    """Text of the input."""

    type: Literal["input_text"]
    text: str


class InputImage(_Part):
    """An image, by its address or inline."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None


class InputFile(_Part):
    """A file, by its address or inline."""

    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Wire):
    """Text of an earlier answer. SDKs send back ``parsed``, which they add to it."""

    type: Literal["output_text"]
    text: str
    annotations: Many[Json] | None = None
    logprobs: Many[Json] | None = None
    parsed: Any = None


class RefusalPart(Wire):
    """An earlier refusal."""

    type: Literal["refusal"]
    refusal: str


class _Item(Wire):
    """``internal_chat_message_metadata_passthrough``: Codex's notes to the vendor, where it takes this service for that."""

    id: str | None = None
    status: Status | None = None
    internal_chat_message_metadata_passthrough: Json | None = None


class MessageItem(_Item):
    """A message of any role. ``phase`` sorts an assistant's messages for display."""

    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Many[Json]
    phase: Literal["commentary", "final_answer"] | None = None


class Caller(Wire):
    """The model itself; programs of the vendor's are refused."""

    type: Literal["direct"]


class _Call(_Item):
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    namespace: str | None = None
    caller: Caller | None = None
    async_: Literal[False] | None = Field(default=None, alias="async")


class FunctionCall(_Call):
    """A function call of the model."""

    type: Literal["function_call"]
    arguments: str
    parsed_arguments: Any = None
    encrypted_function_args: Many[str] | None = None


class CustomCall(_Call):
    """A call of a custom tool."""

    type: Literal["custom_tool_call"]
    input: str


class CallOutput(_Item):
    """A tool's output."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str = Field(min_length=1)
    output: str | Many[Json]
    name: str | None = None
    namespace: str | None = None
    caller: Caller | None = None


class AdditionalTools(_Item):
    """Tools that are offered beside those of the request."""

    type: Literal["additional_tools"]
    role: Literal["developer"]
    tools: Many[Json]


class ReasoningItem(_Item):
    """Earlier reasoning."""

    type: Literal["reasoning"]
    summary: Many[Json] = Field(default_factory=list)
    content: Many[Json] | None = None
    encrypted_content: str | None = None


ADDING: Mapping[str, type[AdditionalTools | SearchOutput]] = {
    "additional_tools": AdditionalTools,
    "tool_search_output": SearchOutput,
}


def added_tools(given: str | Sequence[Json] | None) -> Iterator[tuple[Json, str]]:
    """The tools that items add, with their places. Raises InvalidRequest."""
    for index, value in enumerate(() if isinstance(given, str) else given or ()):
        adding = ADDING.get(str(value.get("type")))
        if adding:
            at = f"input[{index}]"
            yield from ((tool, f"{at}.tools[{i}]") for i, tool in enumerate(read(adding, value, at).tools))


def conversation(given: str | Sequence[Json], *, this_turn: bool = False) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The leading system text and the turns. Raises InvalidRequest or UnsupportedParameter.

    System text in the middle, and that of an input without anything else, are messages of the role ``system``.
    ``this_turn``: only the reasoning since the user's last message is sent back to its model.
    """
    if isinstance(given, str):
        return (), (Message("user", (Text(given),)),)
    hosted_items.check_approvals(given)
    turns: list[tuple[Role, list[Part]]] = []
    for index, value in enumerate(given):
        if value.get("type") == "additional_tools" or (value.get("type") in SEARCHES and value.get("execution") != "client"):
            continue  # the vendor's own search ended with tools that are offered anyway
        for role, parts in _turns(value, f"input[{index}]"):
            if turns and turns[-1][0] == role:
                extend(role, turns[-1][1], parts)
            else:
                turns.append((role, parts))
    if not turns:
        raise InvalidRequest("input must hold at least one message.", param="input")
    system: list[Part] = turns.pop(0)[1] if turns[0][0] == "system" and len(turns) > 1 else []
    if this_turn:
        asked = max(
            (
                i
                for i, (role, parts) in enumerate(turns)
                if role == "user" and any(isinstance(p, Text | Image | Document) for p in parts)
            ),
            default=0,
        )
        turns[:asked] = [(role, [p for p in parts if not isinstance(p, Thinking)]) for role, parts in turns[:asked]]
    leading = tuple(part for part in system if isinstance(part, Text))
    return leading, tuple(Message(role, tuple(parts)) for role, parts in turns if parts)


def _turns(value: Json, at: str) -> list[hosted_items.Turn]:
    """The turns that an item belongs to, with its parts: a call of a hosted tool has its result with it."""
    kind = _kind(value, at)
    return hosted_items.turns_of(kind, value, at) if kind in hosted_items.KINDS else [_item(kind, value, at)]


def _item(kind: str, value: Json, at: str) -> tuple[Literal["user", "assistant", "system"], list[Part]]:
    """One item: whose turn it belongs to, and its parts."""
    match kind:
        case "message":
            return _message(read(MessageItem, value, at), at)
        case "function_call":
            call = read(FunctionCall, value, at)
            return "assistant", [ToolUse(call.call_id, joined(call.namespace, call.name), call.arguments)]
        case "custom_tool_call":
            custom = read(CustomCall, value, at)
            return "assistant", [ToolUse(custom.call_id, joined(custom.namespace, custom.name), custom_arguments(custom.input))]
        case _ if kind in SEARCHES:
            return searched(kind, value, at)
        case "reasoning":
            return "assistant", list(_thoughts(read(ReasoningItem, value, at), at))
    output = read(CallOutput, value, at)
    return "user", [ToolResult(output.call_id, tuple(_contents(output.output, f"{at}.output")))]


def _kind(value: Json, at: str) -> str:
    """The kind of an item: a message and a reference may leave it out."""
    kind = value.get("type")
    if kind is None:
        kind = "message" if "role" in value or "content" in value else "item_reference" if set(value) <= {"id", "type"} else None
    if kind == "item_reference":
        raise UnsupportedParameter(NOT_STORED, param=f"{at}.type")
    if isinstance(kind, str):
        hosted_items.refuse(kind, at)
    return kind_of({**value, "type": kind}, at, known=KNOWN)


def _message(message: MessageItem, at: str) -> tuple[Literal["user", "assistant", "system"], list[Part]]:
    where = f"{at}.content"
    if message.role == "assistant":
        if isinstance(message.content, str):
            return "assistant", [Text(message.content)]
        return "assistant", [_said(part, f"{where}[{i}]") for i, part in enumerate(message.content)]
    parts = list(_contents(message.content, where))
    if message.role == "user":
        return "user", list(parts)
    if not all(isinstance(part, Text) for part in parts):
        raise UnsupportedParameter("A system or developer message holds text only.", param=where)
    return "system", [part for part in parts if isinstance(part, Text) and part.text]


def _said(value: Json, at: str) -> Part:
    """A part of an earlier answer."""
    kind = kind_of(value, at, known=("output_text", "refusal", "input_text"))
    if kind == "refusal":
        return Refusal(read(RefusalPart, value, at).refusal)
    return Text(read(OutputText, value, at).text if kind == "output_text" else read(InputText, value, at).text)


def _contents(content: str | list[Json], at: str) -> Iterator[Text | Image | Document]:
    if isinstance(content, str):
        yield Text(content)
        return
    for index, value in enumerate(content):
        yield _content(value, f"{at}[{index}]")


def _content(value: Json, at: str) -> Text | Image | Document:
    match kind_of(value, at, known=("input_text", "input_image", "input_file"), refused=frozenset({"input_audio"})):
        case "input_text":
            text = read(InputText, value, at)
            return Text(text.text, cache=text.cache)
        case "input_image":
            return _image(read(InputImage, value, at), at)
    return _document(read(InputFile, value, at), at)


def _image(image: InputImage, at: str) -> Image:
    if image.image_url is None:
        raise _no_file_ids(at) if image.file_id else InvalidRequest(f"'{at}' needs image_url.", param=f"{at}.image_url")
    where = f"{at}.image_url"
    if media.holds_data(image.image_url):
        media_type, data = _inline(image.image_url, where)
        return Image(data=data, media_type=media_type, detail=image.detail, cache=image.cache)
    return Image(url=_address(image.image_url, where), detail=image.detail, cache=image.cache)


def _document(file: InputFile, at: str) -> Document:
    if file.file_url is not None:
        return Document(url=_address(file.file_url, f"{at}.file_url"), name=file.filename, cache=file.cache)
    if file.file_data is None:
        raise (
            _no_file_ids(at) if file.file_id else InvalidRequest(f"'{at}' needs file_data or file_url.", param=f"{at}.file_data")
        )
    where = f"{at}.file_data"
    named, data = None, media.compact(file.file_data)
    if media.holds_data(data):
        named, data = _inline(data, where)
    try:
        media_type, text, kept = media.file(named, data)
    except ValueError:
        raise InvalidRequest(f"'{where}' is no UTF-8 text as base64.", param=where) from None
    return Document(data=kept, text=text, media_type=media_type, name=file.filename, cache=file.cache)


def _inline(url: str, at: str) -> tuple[str, str]:
    found = media.inline(url)
    if found is None:
        raise InvalidRequest("A data URL must read data:TYPE;base64,DATA.", param=at)
    return found


def _address(url: str, at: str) -> str:
    address = media.web_address(url)
    if address is None:
        raise InvalidRequest("A URL must be http, https or data.", param=at)
    return address


def _no_file_ids(at: str) -> UnsupportedParameter:
    return UnsupportedParameter("Files are not stored by this service: send the file itself.", param=f"{at}.file_id")


def _thoughts(item: ReasoningItem, at: str) -> tuple[Thinking, ...]:
    """Ours come back with their signatures. Of another service only the words are left, which no vendor takes as reasoning."""
    ours = decoded(item.encrypted_content, f"{at}.encrypted_content") if item.encrypted_content else None
    if ours is not None:
        return ours
    words = "\n".join(str(part.get("text", "")) for part in item.summary)
    return (Thinking(words),) if words else ()
