"""Redaction as a table of cases (S5): what must go, and what must stay."""

import json
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_data import INSIDE, MUST_GO, MUST_STAY

from app.security.redaction import redactor as redaction
from app.security.redaction.limits import RedactionStalled
from app.security.redaction.redactor import FAILED, Redactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(b"a key for tests, 32 bytes or more")


FRAMES = ["{}", "It is {}.", "({})", '"{}"', "a,{},b", "line\n{}\nline", "tab\t{}"]


@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_a_finding_is_replaced_wherever_it_stands(redactor: Redactor, kind: str, value: str) -> None:
    redacted = [TOKEN.sub(r"<\1>", redactor.redact(frame.format(value), tenant="acme")) for frame in FRAMES]
    assert redacted == [frame.format(f"<{kind}>") for frame in FRAMES]


@pytest.mark.parametrize(("kind", "value"), MUST_GO, ids=lambda v: str(v)[:24])
def test_a_finding_is_replaced_in_json_text_and_in_json_inside_json(redactor: Redactor, kind: str, value: str) -> None:
    inner = json.dumps({"note": f"hello\n{value}\n{value}"}, ensure_ascii=False)
    outer = json.dumps({"arguments": inner, "text": f"first\n{value}"}, ensure_ascii=False)
    redacted = json.loads(redactor.redact(outer, tenant="acme"))
    if kind == "private-key":
        assert "MIIE" not in redacted["arguments"]
        return
    assert TOKEN.sub(r"<\1>", json.loads(redacted["arguments"])["note"]) == f"hello\n<{kind}>\n<{kind}>"
    assert TOKEN.sub(r"<\1>", redacted["text"]) == f"first\n<{kind}>"


@pytest.mark.parametrize(("text", "expected"), INSIDE)
def test_only_the_finding_is_replaced_and_what_surrounds_it_stays(redactor: Redactor, text: str, expected: str) -> None:
    assert TOKEN.sub(r"<\1>", redactor.redact(text, tenant="acme")) == expected


@pytest.mark.parametrize("text", MUST_STAY)
def test_text_without_personal_data_stays(redactor: Redactor, text: str) -> None:
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


def test_json_keeps_its_shape_and_a_number_that_must_go_becomes_a_string(redactor: Redactor) -> None:
    redacted = redactor.redact_json({"to": ["ada@example.com", 3], "ok": True, "none": None, "n": 4111111111111111}, tenant="a")
    card = redactor.redact("4111111111111111", tenant="a")
    assert redacted == {"to": [redactor.redact("ada@example.com", tenant="a"), 3], "ok": True, "none": None, "n": card}


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
    """RE2's set reports no match when it runs out of memory; trusting that would let everything through."""

    class GivesUp:
        def Match(self, _: bytes) -> list[int]:  # noqa: N802 - re2's name
            return []

    redactor = Redactor(b"key")
    monkeypatch.setattr(redactor, "_table", replace(redactor._table, signs=[([0], GivesUp())]))
    with pytest.raises(RedactionStalled):
        redactor.findings("ada@example.com", tenant="a")
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
def test_no_text_takes_more_than_time_in_proportion_to_its_length(
    redactor: Redactor, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text made to be slow must not stall a worker: eight times as long takes about eight times the time, not sixty-four.

    The least of three counts, since collecting a test run's garbage is not ours.
    """
    monkeypatch.setattr(redaction, "PATIENCE", 60.0)  # the proportion is measured here, however slow the machine is

    def seconds(length: int) -> float:
        started = time.process_time()
        assert redactor.redact(unit * (length // len(unit)), tenant="a") != FAILED
        return time.process_time() - started

    seconds(1_000)
    longer, shorter = (min(seconds(length) for _ in range(3)) for length in (80_000, 10_000))
    assert longer < 0.05 + 25 * shorter


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
