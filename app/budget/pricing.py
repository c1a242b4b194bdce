"""The cost of a reply, and the most that a request can cost.

All arithmetic is on integers; a fraction of a micro-dollar is rounded up, so a sum of many small calls is never under the bill.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.domain.calls import Usage
from app.domain.errors import Misconfigured
from app.domain.json_text import spaced
from app.domain.messages import (
    Document,
    Image,
    Message,
    Native,
    OutputSchema,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.domain.money import MicroUSD
from app.domain.routes import Price, PriceTable

TOKENS_PER_MILLION = 1_000_000

# Upper bounds, in tokens, of what vendors add around our text. Anthropic documents 264 to 804 tokens for tool use
# (docs.anthropic.com, "Tool use: pricing"); chat templates add under ten tokens a message.
PER_MESSAGE = 16
PER_TOOL_LIST = 1_000
LARGEST_WINDOW = 1_050_000  # of any model here that reads files (GPT-6): a longer request is refused by the vendor, not billed
# The most tokens of one image, by the beginning of a model's name. Claude: platform.claude.com/docs/en/build-with-claude/vision.
# GPT: the sizes in developers.openai.com/api/docs/guides/images-vision. GPT-6 reads an image as it is, refuses one of more
# than 30,000 patches, and counts 1.2 tokens a patch; GPT-4o mini counts 2,833, and 5,667 for each of at most 8 tiles.
IMAGE_TOKENS = {"claude-": 4_784, "gpt-6-sol": 36_000, "gpt-6.1": 36_000, "gpt-4o-mini": 48_169}
LARGEST_IMAGE = 73_800  # of any model: the most patches, at the highest factor that OpenAI has (2.46, of its nano models)
WRITTEN_OUT = frozenset({"text", "content"})  # kinds of sources whose text is in the request; others are files or addresses


def tiers_of(table: PriceTable, provider: str, model: str) -> tuple[Price, ...]:
    """Look up a model's price tiers. Raises Misconfigured: an unknown price is never free (C2)."""
    try:
        return table.prices[provider, model]
    except KeyError:
        raise Misconfigured(f"Price table {table.version} has no price for {provider}/{model}.") from None


def cost(usage: Usage, tiers: Sequence[Price]) -> MicroUSD:
    """Price a reply. The tier is chosen by the whole input, cached tokens included, as vendors do."""
    prompt_tokens = usage.input + usage.cached_input + usage.cache_write
    price = (
        tiers[0]
        if len(tiers) == 1
        else max((t for t in tiers if prompt_tokens >= t.from_input_tokens), key=lambda t: t.from_input_tokens)
    )
    millionths = (
        usage.input * price.input
        + usage.cached_input * price.cached_input
        + (usage.cache_write - usage.cache_write_1h) * price.cache_write
        + usage.cache_write_1h * price.hour_write
        + usage.output * price.output
    )
    return MicroUSD(-(-millionths // TOKENS_PER_MILLION))


def worst_case(input_tokens: int, max_output_tokens: int, tiers: Sequence[Price], *, hour_cache: bool = False) -> MicroUSD:
    """Bound one paid attempt's cost: no input is read from a cache; all is written to one if that is dearer.

    ``hour_cache``: it may be kept there for an hour.
    """
    dearest = output = 0
    for tier in tiers:
        dearest = max(dearest, tier.input, tier.cache_write, tier.hour_write if hour_cache else 0)
        output = max(output, tier.output)
    return MicroUSD(-(-(input_tokens * dearest + max_output_tokens * output) // TOKENS_PER_MILLION))


def image_tokens(model: str, tiers: Sequence[Price]) -> int:
    """Look up the most tokens that one image counts as: as the price table says, else the vendor."""
    own = max((tier.image_tokens or 0 for tier in tiers), default=0)
    return own or next((most for name, most in IMAGE_TOKENS.items() if model.startswith(name)), LARGEST_IMAGE)


def with_images(input_tokens: int, images: int, each: int) -> int:
    """Add images to a bound. All images of a request fit into one window together."""
    return input_tokens + min(images * each, LARGEST_WINDOW)


def images_in(messages: Sequence[Message]) -> int:
    """Count the images of a request: their tokens depend on the model (`image_tokens`)."""
    return sum(_images(part) for message in messages for part in message.parts)


def _images(part: Part) -> int:
    match part:
        case Image():
            return 1
        case ToolResult(content=content):
            return sum(_images(inner) for inner in content)
        case Native() as native:
            return sum(kind == "image" for kind, _ in _sources(native.block))
    return 0


def most_input_tokens(
    system: Sequence[Text], messages: Sequence[Message], tools: Sequence[ToolSpec], output: OutputSchema | None
) -> int:
    """Bound the tokens a request can be counted as, without its images (`images_in`).

    A byte-level tokenizer (all current Anthropic and OpenAI models) makes at most one token of each UTF-8 byte, so the
    number of bytes bounds the number of tokens, whatever the language.

    Of a file or an address nothing bounds the tokens but the model's window: a PDF of a kilobyte can show one page hundreds of
    times. All files of a request fit into one window together.
    """
    total = PER_MESSAGE * (1 + len(messages)) + sum(_bytes(t.text) for t in system)
    parts = [part for message in messages for part in message.parts]
    total += sum(part_tokens(part) for part in parts)
    if any(_holds_a_file(part) for part in parts):
        total += LARGEST_WINDOW
    if tools:
        total += PER_TOOL_LIST
        total += sum(_tool_tokens(tool) for tool in tools)
    if output:
        total += PER_TOOL_LIST + _bytes(spaced(dict(output.schema)))
    return total


def part_tokens(part: Part) -> int:  # noqa: PLR0911 - a table
    """Bound the tokens of one part, without those of files and images."""
    match part:
        case Text(text=text, citations=citations):
            return _bytes(text) + sum(_bytes(spaced(dict(citation))) for citation in citations)
        case Refusal(text=text):
            return _bytes(text)
        case Document(text=str(text)):
            return PER_MESSAGE + _bytes(text)
        case Document(data=data):
            return PER_MESSAGE + (0 if _holds_a_file(part) else len(data or ""))
        case Native() as native:
            return PER_MESSAGE + min(_bytes(spaced(native.block)), LARGEST_WINDOW)
        case Thinking(text=text, signature=signature, redacted=redacted):
            return _bytes(text) + _bytes(signature or "") + _bytes(redacted or "")
        case Image():
            return PER_MESSAGE
        case ToolUse(name=name, arguments=arguments, signature=signature):
            return PER_MESSAGE + _bytes(name) + _bytes(arguments) + _bytes(signature or "")
        case ToolResult(content=content):
            return PER_MESSAGE + sum(part_tokens(inner) for inner in content)


def _holds_a_file(part: Part) -> bool:
    """Whether a part is, or holds, a document whose text is not written out in the request."""
    match part:
        case Document(text=text, media_type=media_type):
            return text is None and not (media_type or "").startswith("text/")
        case Native() as native:
            return any(kind != "image" and source.get("type") not in WRITTEN_OUT for kind, source in _sources(native.block))
        case ToolResult(content=content):
            return any(_holds_a_file(inner) for inner in content)
    return False


def _sources(block: Mapping[str, Any]) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """The sources within a vendor's own block, each with the kind of the block that has it."""
    values: list[Any] = [block]
    for value in values:  # it grows meanwhile
        if isinstance(value, Mapping):
            if isinstance(source := value.get("source"), Mapping):
                yield value.get("type"), source
            values += value.values()
        elif isinstance(value, list):
            values += value


def _tool_tokens(tool: ToolSpec) -> int:
    """Bound the tokens of one tool. The schema of one with a ``type`` is the vendor's own."""
    own = PER_TOOL_LIST if tool.options.get("type") else 0
    options = _bytes(spaced(dict(tool.options))) if tool.options else 0
    return own + options + _bytes(tool.name) + _bytes(tool.description) + _bytes(spaced(dict(tool.schema)))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
