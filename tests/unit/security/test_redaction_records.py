"""Stored records are redacted and stay JSON, or are replaced whole (S5, O7)."""

import json
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import a_record

from app.audit.recorder import Recorder
from app.domain.records import CallRecord
from app.security.redaction import redactor as redaction
from app.security.redaction.redactor import FAILED, Redactor

ARGUMENTS = json.dumps({"card": 4111111111111111, "order": "NW-10001"})
REQUEST = json.dumps({"messages": [{"parts": [{"arguments": ARGUMENTS}]}]})


def stored(redactor: Redactor) -> CallRecord:
    recorder = Recorder(cast("Any", None), redactor, cast("Any", None), on_drop=lambda _: None)
    return recorder._redact(a_record(user="ada@example.com", request=REQUEST, response='{"parts": ["+1 202 555 0123"]}'))


def test_tool_arguments_in_a_record_are_redacted_and_stay_json() -> None:
    record = stored(Redactor(b"key"))
    arguments = json.loads(json.loads(record.request)["messages"][0]["parts"][0]["arguments"])
    assert arguments["card"].startswith("<card:")
    assert arguments["order"] == "NW-10001"
    assert json.loads(record.response)["parts"][0].startswith("<phone:")
    assert record.user.startswith("<email:")


def test_a_record_whose_redaction_runs_out_of_time_keeps_none_of_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "PATIENCE", -1.0)
    redactor = Redactor(b"key")
    record = stored(redactor)
    assert (record.user, record.request, record.response) == (FAILED, FAILED, FAILED)
    assert redactor.failures >= 3


PIECES = [
    "the order is late",
    "ada@example.com",
    "password: correct-horse",
    "password is Tr0ub4dor",
    "born 1.2.1990",
    "cookie: a=bcdefgh",
]
PIECES += [
    "-u",
    "ada:swordfish",
    "\u202e",
    "\uff14111 1111 1111 1111",
    "4111 1111",
    "1111 1111",
    "+1 202 555",
    "0123",
    "{",
    "]",
    "\\n",
    "",
]
LEAVES = st.sampled_from(PIECES) | st.lists(st.sampled_from(PIECES), max_size=4).map(" ".join)
TEXTS = LEAVES | st.dictionaries(st.sampled_from(["text", "password", "card"]), LEAVES, max_size=2).map(json.dumps)


@example(["late", "-u ada:swordfish"])  # its row asks for the begin of a line
@given(st.lists(TEXTS, max_size=3))
def test_texts_that_are_searched_together_are_redacted_as_each_by_itself(texts: list[str]) -> None:
    redactor = Redactor(b"key")
    assert redactor.redact_all(texts, tenant="a") == [redactor.redact(text, tenant="a") for text in texts]
