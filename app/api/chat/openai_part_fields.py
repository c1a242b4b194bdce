"""The fields of a message's parts in OpenAI's chat completion request. See `openai_fields`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.chat.parsing import Wire


class CacheControl(Wire):
    """Anthropic's cache mark, as clients of several vendors put it into OpenAI's parts."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class CacheBreakpoint(Wire):
    """OpenAI's explicit cache mark."""

    mode: Literal["explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class Marked(Wire):
    """Something that may end a prefix worth caching."""

    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(Marked):
    """A part of text. Hugging Face's client has one form for parts of text and images, with null for what a part is not."""

    type: Literal["text"]
    text: str
    image_url: None = None


class RefusalPart(Wire):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Wire):
    """An image's address, or a data URL that holds it and names its type, as VS Code and Strands do once more."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None
    media_type: str | None = None
    format: str | None = None


class ImagePart(Marked):
    """A part that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl
    text: None = None


class File(Wire):
    """A document: in the request itself, or uploaded before."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Marked):
    """A part that is a document."""

    type: Literal["file"]
    file: File


class Audio(Wire):
    """A recording in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Marked):
    """A part that is a recording."""

    type: Literal["input_audio"]
    input_audio: Audio


class OfMessage(Wire):
    """What an SDK's object or an open-model server adds to an assistant's message: it is taken and left out."""

    annotations: Any = None
    parsed: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None
    provider_specific_fields: Any = None
    images: Any = None
    cot_id: Any = None
    cot_summary: Any = None


class RestOfMessage(OfMessage):
    """A message without its content, which OpenAI's Agents SDK for Node sends once more in the content's part."""

    role: Any = None
    content: None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class AssistantText(TextPart, RestOfMessage):
    """A part of an assistant's text."""

    refusal: str | None = None


class AssistantRefusal(RefusalPart, RestOfMessage):
    """An assistant's refusal as a part."""


UserPart = Annotated[TextPart | ImagePart | FilePart | AudioPart, Field(discriminator="type")]
ResultPart = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[AssistantText | AssistantRefusal, Field(discriminator="type")]
