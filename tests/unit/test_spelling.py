"""Spellings of one text are one."""

import time
import unicodedata

import pytest

from app.domain.spelling import composed, plain


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Ju\u0308rgen",
        "\uff94\uff8f\uff80\uff9e",
        "Z\u0316\u0301\u0334algo",
        "\ufdfa",
        "पैसे",
        "\u1100\u1161",
        "— \u2026" * 9,
    ],
)
def test_a_text_of_any_language_is_composed_as_unicode_says(text: str) -> None:
    assert composed(text) == unicodedata.normalize("NFKC", text)


def test_a_million_marks_in_any_order_are_composed_in_the_time_of_as_many_letters() -> None:
    """V3: `unicodedata.normalize` takes the square of it, 20 minutes."""
    marks = "\u0301\u0316" * 500_000
    begun = time.process_time()
    assert plain(f"Ada {marks} Byron").endswith("byron")
    assert time.process_time() - begun < 1
