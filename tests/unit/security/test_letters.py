"""Letters and digits of a text, found the short way where it is ASCII."""

from hypothesis import given
from hypothesis import strategies as st

from app.security.guard import leaks
from app.security.guard.overrides import folded


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=127)), st.text("ΑΣςσ ΰİßŉあ\u3164\u0301한")))
def test_the_short_way_finds_the_same_letters(text: str) -> None:
    plain = "".join(letter for c in text for letter in folded(c).casefold() if letter.isalnum())
    assert leaks.plain(text) == leaks.plain(f"{text}\u0301") == plain
    for keep in range(len(plain) + 1):
        assert len(leaks.plain(text[leaks._before_last(text, keep) :])) >= keep
