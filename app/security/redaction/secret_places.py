r"""Secrets by the place where they stand, without a name of their own: arguments of calls and commands, paths, codes in messages.

Each row asks for more of a value than a name would, since the place is shared with harmless words.
"""

import re
from collections.abc import Iterator

from app.security.redaction.credentials import random
from app.security.redaction.detectors import Kind, Span, only_if, whole
from app.security.redaction.written_secrets import OTHER_KEYS, key_of_something, mixed, opaque, unquoted

_QUOTED = r"\"[^\"\n\\]+\"|'[^'\n\\]+'"
_VALUE = rf"(?:{_QUOTED}|[^\s\"'\\$<>|;&-][^\s\"'\\|;&<>]*)"
_NAME = r"(?:password|passwd|passphrase|passwort|bindpw|secret|api_?key|token)"


# "Pass a Uint8Array": names of code have digits behind a few words
_TYPE = re.compile(
    r"[A-Za-z]*(?:[iI]nt|[fF]loat|UTF|[uU]tf|[bB]ase|OAuth|[hH]ttp|[pP]ython|[vV]ec(?:tor)?|Sha|SHA|MD|Latin)[0-9]{1,3}[A-Za-z]*"
)


def strong(candidate: str) -> Iterator[Span]:
    """As passwords are made: eight characters at least with a capital, a small letter and a digit."""
    for start, end in mixed(candidate):
        word = candidate[start:end]
        if len(word) < 8 or _TYPE.fullmatch(word):
            continue
        if any(map(str.isupper, word)) and any(map(str.islower, word)):
            yield start, end


def with_digits(candidate: str) -> bool:
    """A part of a path that a program made: letters and digits."""
    return any(map(str.isdigit, candidate)) and any(map(str.isalpha, candidate))


def long_key(candidate: str) -> Iterator[Span]:
    """Behind the bare word "key": 28 characters at least, no name of a row in a cache."""
    for start, end in key_of_something(candidate):
        if end - start >= 28:
            yield start, end


def _option(words: str, value: str = _VALUE) -> Kind:
    return Kind("credential", rf"{words}({value})", unquoted)


_COMMANDS: tuple[Kind, ...] = (
    _option(r"\b(?:cqlsh|psexec|mongodump|mongorestore|xfreerdp|rdesktop)\b[^\n|;]*? -p[ ]+"),
    _option(r"\b(?:sqlcmd|bcp|osql|isql|unzip|zip)\b[^\n|;]*? -P[ ]+", r"[A-Za-z0-9][^\s\"'\\|;&<>]{5,}"),
    _option(r"\bldap(?:search|modify|add|delete|passwd|whoami|compare)\b[^\n|;]*? -w[ ]+", r"[^\s\"'|;&<>-][^\s\"'|;&<>]{5,}"),
    Kind("credential", r"\b7z[ar]?[ ][^\n|;]*? -p([^\s\"'|;&<>]{6,})", mixed),
    Kind("credential", r"(?i)\bnet1? user[ ]+[^\s/]{1,40}[ ]+([^\s/\"][^\s\"]{4,})[ ]+/", whole),
    Kind(
        "credential",
        rf"\becho[ ]+(?:-n[ ]+)?({_VALUE})[ ]*\|[^\n|]*(?:-stdin\b|--with-token|sudo -S|--passphrase-fd|htpasswd -i)",
        unquoted,
    ),
    Kind(
        "credential",
        r"\b(?:wandb|vault|snyk|hf|huggingface-cli|civo|ngrok|heroku|vercel|netlify|modal|gotify|infisical|sentry-cli|"
        r"circleci|codecov)\b"
        r"[^\n|;]{0,40}?(?: login| auth| save [^\s]{1,40}| add-authtoken| push -t| setup)[ ]+([A-Za-z0-9_.=-]{15,})",
        opaque,
    ),
    Kind(
        "credential", r"\bmc[ ](?:alias set|alias s|config host add)[ ]+[^\s]+[ ]+[^\s]+[ ]+([^\s\"]{3,}[ ]+[^\s\"]{8,})", whole
    ),
    _option(r"--with-token[ ]*<<<[ ]*"),
    _option(r"\bnuget[ ]push\b[^\n|;]*? (?:-k|-ApiKey|--api-key)[ ]+"),
    _option(r"\bbundle config (?:set )?(?:--[a-z]+ )?[^\s]{3,60}[ ]+[^\s:]{1,40}:"),
    _option(r"--otp[= ]", r"[0-9]{6,8}\b"),
    Kind(
        "credential", r"\buser [^\s]{1,40} on(?:[ ](?:[~&+@%#-][^\s>]{0,60}|[a-z-]{4,24})){0,8}[ ]>([^\s\"/][^\s\"]{3,})", whole
    ),  # an access list of Valkey
    Kind("credential", r"\bAUTH (?:PLAIN|LOGIN)[ ]+([A-Za-z0-9+/]{10,}={0,2})(?:\s|$)", only_if(with_digits)),
)

_CALLS: tuple[Kind, ...] = (
    # requests.get(u, auth=("ann", "…")), HTTPBasicAuth("ann", "…"), new NetworkCredential("ann", "…"), Client("AC…", "…")
    Kind(
        "credential",
        rf"(?i)(?:\bauth[ ]?=[ ]?|[a-z]*(?:auth|credentials?|login)[a-z0-9]{{0,6}})\((?:{_QUOTED}),[ ]?({_QUOTED})",
        mixed,
    ),
    Kind("credential", rf"\b[A-Za-z]*[Cc]lient[A-Za-z0-9]{{0,6}}\((?:{_QUOTED}),[ ]?({_QUOTED})", opaque),
    Kind(
        "credential",
        rf"\b[A-Za-z_.]*(?:Client|API|Api|SDK|Sdk|Auth|Bot|Token)[A-Za-z0-9]{{0,8}}\(({_QUOTED})",
        key_of_something,
    ),
    Kind("credential", r"(?:^|[\"'{,\s])(?:d|k|p|q|dp|dq|qi)[\"']?:[ ]?[\"']?([A-Za-z0-9_-]{42,})", only_if(random)),
    Kind(
        "credential",
        r"(?i)\b(?:key|name|id)=[\"'][a-z0-9_.:-]*(?:passw(?:or)?d|pwd|secret|token|"
        r"passphrase)[\"'][^<>\n]{0,80}>([^<>\n]{3,})</",
        unquoted,
    ),
)

_SETTINGS: tuple[Kind, ...] = (
    # #define API_KEY "…", (setq smtp-password "…"), : PSK "…", define('AUTH_KEY', '…')
    Kind("credential", rf"(?i)(?:#define[ ]+|\(setq?[ ]+)[a-z0-9_.-]*{_NAME}[ ]+({_QUOTED})", unquoted),
    Kind("credential", rf"(?i)\bPSK[ ]+({_QUOTED})", mixed),
    Kind("credential", rf"\bdefine\([ ]*[\"'][A-Z_]+_(?:KEY|SALT)[\"'],[ ]*({_QUOTED})", long_key),
    # A field of a form, as a browser sends it and as a page shows it; a cookie as a program sets it and as a file keeps it
    Kind(
        "credential",
        rf"(?i)form-data;[ ]?name=\"?[a-z0-9_.-]*{_NAME}\"?[ \t\r]*\n[ \t\r]*\n([^\s<>]+)",
        whole,
    ),
    Kind("credential", rf"(?i)\btype=[ ]?[\"']?password\b[^<>\n]{{0,80}}?[ ]value=[ ]?({_QUOTED})", unquoted),
    Kind("credential", rf"(?i)(?:\bset_?cookie|\.cookie|\bcookies\.set)\((?:{_QUOTED}),[ ]?({_QUOTED})", mixed),
    Kind("credential", r"\t(?:TRUE|FALSE)\t[0-9]{1,12}\t[^\t\n]{1,80}\t([^\s]{4,})", whole),
    Kind("credential", r"(?m)^[^\s:]{1,80}:(?:5432|5433|6432|\*):[^\s:]{1,64}:[^\s:]{1,64}:([^\s:]{4,})[ \t\r]*$", whole),
    Kind("url-credentials", r"\bSAML(?:Response|Request|art)=([A-Za-z0-9+/%=_-]{20,})", whole),
    # Files of settings with a blank between name and value; a value on the line below its name, which `slices` keeps together
    Kind(
        "credential",
        rf"(?im)^[ \t]*(?:setenv |export )?[a-z0-9_.-]*(?:{_NAME}|_pass|_pwd)[ \t]+({_VALUE})[ \t\r]*$",
        strong,
    ),
    Kind(
        "credential",
        rf"(?im)^[ \t]*[\"']?[a-z0-9_.-]*{_NAME}[\"']?[ \t]*:[ \t]*(?:[|>][+-]?)?[ \t\r]*\n[ \t]*({_QUOTED}|"
        rf"[^\s<>\"']+)[ \t\r]*,?[ \t\r]*$",
        strong,
    ),
    Kind(
        "credential", r"(?i)\b(?:wpa[23]?|wi-?fi|wlan|network)[ -]?(?:security )?key[ ]?(?:[:=]|is|)[ ]?([^\s<>\"]{8,63})", mixed
    ),
    Kind("credential", r"\bWIFI:(?:[A-Z]:[^;\n]{0,64};){0,3}P:([^;\n]{4,64})", whole),
    Kind(
        "credential",
        r"(?i)\b(?:unseal|totp|otp|2fa|mfa)[ _-](?:key|seed)(?: [0-9]{1,2})?[ ]*[:=][ ]*([A-Za-z0-9+/=]{16,})",
        whole,
    ),
    Kind("credential", r"(?i)\bkey (?:(?:is|was) )?[\"'`]?([A-Za-z0-9_.~+/=-]{28,})", long_key, unless=OTHER_KEYS),
    Kind("credential", r"(?i)\bkey is ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", unless=OTHER_KEYS),
    # login: ann / …, creds are ann:…, user/pass is ann/…, pw …
    Kind(
        "credential",
        r"(?i)\b(?:logins?|user(?:name)? ?/ ?pass(?:word)?|creds?|credentials)(?: is| are|"
        r":)[ ]*[a-z][^\s:/]{0,40}[ ]?[:/][ ]?([^\s<>\"]+)",
        mixed,
    ),
    Kind(
        "credential",
        r"(?i)\b(?:pw|pwd|pass|mot de passe|mdp|passwort|password)[ ](?:wi-?fi|wlan|smtp|ftp|ssh|vpn|admin|"
        r"root)?[ ]?:?[ ]?([^\s<>\"]*[0-9][^\s<>\"]*)",
        strong,
    ),
    # the staging db pass is …, la contraseña del wifi es …
    Kind(
        "credential",
        r"(?i)\b(?:pass|pw|pwd|password|passcode|passwort|contraseña|clave|senha|mot de passe|parola|wachtwoord|hasło)"
        r"(?: [^\s:=]{1,14}){0,3} (?:is|ist|es|est|é|è|to|jest)[ ]([^\s<>\"]*[0-9][^\s<>\"]*)",
        strong,
    ),
)

_PATHS: tuple[Kind, ...] = (
    Kind("url-credentials", r"\b([A-Za-z0-9_.-]{1,40}:[^\s@\"'/<>]{3,80})@(?:tcp|unix)\("),  # Go's name of a database
    Kind("url-credentials", r"//[A-Za-z0-9.:-]+/hooks/([A-Za-z0-9]{17,}(?:/[A-Za-z0-9]{20,})?)\b", only_if(with_digits)),
    Kind("url-credentials", r"\boraclecloud\.com/p/([A-Za-z0-9_-]{30,})/n/"),
    Kind("url-credentials", r"(?i)\bq-signature=([0-9a-f]{40})\b"),
)

# Codes that many know: of a place, of goods, of a program's end
_OTHER_CODES = (
    r"(?i)\b(?:error|exit|status|return|response|reason|area|zip|post|postal|postcode|country|dial(?:l?ing)?|city|region|branch|bank|"
    r"sort|tax|currency|language|product|item|article|part|style|colou?r|dress|discount|promo|promotion|promotional|coupon|voucher|"
    r"referral|gift|class|course|project|cost|airport|station|store|source|test|machine|python|java|http|sql) code is:?[ ]$"
)

_MESSAGES: tuple[Kind, ...] = (
    Kind("credential", r"(?i)\byour (?:[a-z]{2,20} ){1,2}code is:?[ ]([0-9]{4,8})\b", whole, unless=_OTHER_CODES),
    # Codes for one use: kode OTP Anda …, Mã OTP của bạn là …, Use … to sign in
    Kind("credential", r"\bOTP\b[^\n0-9]{1,24}([0-9]{6,8})\b", whole),
    Kind(
        "credential",
        r"(?i)\buse ([0-9]{4,8}) (?:to|as your|for your)[ ](?:sign|log[ -]?(?:in|on)\b|verify|confirm|complete|finish|"
        r"authenticate|login)",
        whole,
    ),
    Kind(
        "credential",
        r"(?i)(?:ваш|твой)[ ](?:одноразовый )?код(?: (?:подтверждения|доступа|авторизации|безопасности|активации|верификации|"
        r"регистрации|(?:для )?входа))?(?: (?:в|на|для|из) [^\n0-9]{2,20}?)?[ ]?[:-]?[ ]([0-9]{4,8})\b",
        whole,
    ),
    Kind("credential", r"(?i)(?:doğrulama|onay|giriş)[ ](?:kodu|şifre)[a-zğüşöç\x{131}]{0,5}:?[ ]([0-9]{4,8})\b", whole),
    Kind("credential", r"(?i)\bkodu(?:nuz)?: ([0-9]{6})\b", whole),
    Kind("credential", r"(?:رمز التحقق|رمز التفعيل|کد تایید|קוד האימות|קוד אימות)[^\n0-9]{0,16}?[ :]([0-9]{4,8})\b", whole),
    Kind(
        "credential",
        r"(?i)(?:(?:確認|認証|ワンタイム)(?:コード|番号)|(?:验证|驗證|校验|动态)(?:码|碼)|(?:인증|확인|보안) ?(?:번호|코드)|"
        r"код (?:підтвердження|подтверждения|потвърждение|верификации)|пин-?код|kode (?:verifikasi|otp)|"
        r"mã (?:xác (?:nhận|minh|thực)|otp)|"
        r"รหัส(?:ยืนยัน| ?otp)|ओटीपी|सत्यापन कोड|যাচাইকরণ কোড|κωδικός επαλήθευσης|ověřovací kód|overovací kód|ellenőrző kód|"
        r"cod(?:ul)? de verificare|vahvistuskoodi|verifieringskod|bekræftelseskode|verifiseringskode)"
        r"[^\n0-9]{0,16}?([0-9]{4,8})(?:[^0-9/.:年년-]|[.](?:[^0-9]|$)|$)",
        whole,
    ),
    Kind("credential", r"(?:รหัสผ่าน|รหัส OTP)(?:คือ|ของคุณคือ| ?: ?)[ ]?([!#-~]{4,})", mixed),
)

SECRET_PLACES: tuple[Kind, ...] = (*_COMMANDS, *_CALLS, *_SETTINGS, *_PATHS, *_MESSAGES)
