"""A vendor's limits on values: a request is made fit for it, or the vendor is passed over. Pure.

Our types (`app.domain.messages`) hold what the callers of either vendor may send. Each vendor takes less: other names and ids,
other images, other stop sequences, a part of JSON Schema. `fit` rewrites a request where nothing is lost by it. `unsayable` names
the rest, so that the target is passed over before it is asked (`Provider.lacks`) and refuses no request that is well written.

Sources: the vendors' API references and SDKs, and the messages with which their servers refuse.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.messages import (
    Image,
    Message,
    OutputSchema,
    Part,
    Sampling,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Vendor,
)
from app.domain.quick import replace
from app.gateway.providers.base import ModelRequest, says_text_alone
from app.gateway.providers.dialect_names import IdForm, Ids, tool_name
from app.gateway.providers.dialect_narrow import gemini, moonshot
from app.gateway.providers.dialect_schema import Fitted, Subset, fitted
from app.gateway.providers.dialect_tools import parameters
from app.gateway.providers.openai_models import is_mistral, wants

LEAST_THINKING = 1024  # tokens: Anthropic's least budget
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
IMAGE_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
STARTS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGODdh": "image/gif", "R0lGODlh": "image/gif"}  # in base64
RIFF, WEBP = "UklGR", "RUJQ"  # in base64, the latter as the last three of twelve bytes
IN_WORDS = """\
Answer with exactly one JSON document and nothing else: no prose, no code fence. It must be valid under this JSON Schema:
{schema}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A vendor's limits. ``strict_tools``, ``optional`` and ``unions`` bound one request's strict schemas together.

    ``images``, ``properties``: None where anything goes. ``blank``: text of white space alone is taken. ``letter_first``: names
    of tools begin with one. ``narrow``: what a tool's schema becomes, where a whole request is refused for its form.
    """

    vendor: Vendor
    longest_name: int
    letter_first: bool = False
    ids: IdForm
    blank: bool
    most_stops: int | None
    blank_stops: bool
    subset: Subset
    images: frozenset[str] | None = None
    properties: re.Pattern[str] | None = None
    most_tools: int | None = None
    strict_tools: int | None = None
    optional: int | None = None
    unions: int | None = None
    narrow: Callable[[dict[str, Any]], dict[str, Any]] | None = None


# platform.openai.com/docs/guides/structured-outputs, "Supported schemas"; docs/api-reference/chat/create.
OPENAI = Dialect(
    vendor="openai",
    longest_name=64,
    ids=IdForm(re.compile(r"[\x21-\x7e]{1,40}\Z"), 24),
    blank=True,
    most_stops=4,
    blank_stops=True,
    most_tools=128,
    subset=Subset(
        name="openai",
        keywords=frozenset(
            {"pattern", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "minItems", "maxItems"}
        ),
        formats=frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}),
        all_required=True,
        recursion=True,
        object_root=True,
        typed=True,
        counted=False,
    ),
)
# Mistral's server, and vLLM's with Mistral's templates, take tool call ids of nine letters and digits only.
MISTRAL = replace(OPENAI, ids=IdForm(re.compile(r"[a-zA-Z0-9]{9}\Z"), 9))
GEMINI = replace(OPENAI, letter_first=True, narrow=gemini)
MOONSHOT = replace(OPENAI, letter_first=True, narrow=moonshot)

# docs.anthropic.com/en/docs/build-with-claude/structured-outputs, "JSON Schema limitations"; en/api/messages.
ANTHROPIC = Dialect(
    vendor="anthropic",
    longest_name=128,
    ids=IdForm(re.compile(r"[a-zA-Z0-9_-]{1,128}\Z"), 24, unique=True),
    blank=False,
    most_stops=None,
    blank_stops=False,
    images=IMAGES,
    properties=re.compile(r"[a-zA-Z0-9_.-]{1,64}\Z"),
    strict_tools=20,
    optional=24,
    unions=16,
    subset=Subset(
        name="anthropic",
        keywords=frozenset(),
        formats=frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}),
        all_required=False,
        recursion=False,
        object_root=False,
        typed=False,
        counted=True,
    ),
)


def of_openai(model: str) -> Dialect:
    """The dialect of a model behind OpenAI's protocol, on any server: Mistral's models have ids of their own form."""
    if is_mistral(model):
        return MISTRAL
    return (GEMINI if wants(model).signatures else MOONSHOT) if wants(model).letter_first else OPENAI


def unsayable(request: ModelRequest, dialect: Dialect) -> frozenset[str]:
    """The fields of a request whose values the vendor does not take, by our names."""
    found = set()
    stops = [stop for stop in request.sampling.stop if stop]
    if dialect.most_stops is not None and len(stops) > dialect.most_stops:
        found.add("stop")
    if not dialect.blank_stops and any(not stop.strip() for stop in stops):
        found.add("stop")
    if dialect.images is not None and any(image_type(image) not in dialect.images for image in _images(request) if image.data):
        found.add("image_type")
    last = request.messages[-1] if request.messages else None  # a request for embeddings has none
    if not dialect.blank and last and last.role == "user" and not _speaks(last):
        found.add("blank_text")
    if dialect.most_tools is not None and len(request.tools) > dialect.most_tools:
        found.add("tools")
    if dialect.properties and any(_odd_names(tool.schema, dialect.properties) for tool in request.tools):
        found.add("tools")
    if request.output and request.output.schema and _output(request.output, dialect) is None and dialect.subset.object_root:
        found.add("schema")
    return frozenset(found)


def fit(request: ModelRequest, dialect: Dialect) -> ModelRequest:
    """The request as the vendor takes it. Where nothing has to change, the parts are the same objects."""
    if dialect.blank and not request.tool_choice.name and says_text_alone(request):
        return request
    sampling, tools, output, system = request.sampling, request.tools, request.output, request.system
    strict = _Strict(dialect)
    if output and output.schema:
        made = _output(output, dialect, strict)
        if made is None:
            system = (*system, Text(IN_WORDS.format(schema=json.dumps(dict(output.schema), ensure_ascii=False))))
        output = made
    if sampling.stop:
        sampling = replace(sampling, stop=_stops(sampling, dialect))
    if tools:
        tools = tuple(_tool(tool, dialect, strict) for tool in tools)
    choice: ToolChoice = request.tool_choice
    if choice.name:
        choice = replace(choice, name=_name(choice.name, dialect))
    if not dialect.blank:
        system = tuple(part for part in system if part.text.strip())
    messages = _messages(request.messages, dialect)
    return replace(request, system=system, messages=messages, sampling=sampling, tools=tools, tool_choice=choice, output=output)


def names_back(request: ModelRequest, dialect: Dialect) -> Mapping[str, str]:
    """Our name of each tool, by the name that the vendor knows."""
    return {_name(tool.name, dialect): tool.name for tool in request.tools}


def _name(name: str, dialect: Dialect) -> str:
    return tool_name(name, dialect.longest_name, letter_first=dialect.letter_first)


def arguments(use: ToolUse) -> str:
    """A call's arguments, which must be a document: servers fail on a history where there are none, or `null`."""
    return use.arguments if use.arguments.strip() not in ("", "null") else "{}"


def image_type(image: Image) -> str:
    """An image's media type by its bytes, or else as registered: in lower case, without parameters, never `image/jpg`.

    Claude refuses an image whose bytes are of another type than its caller says; OpenAI reads it.
    """
    data = image.data or ""
    if found := next((name for start, name in STARTS.items() if data.startswith(start)), None):
        return found
    if data.startswith(RIFF) and data[12:16] == WEBP:
        return "image/webp"
    name = (image.media_type or "").partition(";")[0].strip().lower()
    return IMAGE_NAMES.get(name, name)


def thinking_within(extra: Mapping[str, Any], wanted: int | None, longest: int) -> Mapping[str, Any]:
    """Cut a thinking budget in the proportion in which ``wanted`` output tokens were cut to ``longest``.

    So the answer keeps its share. A limit that leaves no room for the least budget leaves no thinking.
    """
    thinking = extra.get("thinking") or {}
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or not budget or not wanted or longest >= wanted:
        return extra
    if longest <= LEAST_THINKING:
        return {name: value for name, value in extra.items() if name != "thinking"}
    share = max(LEAST_THINKING, min(budget * longest // wanted, longest - 1))
    return {**extra, "thinking": {**thinking, "budget_tokens": min(budget, share)}}


@dataclass(slots=True)
class _Strict:
    """What the strict schemas of one request have used of the vendor's limits. A schema over them is sent as a hint."""

    dialect: Dialect
    tools: int = 0
    optional: int = 0
    unions: int = 0

    def allows(self, made: Fitted, *, tool: bool) -> bool:
        """Count a schema in, if there is room for it."""
        limits = self.dialect
        used = (self.tools + tool, self.optional + made.optional, self.unions + made.unions)
        most = (limits.strict_tools, limits.optional, limits.unions)
        if any(limit is not None and n > limit for n, limit in zip(used, most, strict=True)):
            return False
        self.tools, self.optional, self.unions = used
        return True


def _output(output: OutputSchema, dialect: Dialect, strict: _Strict | None = None) -> OutputSchema | None:
    """The schema that the vendor enforces, or takes as a hint; None where only words can state it."""
    hint = not dialect.subset.typed  # Anthropic knows no schema that is not enforced
    if output.strict or hint:
        made = fitted(output.schema, dialect.subset)
        if made and (strict is None or strict.allows(made, tool=False)):
            return replace(output, schema=made.schema, strict=True)
    if hint:
        return None
    loose = parameters(output.schema, items=True)
    return None if loose is None else replace(output, schema=loose, strict=False)


def _tool(tool: ToolSpec, dialect: Dialect, strict: _Strict) -> ToolSpec:
    name = _name(tool.name, dialect)
    if tool.strict:
        made = fitted(tool.schema, dialect.subset, root="object")
        if made and strict.allows(made, tool=True):
            return replace(tool, name=name, schema=dialect.narrow(dict(made.schema)) if dialect.narrow else made.schema)
    loose = parameters(tool.schema, items=dialect.subset.typed, any_root=True) or {"type": "object", "properties": {}}
    return replace(tool, name=name, schema=dialect.narrow(loose) if dialect.narrow else loose, strict=False)


def _odd_names(schema: Mapping[str, Any], allowed: re.Pattern[str]) -> bool:
    properties = schema.get("properties")
    return isinstance(properties, Mapping) and not all(allowed.match(str(name)) for name in properties)


def _stops(sampling: Sampling, dialect: Dialect) -> tuple[str, ...]:
    """Without what asks for nothing, and without what a route that ignores `stop` gives up."""
    stops = [stop for stop in sampling.stop if stop and (dialect.blank_stops or stop.strip())]
    return tuple(stops[: dialect.most_stops])


def _images(request: ModelRequest) -> Iterator[Image]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Image):
                yield part
            elif isinstance(part, ToolResult):
                yield from (inner for inner in part.content if isinstance(inner, Image))


def _speaks(message: Message) -> bool:
    """Whether anything of a message is left without text of white space alone."""
    return any(not isinstance(part, Text) or part.text.strip() for part in message.parts)


def _messages(messages: tuple[Message, ...], dialect: Dialect) -> tuple[Message, ...]:
    """The turns with names, ids and images as the vendor takes them; where it refuses blank text, without it."""
    ids = Ids(dialect.ids)
    made = [_message(message, dialect, ids) for message in messages]
    if dialect.blank:
        return tuple(made)
    kept = [message for message in made if message.parts]
    if kept and kept[-1].role == "assistant" and isinstance(last := kept[-1].parts[-1], Text):  # it may not end in blanks
        kept[-1] = replace(kept[-1], parts=(*kept[-1].parts[:-1], replace(last, text=last.text.rstrip())))
    return tuple(kept)


def _message(message: Message, dialect: Dialect, ids: Ids) -> Message:
    parts = tuple(_part(part, dialect, ids) for part in message.parts if dialect.blank or _said(part))
    same = len(parts) == len(message.parts) and all(map(operator.is_, parts, message.parts))
    return message if same else replace(message, parts=parts)


def _said(part: object) -> bool:
    return not isinstance(part, Text) or bool(part.text.strip())


def _part(part: Part, dialect: Dialect, ids: Ids) -> Part:
    match part:
        case ToolUse(id=identity, name=name):
            wire_id, wire_name = ids.use(identity), _name(name, dialect)
            return part if (wire_id, wire_name) == (identity, name) else replace(part, id=wire_id, name=wire_name)
        case ToolResult(tool_use_id=identity, content=content):
            inner = tuple(_image(p) if isinstance(p, Image) else p for p in content if dialect.blank or _said(p))
            return replace(part, tool_use_id=ids.result(identity), content=inner)
        case Image():
            return _image(part)
    return part


def _image(image: Image) -> Image:
    if not image.data or (name := image_type(image)) == image.media_type:
        return image
    return replace(image, media_type=name)
