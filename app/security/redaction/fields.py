r"""Personal data behind the names that programs give to fields: ``phone_number=…``, ``"birthDate": "…"``, ``<taxId>…``.

Logs, settings, forms, dumps and XML write a label with joints (``_``, ``-``, a capital) and quotes, which the labels of sentences
in `labels` do not have. In a JSON document `structure` takes such joints apart; elsewhere they are part of the pattern, which
costs little where none of the words occurs. A sign has to join name and value, or an option's blank: ``--phone-number 555…``.
"""

import re
from collections.abc import Callable, Iterator

from app.security.redaction import labels
from app.security.redaction.detectors import Kind, Span, digits_of, labelled_card, labelled_phone, only_if
from app.security.redaction.labelled_numbers import labelled

_J = r"[ _.-]?"  # between the parts of a name; none where a capital begins the next part
_ENDS = rf"(?:{_J}(?:number|num|no|nr|nummer|numero|número|numéro|code|value))?[0-9]?"
_JOINT = (
    r"[\"'`\])]{0,3}(?:[ \t]*(?:=>|[:?]{0,2}=|:|\||;|\t)[ \t]*|[ \t]+value=|>|</t[dh]>[ \t]*<td[^<>\n]{0,40}>)"
    r"(?:\[?[\"'`])?"
)
_PHONE = (
    rf"phone|msisdn|whatsapp|telefono?|teléfono|telefone|téléphone|rufnummer|\bcell|_cell|\btel|_tel|\bfax|_fax|call{_J}back|"
    rf"(?:mobile|contact|handy){_J}(?:number|num|no|nr|nummer)"
)
_MOBILE = r"mobile|handy|celular|cellulare|móvil|portable|puhelin"  # devices too, of which statistics tell
_BORN = (
    rf"date{_J}of{_J}birth|birth{_J}(?:date|day)|\bbday|\bdob|_dob|geburts(?:datum|tag)|fecha{_J}(?:de{_J})?nac(?:imiento)?|"
    rf"data{_J}(?:de{_J})?nasc(?:imento)?|date{_J}(?:de{_J})?naissance|data{_J}(?:di{_J})?nascita|data{_J}urodzenia|"
    rf"geboortedatum|födelsedatum|fødselsdato|syntymäaika|dogum{_J}tarihi|tanggal{_J}lahir|ngay{_J}sinh"
)
_IDENTITY = (
    rf"national{_J}(?:id|identity|insurance)(?:{_J}card)?|tax{_J}(?:payer{_J})?(?:id|number|file{_J}number|identification)|"
    rf"social{_J}(?:security|insurance)|personal{_J}(?:id|number|code)|identity{_J}(?:card|number|no|document)|id{_J}card|"
    rf"citizen{_J}id|\bssn|_ssn|\bnino|\bpesel|\bcpf|\bcurp|\brfc|aadhaa?r|\bbsn|\bdni|\bnif|\bnie|\bcnp|\begn|\boib|\bcui[lt]|"
    rf"\bhetu|personnummer|steuer{_J}(?:id|nummer|nr)|codice{_J}fiscale|\bnhs|medicare|resident{_J}(?:registration|id)|"
    rf"patient{_J}(?:id|number)|medical{_J}record|\bmrn|_mrn|health{_J}(?:card|id)|insurance{_J}(?:id|number|no|policy)|"
    rf"policy{_J}(?:number|no)"
)
_PASSPORT = rf"passport|reisepass|passeport|pasaporte|passaporte?o?|paspoort|paszport|travel{_J}document"
_DRIVER = rf"driv(?:er|ing)'?s?{_J}licen[sc]e|führerschein|rijbewijs|permis{_J}de{_J}conduire|licencia{_J}de{_J}conducir"
_PLATE = (
    rf"licen[sc]e{_J}plate|(?:number|registration){_J}plate|plate{_J}(?:number|no)|vehicle{_J}(?:reg(?:istration)?|plate)|"
    rf"kennzeichen|kenteken|\bvin|_vin"
)
_BANK = (
    rf"bank{_J}(?:account|acct)|(?:account|acct){_J}(?:number|no)|routing{_J}(?:number|no)|sort{_J}code|kontonummer|\bblz|"
    rf"\bbsb|\bclabe|\biban"
)
_CARD = rf"card{_J}(?:number|num|no)|(?:credit|debit){_J}card|\bcc{_J}(?:number|num)"

_LOCAL = r"\+?\(?[0-9](?:[ .()/\x{2010}-\x{2013}-]{0,3}[0-9]){5,16}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?"
_CODE = r"[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Z]\b|[A-Z0-9]{1,24}(?:[./-][A-Z0-9]{1,16}| [0-9][0-9A-Z]{0,9}){0,6}"
_SIGN = r"[^\s\"'`<>,;|&{}()=:\[\]]"  # plates have letters of many scripts, and some only digits
_ACCOUNT = r"[A-Z]{0,4}[0-9](?:[ .-]?[0-9]){5,33}"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def in_a_register(candidate: str) -> Iterator[Span]:
    """A number with letters or without them. A UUID is the service's own name for a row."""
    if not _UUID.match(candidate):
        yield from labelled(candidate)


def mobile(candidate: str) -> bool:
    """Behind a word for a device: with a sign or a zero of a number to call, as counts have fewer digits and begin otherwise."""
    return labelled_phone(candidate) and (candidate[0] in "+(0" or len(digits_of(candidate)) >= 10)


def plate(candidate: str) -> bool:
    """Four signs at least, two of them digits, and no word in small letters such as a type of a column."""
    signs = [c for c in candidate if c.isalnum()]
    digits = sum(map(str.isdigit, signs))
    return 4 <= len(signs) <= 17 and digits >= 2 and (candidate == candidate.upper() or 2 * digits >= len(signs))


def account(candidate: str) -> bool:
    """Six digits at least, as a sort code has."""
    return len(digits_of(candidate)) >= 6


_IN_A_FORM = r"\+?\(?[0-9][0-9().-]{0,14}(?:\+[0-9().-]{1,15}){1,5}"  # as a browser sends it: a blank is a plus sign


def _field(kind: str, names: str, value: str, find: Callable[[str], Iterator[Span]]) -> Kind:
    named = rf"(?:(?:{names}){_ENDS}{_JOINT}|--?[a-z_-]{{0,24}}(?:{names}){_ENDS} )"
    return Kind(kind, rf"(?i){named}({value})", find)


FIELDS: tuple[Kind, ...] = (
    _field("phone", _PHONE, _LOCAL, only_if(labelled_phone)),
    _field("phone", _MOBILE, _LOCAL, only_if(mobile)),
    _field("phone", f"{_PHONE}|{_MOBILE}", _IN_A_FORM, only_if(mobile)),
    _field("birth-date", _BORN, labels.DAY, only_if(bool)),
    _field("national-id", _IDENTITY, _CODE, in_a_register),
    _field("passport", _PASSPORT, _CODE, in_a_register),
    _field("driver-license", _DRIVER, _CODE, in_a_register),
    _field("plate", _PLATE, rf"{_SIGN}{{1,17}}(?: {_SIGN}{{1,6}}){{0,3}}", only_if(plate)),
    _field("bank-account", _BANK, _ACCOUNT, only_if(account)),
    _field("card", _CARD, r"[0-9](?:[ .-]?[0-9]){11,18}", labelled_card),
)
