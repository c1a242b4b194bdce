"""Messages to and from a model, independent of vendors.

Adapters in `gateway/providers` translate these types to each vendor; endpoints in `api/chat` translate each vendor's
requests into these types. Everything is immutable, so a retry or a fallback sends exactly what the first attempt sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant"]
StopReason = Literal["end", "max_tokens", "stop_sequence", "tool_use", "refusal"]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text. ``cache`` marks the end of a prefix worth caching, where the provider can (Anthropic `cache_control`)."""

    text: str
    cache: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """An image, either by ``url`` or as base64 ``data`` with its ``media_type``; ``detail`` is OpenAI's low/high/auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call the model asks for. ``arguments`` is the JSON text as the model wrote it; it may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's result for the model."""

    tool_use_id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model's reasoning block; ``signature`` is opaque and must be returned unchanged. ``redacted`` holds sealed data."""

    text: str
    signature: str | None = None
    redacted: str | None = None


Part = Text | Image | ToolUse | ToolResult | Thinking


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. System text is not a message: it is `Call.system`."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool offered to the model; ``schema`` is the JSON Schema of its arguments (an object)."""

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = False


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
