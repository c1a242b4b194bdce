"""Personal data behind the names that programs give to fields, in texts that are no JSON document (S5)."""

import json
import re

import pytest

from app.security.redaction.redactor import Redactor
from app.security.redaction.streams import StreamRedactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
REDACTOR = Redactor(b"a key for the tests of fields")
NAMES = {
    "phone": (
        "2025550143",
        "phone_number phoneNumber PHONE mobile_phone contactPhone billing[phone] phone1 tel_no whatsapp_number",
    ),
    "birth-date": (
        "1980-03-12",
        "date_of_birth dateOfBirth birth_date user_dob DOB geburtsdatum fecha_nacimiento data_urodzenia",
    ),
    "national-id": ("123456782", "national_id taxId social_security_number pesel cpf steuer_id nhs_number codice_fiscale"),
    "passport": ("925076473", "passport_no passportNumber PASSPORT_NUMBER travel_document_number"),
    "driver-license": ("D12345678", "driver_license driversLicenseNumber driving_licence_no"),
    "plate": ("D12345678", "license_plate plateNumber vehicle_registration vin"),
    "bank-account": ("55779911", "account_number bankAccountNumber routing_number sort_code"),
    "card": ("4222222222222", "card_number creditCardNumber cc_number"),
}
WRITTEN = [
    "{}: {}",
    "{}={}",
    "POST /users?{}={}&page=1",
    'payload={{"{}": "{}", "page": 1}}',
    '{} = "{}"',
    "- {}: '{}'",
    "'{}' => '{}'",
    "| {} | {} |",
    "<td>{}</td><td>{}</td>",
    "{};{}",
    "{}\t{}",
    'name="{}" value="{}"',
    "create --{} {}",
]
STAYS = [
    "phone_number_id: 123456789012345, account_id: 123456789012, phone_count=1234567",
    "tax_rate: 0.1900 tax_code: txcd_99999999 policy_version: 20261123",
    '"passport_expiry": "2030-01-01", passport_required=true, vin_count=1234567',
    "birthday_offers=1234567 date_of_birth: required",
    "card_number_length: 16 card_count=123456789012345",
    "patient_id: 123e4567-e89b-12d3-a456-426614174000",
    "The phone weighs 187 g, phone_model: SM-S928B, phone_number: optional",
    "Passport: see page 123; policy: retry 3 times after 100000 ms",
    "order_number=1234567890 invoice_no: 2026112345 tracking_number: 9400100000000000000000",
    "driver_license_required: true; driver: 535.183.01",
    "order_id;total\n1234567890;129.00",
    "license_plate varchar(17), plate_number: int64, vin: string",
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(("kind", "value", "name"), [(k, v, name) for k, (v, names) in NAMES.items() for name in names.split()])
def test_a_value_goes_behind_the_name_of_its_field(kind: str, value: str, name: str, written: str) -> None:
    text = written.format(name, value)
    assert TOKEN.sub(r"<\1>", REDACTOR.redact(text, tenant="acme")) == written.format(name, f"<{kind}>")


@pytest.mark.parametrize(
    "value", ["14C\u2022710", "42-36671", "\u062f \u062d \u0628 \u0666\u0661\u0667\u0666", "497-46-507", "B-AB 1234"]
)
def test_plates_have_letters_of_many_scripts_or_none(value: str) -> None:
    redacted = REDACTOR.redact(f"license_plate={value}, seen", tenant="acme")
    assert TOKEN.sub(r"<\1>", redacted) == "license_plate=<plate>, seen"


def test_letters_around_a_number_belong_to_it() -> None:
    redacted = REDACTOR.redact("national_id: ZZ 91 39 09 T; next", tenant="acme")
    assert TOKEN.sub(r"<\1>", redacted) == "national_id: <national-id>; next"


@pytest.mark.parametrize("name", ["account_number", "steuer_id", "insurance_number", "mrn", "phone1", "date_naissance"])
def test_a_documents_keys_name_fields_too(name: str) -> None:
    value = "1980-03-12" if name.startswith("date") else "2025550143"
    assert value not in REDACTOR.redact(json.dumps({"customer": {name: value}}), tenant="acme")


def test_an_element_of_xml_is_a_field() -> None:
    text = "<customer><phoneNumber>2025550143</phoneNumber><birthDate>1980-03-12T00:00:00Z</birthDate></customer>"
    redacted = TOKEN.sub(r"<\1>", REDACTOR.redact(text, tenant="acme"))
    assert redacted == "<customer><phoneNumber><phone></phoneNumber><birthDate><birth-date></birthDate></customer>"


def test_a_day_of_birth_with_a_time_behind_it_goes_whole_in_a_document_too() -> None:
    redacted = REDACTOR.redact(json.dumps({"birthDate": "1980-03-12T00:00:00+02:00"}), tenant="acme")
    assert re.fullmatch(r'\{"birthDate": "<birth-date:[0-9a-f]{8}>"\}', redacted)


@pytest.mark.parametrize("line", STAYS)
def test_other_fields_keep_their_values(line: str) -> None:
    assert REDACTOR.redact(line, tenant="acme") == line


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_stream_that_is_cut_anywhere_hides_the_same(size: int) -> None:
    lines = "".join(f"{name}={value}\n" for value, names in NAMES.values() for name in names.split())
    stream = StreamRedactor(REDACTOR, tenant="acme")
    pieces = [stream.feed(lines[at : at + size]) for at in range(0, len(lines), size)]
    assert "".join(pieces) + stream.close() == REDACTOR.redact(lines, tenant="acme")
