"""JSON is read and written as the standard library reads and writes it."""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import json_text
from app.domain.json_text import canonical, compact, finite, loads, read, spaced

NUMBERS = st.integers() | st.floats()
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NONE = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}


def outcome(make: Any, *given: Any) -> object:  # noqa: ANN401
    """The repr of the result, which tells NaN and -0.0 apart; or that it is no value."""
    try:
        return repr(make(*given))
    except ValueError:
        return ValueError


@given(VALUES)
def test_what_is_written_reads_as_what_the_standard_library_writes(value: object) -> None:
    strict = outcome(lambda: json.loads(json.dumps(value, **NONE).encode()))  # type: ignore[arg-type]
    assert outcome(lambda: finite(value)) == outcome(lambda: json.dumps(value, **NONE).encode())  # type: ignore[arg-type]
    if strict is not ValueError:
        assert outcome(lambda: json.loads(compact(value))) == strict


@given(VALUES)
def test_a_text_with_blanks_is_the_standard_librarys_but_for_the_form_of_numbers(value: object) -> None:
    if outcome(lambda: json.dumps(value, allow_nan=False)) is not ValueError:
        theirs = json.loads(json.dumps(value, ensure_ascii=False), parse_float=str)
        assert repr(json.loads(spaced(value))) == repr(json.loads(json.dumps(value)))
        if "e" not in json.dumps(theirs):  # no number with an exponent, which may be written as 1e-07 or 1e-7
            assert spaced(value) == json.dumps(value, ensure_ascii=False)
    assert spaced("\ud800") == json.dumps("\ud800", ensure_ascii=False)
    assert spaced({"path": Path("x")}) == '{"path": "x"}'


@given(VALUES)
def test_the_canonical_text_is_the_same_whatever_the_order_and_reads_as_its_value(value: object) -> None:
    if outcome(lambda: json.dumps(value, allow_nan=False)) is not ValueError:
        turned = dict(reversed(value.items())) if isinstance(value, dict) else value
        assert canonical(turned) == canonical(value)
        assert json.loads(canonical(value)) == value
    assert json.loads(canonical({"b": "\ud800", "a": 1})) == {"a": 1, "b": "\ud800"}


def test_a_wide_object_without_fractions_is_not_written_by_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool's schema of 190,000 properties was written five times by that: half a second of a worker."""
    wide = {f"k{number}": 1 for number in range(190_000)}
    monkeypatch.setattr(json_text, "_strictly", None)
    assert json.loads(finite(wide)) == wide
    assert finite([0.5] * 3) == b"[0.5,0.5,0.5]"
    with pytest.raises(TypeError):
        finite(wide | {"k": 5e-7})


@given(st.floats(-1e16, 1e16) | st.floats(-0.01, 0.01))
def test_a_fraction_without_an_exponent_is_written_as_by_the_standard_library(value: float) -> None:
    assert finite([value]) == f"[{value!r}]".encode()


@given(VALUES, st.booleans(), st.sampled_from(["", "1e400", "NaN", "0." + "1" * 500, "9" * 420, '"\\ud800"', '"\\ud83d\\ude00"']))
def test_what_can_be_written_again_is_what_the_standard_library_can_write(value: object, escaped: bool, added: str) -> None:
    text = json.dumps([value], ensure_ascii=escaped)
    text = f"{text[:-1]},{added}]" if added else text

    def slowly(text: str) -> object:
        value = json.loads(text, parse_constant=json_text.refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return value

    assert outcome(read, text) == outcome(slowly, text)


def test_what_is_read_is_not_written_by_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tool arguments of 190,000 fields were: the interpreter was held for 100 ms more."""
    monkeypatch.setattr(json, "dumps", None)
    assert read('{"a": ["\u00e9", 0.5, 12345678901234567890123]}') == {"a": ["\u00e9", 0.5, 12345678901234567890123]}


@given(VALUES, st.booleans(), st.booleans())
def test_every_json_text_is_read_as_by_the_standard_library(value: object, escaped: bool, spoilt: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    text = text[:-1] if spoilt else text
    assert outcome(loads, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        '"\\ud83d"',
        "NaN",
        "-Infinity",
        "1e999",
        "9" * 40,
        '{"a":1,"a":2}',
        "",
    ],
)
def test_what_is_rare_is_read_as_by_the_standard_library(text: bytes | str) -> None:
    assert outcome(loads, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(b'"a\xff"', "a\ufffd"), (b'{"a": "\xc3"}', {"a": "\ufffd"}), ('"a\nb\tc"', "a\nb\tc"), (b'"a\x00"', "a\0")],
)
def test_bytes_and_controls_that_json_lacks_cost_a_vendors_answer_nothing(text: bytes | str, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], "\ud800"])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        finite(value)


@dataclass
class Login:
    name: str
    password: str = field(repr=False)


def test_values_beyond_json_are_written_as_the_docstring_states() -> None:
    assert (
        compact([b"x", {1}, (2,), Decimal("1.5"), Login("ada", "x")]) == b'["eA==",[1],[2],"1.5",{"name":"ada","password":"x"}]'
    )
    with pytest.raises(TypeError):
        compact(object())
    with pytest.raises(ValueError, match="surrogates"):
        compact("\ud800")
    assert spaced([float("nan"), 1e-07]) == "[null, 1e-7]"
