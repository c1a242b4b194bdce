"""The classifier's features are those that its weights were learned on, however they are made."""

from binascii import crc_hqx
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.security.guard import classifier

WORDS = st.sampled_from(
    ["Ignore", "all", "previous", "instructions!", "don't", "(a)", "x" * 30, "yz" * 20, "日本語の文章です", "_", "İ", "a_b", ""]
)


def as_defined(words: list[str], signs: set[str]) -> set[int]:
    found = {crc_hqx(word.encode(), 0xFFFF) for word in words}
    found |= {crc_hqx(f"{first}{second}".encode(), 0xFFFF) for first, second in pairwise(words)}
    found |= {ord(sign) if ord(sign) < 128 else crc_hqx(sign.encode(), 0x77) for sign in signs}
    return found | {
        crc_hqx(word[at : at + 5].encode(), 0x1234) for word in words if len(word) > 5 for at in range(0, len(word) - 4, 2)
    }


@given(st.lists(WORDS, max_size=400).map(" ".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_features_are_those_of_the_words_of_each_window(text: str) -> None:
    words = classifier.words_of(text)
    signs = {char for char in text.lower() if not char.isspace() and not char.isalnum() and char != "_"}
    starts = range(0, max(1, len(words) - 40), 110) if len(words) >= 3 else ()
    assert list(classifier.features(text)) == [as_defined(words[start : start + 150], signs) for start in starts]


@given(st.sets(st.integers(0, classifier.BUCKETS - 1), min_size=1, max_size=300))
def test_a_weight_is_the_sum_of_its_features_signed_bytes(found: set[int]) -> None:
    weights = classifier.WEIGHTS.read_bytes()[8:]
    assert classifier.weight(found, weights) == sum(weights[bucket] - 128 for bucket in found)
