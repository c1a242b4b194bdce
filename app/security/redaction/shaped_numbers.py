r"""Numbers behind short or ordinary words, which count only where the number has the shape that its state or bank documents.

"kt.", "права" or "DL" have other senses, and so do an account's number and a device's; a shape behind them leaves few doubts.
Sources: each register's own description. RE2's ``\b`` knows ASCII alone, so words of other scripts have none.
"""

from collections.abc import Iterator

from stdnum.iso7064 import mod_97_10

from app.security.redaction.detectors import Kind, Span, address, digits_of, only_if

_IS = r"[ .:#][ .:=#]{0,3}(?:(?:number|numero|número|nummer|no|nr|núm|num|nº|n°|id|is|es|jest|ist|är|er)\b[ .:=#]{1,3})?"
_NAMED = {
    "national-id": (
        (r"\bkt", r"[0-9]{6}-?[0-9]{4}"),  # Iceland
        (r"\ba\. k", r"[0-9]{11}"),  # Lithuania
        (r"\br\. ?č", r"[0-9]{6} ?/? ?[0-9]{3,4}"),  # Czechia and Slovakia
        (r"\b(?:pnr|p\.nr|personnr|fnr|f\.nr|fødselsnr|fodselsnr)", r"[0-9]{6,8}[ +-]?[0-9]{4,5}"),
        (r"\bni", r"[a-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[a-d]"),
        (r"\bpan", r"[a-z]{3}[abcfghjlpt][a-z][0-9]{4}[a-z]"),
        (r"\bdea", r"[abfgmpr][a-z9][0-9]{7}"),
        (r"\bkra pin", r"[ap][0-9]{9}[a-z]"),
        (r"\brut", r"[0-9]{7,8}-[0-9k]"),
        (r"\bsss", r"[0-9]{2}-[0-9]{7}-[0-9]"),
        (r"\bspi", r"[0-3][0-9]{12}"),  # France's tax number
        (r"\bseria", r"[a-z]{2},? (?:nr|no|număr(?:ul)?)\.? ?[0-9]{6}"),  # Romania's card
        (r"(?:αδτ|ταυτότητα[ςσ]?)", r"[\x{3B1}-\x{3C9}a-z]{1,2}[ -]?[0-9]{6}"),
    ),
    "ssn": ((r"\bsocial", r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}"),),
    "driver-license": (
        (r"\bdl", r"[a-z][0-9]{6,14}|[a-z][0-9]{3}-[0-9]{4}-[0-9]{4}"),
        (r"\bsim [abc]", r"[0-9]{4}-[0-9]{4}-[0-9]{6}|[0-9]{12}"),  # Indonesia
        (r"права", r"[0-9]{2} ?[0-9]{2} ?[0-9]{6}"),
    ),
    "plate": (
        (
            r"\b(?:car|vehicle|bike|van|registration|reg|kfz|rc)",
            r"[a-z]{2}[0-9]{2} ?[a-z]{3}|[a-z]{2}[ -]?[0-9]{2}[ -]?[a-z]{1,3}[ -]?[0-9]{4}|[a-zäöü]{1,3}-[a-z]{1,2} ?[0-9]{1,4}",
        ),
        (
            r"(?:номер (?:машины|авто)|\. ?номер|номер|авто|машина)",
            r"[авекмнорстух] ?[0-9]{3} ?[авекмнорстух]{2} ?[0-9]{2,3}",
        ),
        (r"(?:차량 ?번호|번호판)(?:는|은)?", r"(?:[가-힣]{2} ?)?[0-9]{2,3}[가-힣] ?[0-9]{4}"),
        (r"ทะเบียน(?:รถ)?", r"[0-9]?[ก-ฮ]{1,3}[ -]?[0-9]{1,4}"),
        (r"biển số(?: xe)?", r"[0-9]{2}[a-z][a-z0-9]?-?[0-9]{3}\.?[0-9]{1,2}"),
        (r"لوح[ةه]", r"[ء-ي](?: ?[ء-ي]){1,2} ?[0-9]{1,4}"),
    ),
    "bank-account": (
        (r"\btransit", r"[0-9]{5}-[0-9]{3}"),  # Canada
        (r"\bclearing", r"[0-9]{4}-[0-9]"),
        (r"\bclearing(?:nummer|nr)", r"[0-9]{4}"),
        (r"\b(?:s/c|sort)", r"[0-9]{2}-[0-9]{2}-[0-9]{2}"),
        (r"\bbsb", r"[0-9]{3}-[0-9]{3}"),
        (r"(?:účet|účtu|č\. ?ú\.)", r"(?:[0-9]{1,6}-)?[0-9]{2,10}/[0-9]{4}"),
        # Beside the number of a bank: agência 1234 conta 12345-6; sort 12-34-56 acc 12345678, and the other way round
        (
            r"\b(?:agência|agencia|ag\.)[ :]{1,3}[0-9]{4}(?:-[0-9])?[ ,;/|]{1,4}(?:conta|c/c)[a-z ]{0,12}",
            r"[0-9][0-9.]{3,11}-[0-9x]",
        ),
        (r"\bconta", r"[0-9][0-9.]{3,11}-[0-9x][ ,;/|]{1,4}(?:agência|agencia|ag\.)[ :]{1,3}[0-9]{4}"),
        (
            r"\b(?:sort(?: ?code)?|s/c|bsb|routing|aba)\b[^\n0-9]{0,12}[0-9][0-9-]{5,9}[ ,;/|]{1,4}(?:acc(?:ount|t)?)",
            r"[0-9](?:[ -]?[0-9]){5,16}",
        ),
        # India's: the code of a branch has four letters and a zero
        (r"\bifsc(?: code)?[ :]{1,3}[a-z]{4}0[0-9a-z]{6}[ ,;/|\r\n]{1,4}(?:a/c|acc(?:ount|t)?)(?: ?no\.?)?", r"[0-9]{9,18}"),
        (r"\b(?:savings|checking|chequing) (?:account|acct?|a/c)(?: ?(?:number|no\.?))?(?: is)?", r"[0-9](?:[ -]?[0-9]){6,17}"),
        (r"\bmy (?:account|acct?|a/c) (?:number|no\.?) is", r"[0-9](?:[ -]?[0-9]){8,17}"),
    ),
    "passport": ((r"\bpas č\.?", r"[0-9]{8}"), (r"\bpp", r"[a-z]{1,2}[0-9]{6,8}")),
}
_DEVICE = r"(?:mac(?: ?addr(?:ess|esse|s)?)?|hwaddr|hw ?address|ether|bssid)"
_MAC = r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
_ERAS = (
    r"(?:明治|大正|昭和|平成|令和)[元〇一二三四五六七八九十]{1,4}年[〇一二三四五六七八九十]{1,3}月[〇一二三四五六七八九十]{1,4}日"
)


def polish_account(candidate: str) -> bool:
    """26 digits, which are an IBAN but for its country."""
    digits = digits_of(candidate)
    return mod_97_10.checksum(f"{digits[2:]}2521{digits[:2]}") == 1  # 25 is P, 21 is L


def far_address(candidate: str) -> Iterator[Span]:
    """An IPv4 address with a number that no version has: "client 2.0.1.5" is one."""
    plain = candidate.replace("[.]", ".").replace(" dot ", ".").replace("-", ".")
    if address(plain) and any(len(number) == 3 for number in plain.split(".")):
        yield 0, len(candidate)


def subscriber(candidate: str) -> bool:
    """The number of a telephone (IMEI, with a check), a SIM card (ICCID, which begins with 89) or a subscriber (IMSI)."""
    digits = digits_of(candidate)
    return len(digits) in {14, 15, 16} or (digits.startswith("89") and 18 <= len(digits) <= 20)


SHAPED: tuple[Kind, ...] = (
    *(Kind(kind, rf"(?i){name}{_IS}({shape})\b") for kind, named in _NAMED.items() for name, shape in named),
    Kind(
        "bank-account",
        r"(?i)\bacc(?:ount|t)?(?: ?(?:no|number|#)\.?)?(?: ?[:=#] ?| )([0-9](?:[ -]?[0-9]){5,16})[ ,;/|]{1,4}(?:sort|s/c|"
        r"bsb|routing)\b",
    ),
    Kind("bank-account", r"\b(?:40817|40820|423[0-9]{2})(?:810|840|978)[0-9]{13}\b|\b(?:40817|40820)(?:810|840|978)[0-9]{12}\b"),
    # UPI's names of an account at the banks and apps that most people of India use
    Kind(
        "bank-account",
        r"(?i)\b[a-z0-9][a-z0-9._-]{1,64}@(?:ok(?:axis|sbi|hdfcbank|icici)|ybl|ibl|axl|paytm|pt(?:sbi|hdfc|axis|yes)|apl|yapl|"
        r"wa(?:icici|axis|hdfcbank|sbi)|upi|hdfcbank|freecharge|ikwik)\b",
        not_before=".-@",
    ),
    Kind("bank-account", r"(?i)(?:rach(?:\.|un[a-z]{2,3})|konto) ?:? ?([0-9]{26})\b", only_if(polish_account)),
    # An id in the name of a file or in a path: scan_cpf_39053344705.pdf, /pesel/44051401359
    Kind(
        "national-id",
        r"(?i)(?:\b|_)(?:ssn|cpf|pesel|bsn|dni|aadhaa?r|cnp|egn|oib|tckn|personnummer|nhs|snils)[_/-]([0-9]{9,14})(?:\b|_)",
    ),
    # A telephone, a computer
    Kind("device", rf"(?i)\b{_DEVICE}[\"']?(?: ?[:=] ?|[ ]{{1,3}}(?:is )?)[\"']?({_MAC})\b"),
    Kind(
        "device",
        r"(?i)\b(?:imei|imsi|iccid|sim card)(?: ?(?:number|no|nr)\.?)?[\"']?(?: ?[:=#] ?|"
        r" (?:is )?)[\"']?([0-9](?:[ -]?[0-9]){13,19})\b",
        only_if(subscriber),
    ),
    # Addresses as hosts are named for them, as reports defang them, and as logs of a server have them
    Kind("ip", r"(?i)\b(?:ip|ec2|host|static|dyn|dsl|cable|pool|client)-([0-9]{1,3}(?:-[0-9]{1,3}){3})\b", far_address),
    Kind("ip", r"\b[0-9]{1,3}(?:\[\.\][0-9]{1,3}){3}\b|\b[0-9]{1,3}(?: dot [0-9]{1,3}){3}\b", far_address),
    Kind("ip", r"(?i)\bclient:? ([0-9]{1,3}(?:\.[0-9]{1,3}){3})\b", far_address),
    # Births
    Kind(
        "birth-date",
        r"(?:生年月日|誕生日|お誕生日)[ :は]{0,3}([MTSHR] ?[0-9]{1,2}[./年-] ?[0-9]{1,2}[./月-] ?[0-9]{1,2}日?)",
    ),
    Kind("birth-date", rf"({_ERAS})(?:に)?生"),
)
