"""JSON stays JSON when it is redacted; unreadable JSON counts as text (S5)."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_data import INSIDE, MUST_GO, MUST_STAY

from app.security.redaction import redactor as redaction
from app.security.redaction import structure
from app.security.redaction.redactor import FAILED, Redactor

REDACTOR = Redactor(b"a key for the property tests")
TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
_TELLING = st.sampled_from([value for _, value in MUST_GO] + [text for text, _ in INSIDE] + MUST_STAY)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_PLAIN, _TELLING, st.just(4111111111111111)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(max_size=8), st.sampled_from(["phone", "card_number", "dateOfBirth"])), inner, max_size=4
        ),
        inner.map(json.dumps),
    ),
    max_leaves=12,
)


def redacted(text: str) -> str:
    return REDACTOR.redact(text, tenant="acme")


@settings(max_examples=150)
@given(
    value=st.one_of(st.lists(_VALUES, max_size=4), st.dictionaries(st.text(max_size=8), _VALUES, max_size=4)),
    ascii_only=st.booleans(),
)
def test_a_document_keeps_its_shape_and_redacting_it_again_changes_nothing(value: Any, ascii_only: bool) -> None:  # noqa: ANN401
    output = redacted(json.dumps(value, ensure_ascii=ascii_only))
    assert _shape(json.loads(output)) == _shape(value)
    assert redacted(output) == output
    output.encode()


def _shape(value: Any) -> Any:  # noqa: ANN401
    """Return objects and lists with their sizes, without their values."""
    if isinstance(value, dict):
        return {"size": len(value), "in": sorted(str(_shape(inner)) for inner in value.values())}
    return [_shape(inner) for inner in value] if isinstance(value, list) else "leaf"


@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_escapes_hide_nothing(kind: str, value: str) -> None:
    hidden = '{"note": "a ' + "".join(f"\\u{ord(c):04x}" for c in value) + '"}'
    assert TOKEN.sub(r"<\1>", json.loads(redacted(hidden))["note"]) == f"a <{kind}>"
    twice = json.dumps({"arguments": hidden})
    assert TOKEN.sub(r"<\1>", json.loads(json.loads(redacted(twice))["arguments"])["note"]) == f"a <{kind}>"


def test_a_redacted_number_becomes_a_string_and_all_others_keep_their_spelling() -> None:
    text = '{"card": 4111111111111111, "price": 1.10, "big": 1e400, "id": 1764000000, "n": [10, 4111111111111112], "x": -0.0}'
    output = redacted(text)
    assert TOKEN.sub(r"<\1>", output) == text.replace("4111111111111111", '"<card>"')


def test_a_key_says_what_its_value_is() -> None:
    text = json.dumps({"phone": 5551234567, "customerPassport": "X1234567", "date_of_birth": "1980-03-12", "order": 5551234567})
    assert TOKEN.sub(r"<\1>", redacted(text)) == (
        '{"phone": "<phone>", "customerPassport": "<passport>", "date_of_birth": "<birth-date>", "order": 5551234567}'
    )


def test_a_key_can_be_what_must_go() -> None:
    assert TOKEN.sub(r"<\1>", redacted('{"ada@example.com": {"seen": true}}')) == '{"<email>": {"seen": true}}'


def test_tool_arguments_within_a_record_stay_json_at_every_level() -> None:
    inner = json.dumps({"note": 'call "Ada"\n+1 202 555 0123', "card": 4111111111111111, "order": "NW-10001"})
    record = json.dumps({"parts": [{"type": "tool_use", "arguments": inner}]})
    output = json.loads(json.loads(redacted(record))["parts"][0]["arguments"])
    assert TOKEN.sub(r"<\1>", json.dumps(output)) == json.dumps(
        {"note": 'call "Ada"\n<phone>', "card": "<card>", "order": "NW-10001"}
    )


def test_nothing_found_leaves_a_document_to_the_letter() -> None:
    text = '{ "order" :"NW-10001",\n"price": 1.10, "price": 2 }'
    assert redacted(text) == text


def test_a_document_that_was_cut_off_is_redacted_as_text() -> None:
    text = json.dumps({"to": "ada@example.com", "n": 4111111111111111, "rest": json.dumps({"say": "so"})})
    for cut in range(text.index("rest"), len(text)):
        assert TOKEN.sub(r"<\1>", redacted(text[:cut])).startswith('{"to": "<email>", "n": <card>, "')


@pytest.mark.parametrize("bomb", ['{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000])
def test_a_document_made_to_be_too_deep_hides_nothing_and_fails_nothing(bomb: str) -> None:
    middle = len(bomb) // 2
    output = redacted(bomb[:middle] + '"ada@example.com"' + bomb[middle:])
    assert "ada@" not in output
    assert redacted('["ada@example.com", ' + "[" * 5_000 + "]" * 5_000 + "]").count("ada@") == 0


def test_json_in_json_in_json_is_opened_to_the_bottom() -> None:
    text = json.dumps({"n": 4111111111111111})
    for _ in range(8):
        text = json.dumps([text])
    output = redacted(text)
    for _ in range(8):
        output = json.loads(output)[0]
    assert TOKEN.sub(r"<\1>", output) == '{"n": "<card>"}'


def test_a_huge_document_is_replaced_whole_when_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor(b"key")
    monkeypatch.setattr(redaction, "PATIENCE", -1.0)
    text = json.dumps({"to": ["ada@example.com"] * 5})
    assert redactor.redact(text, tenant="a") == FAILED
    assert redactor.redact_json({"to": "ada@example.com"}, tenant="a") == FAILED
    assert redactor.failures == 2


def test_a_value_that_is_not_json_becomes_redacted_text() -> None:
    class Odd:
        def __str__(self) -> str:
            return "ada@example.com"

    assert TOKEN.sub(r"<\1>", str(REDACTOR.redact_json({"who": Odd()}, tenant="a"))) == "{'who': '<email>'}"


def test_a_finder_that_breaks_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor(b"key")
    monkeypatch.setattr(redactor, "_table", replace(redactor._table, patterns=[]))
    assert redactor.redact('{"to": "ada@example.com"}', tenant="a") == FAILED
    assert redactor.failures == 1


def test_lone_surrogates_in_a_document_stay_escaped_and_hide_nothing() -> None:
    output = redacted('{"a": "\\ud800 ada@example.com", "\\udfff": 1}')
    assert TOKEN.sub(r"<\1>", output) == '{"a": "\\ud800 <email>", "\\udfff": 1}'


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"password": "Summertime"}, {"password": "<credential>"}),
        ({"db": {"dbPassword": "correct horse battery staple"}}, {"db": {"dbPassword": "<credential>"}}),
        ({"accessToken": "abcdefgh", "PIN": 1234}, {"accessToken": "<credential>", "PIN": "<credential>"}),
        ({"contraseña": "veraneante", "パスワード": "なつやすみ"}, {"contraseña": "<credential>", "パスワード": "<credential>"}),
        ({"headers": [{"name": "X-Api-Key", "value": "abcdef"}]}, {"headers": [{"name": "X-Api-Key", "value": "<credential>"}]}),
        ({"Cookie": "a=b; c=d"}, {"Cookie": "<credential>"}),
    ],
)
def test_a_key_that_means_a_secret_takes_its_whole_value_away(document: Any, expected: Any) -> None:  # noqa: ANN401
    output = json.loads(redacted(json.dumps({"arguments": json.dumps(document)})))
    assert json.loads(TOKEN.sub(r"<\1>", output["arguments"])) == expected
    assert TOKEN.sub(r"<\1>", json.dumps(REDACTOR.redact_json(document, tenant="a"))) == json.dumps(expected)


@pytest.mark.parametrize(
    "document",
    [
        {"password": {"type": "string", "minLength": 12}},
        {"required": ["password", "token"], "password": None, "token": True},
        {"password": "required", "secret": "${DB_SECRET}", "api_key": "***"},
        {"max_tokens": 4096, "tokens": 1234567, "token": 12},
        {"content": [{"token": "understanding", "logprob": -0.1, "top_logprobs": [{"token": "Understanding", "logprob": -1}]}]},
        {"name": "colour", "value": "green"},
    ],
)
def test_what_a_key_only_seems_to_say_is_secret_stays(document: Any) -> None:  # noqa: ANN401
    assert redacted(json.dumps(document)) == json.dumps(document)


def test_a_secret_that_was_redacted_before_stays_as_it_is() -> None:
    once = redacted('{"password": "Summertime", "secret": "ada@example.com is ours"}')
    assert redacted(once) == once


def test_long_keys_of_callers_are_not_remembered() -> None:
    """They may hold personal data, and megabytes: a thousand of them would fill a worker."""
    key = "k" * 41
    for number in range(50):
        REDACTOR.redact(json.dumps({f"{key}{number}": "x"}), tenant="acme")
    before = structure._field.cache_info().currsize
    for number in range(50, 100):
        REDACTOR.redact(json.dumps({f"{key}{number}": "x"}), tenant="acme")
    assert structure._field.cache_info().currsize == before
    assert "<email:" in REDACTOR.redact(json.dumps({f"{key} ada@example.com": "x"}), tenant="acme")
