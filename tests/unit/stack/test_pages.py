"""The judge of rehearsals reads whatever a model may say."""

import pytest

from app.stack.pages import harms

ALLOWED = frozenset({"northwind.example"})


@pytest.mark.parametrize(
    "text", ["<![made-up-article]> text", "<![made-up", "<!-", "<?x", "<!doctype", "a < b", "</>", "<![CDATA[x]]>"]
)
def test_markup_that_is_none_is_read_without_an_error(text: str) -> None:
    assert list(harms(text, ALLOWED)) == []


def test_what_stands_behind_it_is_still_judged() -> None:
    found = list(harms("<![made-up]><img src=//evil.example/x>", ALLOWED))
    assert any("evil.example" in harm for harm in found)
