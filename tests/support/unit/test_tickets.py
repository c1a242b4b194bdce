"""A ticket is what the customer wrote, or it is refused."""

import json

import pytest

from app.domain.calls import Reply, Usage
from app.domain.errors import OutputInvalid
from app.domain.messages import StopReason, Text
from app.features.support import tickets
from app.security.guard.links import Links
from app.security.guard.stored_text import KeptTexts
from app.security.redaction.redactor import Redactor

FIELDS = {
    "category": "refund",
    "priority": "high",
    "order_id": None,
    "product": None,
    "sentiment": "negative",
    "language": "en",
    "summary": "Wants the money back.",
}

KEPT = KeptTexts(Redactor(b"tests"), Links(frozenset({"northwind.example"})))


def reply(stop: StopReason = "end", **changes: object) -> Reply:
    text = json.dumps({**FIELDS, **changes})
    return Reply(parts=(Text(text),), stop=stop, usage=Usage(), provider="p", model="m")


@pytest.mark.parametrize(
    ("text", "named", "kept"),
    [
        ("My order NW-10001 is late", "NW-10001", "NW-10001"),
        ("my order nw-10001 is late", "NW-10001", "NW-10001"),
        ("My order NW-10001 is late", "nw-10001", "NW-10001"),
        ("My order is late", "NW-10001", None),
        ("My order NW-10001 is late", "NW-10002", None),
        ("My order NW-100012 is late", "NW-10001", None),
        ("My order XNW-10001 is late", "NW-10001", None),
        ("My order 10001 is late", "NW-10001", None),
        ("注文番号ＮＷ－１０００１が届きません", "NW-10001", "NW-10001"),
        ("注文番号ＮＷ－１０００１が届きません", "ＮＷ－１０００１", "NW-10001"),
        ("طلبي NW-١٠٠٠١ لم يصل", "NW-١٠٠٠١", "NW-10001"),
        ("NWー10001が届きません", "NW-10001", "NW-10001"),
        ("طلبي NW-١٠٠٠١ لم يصل", "NW-10001", "NW-10001"),
        ("मेरा ऑर्डर NW-१०००१ नहीं आया", "NW-10001", "NW-10001"),
        ("My order NW\u201110001 is late", "NW-10001", "NW-10001"),
        ("My order NW – 10001 is late", "NW-10001", "NW-10001"),
        ("注文番号ＸＮＷ－１０００１が届きません", "NW-10001", None),
        ("My order NW10001 is late", "NW-10001", "NW-10001"),
        ("注文NW-10001はいつ届きますか", "\uff2e\uff37\uff0d\uff11\uff10\uff10\uff10\uff11", "NW-10001"),
        ("طلبي NW-\u200e\u0661\u0660\u0660\u0660\u0661 لم يصل", "NW-10001", "NW-10001"),
        ("注文\uff2e\uff37\uff0d\uff11\uff10\uff10\uff10\uff11\uff12は", "NW-10001", None),
        ("1600 Pennsylvania Avenue NW 20500", "NW-20500", None),
        ("My order NW-10001 is late", None, None),
        ("My order is late", "", None),
    ],
)
def test_an_order_number_counts_only_if_the_customer_wrote_it(text: str, named: str | None, kept: str | None) -> None:
    """G2, S3: an invented number could be another customer's order."""
    assert tickets.read(reply(order_id=named), text).order_id == kept


@pytest.mark.parametrize("wrong", [{"category": "love"}, {"priority": None}, {"summary": 3}, {"mood": "bad"}])
def test_an_invalid_ticket_is_an_error_and_never_passed_on(wrong: dict[str, object]) -> None:
    """R4: the error says where and why, and quotes nothing."""
    with pytest.raises(OutputInvalid) as caught:
        tickets.read(reply("end", **wrong), "text")
    assert caught.value.violations
    assert "love" not in str(caught.value.violations)


def test_a_refusal_and_text_that_is_no_json_are_errors_too() -> None:
    for bad in (reply(stop="refusal"), Reply(parts=(Text("Sorry!"),), stop="end", usage=Usage(), provider="p", model="m")):
        with pytest.raises(OutputInvalid):
            tickets.read(bad, "text")


def test_what_is_too_long_is_cut_between_words() -> None:
    summary = tickets.as_kept(tickets.read(reply(summary="word " * 100, product="x" * 300), "text"), KEPT, "acme")
    assert len(summary.summary) <= 200
    assert summary.summary.endswith("word…")
    assert summary.product is not None
    assert len(summary.product) == 128


@pytest.mark.parametrize(
    ("language", "kept"),
    [
        ("EN", "en"),
        ("deu", "deu"),
        ("pt-BR", "pt"),
        ("zh_Hans-CN", "zh"),
        ("en-", "und"),
        ("French-CA", "und"),
        ("English", "und"),
        ("", "und"),
        ("e\x00", "und"),
    ],
)
def test_a_language_is_a_code_or_undetermined(language: str, kept: str) -> None:
    assert tickets.read(reply(language=language), "text").language == kept


def test_control_characters_never_reach_the_database() -> None:
    ticket = tickets.as_kept(tickets.read(reply(summary="a\x00b\nc", product="te\x00nt"), "t"), KEPT, "acme")
    assert (ticket.summary, ticket.product) == ("a b c", "te nt")


def test_the_schema_is_one_that_strict_decoding_takes() -> None:
    """Every field is required and nothing else allowed.

    No keyword that constrained decoding does not know.
    """
    schema = tickets.OUTPUT.schema
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert not {"maxLength", "minLength", "pattern", "default"} & {k for p in schema["properties"].values() for k in p}


def test_a_ticket_holds_no_card_number_and_no_password() -> None:
    """S5: what stays is what the desk needs."""
    message = "My card 4111 1111 1111 1111 and password: hunter2secret do not work for NW-10001."
    ticket = tickets.as_kept(tickets.read(reply(summary=message), message), KEPT, "acme")
    assert "4111" not in ticket.summary
    assert "hunter2" not in ticket.summary
    assert "NW-10001" in ticket.summary


def test_what_redaction_makes_longer_still_fits() -> None:
    read = tickets.read(reply(product="tent " * 23 + "at 1.2.3.4"), "My tent")
    kept = tickets.as_kept(read, KEPT, "acme")
    assert kept.product is not None
    assert "1.2.3.4" not in kept.product
    assert len(kept.product) <= tickets.LONGEST_PRODUCT
