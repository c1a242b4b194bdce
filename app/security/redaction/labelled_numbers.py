"""Numbers that a state or a bank gives, behind their names in many languages: licences, passports, registers, plates, accounts.

The name is part of each pattern, so these cost nothing where it does not occur. A value has digits, and words that are no
fillers may not stand before it: "driver license renewal in 2024" names none.
"""

from collections.abc import Iterator

from app.security.redaction.detectors import _DATE, GOODS, Kind, Span, digits_of

_FILLERS = (
    r"(?:[ -]?(?:card|number|numbers|nummer|numero|número|numéro|no|nr|num|n|id|code|is|was|ist|est|es|è|é|to|är|on|"
    r"nº|n°|č|numer|núm|"
    r"nomor|số|номер|番号|号码|号碼|號碼|字號|号|번호|नंबर|संख्या|है|は|নম্বর|எண்|نمبر|رقم|เลขที่|หมายเลข|na|№|#)\.?)*"
)
_JOINT = r"(?:[ \t]*[:=#：][ \t]*|[ ]{0,3})[「『\"'“«(]{0,2}"
_DIGITED = r"[A-Za-z0-9./()-]*[0-9][A-Za-z0-9./()-]*"
_VALUE = rf"((?:[A-Z]{{1,4}} )?{_DIGITED}(?: {_DIGITED}){{0,4}})"

_DRIVER = (
    r"\bführerschein(?:nummer|nr)?|\bfahrerlaubnis|\bpermis de conduire|\bpermis n[°o]|\bnuméro de permis|\b(?:permiso|licencia|"
    r"carnet) de conducir|"
    r"\bpatente (?:di guida|n[.°r])|\bcarta de condução|\bcarteira de motorista|\bcnh|\brijbewijs(?:nummer)?|"
    r"\bpraw[ao] jazdy|\bkörkort|"
    r"\bajokort(?:ti|in)|\bførerkort|\bkørekort|řidičsk(?:ý|ého) průkazu?|\bvodičský preukaz|\bjogosítvány|\bvezetői engedély|"
    r"\bpermis(?:ul)? de conducere|\bvozačka dozvola|\behliyet|\bsürücü belgesi|"
    r"водительск[а-я]{2,4} (?:удостоверени[ея]|прав[а]?)|"
    r"\bdl ?(?:#|no|number)|運転免許証|驾驶证|駕駛執照|驾照|운전면허|רישיון נהיגה|رخصة (?:ال)?قيادة|ใบขับขี่|bằng lái|"
    r"giấy phép lái xe"
)
_PASSPORT = (
    r"\bpass-(?:nummer|nr)|\bpaspoort(?:nummer|nr)?|\bpaszport(?:u)?|\btravel document|\bpaspor|hộ chiếu|\bcestovní(?:ho)? pasu?|"
    r"หนังสือเดินทาง|旅券|útlevél"
)
_REGISTER = (
    r"\bkvnr|(?:kranken)?versicherten-?(?:nummer|nr)|\begk|\brvnr|\bausweis[ -]?(?:nr|nummer)|\bst\.?-? ?nr|"
    r"\bcarte (?:nationale )?d'identité|\bcarta d'identità|\bnúmero de identificación(?: de extranjero| fiscal)?|\bidentity code|"
    r"\bpersonnr|\bnr dowodu|מספר (?:זהות|ת\.?ז\.?)|\bpan (?:card|number)|\bgstin|\bvoter id|身分證|\bmykad|\bic (?:number|no)|"
    r"\b(?:rsa|thai|turkish|south african|korean|chinese|indian|german|french|italian|spanish|finnish|swedish|polish|egyptian|"
    r"saudi|emirates|israeli|kenyan|nigerian|malaysian|singapore|hong kong|mexican|brazilian|chilean) (?:id|rrn|frn)|"
    r"\bmedicare (?:id|number|card|no)|\bsoc(?:ial)?\.? sec(?:urity)?\.?|\bgreen card|\ba-number|"
    r"\balien (?:registration )?number|"
    r"\bvisa (?:number|no)|\bpatient (?:id|number|no)|\bmedical record number|"
    r"\b(?:steuerliche|persönliche) identifikationsnummer|\bbis-?(?:nummer|number)|\bnuméro bis|\bonderwijsnummer|"
    r"\bpersonal health number|\b(?:norwegian )?birth number|\bunique taxpayer reference|\bpermanent account number|"
    r"\bpersonal identification number|\bnational identity|\bepic no|\bration card|"
    r"cédula (?:de persona física|única de identidad)|(?:número|carnet|carné) de identidad|"
    r"número (?:único )?de identifica(?:ción|ção) tribut[aá]ria|\bnuméro d['\x{2019}](?:immatriculation|identification) fiscale|"
    r"osobni identifikacijski broj|jedinstveni matični broj|\bnomor induk kependudukan|\bnumri (?:personal|i identitetit)|"
    r"\bindangamuntu|karta tal-identità|asabisty numar|ЛНЧ|ЄГН|"
    r"ЖКН|年金番号|(?:港澳|台湾|臺灣)(?:居民)?通行[证證]|台胞[证證]|पैन (?:नंबर|नम्बर)|জন্ম নিবন্ধন|හැඳුනුම්පත|அடையாள அட்டை|"
    r"អត្តសញ្ញាណប័ណ្ណ|رقم التعريف(?: الوطني)?|بطاقة التعريف(?: الوطنية)?"
)
_REGISTER_SHORT = (
    r"\b(?:KVNR|RVNR|NAS|CNI|RRN|FRN|GSTIN|MBI|MRN|TIN|EIN|UTR|BVN|PAN|DNI|NIE|PTIN|IDNP|JMB|NRC|CNIE|NIDA|RTN)\b|ΑΔΤ|\bC\.C\."
)
_PLATE = (
    r"kennzeichen|\bkfz|\bnummernschild|\blicen[cs]e plates?|\bnumber ?plates?|\bplate (?:number|no)|\b(?:car|"
    r"vehicle) reg(?:istration)?|"
    r"\bregistration plate|\bimmatriculation|\bimmatriculée?|\bmatrícula|\btarga|\bkenteken|\bplaka(?:sı)?|"
    r"\btablica rejestracyjna|"
    r"\bnr rej|\bnumer rejestracyjny|\bregistreringsnummer|\bregnr|\brekisterinumero|\bspz|\brendszám|гос\.? ?номер|номер машины|"
    r"номер автомобиля|\bvin|\bfahrgestell|ナンバープレート|車両番号|车牌|車牌|차량번호|번호판|رقم اللوحة|מספר רכב|"
    r"ทะเบียนรถ|biển số"
)
_PLATE_VALUE = (
    r"([^\x00-\x7F]?(?:[A-ZÄÖÜ]{1,3}[ -])?(?:[A-Z]{1,3}[ -])?"
    r"[A-ZА-Я0-9-]*[0-9][A-ZА-Я0-9-]*(?:[ -](?:[A-Z]{1,4}|[0-9]{1,4})\b){0,2})"
)
_BANK = (
    r"\bbank (?:account|acct)|\ba/c|\brouting|\baba|\bsort ?code|\bbsb|\b(?:bank)?konto(?:nummer|[ -]?nr)?|"
    r"\bkto\.?-?nr|\bblz|\bbankleitzahl|\brib|\bclabe|\bcbu|\bcvu|\bcompte bancaire|"
    r"\b(?:numéro|n[°o]\.?) de compte|\bcuenta bancaria|\bnúmero de cuenta|\bconta (?:bancária|corrente)|"
    r"\bconto corrente|\brekening(?:nummer)?|\b(?:numer|nr) konta|\bbankovní účet|\bszámlaszám|\btilinumero|"
    r"\bbankgiro|\bplusgiro|\bhesap"
)
_BANK_ELSEWHERE = (
    r"\bclabe interbancaria|\b(?:account|acct|acc) ?#|\bnr rach(?:unku)?|\bakaunti|\brek(?:ening)? (?:bca|bni|bri|mandiri|cimb)|"
    r"číslo účtu|"
    r"расч[её]тный сч[её]т|номер сч[её]та|р/с|口座番号|普通(?:預金|口座)|"
    r"银行(?:账号|卡号|账户)|账号|帐号|銀行帳號|계좌(?:번호)?|खाता|"
    r"رقم الحساب|מספר חשבון|(?:เลขที่)?บัญชี|số tài khoản"
)
# Names of an account in India's and Brazil's payments: an address without a domain, a random UUID
_ALIAS = r"\bupi(?: id)?|\bvpa|\bchave (?:pix|aleatória)|\bpix(?: key)?"
_ALIAS_VALUE = r"([A-Za-z0-9._-]{2,64}@[A-Za-z]{2,32}\b|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})"
_MINE = (
    r" (?:is|är|es|est|ist|è|é|to|jest|on) (?:my|mitt|min|mi|meine?|mon|ma|mijn|il mio|la mia|(?:o )?meu|(?:a )?minha|moje|mój)"
    r" (?:[^\s.,]{1,20} ){0,3}"
)


def _trimmed(candidate: str) -> str:
    value = candidate.rstrip(" ./-(")
    return value[:-1] if value.endswith(")") and "(" not in value else value


def labelled(candidate: str) -> Iterator[Span]:
    """Six characters at least with three digits, and no date."""
    value = _trimmed(candidate)
    if sum(map(str.isalnum, value)) >= 6 and len(digits_of(value)) >= 3 and not _DATE.match(value):
        yield 0, len(value)


def plate(candidate: str) -> Iterator[Span]:
    """Letters and digits, five to seventeen of them."""
    value = _trimmed(candidate)
    if 5 <= sum(map(str.isalnum, value)) <= 17 and any(map(str.isdigit, value)) and any(map(str.isalpha, value)):
        yield 0, len(value)


def account(candidate: str) -> Iterator[Span]:
    """Six digits at least, as a sort code has."""
    if len(digits_of(candidate)) >= 6 and not _DATE.match(candidate):
        yield 0, len(candidate)


LABELLED: tuple[Kind, ...] = (
    Kind("driver-license", rf"(?i:{_DRIVER})\.?(?i:{_FILLERS}){_JOINT}{_VALUE}", labelled, unless=GOODS),
    Kind("passport", rf"(?i:{_PASSPORT})\.?(?i:{_FILLERS}){_JOINT}{_VALUE}", labelled, unless=GOODS),
    Kind("passport", r"(?i:паспорт[а-я]{0,3},? серия) ([0-9]{2} ?[0-9]{2},? (?:номер|№) ?[0-9]{6})"),
    Kind(
        "passport",
        rf"\b([A-Za-z]{{0,4}}[0-9][A-Za-z0-9]{{5,10}})(?i:{_MINE}(?:passport|pasaporte|passeport|passaporto|passaporte|"
        rf"paspoort|paszport|"
        r"reisepass))",
        labelled,
    ),
    Kind("national-id", rf"(?i:{_REGISTER})\.?(?i:{_FILLERS}){_JOINT}{_VALUE}", labelled, unless=GOODS),
    Kind(  # their names hold words for goods
        "national-id",
        rf"(?i:\bpermanent account|\bunique tax(?:payer)? reference)(?i:{_FILLERS}){_JOINT}"
        r"((?i:[A-Z]{5}[0-9]{4}[A-Z])|[0-9]{5} ?[0-9]{5})\b",
    ),
    Kind("national-id", rf"(?:{_REGISTER_SHORT})\.?(?i:{_FILLERS}){_JOINT}{_VALUE}", labelled, unless=GOODS),
    Kind(
        "national-id",
        rf"\b([0-9]{{2,11}}[A-Za-z0-9+-]{{3,10}})(?i:{_MINE}(?:hetu|henkilötunnus|personnummer|pnr|ssn|dni|nie|pesel|bsn|"
        rf"cpf|national id|"
        r"id number|social security|aadhaar|steuer-?id))",
        labelled,
    ),
    Kind(
        "driver-license", r"(?i:\bpatente)[ :]{1,3}(U1[A-Z0-9]{7,8}|[A-Z]{2}[0-9]{7}[A-Z])\b"
    ),  # Italy's; "patente" has other senses
    # Words with other senses too, such as a circuit board's: only before the shapes of South America and California
    Kind(
        "plate",
        r"(?i:\b(?:placa|patente|plate))[ :]{1,3}([A-Z]{3}[0-9][A-Z][0-9]{2}|[A-Z]{4}[ -]?[0-9]{2}|[0-9][A-Z]{3}[0-9]{3})\b",
    ),
    Kind("plate", rf"(?i:{_PLATE})\.?(?i:{_FILLERS}){_JOINT}{_PLATE_VALUE}", plate),
)
# Before phones, which the parts of an account's number resemble
ACCOUNTS: tuple[Kind, ...] = (
    *(
        Kind("bank-account", rf"(?i:{words})\.?(?i:{_FILLERS}){_JOINT}([0-9](?:[ .-]?[0-9]|[A-Z]){{5,33}})", account)
        for words in (_BANK, _BANK_ELSEWHERE)
    ),
    Kind("bank-account", rf"(?i:{_ALIAS})\.?(?i:{_FILLERS}){_JOINT}{_ALIAS_VALUE}"),
)
