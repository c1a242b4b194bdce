"""The JSON of a request is counted before it is parsed (V3, S8)."""

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.chat.openai_fields import ChatCompletionRequest
from app.api.chat.parsing import as_object, parse
from app.api.jobs.endpoints import JobRequest
from app.api.responses.parsing import parse as parse_response
from app.api.responses.request import ResponsesRequest
from app.domain.errors import InvalidRequest
from app.domain.json_text import MOST_CONTAINERS, MOST_DIGITS, MOST_STRINGS, MOST_VALUES, too_deep, too_much
from app.edge.requests import parsed
from app.edge.violations import MOST_ERRORS


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@given(
    st.recursive(
        st.none() | st.text('[]{}\\"a'), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text('[]{}\\"a'), c, max_size=3)
    )
)
def test_the_depth_is_that_of_the_document_and_not_of_brackets_in_its_strings(document: object) -> None:
    text, depth = json.dumps(document, ensure_ascii=False), _depth(document)
    assert not too_deep(text, depth)
    assert depth == 0 or too_deep(text, depth - 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 191 + b"]" * 191, "is nested more than 190 deep"),
        (b"[" * 4_000_000, "arrays and objects"),
        (b"[" + b"{}," * MOST_CONTAINERS + b"{}]", "holds over 20,000 arrays and objects"),
        (b"[" + b'"",' * MOST_STRINGS + b'""]', "holds over 120,000 strings"),
        (b"[" + b"1," * (MOST_VALUES + 1) + b"1]", "holds over 300,000 values"),
        (b'{"a": "", "b": [-1E+400]}', "holds a number that is none or too large"),
        (b"[1e0000309]", "holds a number that is none or too large"),
        (b"[" + b"9" * 250 + b"e99]", "holds a number that is none or too large"),
        (b'["", -Infinity]', "holds a number that is none or too large"),
        (b"[NaN]", "holds a number that is none or too large"),
        (b"[0." + b"1" * MOST_DIGITS + b"]", "holds a number that is none or too large"),
    ],
    ids=["deep", "unclosed", "containers", "strings", "numbers", "exponent", "zeros", "mantissa", "infinity", "NaN", "digits"],
)
def test_a_request_over_a_limit_is_refused_with_that_limit(body: bytes, message: str) -> None:
    assert message in str(too_much(body, 190))


@pytest.mark.parametrize(
    "text",
    ["{[" * 500_000, '"' * 1_000_000, "," * 1_000_000, json.dumps([{"a": ["b"] * 9}] * 50_000)],
    ids=["brackets", "quotes", "commas", "JSON"],
)
def test_text_of_brackets_quotes_or_json_is_text(text: str) -> None:
    assert too_much(json.dumps({"messages": [{"role": "user", "content": text}]}).encode(), 190) is None


@pytest.mark.parametrize(
    "body", [b'["NaN, Infinity or 1e400"]', b"[1.7976931348623157e+308]", b"[1e-400]", b"[" + b"9" * 308 + b"]", b'{"1e400": 1}']
)
def test_a_number_that_a_double_holds_and_a_text_about_others_are_taken(body: bytes) -> None:
    """Generators of schemas write the largest double."""
    assert too_much(body, 190) is None


def test_a_list_of_a_million_wrong_items_is_refused_at_its_first() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":[%s1]}]}' % (b"1," * 1_000_000)
    with pytest.raises(InvalidRequest, match=r"messages\[0\].content\[0\]"):
        parse(ChatCompletionRequest, body, unknown="{}")


@pytest.mark.parametrize(
    "read",
    [partial(parse, ChatCompletionRequest, unknown="{}"), partial(parse_response, ResponsesRequest), partial(parsed, JobRequest)],
    ids=["chat", "responses", "jobs"],
)
def test_an_object_with_thousands_of_unknown_fields_is_refused_without_listing_them(read: Callable[[bytes], object]) -> None:
    """V3: to list 190,000 of them takes a second."""
    fields = ",".join(f'"f{number}":1' for number in range(MOST_ERRORS + 1))
    with pytest.raises(InvalidRequest, match="in over 1,000 places"):
        read(f"{{{fields}}}".encode())


def test_a_tools_input_is_written_without_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: one of 140,000 fields took it 200 ms."""
    monkeypatch.setattr(json.JSONEncoder, "iterencode", lambda *_: pytest.fail("the slow way"))
    assert as_object({"order": 7, "who": "Äda", "all": [1.5, None]}) == '{"order": 7, "who": "Äda", "all": [1.5, null]}'
