r"""Secrets by how people, programs and manuals write them, where no joint such as ``=`` or ``:`` stands right behind a name.

Each row asks for more of a value than a name with a joint does: a digit beside a letter, or a command's own option.
"""

import re
from collections.abc import Iterator

from app.security.redaction.credentials import random
from app.security.redaction.detectors import Kind, Span, only_if, whole

_QUOTED = r"\"[^\"\n\\]+\"|'[^'\n\\]+'"
_VALUE = rf"(?:{_QUOTED}|[^\s\"'\\$<>|;&-][^\s\"'\\|;&<>]*)"
_NAMES = (
    r"pass ?words?|pass ?phrase|passwd|pwd|passcode|pass|passwort|kennwort|mot de passe|mdp|contraseña|clave|senha|hasło|"
    r"wachtwoord|"
    r"lösenord|adgangskode|heslo|jelszó|şifre|salasana|пароль|κωδικός|密码|密碼|パスワード|비밀번호|كلمة (?:ال)?(?:مرور|سر)|"
    r"पासवर्ड|api[ _-]?key|credentials?|creds"
)
# Issuers whose key is called by their name alone: STRIPE_KEY, algolia_key.
_ISSUERS = (
    r"adafruit|airtable|algolia|anthropic|aws|azure|beamer|bing|bittrex|cloudflare|codecov|cohere|coinbase|confluent|cosmos|"
    r"datadog|deepgram|deepl|discord|dropbox|elevenlabs|facebook|fastly|finnhub|firebase|flickr|freshbooks|gcp|gemini|"
    r"github|gitlab|"
    r"gitter|google|groq|heroku|hubspot|ibm|intercom|jfrog|kraken|kucoin|launchdarkly|linear|linkedin|looker|mailchimp|"
    r"mailgun|maps?|"
    r"mapbox|meraki|messagebird|mistral|netlify|new_?relic|nytimes|okta|openai|openrouter|pagerduty|perplexity|pinecone|"
    r"plaid|posthog|primary|secondary|"
    r"replicate|resend|search|segment|sendbird|sendgrid|sentry|shopify|slack|snyk|sonar|speech|square|squarespace|stripe|"
    r"sumo(?:logic)?|"
    r"supabase|telegram|travis|twilio|twitch|twitter|vercel|weather|xai|yandex|zendesk"
)
_NOT_SECRET = re.compile(
    r"(?:PUBLIC|PUBLISHABLE|CACHE|PRIMARY|FOREIGN|SORT|PARTITION|IDEMPOTENCY|ROUTING|OBJECT|HASH|INDEX|DEDUP)_KEY"
)
# What a name before such a key says of it: it finds a row, a file, a text or a place, or everybody may have it.
OTHER_KEYS = (
    r"(?i)(?:public|publishable|cache|primary|foreign|sort|partition|idempotency|routing|object|hash|index|dedup[a-z]*|s3|row|"
    r"range|lock|shard|group|list|item|job|task|event|trace|request|correlation|message|translation|i18n|lang|react|unique|"
    r"order|session|"
    r"storage|blob|file|content|registry|config|map|dict|metric|label|natural|surrogate|host|ssh|pub)"
    r"[ _-]?key[\"']?\]?[ \t]*(?:[:?]{0,3}=|=>|:| is| was)?[ \t]*[\"'`]?$"
)
_PARTS = re.compile(r"([A-Z0-9_]*)[\"']?\]?[ ]*[:=,]=?>?[ ]*(.*)", re.DOTALL)


def _bare(candidate: str) -> Span:
    start = int(candidate[:1] in "\"'")
    end = len(candidate.rstrip(" )]}\"'`*,;|"))
    return start, max(start, end)


_ALGORITHM = re.compile(r"(?i)(?:sha|aes|rsa|md|base|utf|pbkdf|oauth|hs|rs|es|wpa|tls|windows|iphone|android)-?_?[0-9]")


def said(candidate: str) -> Iterator[Span]:
    """The same in a sentence, where a name of a hash or of a system may stand as well."""
    if not _ALGORITHM.match(candidate):
        yield from mixed(candidate)


def mixed(candidate: str) -> Iterator[Span]:
    """Letters and digits, or digits and signs: no word of a sentence, no amount and no version."""
    start, end = _bare(candidate)
    word = candidate[start:end].rstrip(".!?")
    digits = sum(c.isdigit() for c in word)
    if len(word) >= 6 and digits and any(c.isalpha() for c in word) and not _PLAIN.fullmatch(word):
        yield start, start + len(candidate[start:end].rstrip(".:"))


_PLAIN = re.compile(
    r"v?[0-9.]+[a-z]{0,3}|[0-9]+(?:[-–][a-z]+)+|(?i:sha|md|oauth|argon|aes|base|utf|rsa|ed|http|ip|tls|ec)[-_]?[0-9].*|[$%{<].*"
)


_PARTS_OF_NAME = re.compile("[-_.]")


def opaque(candidate: str) -> Iterator[Span]:
    """Sixteen characters at least without a blank, letters and digits among them, as keys are."""
    start, end = _bare(candidate)
    word = candidate[start:end]
    if sum(len(part) > 2 and part.isalpha() and (part.islower() or part.isupper()) for part in _PARTS_OF_NAME.split(word)) > 1:
        # words: linux-node-20-lockfile, estimated_prompt_tokens_2026, CTRL_ALT_DEL
        return
    if (
        len(word) >= 16
        and re.fullmatch(r"[A-Za-z0-9_.~+/=:-]+", word)
        and any(map(str.isdigit, word))
        and any(map(str.isalpha, word))
    ):
        yield start, end


_CHECKSUM = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)


def key_of_something(candidate: str) -> Iterator[Span]:
    """Twenty characters at least; no checksum and no UUID, which name a row or a file under such a name."""
    for start, end in opaque(candidate):
        if end - start >= 20 and not _CHECKSUM.fullmatch(candidate[start:end]) and not _is_place(candidate[start:end]):
            yield start, end


def _is_place(word: str) -> bool:
    """A path, a row of a cache, a date; base64 has a ``/`` too, and then capitals, small letters and digits in turn."""
    return ":" in word[:20] or ("/" in word and ("." in word or not random(word)))


def key_in_a_sentence(candidate: str) -> Iterator[Span]:
    """The same length; an address on a chain is public."""
    if not candidate.startswith(("0x", "0X")):
        yield from opaque(candidate.rstrip("."))


def key_of_environment(candidate: str) -> Iterator[Span]:
    """The value in ``PAYMENTS_KEY=…``, in capitals; caches and tables have keys too, and those are named for it."""
    parts = _PARTS.fullmatch(candidate)
    if parts and not _NOT_SECRET.search(parts[1]):
        at = parts.start(2)
        for start, end in opaque(parts[2]):
            if end - start >= 20 and not _is_place(parts[2][start:end]):
                yield at + start, at + end


def assigned_below(candidate: str) -> Iterator[Span]:
    """A value on the line under its name: three characters at least, and no reference or state."""
    start, end = _bare(candidate)
    value = candidate[start:end]
    if len(value) >= 3 and value[0] not in "${<" and value.lower() not in {"null", "none", "true", "false", "string"}:
        yield start, end


def unquoted(candidate: str) -> Iterator[Span]:
    """A value of a command's option without its quotes; three characters at least, and no reference."""
    start, end = _bare(candidate)
    if end - start >= 3 and candidate[start] not in "${<":
        yield start, end


def _option(words: str, value: str = _VALUE) -> Kind:
    return Kind("credential", rf"{words}({value})", unquoted)


WRITTEN_SECRETS: tuple[Kind, ...] = (
    Kind(
        "credential",
        rf"(?i)(?:\b|_)(?:{_ISSUERS})[a-z_. -]{{0,20}}key[\"']?\]?[ \t]*(?:[:?]{{0,3}}=|=>|:)[ \t]*({_VALUE})",
        opaque,
    ),
    Kind("credential", rf"(\b[A-Z][A-Z0-9_]*_(?:KEY|SALT)[\"']?\]?[ ]*(?:=>?|:|,)[ ]*{_VALUE})", key_of_environment),
    # A key by the name of what it opens: telnyx_key = …, mapsKey: …; `OTHER_KEYS` opens nothing
    Kind(
        "credential",
        rf"(?:[A-Za-z0-9][_-](?i:key|pat)|[a-z0-9](?:Key|KEY))[\"']?\]?[ \t]*(?:[:?]{{0,3}}=|=>|:)[ \t]*({_VALUE})",
        key_of_something,
        unless=OTHER_KEYS,
    ),
    # A word for it and a blank, as logs write: "invalid token 3f2a…"
    Kind(
        "credential",
        r"(?i)\b(?:(?:api|access|secret|auth|bearer|refresh|private|licen[cs]e)[ _-]?(?:key|token)|token|secret|password)[ ]"
        r"[\"'`(]?([A-Za-z0-9_.~+/=-]{20,})",
        key_in_a_sentence,
    ),
    # let password: String = "…", const password: &str = "…", var password string = "…"
    Kind(
        "credential",
        rf"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|api_?key)[a-z0-9_]*\??(?:[ ]?:[ ]?|[ ])&?(?:'static )?"
        rf"(?:str|string|std::string|text|securestring|any)[ ]*=[ ]*({_QUOTED})",
        mixed,
    ),
    # Prose, tables and markdown: **Password:** …, | password | …, password (temporary): …, password for ann: …
    Kind(
        "credential",
        rf"(?i)(?:{_NAMES})(?:[ ]?\([^()\n]{{1,30}}\)|[ ](?:for|от|від|pour|für|de|del|van)(?: [^\s:]{{1,30}}){{1,2}}|[ ]is)?"
        r"[*_`]{0,3}[ \t]*(?:[:=|\x{2013}\x{2014}\x{2192}\x{300C}]|-|->|"
        r"</t[dh]>[ \t]*<td[^<>\n]{0,40}>)[*_`]{0,3}[ \t]*[`\"'*\x{300C}]{0,3}"
        r"([^\s<>\x{300D}]+)",
        mixed,
    ),
    Kind(
        "credential",
        r"(?i)(?:(?:pass ?word|passwd|pwd) will be|\bwi-?fi pass(?: is)?|пароль|पासवर्ड है|kata sandi saya|"
        r"كلمة (?:ال)?(?:مرور|سر) هي|şifrem)"
        r"[ ]([^\s<>]+)",
        mixed,
    ),
    # Names of keys in other languages, and passwords behind "of mine is": letters of a keyboard for passwords
    Kind(
        "credential",
        r"(?i)(?:ключ API|API-ключ|(?:секретный|закрытый|приватный) ключ|токен(?: доступа)?|密钥|密鑰|令牌|秘密鍵|APIキー|"
        r"アクセスキー|シークレットキー|アクセストークン|API ?키|비밀 ?키|시크릿 ?키|액세스 ?토큰|مفتاح (?:API|واجهة البرمجة)|"
        r"klucz API|clave (?:de )?API|clé (?:d['\x{2019}])?API|chave (?:de |da )?API|chiave API|API-Schlüssel|API anahtarı|"
        r"khóa API|kunci API)[\"'`*\x{300D}]{0,2}(?:[ \t]*(?:[:=]|-|\x{2014}|\x{2013})|は|が|是|为|為|는|은|"
        r" (?:هو|это|là|adalah|to|es|est|é|è|lautet|ist))"
        r"[ \t]*[\"'`*\x{300C}]{0,3}([!#-'*-;=?-~]{8,})",
        said,
    ),
    Kind(
        "credential",
        r"(?i)(?:пароль (?:от|до|к|для|на) [^\s:]{1,24}(?: [^\s:]{1,24})?|парола(?:та)?(?: ми)?(?: е)?|비번|비밀번호|पासवर्ड|"
        r"كلمة (?:ال)?(?:مرور|سر)(?: الخاصة بي)?(?: هي)?|(?:رمز عبور|پسورد|گذرواژه)(?: من)?|הסיסמה(?: שלי)?(?: היא)?|"
        r"รหัสผ่าน(?:ของ(?:ฉัน|ผม|ดิฉัน))?(?:คือ)?|mật khẩu(?: của (?:tôi|em|mình|anh|chị))?(?: là)?|"
        r"κωδικός(?: πρόσβασης)?(?: μου)?(?: είναι)?|jelszavam|\bparola(?: mea| mea este)?|parolam|şifrə|"
        r"salasanani(?: on)?|kata sandi (?:saya|anda|aku) adalah|password ko ay|මුරපදය|iphasiwedi|nywila|kalmar sirri)"
        r"[ ]?:?[ ]?[\"'`\x{201C}\x{AB}]?([!#-'*-9;=?-~]{6,})",
        said,
    ),
    Kind("credential", r"(?i)\bcreds:[ ]*[^\s:]{1,40}:([^\s<>]+)", mixed),
    Kind(
        "credential",
        r"(?im)^[ \t]*(?:passw(?:or)?d|passwort|пароль|senha|contraseña|mot de passe)[ \t]*:[ \t\r]*\n[ \t]*([^\s<>]+)[ \t\r]*$",
        mixed,
    ),
    # - name: DB_PASSWORD ⏎ value: …, and variable "api_key" { ⏎ default = …: `slices` keeps both lines together
    Kind(
        "credential",
        r"(?i)(?:\bname[\"']?[ \t]*[:=][ \t]*[\"']?"
        r"|\bvariable[ \t]+\")[a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|_key|_pwd|_pass)"
        rf"[\"']?,?(?:[ \t]*\{{)?[ \t\r]*\n[ \t]*[\"']?(?:value|default)[\"']?[ \t]*[:=][ \t]*({_VALUE})",
        assigned_below,
    ),
    # Files of settings whose names and values have a blank between, and devices
    Kind("credential", rf"(?m)^[ \t]*(?:password|requirepass|masterauth|AUTH)[ \t]+({_VALUE})[ \t\r]*$", mixed),
    _option(r"\blogin[ \t]+[^\s]{1,64}[ \t]+password[ \t]+"),
    _option(r"(?i)\b(?:snmp-server community|(?:enable|username [^\s]{1,40}) (?:secret|password)(?: [0-9])?)[ ]+", r"[^\s]+"),
    _option(r"(?i)\bidentified(?: with [a-z0-9_]+)? by[ ]+", r"\"[^\"\n]{3,}\""),
    # Command lines
    _option(r"(?i)\bconvertto-securestring[ ]+(?:-string[ ]+)?", _QUOTED),
    _option(r"(?:^|[\s\"'])-(?:storepass|keypass|srcstorepass|deststorepass)[ ]+"),
    _option(r"\b-?pass(?:in|out)?[ ]+pass:"),
    _option(r"\bopenssl[ ]+enc\b[^\n|;]*? -(?:k|K)[ ]+"),
    _option(r"\b(?:docker|podman|nerdctl|buildah|skopeo|helm|az|oc|cf)\b[^\n|;]*? login\b[^\n|;]*? -p[ =]?"),
    _option(r"\b(?:smbclient|smbget|net|rpcclient)\b[^\n|;]*? -U[ ]?[^\s%]{1,64}%"),
    _option(r"(?i)\bnet use\b[^\n|;]*? /user:[^\s]{1,64}[ ]+"),
    _option(r"--from-literal=[A-Za-z0-9_.-]{1,64}="),
    _option(r"\bhttps?[ ]+(?:[^\n|;]*? )?(?:-a|--auth)[ ]+[^\s:]{1,64}:"),
    _option(r"(?i)(?::thin:|\bsqlplus[ ]+)[^\s/@:]{1,40}/", r"[^\s@/]{3,}@"),
    # Passwords' hashes, of crypt(3), of LDAP and of PHC's form
    Kind(
        "credential",
        r"(\$(?:1|2[abxy]?|5|6|7|8|9|y|krb5(?:asrep|tgs|pa)|apr1|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*)\$[./A-Za-z0-9$=,+_@:*-]{20,})",
    ),
    Kind("credential", r"\{(?:S?SHA(?:256|384|512)?|S?MD5)\}[A-Za-z0-9+/]{20,}={0,2}"),
    # Codes for one use, cards' and wallets'
    Kind(
        "credential",
        r"(?i)\b(?:G-)?([0-9]{4,8}) (?:is|ist|est|es|è) (?:your|ihr|dein|votre|ton|su|tu|il tuo) [^\n.]{0,40}(?:code|"
        r"código|codice|pin|password)",
        whole,
    ),
    Kind(
        "credential",
        r"(?i)\b(?:your|votre|ton|tu|su|ihr|dein|il tuo|seu|twój|je|uw|din|ваш)(?: (?:verification|login|access|security))?"
        r" (?:code|código|codice|kod|код|kode)(?: (?:is|est|es|ist|lautet|è|é|to|er|är))?:?[ ](?:G-)?([0-9]{4,8})\b",
        whole,
    ),
    Kind(
        "credential",
        r"(?i)\b(?:code|код|codigo|código): ?([0-9]{4,8})(?:[ ]?[.,;]? (?:для входа|para entrar|to (?:log|sign) in))",
        whole,
    ),
    Kind("credential", r"(?i)\bprivate[ _-]?key[^\n]{0,12}?[ :=\"'](0x[0-9a-f]{64})\b", whole),
    Kind(
        "credential",
        r"(?i)\b(?:cvv2?|cvc2?|(?:karten)?prüf(?:ziffer|nummer)|cryptogramme(?: visuel)?)"
        r"[\"']?(?: code| number)?[ ]?(?:[:=#]|is|ist|est|es|)[ ]?[\"']?([0-9]{3,4})\b",
        whole,
    ),
    Kind("credential", r"\bPIN ([0-9]{4})\b", whole),
    Kind("credential", r"\b[Pp]asscode ([0-9]{4,10})\b", whole),
    Kind(
        "credential",
        r"(?i)\b(?:seed|recovery|mnemonic|backup)(?: (?:phrase|words))?[\"']?[ \t]*(?:[:=]|is|"
        r"ist)[ \t]*[\"']?([a-z]{3,8}(?: [a-z]{3,8}){11,23})\b",
        only_if(lambda words: len(words.split()) in {12, 15, 18, 21, 24}),
    ),
)
