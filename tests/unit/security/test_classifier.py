"""The classifier's features are those that its weights were learned on, however they are made."""

import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.security.guard import classifier

WORDS = st.sampled_from(
    ["Ignore", "all", "previous", "instructions!", "don't", "(a)", "x" * 30, "日本語の文章です", "_", "İ", "a_b", ""]
)


def as_defined(words: list[str]) -> set[int]:
    found = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    found += [f"{a} _ {c}" for a, c in zip(words, words[2:], strict=False)]
    found += [f"#{word[at : at + 5]}" for word in words if len(word) > 5 for at in range(0, len(word) - 4, 2)]
    return {zlib.crc32(piece.encode()) % classifier.BUCKETS for piece in found}


@given(st.lists(WORDS, max_size=400).map(" ".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_features_are_those_of_the_words_of_each_window(text: str) -> None:
    words = classifier.words_of(text)
    starts = range(0, max(1, len(words) - 30), 90) if len(words) >= 3 else ()
    assert list(classifier.features(text)) == [as_defined(words[start : start + 120]) for start in starts]
