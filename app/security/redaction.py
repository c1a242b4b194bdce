"""Personal data and secrets are replaced before text leaves the process for a log, a span or a record (S5).

Each kind is a pattern (google-re2: linear time, so no text can stall a worker) and, where the pattern alone would say too
much, a check: Luhn for cards, mod 97 for IBANs, the area rules for US social security numbers. The replacement is keyed:
the same value maps to the same token within a tenant, and to another one elsewhere, so an incident can be followed without
knowing who it was. Order numbers, prices and dates stay. If anything fails the whole text is replaced: redaction fails closed.
"""

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import re2

FAILED = "<redaction-failed>"
LONGEST = 1_000_000  # characters; about half a second, which nobody may be made to wait

log = logging.getLogger(__name__)


def _always(_: str) -> bool:
    return True


def _digits(value: str) -> str:
    return "".join(c for c in value if c.isdigit())


def _luhn(value: str) -> bool:
    """ISO/IEC 7812-1, Annex B."""
    digits = _digits(value)
    total = sum(sum(divmod(int(d) * 2, 10)) if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return 13 <= len(digits) <= 19 and total % 10 == 0 and len(set(digits)) > 1


def _iban(value: str) -> bool:
    """ISO 13616-1: move four characters to the end, letters to numbers, remainder by 97 is 1."""
    compact = value.replace(" ", "").replace("-", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _ssn(value: str) -> bool:
    """20 CFR 422.103: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    area, group, serial = _digits(value)[:3], _digits(value)[3:5], _digits(value)[5:]
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def _phone(value: str) -> bool:
    """E.164 allows 15 digits; fewer than 9 is too often something else. Dates and amounts are written otherwise."""
    return 9 <= len(_digits(value)) <= 15


def _address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing to replace. The first group of ``pattern``, or all of it, is the value."""

    name: str
    pattern: str
    valid: Callable[[str], bool] = _always


# Order matters: secrets before what they may contain, long numbers before short ones.
KINDS: tuple[Kind, ...] = (
    Kind("private-key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
    Kind("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Kind("credential", r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"),
    Kind("credential", r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    Kind("credential", r"\boct_[0-9a-f]{8}_[A-Za-z0-9_-]{16,}"),
    Kind("credential", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    Kind("credential", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    Kind("credential", r"\b(?:xox[abprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35})"),
    Kind("credential", r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})"),
    Kind("credential", r"(?i)\b(?:password|passwd|pwd|api[_-]?key|secret|token)\b[\"']?\s*[:=]\s*[\"']?([^\s\"',;<>]{6,})"),
    Kind("url-credentials", r"\b[a-z][a-z0-9+.-]*://([^\s/:@]+:[^\s/@]+)@"),
    Kind("email", r"(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b"),
    Kind("iban", r"(?i)\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,4})?\b", _iban),
    Kind("card", r"\b\d(?:[ -]?\d){12,18}\b", _luhn),
    Kind("ssn", r"\b\d{3}-\d{2}-\d{4}\b", _ssn),
    Kind("phone", r"(?:^|[^\w.-])(\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,12})\b", _phone),
    Kind("phone", r"(?:^|[^\w.-])(\(\d{3}\) ?\d{3}[ .-]?\d{4}|\d{3}[.-]\d{3}[.-]\d{4})\b", _phone),
    Kind("phone", r"(?:^|[^\w.-])(0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})\b", _phone),
    Kind("ip", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", _address),
    Kind("ip", r"(?i)(?:^|[^\w:])((?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){1,7}|::[0-9a-f]{1,4})\b", _address),
)  # fmt: skip


class Redactor:
    """Replaces what `KINDS` finds. ``failures`` counts texts that had to be replaced whole."""

    def __init__(self, key: bytes) -> None:
        """``key`` makes tokens unguessable; it is the service's secret."""
        self._key = key
        self._kinds = [(kind, re2.compile(kind.pattern)) for kind in KINDS]
        self.failures = 0

    def redact(self, text: str, *, tenant: str) -> str:
        """Return ``text`` with every finding replaced by a token such as ``<email:7f3a9c>``. Never raises."""
        if len(text) > LONGEST:
            self.failures += 1
            return FAILED
        try:
            for kind, pattern in self._kinds:
                text = pattern.sub(self._replacing(kind, tenant), text)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, unredacted text may not pass
            self.failures += 1
            log.warning("redaction failed, text replaced whole: %s", type(error).__name__)
            return FAILED
        return text

    def redact_json(self, value: Any, *, tenant: str) -> Any:  # noqa: ANN401 - any JSON value
        """Redact every string in a JSON value, keys excepted; its shape stays."""
        if isinstance(value, str):
            return self.redact(value, tenant=tenant)
        if isinstance(value, Mapping):
            return {name: self.redact_json(inner, tenant=tenant) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_json(inner, tenant=tenant) for inner in value]
        return value

    def _replacing(self, kind: Kind, tenant: str) -> Callable[[Any], str]:
        def replace(match: Any) -> str:  # noqa: ANN401 - re2 has no typed match
            whole = str(match.group(0))
            value = str(match.group(1)) if match.re.groups else whole
            if not kind.valid(value):
                return whole
            return whole.replace(value, self._token(kind.name, value, tenant))

        return replace

    def _token(self, name: str, value: str, tenant: str) -> str:
        normal = "".join(value.lower().split())
        digest = hmac.new(self._key, f"{tenant}\0{name}\0{normal}".encode(), hashlib.sha256).hexdigest()
        return f"<{name}:{digest[:6]}>"
