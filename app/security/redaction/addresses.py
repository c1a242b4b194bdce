"""Street addresses by rule: a house number beside a word for a street, in the language's order, and what follows on the line.

Rules find addresses that are written as such. The rest, and names, take a model of language: the ``ner`` extra.
"""

from app.security.redaction.detectors import Kind, sentence_part

_CAPITAL = r"A-Z\x{C0}-\x{DE}"
_SMALL = r"a-z\x{DF}-\x{FF}\x{100}-\x{17F}"
_PART = rf"[{_CAPITAL}][{_SMALL}'\x{{2019}}{_CAPITAL}.-]*"  # a word of a name
_HOUSE = r"[0-9]{1,5}(?:[ -]?[A-Za-z])?(?:[/-][0-9]{1,4})?"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Square|Sq|Terrace|Ter|Trail|Trl|"
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
    rf",? [0-9]{{4,5}}(?: ?[A-Z]{{2}})? {_TOWN})?"
)
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
    Kind("address", rf"\b((?:{_PART} )+(?:Straße|Strasse|Allee|Platz|Weg|Gasse|Ring|Damm) {_HOUSE}\b{_TAIL})", sentence_part),
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
    Kind("address", rf"\b({_TOWN}, {_STATE},? [0-9]{{5}}(?:-[0-9]{{4}})?)\b"),
    Kind("address", r"(?i)\b(p\.? ?o\.? ?box [0-9]{1,6}|postfach [0-9 ]{2,9}|apartado(?: de correos)? [0-9]{2,6})\b"),
)
