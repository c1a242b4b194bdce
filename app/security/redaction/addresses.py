"""Street addresses by rule: a house number beside a word for a street, in the language's order, and what follows on the line.

Rules find addresses that are written as such. The rest, and names, take a model of language: the ``ner`` extra.
"""

from app.security.redaction.detectors import Kind, sentence_part

_CAPITAL = r"A-Z\x{C0}-\x{DE}"
_SMALL = r"a-z\x{DF}-\x{FF}\x{100}-\x{17F}"
_PART = rf"[{_CAPITAL}][{_SMALL}'\x{{2019}}{_CAPITAL}.-]*"  # a word of a name
_HOUSE = r"[0-9]{1,5}(?:[ -]?[A-Za-z])?(?:[/-][0-9]{1,4})?"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Square|Sq|Terrace|"
    r"Ter|Trail|Trl|"
    r"Parkway|Pkwy|Highway|Hwy|Way|Crescent|Cres|Close|Grove|Gardens|Mews|Row|Turnpike|Alley|Loop|Plaza|Expressway|Freeway)"
)
_UNIT = r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|Bldg)\.? ?#?[A-Za-z]?[0-9]{1,5}[A-Za-z]?"
_STATE = (
    r"(?:A[AEKLPRSZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|UT|"
    r"V[AIT]|W[AIVY])"
)
_TOWN = rf"{_PART}(?: {_PART}){{0,3}}"
_TAIL = (
    rf"(?:,? ?(?:{_UNIT}|#[0-9]{{1,5}}))?"
    rf"(?:,? {_TOWN},? {_STATE},?(?: [0-9]{{5}}(?:-[0-9]{{4}})?)?|,? {_TOWN},? [A-Z]{{1,2}}[0-9][0-9A-Z]? [0-9][A-Z]{{2}}|"
    rf",? (?:[0-9]{{4,5}}(?: ?[A-Z]{{2}})?|[0-9]{{2}}-[0-9]{{3}}) {_TOWN})?"
)
_CYRILLIC = r"\x{400}-\x{45F}\x{490}\x{491}"
_PARTICLES = r"(?:(?:de la|de las|de los|de|du|des|della|delle|dei|del|di|da|do|dos|la|le|les|el|l'|d') ?)*"

ADDRESSES: tuple[Kind, ...] = (
    # 12 High Street, Flat 3, Leeds LS1 4AB · 1600 N Main St Apt 5, Springfield, IL 62704
    Kind(
        "address",
        rf"\b({_HOUSE},? (?:[NSEW]{{1,2}}\.? )?(?:{_PART} ){{1,4}}{_STREET}\b\.?(?: [NSEW]{{1,2}}\b)?{_TAIL})",
        sentence_part,
        not_after="-.#/$+",
    ),
    # Hauptstraße 12a, 10115 Berlin · Keizersgracht 7, 1015 CJ Amsterdam
    Kind(
        "address",
        rf"\b((?:{_PART}[- ])?{_PART}(?:straße|strasse|str\.|gasse|allee|platz|damm|ufer|straat|laan|plein|"
        rf"gracht|kade|gatan|vägen|gade|vej|utca)"
        rf" {_HOUSE}\b{_TAIL})",
        sentence_part,
    ),
    Kind(
        "address",
        rf"\b((?:{_PART} )+(?:Straße|Strasse|Allee|Platz|Weg|Gasse|Ring|Damm|utca|út|körút|tér) {_HOUSE}\b\.?{_TAIL})",
        sentence_part,
    ),
    # 12 bis, rue de la Paix, 75002 Paris
    Kind(
        "address",
        rf"\b([0-9]{{1,4}}(?: ?(?:bis|ter))?,? (?i:rue|avenue|boulevard|place|chemin|allée|quai|impasse|cours|route) {_PARTICLES}"
        rf"{_PART}(?:[ -]{_PART}){{0,3}}{_TAIL})",
        sentence_part,
        not_after="-.#/$+",
    ),
    # Calle de Alcalá 42 · Via Roma, 7 · Rua Augusta 100
    Kind(
        "address",
        rf"\b((?:Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua|Travessa|Praça|Rue|Rúa|Ulica|ul\.)"
        rf" {_PARTICLES}"
        rf"{_PART}(?: {_PARTICLES}{_PART}){{0,3}},? (?:n[.º°] ?)?{_HOUSE}\b{_TAIL})",
        sentence_part,
    ),
    # ул. Ленина, д. 5, кв. 12 · 東京都渋谷区神宮前1-2-3 · 北京市朝阳区建国路88号 · 서울특별시 강남구 테헤란로 123
    Kind(
        "address",
        rf"((?:ул\.|улиц[аеы]|вул\.|вулиця|просп(?:ект|\.)|переул(?:ок|\.)|пер\.|бульвар|наб\.|шоссе) ?[{_CYRILLIC}-]{{2,30}}"
        rf"(?: [{_CYRILLIC}-]{{1,30}}){{0,2}},? (?:д(?:ом|\.)? ?|буд\. ?)?[0-9]{{1,4}}[{_CYRILLIC}]?"
        rf"(?:,? (?:корп|стр|кв|оф|под)[{_CYRILLIC}]{{0,6}}\.? ?[0-9]{{1,4}}){{0,3}})",
    ),
    Kind(
        "address",
        r"((?:〒? ?[0-9]{3}-[0-9]{4} ?)?[一-龥]{2,3}[都道府県][一-龥ぁ-んァ-ヶー]{2,20}[0-9]{1,4}"
        r"(?:(?:丁目|番地?|号|-)[0-9]{0,4}){1,4})",
    ),
    Kind(
        "address",
        r"([一-龥]{2,8}[省市][一-龥]{1,8}[区县區縣市][一-龥]{1,12}[路街道巷弄大][一-龥]{0,6}[0-9]{1,5}[号號弄]"
        r"(?:[0-9]{1,4}[室楼樓栋])?)",
    ),
    Kind("address", r"([가-힣]{2,8}[시도] [가-힣]{1,6}[구군시] [가-힣0-9]{1,12}[로길] [0-9]{1,4}(?:-[0-9]{1,4})?)"),
    Kind("address", rf"\b({_TOWN}, {_STATE},? [0-9]{{5}}(?:-[0-9]{{4}})?)\b"),
    Kind("address", r"(?i)\b(p\.? ?o\.? ?box [0-9]{1,6}|postfach [0-9 ]{2,9}|apartado(?: de correos)? [0-9]{2,6})\b"),
)
