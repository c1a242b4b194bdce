"""A form of the console is no JSON: what it holds is text, whatever a number of JSON may be."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.console.console import MOST_OF_A_FORM, fields_of
from app.domain.errors import InvalidRequest


def form(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}, receive)


@pytest.mark.parametrize("text", ["9e999", "NaN", "-Infinity", "1" * 500, "0e4e5e999a"])
async def test_a_token_that_looks_like_a_number_without_end_is_a_token(text: str) -> None:
    assert await fields_of(form(f"csrf={text}&reason=because".encode())) == {"csrf": text, "reason": "because"}


async def test_a_form_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="over 262,144 bytes"):
        await fields_of(form(b"reason=" + b"x" * MOST_OF_A_FORM))
