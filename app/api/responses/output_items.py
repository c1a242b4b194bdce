"""Output items of a response, whole and as the events in which they grow. One class a kind; the events end in the whole item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.api.responses.reasoning import encoded
from app.api.responses.tools import SEARCH, Tools, custom_input
from app.domain import json_text
from app.domain.messages import Part, Refusal, Text, Thinking, ToolUse

Json = dict[str, Any]
Event = tuple[str, Json]  # the name behind ``response.``, and the fields beside the item's place
ADDED, DONE = "output_item.added", "output_item.done"


class Item(Protocol):
    """An item under way."""

    id: str

    @property
    def shown(self) -> bool:
        """Whether there is anything to show."""
        ...

    @property
    def whole(self) -> bool:
        """Whether nothing more can come, or what comes may be another item."""
        ...

    def item(self, status: str = "completed") -> Json:
        """The item as it is now."""
        ...

    def begin(self) -> Iterator[Event]:
        """Events of its beginning."""
        ...

    def grow(self, piece: str) -> Iterator[Event]:
        """Add a piece; the events that show it."""
        ...

    def end(self, status: str) -> Iterator[Event]:
        """Events of its end."""
        ...


@dataclass(slots=True)
class MessageItem:
    """Text, or with ``refusal`` the model's words for why it does not answer."""

    id: str
    refusal: bool = False
    pieces: list[str] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    shown: bool = True
    whole: bool = True

    def item(self, status: str = "completed") -> Json:
        """The item as it is now."""
        return self._item([self._part("".join(self.pieces), self.annotations)], status)

    def begin(self) -> Iterator[Event]:
        """Events of its beginning."""
        yield ADDED, {"item": self._item([], "in_progress")}
        yield "content_part.added", {"content_index": 0, "part": self._part("", [])}

    def grow(self, piece: str) -> Iterator[Event]:
        """Add a piece."""
        self.pieces.append(piece)
        more: Json = {} if self.refusal else {"logprobs": []}
        yield f"{self._kind}.delta", {"content_index": 0, "delta": piece, **more}

    def end(self, status: str) -> Iterator[Event]:
        """Events of its end."""
        text = "".join(self.pieces)
        word: Json = {"refusal": text} if self.refusal else {"text": text, "logprobs": []}
        yield f"{self._kind}.done", {"content_index": 0, **word}
        yield "content_part.done", {"content_index": 0, "part": self._part(text, self.annotations)}
        yield DONE, {"item": self.item(status)}

    @property
    def _kind(self) -> str:
        return "refusal" if self.refusal else "output_text"

    def _part(self, text: str, annotations: list[Json]) -> Json:
        if self.refusal:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}

    def _item(self, content: list[Json], status: str) -> Json:
        return {"id": self.id, "type": "message", "role": "assistant", "status": status, "content": content}


@dataclass(slots=True)
class ReasoningItem:
    """A thinking block. Its words are a summary where the caller wants one; its signature is in ``encrypted_content``."""

    id: str
    summary: bool
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    redacted: str | None = None
    whole: bool = True

    @property
    def shown(self) -> bool:
        """Reasoning without a summary and a signature has nothing for the caller."""
        return bool(self.signature or self.redacted or (self.summary and any(self.pieces)))

    def item(self, status: str = "completed") -> Json:  # noqa: ARG002 - the vendor's reasoning items have none
        """The item as it is now."""
        text = "".join(self.pieces)
        sealed = encoded([Thinking(text, self.signature, self.redacted)])
        return self._item([{"type": "summary_text", "text": text}] if self.summary and text else [], sealed)

    def begin(self) -> Iterator[Event]:
        """Events of its beginning."""
        yield ADDED, {"item": self._item([], None)}
        if self.summary and any(self.pieces):
            yield "reasoning_summary_part.added", {"summary_index": 0, "part": {"type": "summary_text", "text": ""}}
            yield self._delta("".join(self.pieces))

    def grow(self, piece: str) -> Iterator[Event]:
        """Add a piece."""
        first = not any(self.pieces)
        self.pieces.append(piece)
        if self.summary and piece:
            if first:
                yield "reasoning_summary_part.added", {"summary_index": 0, "part": {"type": "summary_text", "text": ""}}
            yield self._delta(piece)

    def end(self, status: str) -> Iterator[Event]:
        """Events of its end."""
        text = "".join(self.pieces)
        if self.summary and text:
            yield "reasoning_summary_text.done", {"summary_index": 0, "text": text}
            yield "reasoning_summary_part.done", {"summary_index": 0, "part": {"type": "summary_text", "text": text}}
        yield DONE, {"item": self.item(status)}

    @staticmethod
    def _delta(piece: str) -> Event:
        return "reasoning_summary_text.delta", {"summary_index": 0, "delta": piece}

    def _item(self, summary: list[Json], sealed: str | None) -> Json:
        return {"id": self.id, "type": "reasoning", "summary": summary, "encrypted_content": sealed}


@dataclass(slots=True)
class CallItem:
    """A function call. Calls may grow side by side: one is whole once its arguments are."""

    id: str
    call_id: str
    name: str
    namespace: str | None = None
    pieces: list[str] = field(default_factory=list)
    shown: bool = True
    growing: json_text.GrowingObject = field(default_factory=json_text.GrowingObject)

    @property
    def whole(self) -> bool:
        """Whether the arguments are JSON that has ended."""
        return self.growing.is_whole(self.pieces)

    def item(self, status: str = "completed") -> Json:
        """The item as it is now."""
        return self._item("".join(self.pieces), status)

    def begin(self) -> Iterator[Event]:
        """Events of its beginning."""
        yield ADDED, {"item": self._item("", "in_progress")}

    def grow(self, piece: str) -> Iterator[Event]:
        """Add a piece."""
        self.pieces.append(piece)
        yield "function_call_arguments.delta", {"delta": piece}

    def end(self, status: str) -> Iterator[Event]:
        """Events of its end."""
        yield "function_call_arguments.done", {"name": self.name, "arguments": "".join(self.pieces)}
        yield DONE, {"item": self.item(status)}

    def _item(self, arguments: str, status: str) -> Json:
        space = {"namespace": self.namespace} if self.namespace else {}
        named = {"call_id": self.call_id, "name": self.name, **space}
        return {"id": self.id, "type": "function_call", "status": status, **named, "arguments": arguments}


@dataclass(slots=True)
class CustomCallItem(CallItem):
    """A call of a custom tool. Its input is read out of the arguments, so it is shown once they are whole."""

    def grow(self, piece: str) -> Iterator[Event]:
        """Add a piece."""
        self.pieces.append(piece)
        yield from ()

    def end(self, status: str) -> Iterator[Event]:
        """Events of its end."""
        text = custom_input("".join(self.pieces))
        yield "custom_tool_call_input.delta", {"delta": text}
        yield "custom_tool_call_input.done", {"input": text}
        yield DONE, {"item": self.item(status)}

    def _item(self, arguments: str, status: str) -> Json:
        space = {"namespace": self.namespace} if self.namespace else {}
        text = custom_input(arguments) if arguments else ""
        named = {"call_id": self.call_id, "name": self.name, **space}
        return {"id": self.id, "type": "custom_tool_call", "status": status, **named, "input": text}


@dataclass(slots=True)
class SearchCallItem(CustomCallItem):
    """A search for tools that the caller runs. Its arguments are an object, so they are shown once they are whole."""

    def end(self, status: str) -> Iterator[Event]:
        """The event of its end: the vendor has no others."""
        yield DONE, {"item": self.item(status)}

    def _item(self, arguments: str, status: str) -> Json:
        try:
            found = json_text.read(arguments or "{}")
        except ValueError:
            found = None
        asked = {"execution": "client", "arguments": found if isinstance(found, dict) else {}}
        return {"id": self.id, "type": "tool_search_call", "status": status, "call_id": self.call_id, **asked}


@dataclass(slots=True)
class Numbering:
    """Makes items with ids that are unique in their response."""

    request_id: str
    tools: Tools
    summary: bool
    count: int = 0

    def message(self, *, refusal: bool = False) -> MessageItem:
        """A message."""
        return MessageItem(self._id("msg"), refusal)

    def reasoning(self) -> ReasoningItem:
        """A thinking block."""
        return ReasoningItem(self._id("rs"), self.summary)

    def call(self, call_id: str, joined_name: str) -> CallItem:
        """A call of a tool, under the names that the request gave it."""
        space, name = self.tools.spaces.get(joined_name, (None, joined_name))
        if joined_name == SEARCH and self.tools.search:
            return SearchCallItem(self._id("tsc"), call_id, name)
        if joined_name in self.tools.custom:
            return CustomCallItem(self._id("ctc"), call_id, name, space)
        return CallItem(self._id("fc"), call_id, name, space)

    def _id(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.request_id.removeprefix('req_')}_{self.count}"


def items_of(parts: Sequence[Part], making: Numbering) -> list[Item]:
    """The items of a whole reply. Neighbouring texts are one message, with the addresses that they cite as annotations."""
    items: list[Item] = []
    for part in parts:
        match part:
            case Text():
                last = items[-1] if items else None
                message = last if isinstance(last, MessageItem) and not last.refusal else making.message()
                if message is not last:
                    items.append(message)
                message.annotations += _annotations(part, sum(map(len, message.pieces)))
                message.pieces.append(part.text)
            case Refusal(text=text):
                items.append(refused := making.message(refusal=True))
                refused.pieces.append(text)
            case Thinking(text=text, signature=signature, redacted=redacted):
                items.append(thought := making.reasoning())
                thought.pieces, thought.signature, thought.redacted = [text], signature, redacted
            case ToolUse(id=identity, name=name, arguments=arguments):
                items.append(call := making.call(identity, name))
                call.pieces.append(arguments)
            case _:
                pass
    return [item for item in items if item.shown]


def _annotations(text: Text, start: int) -> list[Json]:
    """The citations that name an address."""
    span = {"start_index": start, "end_index": start + len(text.text)}
    cited = [c for c in text.citations if isinstance(c.get("url"), str)]
    return [{"type": "url_citation", "url": c["url"], "title": str(c.get("title") or ""), **span} for c in cited]
