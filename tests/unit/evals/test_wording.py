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
        ("湯呑みと急須を返品してください。", "返品", True),
        ("注文番号はAB-12です", "ab-12", True),
        ("注文番号はAB-123です", "AB-12", False),
        ("ค่าจัดส่ง 75 บาท", "จัดส่ง", True),
        ("15日以内", "5日", False),
        ("1.5kgです", "5kg", False),
    ],
)
def test_words_are_compared_whole(text: str, fact: str | tuple[str, ...], stated: bool) -> None:
    assert states(text, fact) is stated
