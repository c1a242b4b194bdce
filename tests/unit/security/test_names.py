"""Names and addresses in records, on a stand-in for the model; `make ner` runs the real one (S5)."""

import importlib.util
import json
import re
from collections.abc import Sequence
from typing import cast

import pytest
from records import a_record
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.recorder import Recorder
from app.audit.spill import Spill
from app.domain.errors import Misconfigured
from app.security.redaction import ner as names
from app.security.redaction import redactor as redaction
from app.security.redaction.ner import OVERLAP, WINDOW, Labelled, Names
from app.security.redaction.redactor import FAILED, Redactor
from app.settings import load

WORDS = {"Ada": "GIVEN_NAME", "Lovelace": "SURNAME", "Zoë": "GIVEN_NAME", "12": "BUILDING_NUMBER", "Milk": "STREET_NAME"}
WORDS |= {"Way": "STREET_NAME", "Bern": "CITY", "Birch": "SURNAME"}
PLAIN = Redactor(b"key")


def stand_in(text: str) -> Sequence[Labelled]:
    return [Labelled(m.start(), m.end(), WORDS[m[0]]) for m in re.finditer(r"\w+", text) if m[0] in WORDS]


NAMING = PLAIN.with_names(Names(stand_in))


def shown(text: str) -> str:
    return re.sub(r":[0-9a-f]{8}>", ">", NAMING.redact(text, tenant="t"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am Ada Lovelace, order NW-10001.", "I am <name>, order NW-10001."),
        ("\U0001f600 é Zoë-Ada said: Zoë", "\U0001f600 é <name> said: <name>"),
        ("Send it to 12 Milk,\nBern. Thanks", "Send it to <address>. Thanks"),
        ("Do you ship to Bern? I have 12 of them.", "Do you ship to Bern? I have 12 of them."),
        ("Ada, ada@example.com", "<name>, <email>"),
        ("no name", "no name"),
    ],
)
def test_a_name_is_one_token_and_a_town_or_a_number_alone_is_no_address(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert json.loads(shown(json.dumps({"a": text}))) == {"a": expected}


def test_the_same_person_is_the_same_token_and_without_the_model_names_stay() -> None:
    assert NAMING.redact("Ada Lovelace", tenant="t") == NAMING.redact("Ada  Lovelace", tenant="t")
    assert NAMING.redact("Ada", tenant="t") != NAMING.redact("Ada", tenant="other")
    assert PLAIN.redact("I am Ada Lovelace", tenant="t") == "I am Ada Lovelace"
    assert load().records_ner is False


@pytest.mark.parametrize("before", range(WINDOW - OVERLAP - 8, WINDOW + 8))
def test_a_name_is_found_whole_wherever_a_window_ends(before: int) -> None:
    filler = ("word " * WINDOW)[:before].rstrip() + " "
    text = f"{filler}Ada Lovelace{' word' * WINDOW}"
    assert shown(text) == text.replace("Ada Lovelace", "<name>")


def test_every_letter_is_read_also_where_there_are_no_spaces_and_nothing_twice() -> None:
    read: list[str] = []

    def noting(text: str) -> Sequence[Labelled]:
        read.append(text)
        return []

    for text in ("x" * 3 * WINDOW, "one two " * WINDOW, "x", ""):
        read.clear()
        finder = Names(noting)
        list(finder(text, float("inf")))
        assert max((len(piece) for piece in read), default=0) <= WINDOW
        assert all(text[at : at + 2] in "\0".join(read) for at in range(len(text) - 1))
        assert sum(map(len, read)) <= len(text) * WINDOW / (WINDOW - 2 * OVERLAP)
        count = len(read)
        list(finder(text, float("inf")))
        assert len(read) == count


@pytest.mark.parametrize("text", ["no name", '{"a": "no name"}'])
def test_a_model_that_breaks_or_takes_too_long_costs_the_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Sequence[Labelled]:
        raise RuntimeError("out of memory")

    counted: list[None] = []
    redactor = Redactor(b"key", on_failure=lambda: counted.append(None))
    assert redactor.with_names(Names(broken)).redact(text, tenant="t") == FAILED
    monkeypatch.setattr(redaction, "NAMES_PATIENCE", -1.0)
    assert redactor.with_names(Names(lambda _: [])).redact(text, tenant="t") == FAILED
    assert len(counted) == 2
    assert redactor.redact(text, tenant="t") == text


def test_the_recorder_seeks_names_in_what_was_said_and_leaves_ids_for_erasing(tmp_path: object) -> None:
    record = a_record(user="Ada", request='{"m": "I am Ada"}', response='{"parts": ["Hello Ada"]}')

    def kept(said: Redactor | None) -> tuple[str, str, str]:
        spill = cast("Spill", None)
        recorder = Recorder(cast("AsyncEngine", None), PLAIN, spill, on_drop=lambda _: None, text_redactor=said)
        stored = recorder._redact(record)
        return stored.user, stored.request, stored.response

    assert kept(None) == ("Ada", record.request, record.response)
    user, request, response = kept(NAMING)
    assert user == "Ada"
    assert "Ada" not in request + response
    assert [json.loads(text) for text in (request, response)]


def test_without_the_package_the_setting_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misconfigured, match=r"octant\[ner\]"):
        names.load()
