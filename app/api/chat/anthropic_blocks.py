"""Anthropic's content blocks as parts of a message.

A block that other vendors have too becomes the part that all share; one that Claude alone has goes to it unchanged (`Native`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.chat.anthropic_fields import (
    Base64Source,
    Block,
    BlocksSource,
    BrowserStateBlock,
    Caller,
    DocumentBlock,
    EarlierBlock,
    FileSource,
    ImageBlock,
    Marked,
    PdfSource,
    PlainSource,
    RedactedThinkingBlock,
    RefusedBlock,
    ResultBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolChangeBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from app.api.chat.parsing import as_object
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import CacheTtl, Document, Image, Native, Part, Text, Thinking, ToolResult, ToolUse
from app.edge.media import compact, web_address

NO_FILES = "files are not stored by this service; send them as base64 or by URL"
CACHED: Mapping[CacheTtl, Mapping[str, str]] = {"5m": {"type": "ephemeral"}, "1h": {"type": "ephemeral", "ttl": "1h"}}

ResultPart = Text | Image | Document | Native
_Inner = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock | BrowserStateBlock


def ttl_of(marked: Marked) -> CacheTtl | None:
    """How long a marked prefix stays in the cache; None without a mark."""
    mark = marked.cache_control
    return (mark.ttl or "5m") if mark else None


def texts_of(content: str | Sequence[Block] | None, where: str) -> tuple[Text, ...]:
    """Instructions, which are text. `anthropic_tools` reads changes of tools. Raises InvalidRequest for another block."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    texts = []
    for at, block in enumerate(content or ()):
        if isinstance(block, RefusedBlock):
            raise unsupported(f"{where}[{at}]", f"blocks of type '{block.type}' change what is kept at the vendor")
        if isinstance(block, TextBlock):
            texts.append(_text(block))
        elif not isinstance(block, ToolChangeBlock):
            raise InvalidRequest(f"{where}[{at}]: instructions hold text only.", param=where)
    return tuple(texts)


def part_of(block: Block, where: str) -> Part:
    """One block. Raises UnsupportedParameter for a kind that lives at the vendor."""
    match block:
        case ToolUseBlock(id=identity, name=name, input=arguments):
            _refuse_toolset(block, where)
            _refuse_caller(block.caller, where)
            return ToolUse(identity, name, as_object(arguments), cache=ttl_of(block))
        case ToolResultBlock(tool_use_id=identity, content=content):
            _refuse_toolset(block, where)
            return ToolResult(identity, _result(content, where), bool(block.is_error), cache=ttl_of(block))
        case ThinkingBlock(thinking=text, signature=signature):
            return Thinking(text, signature or None)
        case RedactedThinkingBlock(data=data):
            return Thinking("", redacted=data)
        case EarlierBlock():
            return _native(block)
        case ToolChangeBlock():
            raise InvalidRequest(f"{where}: only a system message changes the tools.", param=where)
        case RefusedBlock():
            reason = NO_FILES if block.type == "container_upload" else "nothing is kept at the vendor"
            raise unsupported(where, f"blocks of type '{block.type}': {reason}")
        case _:
            return _inner(block, where)


def _inner(block: _Inner, where: str) -> ResultPart:
    """One block that may also stand in a tool's result."""
    match block:
        case TextBlock():
            return _text(block)
        case ImageBlock():
            return _image(block, where)
        case DocumentBlock():
            return _document(block, where)
        case _:
            return _native(block)


def _text(block: TextBlock) -> Text:
    return Text(block.text, cache=ttl_of(block), citations=tuple(block.citations or ()))


def _image(block: ImageBlock, where: str) -> Image | Native:
    if isinstance(block.source, FileSource):
        raise unsupported(f"{where}.source", NO_FILES)
    if block.transformations and block.transformations.oversized_image == "error":
        return _native(block)
    match block.source:
        case UrlSource(url=url):
            return Image(url=web_address(url), cache=ttl_of(block))
        case Base64Source(data=data, media_type=media_type):
            return Image(data=compact(data), media_type=media_type, cache=ttl_of(block))


def _document(block: DocumentBlock, where: str) -> Document | Native:
    """A document. One in blocks, and one that the model must cite, is for Claude alone."""
    match block.source:
        case FileSource():
            raise unsupported(f"{where}.source", NO_FILES)
        case BlocksSource(content=content):
            for inner in () if isinstance(content, str) else content:
                if isinstance(inner, ImageBlock):
                    _image(inner, f"{where}.source")
            return _native(block)
        case _ if block.citations and block.citations.enabled:
            return _native(block)
    options: dict[str, Any] = {"context": block.context} if block.context else {}
    more: dict[str, Any] = {"name": block.title, "options": options, "cache": ttl_of(block)}
    match block.source:
        case PdfSource(data=data, media_type=media_type):
            return Document(data=compact(data), media_type=media_type, **more)
        case PlainSource(data=data, media_type=media_type):
            return Document(text=data, media_type=media_type, **more)
        case UrlSource(url=url):
            return Document(url=web_address(url), **more)


def _native(block: Marked) -> Native:
    return Native("anthropic", block.model_dump(exclude_unset=True))


def _result(content: str | Sequence[ResultBlock] | None, where: str) -> tuple[ResultPart, ...]:
    if content is None or isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(_inner(block, f"{where}.content[{at}]") for at, block in enumerate(content))


def _refuse_toolset(block: ToolUseBlock | ToolResultBlock, where: str) -> None:
    if block.toolset_name:
        raise unsupported(f"{where}.toolset_name", "sets of tools are offered one by one")


def _refuse_caller(caller: Caller | None, where: str) -> None:
    if caller and caller.type != "direct":
        raise unsupported(f"{where}.caller", "no code runs at the vendor")


def unsupported(param: str, reason: str) -> UnsupportedParameter:
    """The refusal of a field or value that the vendor knows."""
    return UnsupportedParameter(f"{param}: not supported by this service; {reason}", param=param)
