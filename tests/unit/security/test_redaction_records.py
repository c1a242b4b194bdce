"""Stored records are redacted and stay JSON, or are replaced whole (S5, O7)."""

import json
from typing import Any, cast

import pytest
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
