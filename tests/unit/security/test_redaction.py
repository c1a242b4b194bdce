"""Redaction as a table of cases (S5): what must go, and what must stay."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security import redaction
from app.security.redaction import FAILED, Redactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\n+/9aBc==\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz"

MUST_GO = [
    ("email", "ada@example.com"),
    ("email", "Ada.Lovelace+shop@mail.example.co.uk"),
    ("email", "jürgen@müller.example"),
    ("email", "o'neill@example.com"),
    ("phone", "+1 202 555 0123"),
    ("phone", "+12025550123"),
    ("phone", "+1 (202) 555-0123"),
    ("phone", "+44 20 7946 0123"),
    ("phone", "+49 (0)30 1234567"),
    ("phone", "0049 30 1234567"),
    ("phone", "+33 6 12 34 56 78"),
    ("phone", "(202) 555-0123"),
    ("phone", "202-555-0123"),
    ("phone", "202.555.0123"),
    ("phone", "1-202-555-0123"),
    ("phone", "020 7946 0123"),
    ("phone", "07700 900123"),
    ("phone", "07700900123"),
    ("phone", "06 12 34 56 78"),
    ("phone", "030 1234567"),
    ("phone", "0171/1234567"),
    ("card", "4111 1111 1111 1111"),
    ("card", "4111111111111111"),
    ("card", "5500-0055-5555-5559"),
    ("card", "3782 822463 10005"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432"),
    ("iban", "fr14 2004 1010 0505 0001 3m02 606"),
    ("ssn", "219-09-9999"),
    ("ip", "203.0.113.7"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("ip", "2001:0db8:0000:0000:0000:8a2e:0370:7334"),
    ("ip", "fe80::1"),
    ("credential", "sk-abcdefghij0123456789"),
    ("credential", "sk-ant-api03-AbCdEf0123456789_-xyz"),
    ("credential", "sk-proj-AbCdEf0123456789"),
    ("credential", "AKIAIOSFODNN7EXAMPLE"),
    ("credential", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("credential", "oct_1a2b3c4d_" + "x" * 43),
    ("credential", "sk_live_abcdefghij0123456789"),
    ("credential", "xoxb-1234567890-abcdefgh"),
    ("jwt", JWT),
    ("private-key", PEM),
]

INSIDE = [
    ("https://ada:hunter2@example.com/x", "https://<url-credentials>@example.com/x"),
    ("postgresql+psycopg://octant:pa55@db.example:5432/octant", "postgresql+psycopg://<url-credentials>@db.example:5432/octant"),
    ("redis://:pa55word@cache.example/0", "redis://<url-credentials>@cache.example/0"),
    ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer <credential>"),
    ("password: hunter2!", "password: <credential>"),
    ('{"api_key": "abc123def"}', '{"api_key": "<credential>"}'),
    ("GET /x?access_token=abc123def&page=2", "GET /x?access_token=<credential>&page=2"),
    ("card 4111 1111 1111 1111 12/28", "card <card> 12/28"),
    ("on 2026-11-23 4111 1111 1111 1111", "on 2026-11-23 <card>"),
    ("IBAN DE89 3704 0044 0532 0130 00 and thanks", "IBAN <iban> and thanks"),
    ("phone: 555-0123", "phone: <phone>"),
    ("my number? call me at 2025550123.", "my number? call me at <phone>."),
    ("SSN 219099999", "SSN <ssn>"),
    ("020 7946 0123 07700 900123 +44 20 7946 0999", "<phone> <phone> <phone>"),
    ("write to ada@example.com, grace@example.com.", "write to <email>, <email>."),
    ("<ada@example.com>", "<<email>>"),
    ("from 203.0.113.7:443", "from <ip>:443"),
]

MUST_STAY = [
    "order NW-10001",
    "orders NW-10001, NW-10002 and NW-10003",
    "call_3f2a9c0d1e4b5a69788796a5b4c3d2e1",
    "ticket T-2026-000123",
    "$129.00, 1,299.00 EUR, 0.50, 12.345,67",
    "2026-11-23",
    "2026-11-23T14:30:05.123Z",
    "23/11/2026 14:30",
    "05.11.2026 14:30",
    "01-02-2026 10:15",
    "shipping-times",
    "[returns-and-refunds]",
    "SKU-202-555-0123",
    "product TENT-4P-2024",
    "EAN 4006381333931",
    "ISBN 978-3-16-148410-0",
    "tracking 1Z999AA10123456784",
    "4111 1111 1111 1112",
    "GB82WEST12345698765431",
    "000-12-3456 and 666-12-3456",
    "12:30:45",
    "std::vector and a::b and Net::HTTP",
    "127.0.0.1:8080 and ::1",
    "version v1.2.3.4",
    "logo@2x.png and @mention and user@localhost",
    "pip install pkg@1.2.3",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "123e4567-e89b-12d3-a456-426614174000",
    "the bearer responsibilities",
    "password: required",
    "claude-sonnet-5-5 and gpt-6-luna",
    "1764000000000",
    "https://northwind.example/help?topic=returns",
    "task-oriented, risk-averse and disk-based",
]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(b"a key for tests, 32 bytes or more")


@pytest.mark.parametrize("frame", ["{}", "It is {}.", "({})", '"{}"', "a,{},b", "line\n{}\nline", "tab\t{}"])
@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_a_finding_is_replaced_wherever_it_stands(redactor: Redactor, kind: str, value: str, frame: str) -> None:
    told = redactor.redact(frame.format(value), tenant="acme")
    assert TOKEN.sub(r"<\1>", told) == frame.format(f"<{kind}>")


@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_a_finding_is_replaced_in_json_text_and_in_json_inside_json(redactor: Redactor, kind: str, value: str) -> None:
    inner = json.dumps({"note": f"hello\n{value}\n{value}"}, ensure_ascii=False)
    outer = json.dumps({"arguments": inner, "text": f"first\n{value}"}, ensure_ascii=False)
    told = json.loads(redactor.redact(outer, tenant="acme"))
    if kind == "private-key":
        assert "MIIE" not in told["arguments"]
        return
    assert TOKEN.sub(r"<\1>", json.loads(told["arguments"])["note"]) == f"hello\n<{kind}>\n<{kind}>"
    assert TOKEN.sub(r"<\1>", told["text"]) == f"first\n<{kind}>"


@pytest.mark.parametrize(("text", "expected"), INSIDE)
def test_only_the_finding_is_replaced_and_what_surrounds_it_stays(redactor: Redactor, text: str, expected: str) -> None:
    assert TOKEN.sub(r"<\1>", redactor.redact(text, tenant="acme")) == expected


@pytest.mark.parametrize("text", MUST_STAY)
def test_what_is_nobodys_personal_data_stays(redactor: Redactor, text: str) -> None:
    for framed in (text, f"About {text}: please help.", json.dumps({"text": f"a\n{text}\nb"})):
        assert redactor.redact(framed, tenant="acme") == framed


def test_one_person_has_one_token_within_a_tenant_and_another_elsewhere(redactor: Redactor) -> None:
    here = redactor.redact("ada@example.com", tenant="acme")
    assert redactor.redact("ADA@EXAMPLE.COM", tenant="acme") == here
    assert redactor.redact("ada@example.com", tenant="globex") != here
    assert redactor.redact("grace@example.com", tenant="acme") != here
    assert Redactor(b"another key").redact("ada@example.com", tenant="acme") != here


def test_spellings_of_one_number_share_a_token(redactor: Redactor) -> None:
    assert redactor.redact("4111 1111 1111 1111", tenant="a") == redactor.redact("4111-1111-1111-1111", tenant="a")
    assert redactor.redact("202-555-0123", tenant="a") == redactor.redact("(202) 555-0123", tenant="a")


def test_redacting_twice_is_redacting_once(redactor: Redactor) -> None:
    once = redactor.redact("\n".join(value for _, value in MUST_GO), tenant="acme")
    assert redactor.redact(once, tenant="acme") == once


def test_json_keeps_its_shape_and_its_numbers(redactor: Redactor) -> None:
    told = redactor.redact_json({"to": ["ada@example.com", 3], "ok": True, "none": None, "n": 4111111111111111}, tenant="a")
    assert told == {"to": [redactor.redact("ada@example.com", tenant="a"), 3], "ok": True, "none": None, "n": 4111111111111111}


def test_a_text_that_is_too_long_is_replaced_whole_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    redactor = Redactor(b"key", on_failure=lambda: counted.append(1))
    monkeypatch.setattr(redaction, "LONGEST", 10)
    assert redactor.redact("ada@example.com", tenant="a") == FAILED
    assert (redactor.failures, counted) == (1, [1])


def test_a_slow_text_is_replaced_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "PATIENCE", -1.0)
    assert Redactor(b"key").redact("ada@example.com", tenant="a") == FAILED


def test_an_automaton_that_gives_up_is_noticed_and_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2's set answers "nothing found" when it runs out of memory: taken at its word, it would let everything through."""

    class GivesUp:
        def Match(self, _: bytes) -> list[int]:  # noqa: N802 - re2's name
            return []

    redactor = Redactor(b"key")
    monkeypatch.setattr(redactor, "_any", GivesUp())
    assert redactor.redact("ada@example.com", tenant="a") == FAILED


SLOW = ["7 ", "12 ", "0 ", "030 ", "4111 1111 1111 1112 ", "4111 1111 1111 1111 ", "+1 ", "+1 202 555 0123 ", "0\u2011", "a@"]
SLOW += [
    "ada@example.com ",
    "DE89 ",
    "de",
    "::",
    "a:",
    "1.",
    "(",
    "(0",
    "\\",
    "\\n",
    "password=",
    "<email:",
    "http://a:",
    "\u00e9",
]
SLOW += ["-----BEGIN PRIVATE KEY-----", "eyJ."]


@pytest.mark.parametrize("unit", SLOW)
def test_no_text_takes_more_than_time_in_proportion_to_its_length(redactor: Redactor, unit: str) -> None:
    """A text made to be slow must not stall a worker: eight times as long takes about eight times the time, not sixty-four."""

    def seconds(length: int) -> float:
        started = time.perf_counter()
        assert redactor.redact(unit * (length // len(unit)), tenant="a") != FAILED
        return time.perf_counter() - started

    seconds(1_000)
    assert seconds(80_000) < 0.05 + 25 * min(seconds(10_000) for _ in range(3))


def test_a_lone_surrogate_hides_nothing(redactor: Redactor) -> None:
    assert "ada@" not in redactor.redact("\ud800 ada@example.com \udfff", tenant="a")


@given(before=st.text(max_size=60), after=st.text(max_size=60))
def test_whatever_surrounds_it_an_email_address_does_not_survive(before: str, after: str) -> None:
    assert "lovelace@example.com" not in _SHARED.redact(f"{before} lovelace@example.com {after}", tenant="a")


@given(st.text(max_size=300))
def test_any_text_is_answered_and_never_fails(text: str) -> None:
    failures = _SHARED.failures
    assert isinstance(_SHARED.redact(text, tenant="a"), str)
    assert _SHARED.failures == failures


_SHARED = Redactor(b"a key for the property tests")
