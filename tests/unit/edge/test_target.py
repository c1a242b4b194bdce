"""Characters that no path and no query may hold (S8)."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidRequest, NotFound
from app.edge.target import check_target


def check(path: str, query: bytes = b"") -> None:
    check_target({"path": unquote(path), "query_string": query})


@pytest.mark.parametrize("path", ["/v1/jobs/%00", "/a%00b", "/%0a", "/%1f", "/%7f", "/%C2%9F", "/%ff", "/%ed%a0%80"])
def test_a_path_with_such_a_character_names_nothing(path: str) -> None:
    with pytest.raises(NotFound):
        check(path)


@pytest.mark.parametrize("query", [b"a=%00", b"%00=a", b"a=\x00", b"a=%1F", b"a=%7f", b"a=%ff", b"a=%ed%a0%80", b"a=\xff"])
def test_a_query_with_such_a_character_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check("/v1/jobs", query)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd")))
def test_text_is_let_through(text: str) -> None:
    check("/" + quote(text), b"q=" + quote(text + "\t\r\n").encode())
