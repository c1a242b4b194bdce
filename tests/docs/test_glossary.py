"""The glossary's words are those of the code and the documents."""

import re

import pytest
from retired_words import PAGE, ceilings, count, text

TERMS = re.findall(r"^\| ([a-z' -]+) \| [^|]+ \|$", PAGE.read_text().split("## Retired words")[0], re.MULTILINE)
WORDS = [term for term in TERMS if term != "word"]


@pytest.fixture(scope="module")
def whole() -> str:
    return text()


def test_words_are_unique_and_in_order_within_each_group() -> None:
    assert len(set(WORDS)) == len(WORDS) > 60
    for group in PAGE.read_text().split("## ")[1:-1]:
        listed = [term for term in re.findall(r"^\| ([a-z' -]+) \|", group, re.MULTILINE) if term != "word"]
        assert listed == sorted(listed)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_used_in_code_or_documents(word: str, whole: str) -> None:
    """A term is used as it is written, or as a name.

    `pending action` is also `pending_action` and `PendingAction`.
    """
    pattern = r"[ _-]?".join(map(re.escape, re.split(r"[ -]", word)))
    assert re.search(pattern, whole, re.IGNORECASE), f"{word} is used nowhere"


def test_retired_words_only_become_fewer(whole: str) -> None:
    assert len(ceilings()) > 5
    over = {word: f"{count(word, whole)} of {most}" for word, most in ceilings().items() if count(word, whole) > most}
    assert over == {}, "use the glossary's word instead"


def test_a_retired_word_is_counted_as_a_part_of_a_name_too() -> None:
    assert count("told", "told, it_is_told_by, Told; untold toldo") == 3
    assert count("looked at", "looked at looked_at unlooked_at") == 2
