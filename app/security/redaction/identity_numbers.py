"""Data that a state gives a person: numbers in registers, passports, licences, and the date of birth.

A number that carries a strong check, or a shape that nothing else has, is found wherever it stands; validators are those of
`python-stdnum`. A check that one in ten numbers passes would take order numbers too: such ids are found after their name only.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module

from app.security.redaction import labels
from app.security.redaction.detectors import (
    GOODS,
    QUARTER,
    Kind,
    Span,
    digits_of,
    document,
    iban_length,
    identifier,
    only_if,
    ssn,
)

# Between a label and what it names: filler words, then a separator. Only one with a sign in it may end the line, as in a form.
FILLERS = r"(?: (?:number|numbers|nummer|numero|número|no|nr|num|id|code|is|was|ist|est|es|it's|my|the|#)\b\.?)*"
SEPARATOR = r"(?:[ \t\r]*[:=#]+[ \t\r]*\n?[ \t]*|\.? {1,3}|\? {1,3})"


@cache
def _validator(module: str) -> Callable[[str], bool]:
    """Loaded when first needed: the package holds hundreds."""
    valid: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return valid


# Bare shape -> the register. The chance that an invented number of that shape passes is at most about 1 in 1,000.
_STRONG = (
    (re.compile(r"[A-Z]{6}[0-9A-Z]{2}[A-Z][0-9A-Z]{2}[A-Z][0-9A-Z]{3}[A-Z]", re.IGNORECASE), "it.codicefiscale"),
    (re.compile(r"[A-Z]{4}[0-9]{6}[A-Z]{6}[0-9A-Z][0-9]", re.IGNORECASE), "mx.curp"),
    (re.compile(r"[12][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{8}", re.IGNORECASE), "fr.nir"),
    (re.compile(r"[0-9]{17}[0-9X]", re.IGNORECASE), "cn.ric"),
    (re.compile(r"[0-9]{6}[-+A][0-9]{3}[0-9A-FHJ-NPR-Y]", re.IGNORECASE), "fi.hetu"),
    (re.compile(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}"), "br.cpf"),
    (re.compile(r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}"), "ch.ssn"),
    (re.compile(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}"), "be.nn"),
    (re.compile(r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9K]", re.IGNORECASE), "cl.rut"),
)

_NEW_HETU = re.compile(r"[0-9]{6}[B-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]", re.IGNORECASE)


@cache
def load_registers() -> None:
    """Load every register's check and its data, which takes 50 ms of CPU: half of the time that the first text would have."""
    for _, module in _STRONG:
        _validator(module)("11010519491231002X")
    iban_length("DE")


def registered(candidate: str) -> Iterator[Span]:
    """A number of one of the registers above, its check included."""
    compact = candidate.replace(" ", "")
    if _NEW_HETU.fullmatch(compact):  # signs of 2023, which stdnum does not know; the check is the same
        compact = f"{compact[:6]}{'-' if compact[6].upper() > 'F' else 'A'}{compact[7:]}"
    for shape, module in _STRONG:
        if shape.fullmatch(compact) and _validator(module)(compact):
            yield 0, len(candidate)
            return


def insurance_number(candidate: str) -> bool:
    """HMRC's rules for prefixes (NIM39110): no D, F, I, Q, U, V, no O second, and none of those that are not issued."""
    prefix = candidate[:2].upper()
    return not set(prefix) & set("DFIQUV") and prefix[1] != "O" and prefix not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


_WEIGHED = {letter: at + 1 for at, letter in enumerate("ABCDEFGHJKLMNPQRSTUVWXYZ")}  # without I and O


def health_index(candidate: str) -> bool:
    """New Zealand's NHI: modulo 11 of the form with four digits, modulo 23 of that with two (HISO 10046)."""
    compact = candidate.casefold().upper()  # the sign of Kelvin is a K to RE2, and no letter of ours before that
    values = [_WEIGHED.get(sign) or int(sign) for sign in compact]
    total = sum(weight * value for weight, value in zip(range(7, 1, -1), values[:6], strict=True))
    if compact[5].isdigit():
        return total % 11 != 0 and (11 - total % 11) % 10 == values[6]
    return 23 - total % 23 == values[6]


def personal_code(candidate: str) -> bool:
    """Azerbaijan's FIN: letters and digits, without a check."""
    return len(digits_of(candidate)) >= 2 and not candidate.isdigit() and not QUARTER.match(candidate)


def birth_date(candidate: str) -> bool:
    """A day, and not a number that merely follows the word."""
    return len(digits_of(candidate)) >= 3


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_ID_REST = r"[0-9](?:[./-]?[0-9A-Z]| [0-9]| [A-Z]\b){5,19}"
_FIN = r"\b(?:FIN|FİN|(?i:fin ?[ck]od))(?i:[a-z\x{131}]{0,3}(?: kod[a-z\x{131}]{0,3})?)"

DOCUMENTS: tuple[Kind, ...] = (
    Kind("ssn", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", only_if(ssn), not_after="-.", not_before="-"),
    Kind("ssn", rf"(?i)\b(?:ssn|social security)\b{FILLERS}{SEPARATOR}([0-9]{{3}} ?[0-9]{{2}} ?[0-9]{{4}})\b", only_if(ssn)),
    Kind(
        "national-id",
        r"(?i)\b(?:[A-Z]{4}[0-9A-Z]{2}[0-9A-Z]{2}[A-Z0-9]{7,9}[0-9A-Z]|"
        r"[A-Z]{3} [A-Z]{3} [0-9A-Z]{2}[A-Z][0-9A-Z]{2} [A-Z][0-9A-Z]{3}[A-Z]|[12](?: ?[0-9]){4}(?: ?[0-9AB]){10})\b",
        registered,
    ),
    Kind("national-id", r"(?i)\b[0-9]{17}[0-9X]\b", registered, not_after="-.#/+", not_before="-"),
    Kind(
        "national-id",
        r"\b[0-9]{1,3}\.[0-9]{2,4}\.[0-9]{2,4}(?:-[0-9K]{1,3}|\.[0-9]{2})(?:\.[0-9]{2})?\b",
        registered,
        not_before="-",
    ),
    Kind("national-id", r"(?i)\b[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]\b", registered, not_after="-.#/+", not_before="-/"),
    Kind(
        "national-id",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: [0-9]{2} [0-9]{2} [0-9]{2} |[0-9]{6})[A-D]\b",
        only_if(insurance_number),
        not_after="-.#/+",
        not_before="-",
    ),
    Kind("national-id", rf"\b([A-Z]{{1,6}} {_ID_REST})\b", only_if(identifier), unless=GOODS, after=labels.AFTER_IDENTITY),
    Kind(
        "national-id",
        rf"(?i)\b((?:[A-Z]{{1,6}}-|[A-Z]{{0,6}}){_ID_REST}(?:\([0-9A]\)|\b))",  # Hong Kong's check in brackets
        only_if(identifier),
        unless=GOODS,
        after=labels.AFTER_IDENTITY,
    ),
    Kind(
        "national-id",
        rf"(?i)\b(?:nhi|national health index){FILLERS}{SEPARATOR}([A-HJ-NP-Z]{{3}}[0-9]{{2}}(?:[0-9]{{2}}|[A-HJ-NP-Z]{{2}}))\b",
        only_if(health_index),
    ),
    Kind(
        "national-id",
        rf"{_FIN}{FILLERS}{SEPARATOR}([0-9A-HJ-NP-Z]{{7}})\b",
        only_if(personal_code),
    ),
    Kind("national-id", rf"\b(?:PCN|PSN)\)?{FILLERS}{SEPARATOR}([0-9]{{4}}(?:[- ]?[0-9]{{4}}){{2,3}})\b"),  # PhilSys
    *(Kind(name, f"{words}{labels.SERIES}", unless=labels.OF_GOODS) for name, words in labels.SERIES_BEFORE.items()),
    Kind(
        "passport",
        rf"{labels.PASSPORT_BEFORE}((?i:[A-Z]{{0,3}}[0-9](?: ?[0-9]|[A-Z]){{4,9}}))\b",
        only_if(identifier),
        unless=f"{GOODS}|{labels.OF_GOODS}",
    ),
    Kind(
        "passport",
        r"\bP[A-Z<][A-Z]{3}[A-Z]+<[A-Z<]{20,38}|\b[A-Z0-9<]{9}[0-9][A-Z]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{14}[0-9<][0-9]",
    ),
    Kind(
        "driver-license",
        rf"(?i)\b(?:driver'?s?|driver\x{{2019}}s|driving) ?licen[sc]e{FILLERS}{SEPARATOR}([A-Z0-9][A-Z0-9-]{{3,18}})\b",
        only_if(document),
    ),
    Kind("birth-date", rf"(?i)({labels.DAY})", only_if(birth_date), not_after=_LETTERS, after=labels.AFTER_BORN, resume=True),
    Kind("birth-date", rf"(?i)({labels.DAY}){labels.BORN_BEHIND}", only_if(birth_date), not_after=_LETTERS),
)
