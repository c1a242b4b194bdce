"""Answers are compared by their words, as a reader would compare them."""

import pytest

from evals.wording import states


@pytest.mark.parametrize(
    ("text", "fact", "stated"),
    [
        ("It takes Three\u00a0 to five days.", "three to five days", True),
        ("within 130 days", "30 days", False),
        ("from $750", "$75", False),
        ("from $75.50", "$75", False),
        ("from $75.", "$75", True),
        ("it\u2019s \u201cfree\u201d", 'it\'s "free"', True),
        ("discount", "count", False),
        ("3\u20135 days", "3-5 days", True),
        ("comfort 25 \u2109", "25 °F", True),
        ("anything", ("no", "thing"), False),
    ],
)
def test_words_are_compared_whole(text: str, fact: str | tuple[str, ...], stated: bool) -> None:
    assert states(text, fact) is stated
