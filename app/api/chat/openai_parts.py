"""OpenAI's parts of a message as ours: text, images and documents, with their cache marks."""

from app.api.chat.openai_part_fields import (
    CacheBreakpoint,
    CacheControl,
    File,
    FilePart,
    ImagePart,
    ImageUrl,
    Marked,
    TextPart,
    UserPart,
)
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import CacheTtl, Document, Image, Text
from app.edge import media


def unsupported(param: str, reason: str) -> UnsupportedParameter:
    """The refusal of a field or value that the vendor knows."""
    return UnsupportedParameter(f"Unsupported parameter: '{param}' is not supported with this model. {reason}.", param=param)


def mark_of(part: Marked) -> CacheTtl | None:
    """How long a marked part stays in the cache, by either vendor's mark."""
    return ttl_of(part.cache_control) or ttl_of(part.prompt_cache_breakpoint)


def ttl_of(mark: CacheControl | CacheBreakpoint | None) -> CacheTtl | None:
    """How long to cache. OpenAI's twelve hours are Anthropic's one, the longest of each."""
    if mark is None:
        return None
    return "1h" if mark.ttl in ("1h", "12h") else "5m"


def part_of(part: UserPart, where: str) -> Text | Image | Document:
    """One part of a user's message or a tool's result. Raises InvalidRequest or UnsupportedParameter."""
    match part:
        case TextPart():
            return Text(part.text, mark_of(part))
        case ImagePart():
            return _image(part.image_url, f"{where}.image_url", mark_of(part))
        case FilePart():
            return _document(part.file, f"{where}.file", mark_of(part))
        case _:
            raise unsupported(f"{where}.input_audio", "Speech has no price here")


def _image(image: ImageUrl, where: str, cache: CacheTtl | None) -> Image:
    if media.holds_data(image.url):
        media_type, data = _data_url(image.url, where)
        return Image(data=data, media_type=media_type, detail=image.detail, cache=cache)
    address = media.web_address(image.url)
    if address is None:
        raise InvalidRequest("An image URL must be http, https or data.", param=where)
    return Image(url=address, detail=image.detail, cache=cache)


def _data_url(url: str, where: str) -> tuple[str, str]:
    found = media.inline(url)
    if found is None:
        raise InvalidRequest("A data URL must read data:<media type>;base64,….", param=where)
    return found


def _document(file: File, where: str, cache: CacheTtl | None) -> Document:
    if file.file_id:
        raise unsupported(f"{where}.file_id", "There are no uploaded files here: send the document as 'file_data'")
    if address := media.web_address(file.file_data or ""):
        return Document(url=address, name=file.filename, cache=cache)
    if not file.file_data:
        raise InvalidRequest(f"Missing required parameter: '{where}.file_data'.", param=f"{where}.file_data")
    named, data = None, media.compact(file.file_data)
    if media.holds_data(data):
        named, data = _data_url(data, f"{where}.file_data")
    try:
        media_type, text, kept = media.file(named, data)
    except ValueError:
        raise InvalidRequest(f"Invalid value for '{where}.file_data': not UTF-8 text in base64.", param=where) from None
    return Document(data=kept, text=text, media_type=media_type, name=file.filename, cache=cache)
