"""A tool call's arguments are known to be whole as soon as they are, at a cost in proportion to their length (V3)."""

import json

import pytest
from growth import is_linear
from hypothesis import given
from hypothesis import strategies as st

from app.domain import json_text
from app.domain.json_text import GrowingObject

VALUES = st.recursive(
    st.none() | st.text('[]{}\\"a'), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text('[]{}\\"a'), c, max_size=3)
)


@given(VALUES, st.sampled_from(["", " ", "\n", "}", "x", "{}", '"']), st.integers(1, 5), st.booleans())
def test_an_object_is_whole_when_its_text_is(value: object, behind: str, size: int, written_so: bool) -> None:
    text = json.dumps(value, ensure_ascii=written_so) + behind
    growing, pieces = GrowingObject(), list[str]()
    for at in range(0, len(text), size):
        pieces.append(text[at : at + size])
        try:
            wanted = isinstance(json.loads("".join(pieces)), dict)
        except ValueError:
            wanted = False
        assert growing.is_whole(pieces) is wanted


@pytest.mark.parametrize("unit", ["}", "{}", '"}', '\\"}'])
def test_what_never_becomes_an_object_is_parsed_once_at_most(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another call that grows, each piece of either asked whether this one is whole: all of it was parsed each time."""
    parsed: list[str] = []
    read = json_text.read

    def reading(text: str) -> object:
        parsed.append(text)
        return read(text)

    monkeypatch.setattr(json_text, "read", reading)
    growing, pieces = GrowingObject(), ['{"a": "b"']
    for _ in range(200):
        pieces.append(unit)
        growing.is_whole(pieces)
        growing.is_whole(pieces)
    assert len(parsed) <= 1


def test_each_piece_is_read_once() -> None:
    def work(size: int) -> None:
        growing, pieces = GrowingObject(), list[str]()
        for _ in range(size):
            pieces.append('{"a": ')
            growing.is_whole(pieces)

    assert is_linear(work, 2_000)
