"""A value in many spellings is found whole and has one token (S5)."""

import json
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.security.redaction.normalisation import normalised, plain
from app.security.redaction.redactor import FAILED, Redactor
from app.security.redaction.streams import StreamRedactor

REDACTOR = Redactor(b"a key for the tests of spellings")
VALUES = ["ada@example.com", "4111 1111 1111 1111", "+49 30 1234567", "DE89 3704 0044 0532 0130 00"]


def _digits_from(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(c)) if c in "0123456789" else c for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if c != " " else "\u3000" for c in text),
    "Arabic-Indic digits": _digits_from(0x660),
    "Devanagari digits": _digits_from(0x966),
    "mathematical digits": _digits_from(0x1D7CE),
    "narrow no-break spaces": lambda text: text.replace(" ", "\u202f"),
    "no-break spaces": lambda text: text.replace(" ", "\xa0"),
    "zero-width characters": "\u200b".join,
    "soft hyphens": "\xad".join,
    "byte order marks": "\ufeff".join,
    "keycaps": lambda text: re.sub("([0-9])", "\\1\ufe0f\u20e3", text),
    "full-width at": lambda text: text.replace("@", "\uff20"),
    "character references": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "hexadecimal references, escaped twice": lambda text: "".join(f"&amp;#x{ord(c):x};" for c in text),
    "percent-encoding": lambda text: "".join(f"%{ord(c):02X}" for c in text),
    "percent-encoding, twice": lambda text: "".join(f"%25{ord(c):02x}" for c in text),
    "escapes of JSON": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "escapes of JSON in JSON": lambda text: "".join(f"\\\\u{ord(c):04x}" for c in text),
    "full width, percent-encoded": lambda text: "".join(
        "".join(f"%{byte:02X}" for byte in chr(ord(c) + 0xFEE0).encode()) if c.isalnum() else c for c in text
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_taken_away_whole_in_every_spelling_and_has_one_token(value: str, spelling: str) -> None:
    token = REDACTOR.redact(value, tenant="acme")
    assert re.fullmatch(r"<[a-z]+:[0-9a-f]{8}>", token)
    written = SPELLINGS[spelling](value)
    assert REDACTOR.redact(f"Ça: {written}, merci", tenant="acme") == f"Ça: {token}, merci"
    assert json.loads(REDACTOR.redact(json.dumps({"note": written}), tenant="acme")) == {"note": token}


def test_every_decimal_digit_of_unicode_s_first_plane_is_a_digit() -> None:
    digits = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Nd"]
    assert [plain(digit) for digit in digits] == [str(unicodedata.digit(digit)) for digit in digits]


def test_every_space_of_unicode_is_a_space_and_format_characters_vanish() -> None:
    spaces = [chr(code) for code in range(0x80, 0x10000) if unicodedata.category(chr(code)) in {"Zs", "Zl", "Zp"}]
    assert {plain(space) for space in spaces} == {" "}
    assert plain("".join(map(chr, (0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x2060, 0x2066, 0xFEFF)))) == ""


def test_a_document_that_was_cut_off_hides_nothing_behind_escapes() -> None:
    text = json.dumps({"to": "añda", "mail": "ada\uff20example.com", "password": "Sömmer&time"})[:-3]
    redacted = REDACTOR.redact(text, tenant="acme")
    assert re.sub(":[0-9a-f]{8}", "", redacted) == '{"to": "a\\u00f1da", "mail": "<email>", "password": "<credential>'


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=6),
            st.sampled_from(VALUES),
            st.sampled_from(
                [
                    "&#64;",
                    "&amp;",
                    "&",
                    "%40",
                    "%",
                    "\\u0040",
                    "\\",
                    "\u200b",
                    "\xad",
                    "\uff10",
                    "\u0664",
                    "\n",
                    "\u2028",
                    "&NewLine;",
                ]
            ),
        ),
        max_size=12,
    ).map("".join)
)
def test_what_is_searched_has_the_ends_of_lines_of_the_text_and_its_places_lead_back(text: str) -> None:
    normal = normalised(text.encode("utf-8", "surrogatepass"), lambda: None)
    searched = normal.text.decode("utf-8", "surrogatepass") if normal else text
    assert searched == plain(text)
    assert searched.count("\n") == text.count("\n")
    if normal:
        original = text.encode("utf-8", "surrogatepass")
        ends = [0, *(len(searched[: i + 1].encode("utf-8", "surrogatepass")) for i in range(len(searched)))]
        places = normal.in_original([(a, b, "x") for a, b in pairwise(ends)])
        assert all(0 <= a < b <= len(original) for a, b, _ in places)
        assert all(b <= c for (_, b, _), (c, _, _) in pairwise(places))
        assert [plain(original[a:b].decode("utf-8", "surrogatepass")) for a, b, _ in places] == list(searched)


def test_a_label_that_ends_a_line_in_another_spelling_holds_the_stream_back() -> None:
    for label in ("Phone：", "Phone&#58;", "Phone:\u200b", "電話："):
        text = f"{label}\n507 472 281\nthanks"
        stream = StreamRedactor(REDACTOR, tenant="acme")
        redacted = "".join(stream.feed(piece) for piece in text) + stream.close()
        assert redacted == REDACTOR.redact(text, tenant="acme")
        assert "507" not in redacted


def test_a_tenants_pattern_matches_the_sent_and_the_normalised_spelling() -> None:
    class Pattern:
        name = "customer"

        def __init__(self, pattern: str) -> None:
            import re2

            self.compiled = re2.compile(pattern)

    for pattern in ("客户[０-９]{6}", "客户[0-9]{6}"):
        redactor = Redactor(b"key", added=lambda _tenant, pattern=pattern: [Pattern(pattern)])  # type: ignore[misc]
        redacted = redactor.redact("客户１２３４５６ ada＠example.com", tenant="acme")
        assert re.sub(":[0-9a-f]{8}", "", redacted) == "<customer> <email>"


def test_a_text_of_sequences_alone_is_replaced_whole_when_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.security.redaction.redactor.PATIENCE", -1.0)
    assert Redactor(b"key").redact("%41" * 1_000, tenant="acme") == FAILED
