"""A text is brought into one spelling in steps, each a few thousand characters long (V3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.redaction import normalisation
from app.security.redaction.normalisation import normalised, plain

SIGNS = (
    *("&", "&#", "&amp;", "#64;", "&#64;", "%", "%2540", "%C3%A9", "%F0%9F%98%80", "\\", "\\u0041", "\\ud83d\\ude00", "\\x41"),
    *("u0041", "a", "12", ";", " ", "\n", "\u200b", "\u00ad", "\uff14\uff20", "\u4e2d", "\U0001d400"),
)


def in_no_time() -> None:
    """No time has passed."""


@given(st.lists(st.sampled_from(SIGNS), max_size=40).map("".join))
def test_steps_of_any_length_read_a_text_as_one_step_does(text: str) -> None:
    whole = normalised(text.encode(), in_no_time)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalisation, "STEP", 3)
        assert normalised(text.encode(), in_no_time) == whole
    assert plain(text) == (text if whole is None else whole.text.decode())


@pytest.mark.parametrize("run", ["\u200b", "\uff14", "&#;", "%2", "\\\\u"])
def test_the_clock_is_read_within_a_text_of_one_sign_again_and_again(run: str) -> None:
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    size = 40 * normalisation.STEP
    normalised(("a" + run * (size // len(run))).encode(), look)
    assert looks >= (1 if run == "\u200b" else 30)  # what is not seen is taken out in one


@pytest.mark.parametrize("run", ["&#", "\\", "\\n", "&a=b"])
def test_a_text_without_any_whole_sequence_is_not_searched(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(normalisation, "_SPELLED")
    assert normalised((run * 10_000).encode(), in_no_time) is None
    assert plain(run * 10_000) == run * 10_000
