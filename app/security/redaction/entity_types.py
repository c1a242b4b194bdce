r"""Types of personal data and secrets: a table, each row a pattern and, where the pattern matches too much, a check.

Patterns are RE2 (linear time, no look-around), so a check also sees the characters around its candidate. They run on text in
which JSON's escapes for line ends and quotes are blanked (`redaction._shadow`): a number after ``\\n`` starts a word there.
No match goes over the end of a line, but from a label or a setting's name that ends it and within a private key: `streams`
relies on that. To add a kind, add a row and its cases, those that must stay included, to ``tests/personal_data.py``.
"""

from itertools import chain

from app.security.redaction import labels
from app.security.redaction.addresses import ADDRESSES
from app.security.redaction.credentials import CREDENTIALS, TOKENS
from app.security.redaction.detectors import (
    GOODS,
    SOFTWARE,
    Kind,
    address,
    cards,
    dotted,
    email,
    iban,
    international_phone,
    labelled_card,
    labelled_phone,
    mistyped_iban,
    noted_phone,
    only_if,
    quoted_local,
    spoken_phone,
    trunk_phones,
)
from app.security.redaction.fields import FIELDS
from app.security.redaction.identity_numbers import DOCUMENTS, FILLERS, SEPARATOR
from app.security.redaction.labelled_numbers import ACCOUNTS, LABELLED
from app.security.redaction.secret_places import SECRET_PLACES
from app.security.redaction.shaped_numbers import SHAPED
from app.security.redaction.spoken import SPOKEN
from app.security.redaction.wallets import WALLETS
from app.security.redaction.written_secrets import WRITTEN_SECRETS

# Letters as ranges, because \p{L} makes automata so large that RE2 runs out of memory and falls back to a slow matcher.
_LETTER = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{1FFF}\x{3040}-\x{D7FF}"
_GAP = r"[ .\-/\x{A0}\x{2010}-\x{2015}\x{30FC}]"  # Japanese keyboards write the sign for a long vowel
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_PHONE_AFTER = _WORD + "-.#/+"
_NOT_BEFORE_PLUS = _WORD.replace("_", "") + ".#+"  # files are named for a call: call-+14155550132.wav
_EXTENSION = r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?"
_REST = rf"(?:{_GAP}{{0,2}}\(?[0-9]+\)?)+{_EXTENSION}"
_ABROAD = rf"[1-9][0-9]{{0,2}}{_REST}"
_ABROAD_APART = rf"\([1-9][0-9]{{0,2}}\){_REST}"
_LOCAL = rf"(?:\+|\()?\(?[0-9](?:[ .()\-/\x{{2010}}-\x{{2015}}\x{{30FC}}]{{0,3}}[0-9]){{5,16}}{_EXTENSION}"
# Earlier rows win where findings overlap. One automaton looks for many rows of a section, which are alike: of a section's tokens,
# settings or numbers it keeps few states, where numbers and names of settings together make thousands.
SECTIONS: tuple[tuple[Kind, ...], ...] = (
    (
        # Tokens of an earlier redaction stay, so that redacting twice is redacting once.
        Kind("", r"<(?:[a-z]{2,20}-)?[a-z]{2,20}:[0-9a-f]{8}>"),
        *TOKENS,
    ),
    (*CREDENTIALS, *WRITTEN_SECRETS, *SECRET_PLACES),
    (
        *WALLETS,
        Kind(
            "email",
            rf"(\"[^\"@\s<>]{{1,32}}(?: [^\"@\s<>]{{1,32}})? ?\"@(?:[{_LETTER}0-9-]+\.)+[{_LETTER}]{{2,}})",
            quoted_local,
        ),  # RFC 5321's quoted local part
        Kind(
            "email",
            r"(?i)\b([a-z0-9][a-z0-9._%+-]*(?:[ ]?[\[({<][ ]?(?:dot|punkt|point|punto|ponto)[ ]?[\])}>][ ]?[a-z0-9]+){0,3}"
            r"[ ]?[\[({<][ ]?(?:at|ät|arroba|@)[ ]?[\])}>][ ]?"
            r"[a-z0-9-]+(?:(?:\.|[ ]?[\[({<][ ]?(?:dot|punkt|point|punto|ponto|\.)[ ]?[\])}>][ ]?)[a-z0-9-]+)+)",
        ),
        Kind("email", rf"([{_LETTER}0-9][{_LETTER}0-9._%+'-]*@(?:[{_LETTER}0-9-]+\.)+[{_LETTER}][{_LETTER}]+)", only_if(email)),
        *SPOKEN,
        Kind(
            "iban", rf"(?i)\biban{FILLERS}{SEPARATOR}([A-Z]{{2}}[0-9]{{2}}(?:[ .-]?[A-Z0-9]){{8,30}})\b", only_if(mistyped_iban)
        ),
        Kind("iban", r"(?i)\b[a-z]{2}[0-9]{2}(?:[ .-]?[a-z0-9]){11,40}", iban),
        Kind(
            "card",
            rf"\b([0-9](?:(?:{_GAP}|_)?[0-9]){{11,18}})\b",
            labelled_card,
            not_before="-",
            after=labels.AFTER_CARD,
        ),
        Kind("card", r"(?:\b|%B)([0-9](?:" + _GAP + r"?[0-9]){13,})(?:\b|_)", cards, not_after="-.#/+", tabular=True),
        # The same in a form that a browser sends, where a blank is a plus sign
        Kind("iban", r"(?i)=([a-z]{2}[0-9]{2}(?:\+[a-z0-9]{1,4}){3,8})", iban),
        Kind("card", r"=([0-9]{4}\+[0-9]{4,6}\+[0-9]{4,5}(?:\+[0-9]{1,4})?)\b", cards),
        *SHAPED,
    ),
    (*DOCUMENTS, *ACCOUNTS),
    (
        Kind("ip", r"\b[0-9]{1,3}(?:\.[0-9]+){3,}\b", dotted, not_after=".-", not_before="-", unless=SOFTWARE),
        Kind(
            "ip",
            r"(?i)((?:[0-9a-f]{1,4}:){1,7}(?::?[0-9a-f]{1,4}){1,7}(?:(?:\.[0-9]{1,3}){3})?|::(?:[0-9a-f]{1,4}:?){1,7}|(?:[0-9a-f]{1,4}:){1,7}:)",
            only_if(address),
            not_after=_WORD + ":.",
            not_before=_WORD + ":",
        ),
        Kind(
            "phone",
            rf"(\+{{1,2}}(?:{_ABROAD}|{_ABROAD_APART}))",
            international_phone,
            not_after=_NOT_BEFORE_PLUS,
            unless=GOODS,
        ),
        Kind(
            "phone",
            rf"(\b00{_ABROAD}\b)",  # a hexadecimal number may begin with 00
            international_phone,
            not_after=_PHONE_AFTER,
            unless=GOODS,
        ),
        Kind(
            "phone",
            rf"((?:[18]{_GAP})?\([0-9]{{3}}\){_GAP}{{0,2}}[0-9]{{3}}{_GAP}?[0-9]{{4}}{_EXTENSION}|"
            rf"(?:1[.-])?[0-9]{{3}}([.-])[0-9]{{3}}[.-][0-9]{{4}}{_EXTENSION}|"
            rf"(?:[18]{_GAP})?[2-9][0-9]{{2}}{_GAP}[2-9][0-9]{{2}}{_GAP}[0-9]{{4}}{_EXTENSION})",
            not_after=_PHONE_AFTER,
            not_before=_WORD + "-",
        ),
        # Russia's and Turkey's with their trunk digit apart, Brazil's area codes; a link to a messenger
        Kind(
            "phone",
            rf"(\b8{_GAP}?\([0-9]{{3,5}}\){_GAP}?[0-9]{{1,3}}(?:{_GAP}?[0-9]{{2}}){{2}}|"
            rf"\b0{_GAP}\(?[1-9][0-9]{{2}}\)?{_GAP}[0-9]{{3}}{_GAP}?[0-9]{{2}}{_GAP}?[0-9]{{2}}|"
            rf"\([1-9][0-9]\) ?(?:9[0-9]{{4}}|2[1-9][0-9]{{2}}|[3-5][0-9]{{3}})-[0-9]{{4}})",
            not_after=_PHONE_AFTER,
            not_before=_WORD + "-",
            unless=GOODS,
        ),
        Kind(
            "phone",
            r"((?:\(0[1-9][0-9]{0,4}\)" + _GAP + r"{0,2}[0-9]{2,}|\b0[1-9][0-9]{0,4})(?:" + _GAP + r"{1,2}[0-9]{2,})+|"
            r"\(0[1-9][0-9]{0,4}\)" + _GAP + r"{0,2}[0-9]{4,}|\b0[1-9][0-9]{8,9})",
            trunk_phones,
            not_after=_PHONE_AFTER,
            unless=GOODS,
            not_before=_WORD + "-",
            tabular=True,
        ),
        Kind("phone", f"{labels.PHONE_BEFORE}({_LOCAL})", only_if(labelled_phone), not_before=_WORD + "-", unless=GOODS),
        Kind(
            "phone",
            f"({_LOCAL})",
            only_if(spoken_phone),
            not_after=_WORD,
            not_before=_WORD + "-",
            unless=GOODS,
            after=labels.AFTER_CALL,
        ),
        Kind("phone", rf"(?i)({_LOCAL})(?:{labels.CALLED})", only_if(spoken_phone), not_after=_PHONE_AFTER),
        Kind(
            "phone",
            rf"(?im)({_LOCAL})(?: ?- ?| )\(?(?:office|fax|mobile|cell|desk|mobil|handy|büro)\b\)?(?:$|[ ]?[,;.|)\n\\])",
            only_if(noted_phone),
            not_after=_PHONE_AFTER,
        ),
        Kind("phone", r"(?i)(?:\bwa\.me/|[?&]phone=)\+?([0-9]{8,15})\b"),
        *LABELLED,
        *FIELDS,
        *ADDRESSES,
    ),
)
ENTITY_TYPES = tuple(chain.from_iterable(SECTIONS))
