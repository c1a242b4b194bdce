"""Messages to and from a model, independent of vendors.

Adapters in `gateway/providers` translate these types to each vendor; endpoints in `api/chat` translate each vendor's
requests into these types. Everything is immutable, so a retry or a fallback sends exactly what the first attempt sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from app.domain.quick import quick

Role = Literal["user", "assistant", "system"]
Vendor = Literal["openai", "anthropic"]  # an adapter's `kind`: the wire that a block or field belongs to
CacheTtl = Literal["5m", "1h"]  # how long a marked prefix stays in the vendor's cache

# ``context_window``: the model's window is full. ``pause_turn``: Anthropic's long turn, to be sent again as it is.
StopReason = Literal["end", "max_tokens", "stop_sequence", "tool_use", "refusal", "context_window", "pause_turn"]


@quick
@dataclass(frozen=True, slots=True)
class Text:
    """Plain text. ``cache`` marks the end of a prefix worth caching, where the provider can (Anthropic `cache_control`).

    ``citations``: the sources that the model names for this text, in the form of Anthropic's API.
    """

    text: str
    cache: CacheTtl | None = None
    citations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """An image, either by ``url`` or as base64 ``data`` with its ``media_type``; ``detail`` is OpenAI's low/high/auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document to read: by ``url``, as base64 ``data`` with its ``media_type``, or as plain ``text``.

    ``options`` are Anthropic's own (``citations``, ``context``); a model of another vendor reads the document without them.
    """

    url: str | None = None
    data: str | None = None
    text: str | None = None
    media_type: str | None = None
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class Native:
    """A content block that one vendor alone has, passed to its models unchanged. The models of others are passed over."""

    vendor: Vendor
    block: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All that the block says, without binary data and the vendor's sealed parts: for records, screens and bounds."""
        return "\n".join(_strings(self.block))


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call the model asks for. ``arguments`` is the JSON text as the model wrote it; it may be invalid.

    ``signature`` is opaque and must be returned unchanged (`app.domain.signatures`).
    """

    id: str
    name: str
    arguments: str
    cache: CacheTtl | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's result for the model."""

    tool_use_id: str
    content: "tuple[Text | Image | Document | Native, ...]"
    is_error: bool = False
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model's reasoning block; ``signature`` is opaque and must be returned unchanged. ``redacted`` holds sealed data."""

    text: str
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's words for why it does not answer (OpenAI's ``refusal``)."""

    text: str


_NOT_TEXT = frozenset({"type", "id", "tool_use_id", "file_id", "data", "signature", "encrypted_content", "encrypted_index"})


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _NOT_TEXT:
                yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


Part = Text | Image | Document | Native | ToolUse | ToolResult | Thinking | Refusal


@quick
@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``name``: the participant, as OpenAI's callers give it.

    Instructions before the first turn are `Call.system`. Those in the middle, and those of a conversation without any turn, are
    messages of the role ``system``.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


def merged(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Neighbouring turns of one role become one, as Anthropic joins them: several tool results answer one turn together.

    Some models' templates demand it. Two answers of text are paragraphs: they would run into each other.
    """
    turns: list[tuple[Role, str | None, list[Part]]] = []
    for message in messages:
        if turns and turns[-1][:2] == (message.role, message.name):
            extend(message.role, turns[-1][2], message.parts)
        else:
            turns.append((message.role, message.name, [*message.parts]))
    return tuple(Message(role, tuple(parts), name) for role, name, parts in turns)


def extend(role: Role, turn: list[Part], parts: Sequence[Part]) -> None:
    """Add to a turn what its role says next."""
    if role == "assistant" and turn and parts and _says(turn[-1]) and _says(parts[0]):
        turn.append(Text("\n\n"))
    turn += parts


def paragraphs(parts: Sequence[Part]) -> str:
    """The text of an answer. Neighbouring texts are pieces of one, as cited ones; a call or a thought parts two paragraphs."""
    runs = ("".join(p.text for p in run if isinstance(p, Text)) for said, run in groupby(parts, _is_text) if said)
    return "\n\n".join(filter(None, runs))


def _is_text(part: Part) -> bool:
    return isinstance(part, Text)


def _says(part: Part) -> bool:
    return isinstance(part, Text) and bool(part.text)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool offered to the model; ``schema`` is the JSON Schema of its arguments (an object).

    ``options`` are fields that Anthropic alone has (``eager_input_streaming``, ``input_examples``); with a ``type`` it is a tool
    whose schema Claude knows by that name.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = False
    cache: CacheTtl | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """``auto``: the model decides; ``any``: it must call one; ``none``: it may not; ``tool``: it must call ``name``."""

    mode: Literal["auto", "any", "none", "tool"] = "auto"
    name: str | None = None
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The answer must be one JSON document valid under ``schema``. An empty schema means any JSON object."""

    name: str
    schema: Mapping[str, Any]
    strict: bool = True


@quick
@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. ``None`` leaves the choice to the route, then to the provider."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
