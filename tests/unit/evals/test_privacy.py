"""What is public is no finding in a case or an answer, however long the public text is (S5)."""

import pytest

from app.security.redaction import redactor
from evals import privacy


def test_a_public_address_at_the_end_of_a_long_text_is_no_finding_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor, "PATIENCE", 0.02)  # seconds of CPU: this machine is quick enough for the whole otherwise
    public = "\n\n".join(
        [*(f"Article {n} has its own address: desk{n}@shop.example." for n in range(8000)), "press@shop.example"]
    )
    privacy._found_in.cache_clear()
    assert privacy.personal("Write to press@shop.example.", public) == []
    assert privacy.personal("Write to ada@home.example.org.", public) == ["email"]


def test_a_number_that_stands_in_the_public_text_is_no_finding_whatever_words_are_before_it() -> None:
    text = '{"policy_number": "HR 12.345/678-9"}'
    assert privacy.personal(text) == ["national-id"]
    assert privacy.personal(text, "LV 1 HR 12.345/678-9 KF 2") == []
    assert privacy.leaks(text, "HR 12.345/678-9") == []
    assert privacy.personal(text, "HR 12.345/678-91") == ["national-id"]
    assert privacy.personal(text.replace("}", ', "tax_number": "21/815/08150"}'), "HR 12.345/678-9") == ["national-id"]


def test_a_token_of_the_services_is_no_finding_however_its_digits_read() -> None:
    for token in ("<national-id:3a9fe23e>", "(national-id:3a9fe23e)", "(phone:55501876)"):
        assert privacy.leaks(f"They sent their social security number {token} by mistake.") == []
    assert privacy.leaks("My national-id: 3a9fe23e") == ["national-id"]
    assert privacy.leaks("Their card (4111 1111 1111 1111).") == ["card"]
