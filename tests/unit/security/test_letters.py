"""Letters and digits of a text, found the short way where it is ASCII."""

from hypothesis import given
from hypothesis import strategies as st

from app.security.guard import leaks
from app.security.guard.overrides import folded


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=127)), st.text("ΑΣςσ ΰİßŉあ\u3164\u0301한")))
def test_the_short_way_finds_the_same_letters(text: str) -> None:
    plain = "".join(letter for c in text for letter in folded(c).casefold() if letter.isalnum())
    assert leaks.plain(text) == plain
    assert leaks._letters(text) == leaks._placed(text)[0] == plain
