"""The words of a broken rule (A1)."""

from typing import Any

import pytest

from app.edge.violations import rule


@pytest.mark.parametrize(
    ("violation", "words"),
    [
        ({"type": "too_long", "ctx": {"max_length": 3}}, "expected at most 3 items"),
        ({"type": "too_long"}, "too_long"),
        ({"type": "less_than_equal", "ctx": {"other": 1}}, "less_than_equal"),
        ({"type": "string_type"}, "expected a string"),
        ({"type": "a_products_own"}, "a_products_own"),
    ],
)
def test_a_limit_is_said_in_words_where_its_figure_is_known(violation: dict[str, Any], words: str) -> None:
    """A product's own error may have the name of one of pydantic's, without its figure."""
    assert rule([violation]) == words
