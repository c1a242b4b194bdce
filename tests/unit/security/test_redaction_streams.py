"""Text that arrives in pieces is redacted as if it had come whole (S5)."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from personal_data import MUST_GO, MUST_STAY, TABLE

from app.security.redaction.redactor import FAILED, Redactor
from app.security.redaction.streams import StreamRedactor

REDACTOR = Redactor(b"a key for the property tests")

_VALUES = [value for _, value in MUST_GO] + [text for text in MUST_STAY if text != TABLE]
_LABELS = ["Phone:", "phone: ", "IBAN", "card # ", "password =", "SSN:", "passport no", "born on", "call me at", "order "]
_GLUE = [
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "  ",
    ":",
    "=",
    "#",
    "\\n",
    "\\",
    '"',
    ",",
    ".",
    "\t",
    "{",
    "}",
    "[",
    "-----BEGIN ",
    "-----END ",
]
_TEXTS = st.lists(
    st.one_of(st.sampled_from(_VALUES), st.sampled_from(_LABELS), st.sampled_from(_GLUE), st.text(max_size=8)), max_size=14
).map("".join)

_KEY = next(value for kind, value in MUST_GO if kind == "private-key")


def streamed(text: str, cuts: list[int]) -> str:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    stream = StreamRedactor(REDACTOR, tenant="acme")
    return "".join(stream.feed(text[a:b]) for a, b in pairwise(edges)) + stream.close()


@settings(max_examples=150)
@given(text=_TEXTS, cuts=st.lists(st.integers(0, 400), max_size=12))
@example(text=f"{_KEY}{_KEY}", cuts=[])
@example(text=f"{_KEY}\n{_KEY}", cuts=[40, 90])
@example(text="passport no:\nX1234567 and more", cuts=[13])
@example(text="Phone:\n55512345 and more", cuts=[6, 7])
def test_whatever_the_cuts_a_stream_says_what_the_whole_says(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == REDACTOR.redact(text, tenant="acme")


def test_a_stream_takes_a_tables_numbers_for_cards_where_the_whole_text_does_not() -> None:
    """The rows that would show a table are still to come, or have left."""
    assert REDACTOR.redact(TABLE, tenant="acme") == TABLE
    assert "<card:" in streamed(TABLE, [20])
    assert streamed(TABLE, [20]).splitlines()[:2] == TABLE.splitlines()[:2]


@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_nothing_of_a_finding_leaves_when_it_comes_character_by_character(kind: str, value: str) -> None:
    text = f"Hello,\n{value}\nis mine: {value}\n"
    assert streamed(text, list(range(len(text)))) == REDACTOR.redact(text, tenant="acme")
    assert f"<{kind}:" in REDACTOR.redact(text, tenant="acme")


def test_a_line_leaves_as_soon_as_it_is_complete_and_not_before() -> None:
    stream = StreamRedactor(REDACTOR, tenant="acme")
    assert stream.feed("one line ada@exam") == ""
    assert stream.feed("ple.com\nand") == REDACTOR.redact("one line ada@example.com\n", tenant="acme")
    assert stream.feed(" Phone:\n") == ""
    assert stream.close() == "and Phone:\n"


def test_what_is_held_back_is_bounded_and_beyond_it_nothing_leaves() -> None:
    redactor = Redactor(b"key")
    stream = StreamRedactor(redactor, tenant="acme", most_held=100)
    output = (
        stream.feed("first\n")
        + "".join(stream.feed("ada@example.com ") for _ in range(50))
        + stream.feed("\nlast")
        + stream.close()
    )
    assert output == f"first\n{FAILED}"
    assert redactor.failures == 1
