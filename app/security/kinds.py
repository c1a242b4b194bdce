r"""What counts as personal data or a secret: a table of kinds, each a pattern and, where the pattern says too much, a check.

Patterns are RE2 (linear time, no look-around), so a check also sees the characters around its candidate. They run on text in
which JSON's escapes for line ends and quotes are blanked (`redaction._shadow`): a number after ``\n`` starts a word there.
To add a kind, add a row here and its cases, those that must stay included, to ``tests/unit/security/test_redaction.py``.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


def _whole(candidate: str) -> Iterator[Span]:
    yield 0, len(candidate)


def _if(holds: Callable[[str], bool]) -> Find:
    """Take the candidate whole if ``holds`` says so."""

    def find(candidate: str) -> Iterator[Span]:
        if holds(candidate):
            yield 0, len(candidate)

    return find


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    The first group of ``pattern``, or all of it, is the candidate; ``find`` yields the parts of it to replace, as offsets, in
    time linear in a candidate whose length nobody bounds. A candidate with one of ``not_after`` right before it or
    ``not_before`` right behind it is part of something else.
    """

    name: str
    pattern: str
    find: Find = _whole
    not_after: str = ""
    not_before: str = ""


def digits_of(text: str) -> str:
    """Only the ASCII digits."""
    return "".join(c for c in text if "0" <= c <= "9")


def _groups(candidate: str) -> list[Span]:
    return [m.span() for m in re.finditer(r"[0-9]+", candidate)]


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(int(d) * 2, 10)) if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


# Issuer ranges as first digits, and the lengths that they use (ISO/IEC 7812 register, networks' public documents).
_CARD = re.compile(
    r"4(?:\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|62|64|65|81)\d{12,15}|35\d{14}"
)


def cards(candidate: str) -> Iterator[Span]:
    """Find card numbers among groups of digits; a date or an amount beside one belongs to the candidate, not to the card."""
    groups, first = _groups(candidate), 0
    while first < len(groups):
        last = _last_of_card(candidate, groups, first)
        if last >= first:
            yield groups[first][0], groups[last][1]
        first = max(first, last) + 1


def _last_of_card(candidate: str, groups: Sequence[Span], first: int) -> int:
    """The group that ends the longest card number beginning at ``first``, or -1. Looks at 19 digits, however many follow."""
    found, digits = -1, ""
    for index in range(first, len(groups)):
        start, end = groups[index]
        if len(digits) + end - start > 19:
            break
        digits += candidate[start:end]
        if len(digits) >= 14 and _CARD.fullmatch(digits) and luhn(digits):
            found = index
    return found


IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "SD", "FK"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL", "SO", "OM"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("PT", "ST", "LY"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM", "DJ"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
    "RU": 33,
}


def iban(candidate: str) -> Iterator[Span]:
    """ISO 13616-1: as long as its country says, and 1 modulo 97. Words behind it belong to the sentence."""
    length = IBAN_LENGTHS.get(candidate[:2].upper(), 0)
    offsets = [i for i, c in enumerate(candidate) if c.isascii() and c.isalnum()]
    if not length or len(offsets) < length:
        return
    end = offsets[length - 1] + 1
    compact = "".join(candidate[i] for i in offsets[:length])
    if int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1:
        yield 0, end


def ssn(candidate: str) -> bool:
    """20 CFR 422.103 and SSA's rules since 2011: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = digits_of(candidate)
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def address(candidate: str) -> bool:
    """A real address of somebody's: not our own loopback, not ``::`` in C++ or Ruby, not a time of day."""
    try:
        found = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified) and any(c.isdigit() for c in candidate)


_DATE = re.compile(r"\(?(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2})(?!\d)")


def international_phone(candidate: str) -> Iterator[Span]:
    """E.164 allows 15 digits; under 8 it is something else. Digits beyond the fifteenth belong to whatever follows."""
    end = total = 0
    for first, last in _groups(candidate):
        total += last - first
        if total > 15:
            break
        end = last
    if len(digits_of(candidate[:end])) >= 8:
        yield 0, end


def trunk_phones(candidate: str) -> Iterator[Span]:
    """National numbers, 9 to 12 digits with their leading zero; several may follow one another. A date is none."""
    start, end, total = -1, 0, 0
    for first, last in [*_groups(candidate), (len(candidate), len(candidate))]:
        begins = candidate[first : first + 1] == "0"
        if start >= 0 and (total + last - first > 12 or (begins and total >= 9) or first == last):
            if total >= 9 and not _DATE.match(candidate[start:end]):
                yield start, end
            start = -1
        if start < 0 and begins:
            start, total = first, 0
        total, end = total + last - first, last


def labelled_phone(candidate: str) -> bool:
    """After a word such as "phone", even a short local number counts."""
    return 7 <= len(digits_of(candidate)) <= 15 and not _DATE.match(candidate)


def bearer(candidate: str) -> bool:
    """A token, and not the next word of a sentence about bearers."""
    return any(c.isdigit() for c in candidate)


def secret_value(candidate: str) -> bool:
    """A value, and not "password: required" or a placeholder."""
    return not candidate.rstrip(".:!?").isalpha() and not candidate.startswith(("${", "<", "***"))


_FILES = ("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "md", "py")


def email(candidate: str) -> bool:
    """An address, and not a file such as ``logo@2x.png``."""
    return candidate.rpartition(".")[2].lower() not in _FILES


# Letters as ranges, because \p{L} makes automata so large that RE2 runs out of memory and falls back to a slow matcher.
_LETTER = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{1FFF}\x{3040}-\x{D7FF}"
_GAP = r"[ .\-/\x{A0}\x{2010}-\x{2013}]"
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_PHONE_AFTER = _WORD + "-.#/+"

# Earlier rows win where findings overlap.
KINDS: tuple[Kind, ...] = (
    # What is redacted already stays as it is, so that redacting twice is redacting once.
    Kind("", r"<(?:[a-z]{2,20}-)?[a-z]{2,20}:[0-9a-f]{8}>"),
    Kind(
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=:,.()\s-]*?"
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
    ),
    Kind("private-key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s]*"),  # cut off
    Kind("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Kind("credential", r"\bsk-[A-Za-z0-9_-]{16,}"),
    Kind("credential", r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    Kind("credential", r"\boct_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{16,}"),
    Kind("credential", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    Kind("credential", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,})"),
    Kind("credential", r"\b(?:xox[abprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|(?:hf|gsk)_[A-Za-z0-9]{30,})"),
    Kind("credential", r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{16,})", _if(bearer)),
    Kind(
        "credential",
        r"(?i)(?:password|passwd|pwd|passphrase|api[_-]?key|secret|secret[_-]?key|access[_-]?key|auth[_-]?token|"
        r"access[_-]?token|refresh[_-]?token)\b[\"']?\s*[:=]\s*[\"']?([^\s\"',;<>&\\]{6,})",
        _if(secret_value),
    ),
    Kind("url-credentials", r"(?i)\b[a-z][a-z0-9+.-]{1,30}://([^\s/?#\"'<>\\:]*:[^\s/?#\"'<>\\]+)@"),
    Kind("email", rf"([{_LETTER}0-9][{_LETTER}0-9._%+'-]*@(?:[{_LETTER}0-9-]+\.)+[{_LETTER}][{_LETTER}]+)", _if(email)),
    Kind("iban", r"(?i)\b[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]){11,40}", iban),
    Kind("card", r"\b[0-9](?:" + _GAP + r"?[0-9]){13,}\b", cards, not_after="-.#/+"),
    Kind("ssn", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", _if(ssn), not_after="-.", not_before="-"),
    Kind("ssn", r"(?i)\b(?:ssn|social security(?: number| no\.?)?)(?: is)?[ :#]{1,3}([0-9]{3} ?[0-9]{2} ?[0-9]{4})\b", _if(ssn)),
    Kind("ip", r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", _if(address), not_after=".-", not_before="-"),
    Kind(
        "ip",
        r"(?i)((?:[0-9a-f]{1,4}:){1,7}(?::?[0-9a-f]{1,4}){1,7}(?:(?:\.[0-9]{1,3}){3})?|::(?:[0-9a-f]{1,4}:?){1,7}|(?:[0-9a-f]{1,4}:){1,7}:)",
        _if(address),
        not_after=_WORD + ":.",
        not_before=_WORD + ":",
    ),
    Kind(
        "phone",
        r"((?:\+|00)[1-9][0-9]{0,2}(?:" + _GAP + r"{0,2}\(?[0-9]+\)?)+)",
        international_phone,
        not_after=_PHONE_AFTER,
    ),
    Kind(
        "phone",
        r"(\([2-9][0-9]{2}\)" + _GAP + r"{0,2}[0-9]{3}" + _GAP + r"?[0-9]{4}|"
        r"(?:1" + _GAP + r")?[2-9][0-9]{2}" + _GAP + r"[2-9][0-9]{2}" + _GAP + r"[0-9]{4})",
        not_after=_PHONE_AFTER,
        not_before=_WORD + "-",
    ),
    Kind(
        "phone",
        r"((?:\(0[1-9][0-9]{0,4}\)|\b0[1-9][0-9]{0,4})(?:" + _GAP + r"{1,2}[0-9]{2,})+|\b0[1-9][0-9]{8,9})",
        trunk_phones,
        not_after=_PHONE_AFTER,
        not_before=_WORD + "-",
    ),
    Kind(
        "phone",
        r"(?i)\b(?:phone|telephone|tel|mobile|cell|whatsapp|fax|sms|call me|reach me|ring me|text me)"
        r"(?: (?:number|no|nr|is|at|on|under|me|us))*[ .:#=]{1,3}(\(?[0-9][0-9 .()\-/]{5,18}[0-9])",
        _if(labelled_phone),
        not_before=_WORD + "-",
    ),
)
