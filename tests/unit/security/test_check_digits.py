"""Check digits and lengths of cards and IBANs follow a public registry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban as registry
from stdnum.iso7064 import mod_97_10

from app.security.redaction.detectors import iban, iban_length, luhn
from app.security.redaction.redactor import Redactor

REDACTOR = Redactor(b"a secret of these tests")


def an_iban(country: str, length: int) -> str:
    number = ("1234567890" * 4)[: length - 4]
    return country + mod_97_10.calc_check_digits(number + country) + number


@pytest.mark.parametrize(
    ("country", "length"), [("DE", 22), ("NO", 15), ("RU", 33), ("CR", 22), ("BI", 27), ("HN", 28), ("XX", 0), ("D", 0)]
)
def test_an_iban_is_as_long_as_its_country_says(country: str, length: int) -> None:
    assert iban_length(country) == length
    if length:
        assert list(iban(an_iban(country, length))) == [(0, length)]
        assert list(iban(an_iban(country, length - 1))) == []


@pytest.mark.parametrize("number", ["CR05015202001026284066", "BI4210000100010000332045181", "HN88CABF00000000000250005469"])
def test_an_iban_of_a_country_that_joined_late_is_redacted(number: str) -> None:
    assert registry.is_valid(number)
    assert number not in REDACTOR.redact(f"Please pay to {number} today.", tenant="")


@given(st.text("0123456789", min_size=2, max_size=24), st.integers(0, 9), st.integers(0, 22))
def test_one_changed_digit_breaks_a_luhn_number(stem: str, digit: int, place: int) -> None:
    (last,) = (n for n in range(10) if luhn(f"{stem}{n}"))
    number = f"{stem}{last}"
    place %= len(number)
    changed = f"{number[:place]}{digit}{number[place + 1 :]}"
    assert luhn(changed) is (changed == number)
