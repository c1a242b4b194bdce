"""Prices and worst cases."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.budget.pricing import (
    LARGEST_IMAGE,
    LARGEST_WINDOW,
    cost,
    image_tokens,
    images_in,
    most_input_tokens,
    tiers_of,
    with_images,
    worst_case,
)  # fmt: skip
from app.domain.calls import Usage
from app.domain.errors import Misconfigured
from app.domain.messages import Document, Image, Message, Native, Part, Text, ToolResult, ToolSpec, ToolUse
from app.domain.routes import Price, PriceTable

FLAT = (Price(input=3_000_000, output=15_000_000, cached_input=300_000, cache_write=3_750_000),)
TIERED = (*FLAT, Price(6_000_000, 22_500_000, 600_000, 7_500_000, from_input_tokens=200_000))


def test_each_kind_of_token_is_priced_once() -> None:
    """C2: 1000 in, 200 cached, 100 written, 50 out of which 40 reasoning."""
    usage = Usage(input=1000, output=50, cached_input=200, cache_write=100, reasoning=40)
    assert cost(usage, FLAT) == 3000 + 60 + 375 + 750


def test_what_is_cached_for_an_hour_is_priced_by_itself() -> None:
    """C2: 100 written, of which 40 for an hour; a table that does not say has twice the input's price, the vendor's own."""
    usage = Usage(cache_write=100, cache_write_1h=40)
    assert cost(usage, FLAT) == 225 + 40 * 6
    assert cost(usage, (replace(FLAT[0], cache_write_1h=5_000_000),)) == 225 + 40 * 5
    assert replace(FLAT[0], cache_write=7_000_000).hour_write == 7_000_000  # never cheaper than for five minutes


@given(tokens=st.tuples(*[st.integers(0, 400_000)] * 2), hours=st.integers(0, 400_000), tiers=st.sampled_from([FLAT, TIERED]))
def test_the_worst_case_holds_for_an_hour_too(tokens: tuple[int, int], hours: int, tiers: tuple[Price, ...]) -> None:
    """C1."""
    usage = Usage(input=tokens[0], cache_write=tokens[1] + hours, cache_write_1h=hours)
    assert worst_case(sum(tokens) + hours, 0, tiers, hour_cache=True) >= cost(usage, tiers)


def test_options_and_citations_count_as_text() -> None:
    cited = {"cited_text": "x" * 1000}
    messages = (Message("assistant", (Text("a", citations=(cited,)),)),)
    assert most_input_tokens((), messages, (), None) > 1000
    tool = ToolSpec("f", "", {}, options={"input_examples": [{"a": "x" * 1000}]})
    assert most_input_tokens((), (), (tool,), None) > 1000


def test_a_fraction_of_a_micro_dollar_is_rounded_up() -> None:
    assert cost(Usage(input=1), (Price(100_000, 0, 0, 0),)) == 1


def test_a_long_input_is_priced_by_its_tier_cached_tokens_included() -> None:
    assert cost(Usage(input=100_000, cached_input=100_000), TIERED) == 100_000 * 6 + 60_000
    assert cost(Usage(input=100_000, cached_input=99_999), TIERED) == 100_000 * 3 + 30_000


def test_an_unknown_price_is_refused_never_free() -> None:
    with pytest.raises(Misconfigured, match="acme/nameless"):
        tiers_of(PriceTable("p", {}), "acme", "nameless")


@given(
    tokens=st.tuples(*[st.integers(0, 400_000)] * 3),
    output=st.integers(0, 100_000),
    slack=st.integers(0, 1000),
    tiers=st.sampled_from([FLAT, TIERED]),
)
def test_the_worst_case_is_never_under_the_cost(
    tokens: tuple[int, int, int], output: int, slack: int, tiers: tuple[Price, ...]
) -> None:
    """C1: whatever split of cached and fresh input, whatever tier."""
    usage = Usage(input=tokens[0], cached_input=tokens[1], cache_write=tokens[2], output=output)
    assert worst_case(sum(tokens) + slack, output + slack, tiers) >= cost(usage, tiers)


@given(text=st.text())
def test_every_byte_of_text_counts_as_a_token_at_most(text: str) -> None:
    """The bound: byte-level tokenizers make at most one token of each UTF-8 byte."""
    size = len(text.encode("utf-8", "surrogatepass"))
    message = Message("user", (Text(text), ToolUse("i", "tool", text), ToolResult("i", (Text(text),))))
    assert most_input_tokens((Text(text),), (message,), (), None) >= 4 * size


# The vendors' figures.
CLAUDE = 4_784  # platform.claude.com/docs/en/build-with-claude/vision
GPT_6 = 30_000 * 12 // 10  # developers.openai.com/api/docs/guides/images-vision: patches of 32 pixels, 1.2 tokens each
GPT_4O_MINI = 2_833 + 5_667 * 2 * 4  # tiles of 512 pixels in an image of 768 by 2,048


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-sonnet-5-5", CLAUDE),
        ("gpt-6-sol", GPT_6),
        ("gpt-4o-mini-2024-07-18", GPT_4O_MINI),
        ("acme-vision", LARGEST_IMAGE),
    ],
)
def test_an_image_counts_as_the_most_that_its_model_makes_of_one(model: str, most: int) -> None:
    """C1: a hold below the bill lets a user pass a cap."""
    assert image_tokens(model, FLAT) == most <= LARGEST_IMAGE
    assert image_tokens(model, (*FLAT, replace(FLAT[0], image_tokens=7_000))) == 7_000


def test_an_image_counts_by_its_most_not_by_its_bytes() -> None:
    image = Image(data="x" * 1_000_000, media_type="image/png")
    messages = (Message("user", (image, ToolResult("t", (image,)))),)
    assert images_in(messages) == 2
    assert most_input_tokens((), messages, (), None) < 1_000
    assert with_images(5, 2, 4_784) == 5 + 2 * 4_784
    assert with_images(5, 100, 36_000) == 5 + LARGEST_WINDOW, "a longer request is refused, not billed"


def cited(kind: str, source: dict[str, str]) -> Native:
    return Native("anthropic", {"type": kind, "source": source, "citations": {"enabled": True}})


PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
ADDRESS = {"type": "url", "url": "https://x/y.pdf"}


@pytest.mark.parametrize(
    "part",
    [
        Document(url="https://x/y.pdf"),
        Document(data="JVBERi0=", media_type="application/pdf"),
        cited("document", ADDRESS),
        cited("document", PDF),
        ToolResult("t", (Document(data="JVBERi0=", media_type="application/pdf"),)),
        Native("anthropic", {"type": "web_fetch_tool_result", "content": {"content": {"type": "document", "source": PDF}}}),
    ],
    ids=["address", "pdf", "cited address", "cited pdf", "in a result", "in a block of the vendor"],
)
def test_a_file_counts_as_the_largest_window_however_few_its_bytes(part: Part) -> None:
    """C1: a PDF of a kilobyte can show a page hundreds of times, and an address leads to anything."""
    once, twice = (most_input_tokens((), (Message("user", (part,) * number),), (), None) for number in (1, 2))
    assert LARGEST_WINDOW <= once < LARGEST_WINDOW + 1_000
    assert twice < LARGEST_WINDOW + 1_000


def test_a_document_that_is_written_out_counts_by_its_bytes() -> None:
    written = (
        Document(text="words"),
        Document(data="YSxi", media_type="text/csv"),
        cited("document", {"type": "text", "media_type": "text/plain", "data": "words"}),
    )
    assert most_input_tokens((), (Message("user", written),), (), None) < 1_000


def test_an_image_in_a_block_of_the_vendor_counts_by_its_most() -> None:
    block = {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": ADDRESS}] * 3}}
    assert images_in((Message("user", (Native("anthropic", block),)),)) == 3
