"""A request of text alone lacks nothing at any vendor, so it is not looked through."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.messages import (
    Document,
    Image,
    Message,
    Native,
    OutputSchema,
    Part,
    Sampling,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from app.gateway.providers import anthropic_wire, dialect, openai_wire
from app.gateway.providers.base import ModelRequest, Timeouts, says_text_alone

PARTS: list[Part] = [
    Text("a"),
    Text(" "),
    Text(""),
    Text("\u00a0\n"),
    Text("b", cache="1h"),
    Image(url="https://a.example/x.png"),
    Image(data="QQ==", media_type="image/tiff"),
    Document(url="https://a.example/x.pdf"),
    Native("anthropic", {"type": "x"}),
    ToolUse("1", "f", "{}"),
    ToolResult("1", (Image(data="QQ==", media_type="image/tiff"),)),
]
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant", "system"]), st.lists(st.sampled_from(PARTS), max_size=3).map(tuple)),
    max_size=3,
).map(tuple)
PLAIN = ModelRequest(
    model="", system=(), messages=(Message("user", (Text("a"),)),), sampling=Sampling(), timeouts=Timeouts(1, 1, 1, 1)
)
CHANGES: list[dict[str, Any]] = [
    {},
    {"sampling": Sampling(stop=("a", "b", "c", "d", "e"))},
    {"sampling": Sampling(stop=(" ",))},
    {"requested": frozenset({"top_k"})},
    {"native": {"openai": {"verbosity": "low"}}, "requested": frozenset({"verbosity"})},
    {"tools": (ToolSpec("f", "", {}, options={"type": "x"}),)},
    {"output": OutputSchema("o", {"type": "array"})},
]


def looked_through(request: ModelRequest) -> list[frozenset[str]]:
    return [
        openai_wire.lacks(request) | dialect.unsayable(request, dialect.OPENAI),
        anthropic_wire.lacks(request) | dialect.unsayable(request, dialect.ANTHROPIC),
    ]


@given(MESSAGES, st.sampled_from(CHANGES))
def test_a_request_of_text_alone_lacks_nothing_at_any_vendor(messages: tuple[Message, ...], change: dict[str, Any]) -> None:
    request = replace(PLAIN, messages=messages, **change)
    if says_text_alone(request):
        assert looked_through(request) == [frozenset(), frozenset()]


@pytest.mark.parametrize("change", CHANGES[1:])
def test_what_some_vendor_may_lack_is_not_text_alone(change: dict[str, Any]) -> None:
    assert says_text_alone(PLAIN)
    assert not says_text_alone(replace(PLAIN, **change))
