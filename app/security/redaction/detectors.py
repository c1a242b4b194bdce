"""Detectors: each gets a candidate that a pattern of `entity_types` caught and yields the parts of it to replace.

Pure functions of a candidate, in time linear in it, as nothing bounds its length. Phone numbers are not checked against
`phonenumbers`: made-up and mistyped ones are refused there, and are people's all the same.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from stdnum import numdb
from stdnum.iso7064 import mod_97_10
from stdnum.luhn import checksum

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


def whole(candidate: str) -> Iterator[Span]:
    """Take the candidate as it is."""
    yield 0, len(candidate)


def only_if(holds: Callable[[str], bool]) -> Find:
    """Take the candidate whole if ``holds`` says so."""

    def find(candidate: str) -> Iterator[Span]:
        if holds(candidate):
            yield 0, len(candidate)

    return find


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding, a row of `entity_types.ENTITY_TYPES`.

    The first group of ``pattern``, or all of it, is the candidate; ``find`` yields the parts of it to replace, as
    offsets, in time linear in a candidate of unbounded length. A candidate with one of ``not_after`` right before
    it or ``not_before`` right behind it is part of something else; one behind words that match ``unless`` (RE2, ending in
    ``$``) has the kind that they name. Where ``after`` is given, likewise RE2, only a candidate behind words that match
    it counts.
    Labels with a few words between are searched there: as parts of ``pattern`` they would make automata that RE2 cannot
    keep in memory.
    """

    name: str
    pattern: str
    find: Find = whole
    not_after: str = ""
    not_before: str = ""
    unless: str = ""
    after: str = ""
    resume: bool = False  # go on right behind what was found, or within what was not: the pattern reads words too, and is bounded
    tabular: bool = False  # groups of four digits, which a table of numbers has too: see `in_table`


def digits_of(text: str) -> str:
    """Only the ASCII digits."""
    return "".join(c for c in text if "0" <= c <= "9")


def _groups(candidate: str) -> list[Span]:
    return [m.span() for m in re.finditer(r"[0-9]+", candidate)]


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    return not checksum(digits)


# Issuer ranges as first digits, and the lengths that they use (ISO/IEC 7812 register, networks' public documents).
_CARD = re.compile(
    r"4(?:\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|62|64|65|81)\d{12,15}|35\d{14}|(?:50(?:1[89]|20|38)|6304|6759|676[1-3]|9792)\d{12}|"
    r"(?:2131|1800)\d{11}"
)


_DECIMAL = re.compile(r"\d{5,}\.\d+|\d+\.\d{5,}")  # a number with a fraction, such as a time
_CARD_BEGINS = re.compile(r"4|5\D?[0-5]|2\D?[1-7]|3\D?[04-8]|6\D?[02-57]|9\D?7|8\D?1|1\D?8")


def cards(candidate: str) -> Iterator[Span]:
    """Find card numbers among groups of digits; a date or an amount beside one belongs to the candidate, not to the card."""
    groups, first = _groups(candidate), 0
    while first < len(groups):
        begins = _CARD_BEGINS.match(candidate, groups[first][0])
        last = _last_of_card(candidate, groups, first) if begins else -1
        if last >= first and not _DECIMAL.fullmatch(candidate, groups[first][0], groups[last][1]):
            yield groups[first][0], groups[last][1]
        first = max(first, last) + 1


def _last_of_card(candidate: str, groups: Sequence[Span], first: int) -> int:
    """The group that ends the longest card number beginning at ``first``, or -1. Reads 19 digits, however many follow."""
    found, digits = -1, ""
    for index in range(first, len(groups)):
        start, end = groups[index]
        if len(digits) + end - start > 19:
            break
        digits += candidate[start:end]
        if len(digits) >= 14 and _CARD.fullmatch(digits) and luhn(digits):
            found = index
    return found


_GROUPS_OF_FOUR = re.compile(rb"[0-9]{4}(?: [0-9]{4})*")
_GROUPS_BEFORE = re.compile(rb"(?:(?<![0-9])[0-9]{4} ){1,4}$")
_GROUPS_BEHIND = re.compile(rb"(?: [0-9]{4}(?![0-9])){1,4}")
_ROW = re.compile(rb"(?<![0-9])[0-9]{4}(?: [0-9]{4}){2,}(?![0-9])")
_ROWS_NEAR, _NEAR = 3, 160  # lines before and behind, and bytes of them, that are read


def in_table(text: bytes, start: int, end: int) -> bool:
    """Return whether groups of four digits are cells: of a longer row, or near three rows, of which most hold no card."""
    if not _GROUPS_OF_FOUR.fullmatch(text, start, end):
        return False
    beside = [_GROUPS_BEFORE.search(text[max(0, start - 20) : start]), _GROUPS_BEHIND.match(text, end)]
    groups = [match.group() for match in beside if match]
    if sum(len(each) // 5 for each in groups) > 1 and not all(_is_card(each) for each in groups):
        return True
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    lines = [*before.split(b"\n")[-1 - _ROWS_NEAR : -1], *after.split(b"\n")[1 : 1 + _ROWS_NEAR]]
    rows = [row for line in lines for row in _ROW.findall(line)]
    none = sum(not _is_card(row) for row in rows)
    return none >= 3 and none > len(rows) - none


def _is_card(groups: bytes) -> bool:
    digits = groups.replace(b" ", b"").decode()
    return bool(_CARD.fullmatch(digits)) and luhn(digits)


def labelled_card(candidate: str) -> Iterator[Span]:
    """After a word such as "card": the old lengths of 12 and 13 digits too, which alone may be an article's number."""
    found, digits = 0, ""
    for start, end in _groups(candidate):
        digits += candidate[start:end]
        if len(digits) > 19:
            break
        if len(digits) >= 12 and luhn(digits):
            found = end
    if found:
        yield 0, found


# Words before a number that name its kind; a machine's version before something like an address. Other scripts have no blanks.
GOODS = (
    r"(?i)(?:\b(?:order|article|artikel|item|product|tracking|parcel|shipment|ticket|invoice|sku|ean|upc|gtin|isbn|asin|"
    r"ref|reference|serial|"
    r"batch|lot|case|p\.?\s?iva|partita iva|vat|ust-?id|siret|siren|transaction|booking|account|customer|"
    r"bestellung|bestellnummer|auftrag|auftragsnummer|rechnung|rechnungsnummer|sendung|sendungsnummer|paket|kundennummer|"
    r"artikelnummer|"
    r"commande|colis|facture|suivi|pedido|factura|envío|artículo|seguimiento|ordine|fattura|spedizione|articolo|"
    r"bestelling|factuur|zending|"
    r"pakket|encomenda|nota|fatura|envio|rastreio|zamówieni[ea]|faktur[ay]|przesyłk[ai]|paczk[ai]|artykuł|order|faktura|"
    r"beställning|ordre|"
    r"objednávk[ayeu]|narudžb[aeiu]|naročil[aou]|račun[au]?|užsakym[a-zą]{1,3}|sąskait[a-zą]{1,3}|pasūtījum[a-zū]{1,3}|rēķin[a-zū]{1,3}|"
    r"tellimuse?|arve|faktúr[ayue]|zásielk[ayu]|pošiljk[aeiu]|bestilling(?:en)?|faktur[ay]|tilaus|lasku|sipariş|fatura|commande)s?"
    r"|注文|請求書|商品|追跡|伝票|订单|訂單|发票|發票|快递|快遞|序列|주문|송장|ऑर्डर|बिल|заказ[а]?|счёт|счета|накладн[а-я]{2,3}|замовлення|"
    r"поръчка|наруџбин[ае]|συμβόλαιο|παραγγελία[ς]?|طلب|الطلب|فاتورة|الفاتورة|شحنة|سفارش|הזמנה|משלוח|คำสั่งซื้อ|พัสดุ|đơn hàng|pesanan|"
    r"অর্ডার|ஆர்டர்|ఆర్డర్|ಆರ್ಡರ್|ഓർഡർ|ઓર્ડર|ਆਰਡਰ|შეკვეთის|պատվեր[ա-և]{0,3}|sifarişin?|buyurtma|захиалгын|тапсырыс)"
    r"(?:番号|号|號|编号|編號|号码|號碼|번호| नंबर| नम्बर| নম্বর| எண்| నంబర్| ಸಂಖ್ಯೆ| നമ്പർ| નંબર| ਨੰਬਰ| ნომერი| [հհ]ամար[ա-և]{0,3}|"
    r" номер[аіъ]?)?(?:[ _-](?:number|no|nr|id|code|nummer|num|n[.º°]|numero|número|numer|di|de|der|du|"
    r"del|nº))*\.? ?[:#]? ?$"
    r"|\b1Z(?: ?[0-9A-Z]{2,3}){1,2} ?$"
)
SOFTWARE = (
    r"(?i)(?:chrome|chromium|safari|version|edga?|opr|firefox|crios|fxios|android|webkit|client|rv)[ :/]$"
    r"|\b(?:versions?|ver\.?|v\.?|builds?|release|rev(?:ision)?\.?|schema|patch|firmware|kernel|upgraded? to|updated? to|"
    r"downgraded? to|upgrade auf|"
    r"aktualisiert auf|oid|"
    r"sections?|sec\.?|chapters?|clauses?|paragraphs?|para\.?|figures?|fig\.?|annex|appendix|abschnitte?|kapitel|absatz|"
    r"ziffer|anhang|"
    r"abbildung|abb\.|tabelle|chapitre|alinéa|annexe|tableau|capítulo|sección|apartado|anexo|tabla|capitolo|sezione|"
    r"allegato|tabella|"
    r"hoofdstuk|paragraaf|bijlage|seção|secção|tabela|rozdział|sekcja|załącznik|wersj[ai]|versión|versione|versie|versão|"
    r"extension)"
    r"(?: (?:number|no\.?|nr\.?))? ?[:/]? ?$"
    r"|(?:==|>=|<=|~=|§§?|バージョン|節|章|第|版本|खंड) ?:? ?$"
)

_FIXED = re.compile(r"(\d+)!")  # the registry writes a structure such as `4!n12!c`: four digits, twelve characters


# Countries whose banks use IBANs and that SWIFT's registry lacks.
_UNREGISTERED = {
    **dict.fromkeys(("AO", "CV", "GW", "MZ"), 25),
    **dict.fromkeys(("DZ", "IR"), 26),
    **dict.fromkeys(("CF", "CG", "CM", "GA", "GQ", "KM", "MG", "TD"), 27),
    **dict.fromkeys(("BF", "BJ", "CI", "HN", "MA", "ML", "NE", "SN", "TG"), 28),
}


@lru_cache(1024)
def iban_length(country: str) -> int:
    """The length of a country's IBANs, from stdnum's copy of SWIFT's registry; 0 where it has none."""
    found = numdb.get("iban").info(f"{country}00")
    structure = found[0][1].get("bban", "") if found else ""
    return 4 + sum(map(int, _FIXED.findall(structure))) if structure else _UNREGISTERED.get(country, 0)


def iban(candidate: str) -> Iterator[Span]:
    """ISO 13616-1: as long as its country says, and 1 modulo 97. Words behind it belong to the sentence."""
    length = iban_length(candidate[:2].upper())
    offsets = [i for i, c in enumerate(candidate) if c.isascii() and c.isalnum()]
    if not length or len(offsets) < length:
        return
    end = offsets[length - 1] + 1
    compact = "".join(candidate[i] for i in offsets[:length])
    if mod_97_10.checksum(compact[4:] + compact[:4]) == 1:
        yield 0, end


def mistyped_iban(candidate: str) -> bool:
    """After the word itself, one whose check fails is a person's too; `iban` takes a right one to its length."""
    return not any(True for _ in iban(candidate)) and len(digits_of(candidate)) >= 8


def ssn(candidate: str) -> bool:
    """20 CFR 422.103 and SSA's rules since 2011: no area 000 or 666, no group 00, no serial 0000; 9xx only as a tax number."""
    digits = digits_of(candidate)
    if digits[:3] in {"000", "666"} or digits[3:5] == "00" or digits[5:] == "0000":
        return False
    return digits[0] != "9" or digits[3] in "5678" or digits[3] == "9"  # an ITIN, IRS publication 1915


def dotted(candidate: str) -> Iterator[Span]:
    """An IPv4 address: four numbers, no more. An object identifier or a version has more, and its first four are no address."""
    if candidate.count(".") == 3 and address(candidate):
        yield 0, len(candidate)


def address(candidate: str) -> bool:
    """A real address: not our own loopback, not ``::`` in C++ or Ruby, not a time of day."""
    try:
        found = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified) and any(c.isdigit() for c in candidate)


_DATE = re.compile(r"\(?(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2})(?!\d)")


_YEARS = re.compile(r"(?:19|20)\d{2} ?[-/.] ?(?:19|20)?\d{2}$")
_EXTENSION = re.compile(r" ?(?:x|ext\.?) ?\d{1,6}$", re.IGNORECASE)


def international_phone(candidate: str) -> Iterator[Span]:
    """E.164 allows 15 digits; under 8 it is something else. Digits beyond the fifteenth belong to whatever follows."""
    end = total = 0
    extension = _EXTENSION.search(candidate)
    for first, last in _groups(candidate[: extension.start()] if extension else candidate):
        total += last - first
        if total > 15:
            break
        end = last
    if len(digits_of(candidate[:end])) >= 8:
        yield 0, len(candidate) if extension and end == extension.start() else end


_PRICES = re.compile(r"[0-9]{1,3}[.,][0-9]{2}(?: [0-9]{1,3}[.,][0-9]{2})+")


def trunk_phones(candidate: str) -> Iterator[Span]:
    """National numbers, 9 to 13 digits with their leading zero; several may follow one another. A date is none."""
    start, end, total = -1, 0, 0
    left = len(digits_of(candidate))
    for first, last in [*_groups(candidate), (len(candidate), len(candidate))]:
        begins = candidate[first : first + 1] == "0"
        another = begins and total >= 9 and left >= 9  # 0558 614 49 05 is one number
        if start >= 0 and (total + last - first > 13 or another or first == last):
            if total >= 9 and not (_DATE.match(candidate[start:end]) or _PRICES.fullmatch(candidate[start:end])):
                yield start, end
            start = -1
        if start < 0 and begins:
            start, total = first - (candidate[first - 1 : first] == "("), 0
        total, end, left = total + last - first, last, left - (last - first)


def labelled_phone(candidate: str) -> bool:
    """After a word such as "phone", even a short local number counts. A date and two years are none."""
    number = _EXTENSION.sub("", candidate)
    return 6 <= len(digits_of(number)) <= 15 and not (_DATE.match(number) or _YEARS.match(number))


_PAIRS = re.compile(r"[0-9]{2}(?:[ .-][0-9]{2}){2}")
_AMOUNT = re.compile(r"[0-9]{1,3}(?:[ .,][0-9]{3})*[.,][0-9]{2}$")


def spoken_phone(candidate: str) -> bool:
    """After some words that may end in a number to call: seven digits at least or three pairs, and no amount."""
    enough = len(digits_of(_EXTENSION.sub("", candidate))) >= 7 or _PAIRS.fullmatch(candidate)
    return bool(enough) and labelled_phone(candidate) and not _AMOUNT.match(candidate)


def noted_phone(candidate: str) -> bool:
    """Before a word such as "fax"."""
    return labelled_phone(candidate) and len(digits_of(candidate)) >= 7


def document(candidate: str) -> bool:
    """A person's number, and not the next word: at least a digit, and no date."""
    return len(candidate) >= 5 and any(c.isdigit() for c in candidate) and not _DATE.match(candidate)


QUARTER = re.compile(r"(?:19|20)[0-9]{2}[QHSWKM][0-9]")  # of a year: FIN is a word for finances too


def identifier(candidate: str) -> bool:
    """A number of a person in a register: at least six digits."""
    return len(digits_of(candidate)) >= 6 and not (_DATE.match(candidate) or QUARTER.match(candidate))


def quoted_local(candidate: str) -> Iterator[Span]:
    """An address with a quoted local part; the first quote stays of one within JSON, where it is escaped."""
    yield int(' "@' in candidate), len(candidate)


def bearer(candidate: str) -> bool:
    """A token, and not the next word of a sentence about bearers."""
    return any(c.isdigit() for c in candidate)


_FILES = ("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "md", "py")


def sentence_part(candidate: str) -> Iterator[Span]:
    """Without the end of a sentence, which is not part of it."""
    yield 0, len(candidate.rstrip(" .,"))


def email(candidate: str) -> bool:
    """An address, and not a file such as ``logo@2x.png``."""
    return candidate.rpartition(".")[2].lower() not in _FILES
