"""Read Anthropic's messages, whole and event by event. Pure: no I/O, no SDK.

Other servers speak this protocol with accents, so fields that are absent, null or unknown cost nothing. What we use must have its
type, or the whole is garbled (pydantic's ValidationError, a ValueError). Kinds of blocks that we do not know are kept as they
came: a caller in this vendor's form gets them. A reason to stop that we do not know is no clean end.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter

from app.domain.calls import CitationDelta, Delta, NativeDelta, Reply, ThinkingDelta, Usage
from app.domain.json_text import loads
from app.domain.messages import Native, Part, Text
from app.gateway.providers import dialect
from app.gateway.providers.anthropic_events import body_documents
from app.gateway.providers.anthropic_stop import counts, stop_of
from app.gateway.providers.anthropic_usage import Reported
from app.gateway.providers.assembly import Assembly, encodable
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.reported import Optional, grown, refuse_nothing
from app.gateway.providers.same_shape import SameShape

_FRAME = b"event: content_block_delta\ndata: ", b"\n\n"
# The fields of an event that holds nothing but more text.
_OF_EVENT, _OF_DELTA = frozenset({"type", "index", "delta"}), frozenset({"type", "text"})
# Fields of an answer that callers of this vendor's form get as they came.
NATIVE = ("context_management", "input_transformations")

Word = Annotated[str, BeforeValidator(lambda value: value or "")]
Object = BeforeValidator(lambda value: value if isinstance(value, Mapping) else None)


def _blocks(value: object) -> object:
    """Content as blocks, without nulls; a text for one block of it."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    return [block for block in value if block is not None] if isinstance(value, list) else value or []


def _json_text(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value or ""


class _Block(BaseModel):
    """Any content block, with all of its fields."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: Word = ""
    thinking: Word = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    citations: Annotated[list[dict[str, Any]], BeforeValidator(_blocks)] = []


class _Ending(BaseModel):
    """The end of an answer: why, and the fields that only this vendor has."""

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Annotated[dict[str, Any] | None, Object] = None


class _Message(_Ending):
    model_config = ConfigDict(extra="allow")

    id: Any = None
    model: str | None = None
    content: Annotated[list[_Block], BeforeValidator(_blocks)] = []
    usage: Annotated[Reported | None, Optional] = None


class _Delta(_Ending):
    model_config = ConfigDict(extra="allow")

    type: str | None = None
    text: Word = ""
    thinking: Word = ""
    signature: str | None = None
    partial_json: Annotated[str, BeforeValidator(_json_text)] = ""
    citation: Annotated[dict[str, Any] | None, Object] = None


class _Event(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    message: _Message | None = None
    index: Annotated[int, BeforeValidator(lambda value: value or 0)] = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Annotated[Reported | None, Optional] = None


_Key = tuple[int, int]  # the vendor's index of a block, and how often it had been used before
_MESSAGE = TypeAdapter(_Message)
_EVENT = TypeAdapter(_Event)


@dataclass(slots=True)
class _Own:
    """A block of a kind that only this vendor has, as it grows."""

    place: int
    block: dict[str, Any]
    arguments: list[str] = field(default_factory=list)

    def part(self) -> Native:
        """The whole. Raises ValueError for arguments that are no JSON."""
        given = {"input": json.loads("".join(self.arguments))} if self.arguments else {}
        return Native("anthropic", {**self.block, **given})


class Reading:
    """One reply as it is read, whole or event by event. Everything raises ValueError where it is not the protocol."""

    def __init__(self, request: ModelRequest, provider: str) -> None:
        """``request`` names the model where the reply does not."""
        self._request = request
        self._provider = provider
        self._assembly = Assembly()
        self._names = dialect.names_back(request, dialect.ANTHROPIC)
        self._turns: dict[int, int] = {}  # how often the vendor's index has been used before
        self._own: dict[_Key, _Own] = {}
        self._inputs: dict[_Key, str] = {}  # that came with the start of a call, and count if no other arguments follow
        self._open: dict[_Key, None] = {}
        self._ids: set[str] = set()  # of calls
        self._citations: dict[int, list[Mapping[str, Any]]] = {}  # by our own
        self._id: Any = None
        self._model: str | None = None
        self._ending = _Ending()
        self._native: dict[str, Any] = {}
        self._usage = Reported()
        self._counted = False  # the output's figure came with the stop reason or later, and no output after it
        self.complete = False
        self._same = SameShape(_FRAME)
        self._same_block = 0  # the vendor's index of the block in that shape

    def whole(self, content: bytes, request_id: str | None) -> Reply:
        """Read an answer that came in one piece."""
        for document in body_documents(content):
            self.deltas(document)
        return self.reply(request_id)

    def _whole(self, document: object) -> list[Delta]:
        message = _MESSAGE.validate_python(document)
        self._start(message)
        found: list[Delta] = []
        for index, block in enumerate(message.content):
            found += [*self._begin(index, block), *self._close(self._key(index))]
        self._ending = message
        if not message.stop_reason:
            message.stop_reason = "end_turn"
        self._counted = self.complete = True
        return found

    def document(self, data: str) -> object:
        """Read the data of one event, for `deltas`: block and text where it holds nothing else, as nearly all do."""
        if (text := self._same.text(data)) is not None:
            return self._same_block, text
        document = loads(data)
        if (text := self._more_text(document)) is None:
            return document
        index: int = document["index"]
        if self._same.learn(data, text, self._more_text):
            self._same_block = index
        return index, text

    def text_of(self, piece: bytes) -> object:
        """Read a piece of the stream's bytes, for `deltas`: block and text; None where it is not one event of a known shape."""
        text = self._same.text_of(piece)
        return None if text is None else (self._same_block, text)

    def deltas(self, event: object) -> list[Delta]:
        """Read one event of a stream: its document, or block and text where it holds nothing else."""
        if type(event) is tuple:
            self._counted = False
            return [self._assembly.text(self._key(event[0]), event[1])]
        self._same.forget()
        if isinstance(event, Mapping) and event.get("type") == "message":
            return self._whole(event)
        read = _EVENT.validate_python(event)
        match read:
            case _Event(type="content_block_delta", delta=_Delta() as delta):
                return self._grow(read.index, delta)
            case _Event(type="content_block_start", content_block=_Block() as block):
                return self._begin(read.index, block)
            case _Event(type="content_block_stop"):
                return self._close(self._key(read.index))
            case _Event(type="message_start", message=_Message() as message):
                self._start(message)
            case _Event(type="message_delta", delta=_Delta() as delta):
                self._end(read, delta)
            case _Event(type="message_stop"):
                self.complete = True
        return []

    @property
    def stopped(self) -> bool:
        """Whether the model's last word has come: not every server sends `message_stop` behind it."""
        return bool(self._ending.stop_reason)

    def close(self) -> list[Delta]:
        """The deltas of the blocks that the server has not ended."""
        return [delta for key in [*self._open] for delta in self._close(key)]

    def _key(self, index: int) -> _Key:
        return index, self._turns.get(index, 0)

    def _more_text(self, event: object) -> str | None:
        """The text of an event that holds nothing else: not worth a validation each. None for others."""
        if type(event) is not dict or event.keys() != _OF_EVENT or event["type"] != "content_block_delta":
            return None
        index, delta = event["index"], event["delta"]
        if type(index) is not int or self._key(index) in self._own or type(delta) is not dict or delta.keys() != _OF_DELTA:
            return None
        text = delta["text"] if delta["type"] == "text_delta" else None
        return text if type(text) is str and text and encodable(text) == text else None

    def reply(self, request_id: str | None) -> Reply:
        """The whole. Raises ProtocolError where the stream ended early, or for a reason to stop that is not known."""
        reported = self._ending
        if not self.complete and not self.stopped:
            raise ProtocolError("The stream ended before its end.")
        parts = tuple(self._parts())
        stop = stop_of(reported.stop_reason, parts)
        refuse_nothing(self._request, parts, stop, self._usage.output_tokens)
        return Reply(
            parts=parts,
            stop=stop,
            stop_sequence=reported.stop_sequence,
            stop_details=reported.stop_details,
            usage=self.usage(),
            provider=self._provider,
            model=self._model or self._request.model,
            native={"anthropic": self._native} if self._native else {},
            provider_request_id=request_id,
        )

    def usage(self) -> Usage:
        """As reported so far. Zero: not known. ``estimated`` unless the output's figure is the final one.

        `message_start` reports the whole input, and of the output only what was made by then: never taken for the bill.
        """
        return self._usage.usage(final=self._counted)

    def _start(self, message: _Message) -> None:
        """A message begins. Some go-betweens ask again when their connection breaks, and append the second answer."""
        if self._id not in (None, message.id) and self._assembly.parts():
            raise ProtocolError("Another answer began within this one.")
        self._id, self._model = message.id, message.model
        self._usage = grown(self._usage, message.usage, output="output_tokens")
        self._keep(message)

    def _end(self, event: _Event, delta: _Delta) -> None:
        """The stop reason, and the usage with it. A later event without a reason changes none."""
        if delta.stop_reason and counts(delta.stop_reason, after=self._ending.stop_reason):
            self._ending = delta
        self._usage = grown(self._usage, event.usage, output="output_tokens")
        self._keep(event)
        if self._ending.stop_reason and event.usage and event.usage.output_tokens is not None:
            self._counted = True

    def _keep(self, reported: BaseModel) -> None:
        found = {name: value for name in NATIVE if (value := (reported.model_extra or {}).get(name)) is not None}
        self._native.update(found)

    def _parts(self) -> list[Part]:
        """The parts: those that every vendor has from the assembly, the others in their places."""
        parts = list(self._assembly.parts())
        for place, found in self._citations.items():
            if isinstance(part := parts[place], Text):
                parts[place] = replace(part, citations=tuple(found))
        for own in self._own.values():
            parts[own.place] = own.part()
        return parts

    def _begin(self, index: int, block: _Block) -> list[Delta]:
        self._counted = False
        before = self._key(index)
        if (index in self._turns and before not in self._open) or (block.type == "tool_use" and self._assembly.has_tool(before)):
            self._turns[index] += 1  # another block has the index of one that is whole
        self._turns.setdefault(index, 0)
        key = self._key(index)
        self._open[key] = None
        match block.type:
            case "text":
                begun = [self._assembly.text(key, block.text)] if block.text else []
                return [*begun, *(self._cite(key, citation) for citation in block.citations)]
            case "thinking":
                return [replace(self._thinking(key, block.thinking, block.signature), signed=True)]
            case "redacted_thinking":
                return [self._assembly.thinking(key, redacted=block.data)]
            case "tool_use":
                if not block.name:
                    raise ProtocolError("A tool call without a name.")
                if block.input:
                    self._inputs[key] = block.input if isinstance(block.input, str) else json.dumps(block.input)
                id_ = block.id if block.id and block.id not in self._ids else f"toolu_{secrets.token_hex(12)}"
                self._ids.add(id_)
                return [self._assembly.tool(key, id_, self._names.get(block.name, block.name))]
        place = self._assembly.text(key, "").index
        self._own[key] = _Own(place, block.model_dump(exclude_unset=True))
        return []

    def _grow(self, index: int, delta: _Delta) -> list[Delta]:  # noqa: PLR0911 - a table
        self._counted = False
        key = self._key(index)
        own = self._own.get(key)
        if own:
            own.arguments += [delta.partial_json] if delta.partial_json else []
            own.block |= delta.model_extra or {}
            return []
        match delta.type:
            case "text_delta":
                return [self._assembly.text(key, delta.text)] if delta.text else []
            case "thinking_delta":
                return [self._thinking(key, delta.thinking, None)]
            case "signature_delta":
                return [self._thinking(key, "", delta.signature)]
            case "citations_delta":
                return [self._cite(key, delta.citation)] if delta.citation else []
            case "input_json_delta":
                if delta.partial_json:
                    self._inputs.pop(key, None)
                return [self._assembly.arguments(key, delta.partial_json)] if delta.partial_json else []
        return []

    def _close(self, key: _Key) -> list[Delta]:
        """A block is whole."""
        self._open.pop(key, None)
        if own := self._own.get(key):
            return [NativeDelta(own.place, own.part())]
        given = self._inputs.pop(key, None)
        return [*([self._assembly.arguments(key, given)] if given else []), *self._assembly.close(key)]

    def _thinking(self, key: _Key, text: str, signature: str | None) -> ThinkingDelta:
        delta = self._assembly.thinking(key, text, signature=signature or None)
        assert isinstance(delta, ThinkingDelta)  # noqa: S101 - the assembly's own kind
        return delta

    def _cite(self, key: _Key, citation: Mapping[str, Any]) -> Delta:
        place = self._assembly.text(key, "").index
        self._citations.setdefault(place, []).append(citation)
        return CitationDelta(place, citation)
