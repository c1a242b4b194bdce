"""Stored text stays redacted and without links, even after both passes (S4, S5)."""

import pytest

from app.security.guard.links import Links
from app.security.guard.stored_text import KeptTexts
from app.security.redaction.redactor import Redactor

KEPT = KeptTexts(Redactor(b"tests"), Links(frozenset({"northwind.example"})))


@pytest.mark.parametrize("between", ["<b></b>", "\u200b", "\u202e", "<i>"])
def test_a_number_that_closes_up_where_something_was_taken_out_is_redacted(between: str) -> None:
    card = f"4111 1111 {between}1111 1111"
    assert "1111 1111" not in KEPT.text(f"My card is {card}.", tenant="acme")
    assert "1111 1111" not in KEPT.line(f"My card is {card}.", 200, tenant="acme")


def test_tokens_of_redaction_are_no_links_and_stay_when_kept_again() -> None:
    kept = KEPT.text("Write to ada@mail.example, password: hunter2secret.", tenant="acme")
    assert "<" not in kept
    assert "(email:" in kept
    assert KEPT.text(kept, tenant="acme") == kept


def test_a_line_has_no_breaks_no_controls_and_no_marks_that_turn_text_round() -> None:
    assert KEPT.line("a\nb\u2028c\x00d\u202ee\u2067f\u200fg\x85h", 100, tenant="acme") == "a b c d e f g h".replace("d e", "de")


def test_what_fits_and_holds_nothing_stays_as_it_is() -> None:
    for text in ("Wants NW-10001 back: a < b, see [shipping-times].", "word " * 10 + "end", ""):
        assert KEPT.line(text, 200, tenant="acme") == text
    assert KEPT.text("Two lines,\n- one list\n", tenant="acme") == "Two lines,\n- one list\n"
