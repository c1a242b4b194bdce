"""Letters and digits of a text, found the short way where it is ASCII."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from app.security.guard import leaks


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=127))))
def test_the_short_way_finds_the_same_letters(text: str) -> None:
    plain = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    assert leaks.plain(text) == plain
    assert leaks._letters(text) == leaks._placed(text)[0]
