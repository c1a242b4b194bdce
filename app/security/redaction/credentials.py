r"""Secrets by the shapes that their issuers document, and by the names before them.

A name is enough: the value of ``password: …`` goes though it has letters alone. A reference (``${…}``, a call) stays, and so does
a word for a state ("required"). Behind names that have other senses too (token, pass, secret) the first word of a sentence stays.
`named` decides for the keys of a JSON document, where the whole value is meant.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from app.security.redaction.detectors import Kind, Span, only_if, whole
from app.security.redaction.issuers import SHAPES, SHORT_PREFIXES, alternatives

# Names that mean a secret and nothing else, wherever they end: DB_PASSWORD, client-secret.
_STRONG = (
    r"password|passwd|pass[ _-]?phrase|pass[ _-]?code|pass[ _-]?wort|kennwort|pwd|"
    r"api[ _.-]?key|secret[ _.-]?key(?:[ _.-]?base)?|(?:secret[ _.-]?)?access[ _.-]?key(?:[ _.-]?id)?|account[ _.-]?key|"
    r"private[ _.-]?key|"
    r"(?:aes|crypt|crypto|cipher|root|service|server|shared|pre-?shared|instrumentation|functions|recovery|"
    r"master|encryption|signing|subscription|license|licence|admin|write|integration|jwt|hmac|auth|app|function|"
    r"storage)[ _.-]?key|"
    r"(?:client|app|application|consumer|shared|jwt|webhook|signing|session|oauth|auth|cookie|api|token)[ _.-]?secret|"
    r"shared[ _.-]?access[ _.-]?(?:key|signature)|(?:api|auth|access|refresh|session|security|id|csrf|xsrf|bot|bearer|"
    r"oauth|personal|private|"
    r"deploy|vault|user|service|device|push|verification|reset|login|jwt|app|bearer|sas|job|registry|github|gitlab|slack|"
    r"npm|admin)[ _.-]?token|unseal[ _.-]?key|"
    r"connection[ _.-]?string|authorization[ _.-]?code|(?:verification|security|pin|card verification|mfa|2fa|backup|"
    r"recovery|one-time|authentication)[ _.-]codes?|credentials?|pass word|p/w|x-jfrog-art-api"
)
# Names with other senses too. They begin a word, or a part of a name such as CLOUDFLARE_API_TOKEN.
_WEAK = (
    r"clave|token|secret|pass|pw|pin|otp|totp|cvv2?|cvc2?|sess(?:ion)?[ _.-]?id|phpsessid|jsessionid|sid|session|"
    r"auth|passkey|tan|"
    r"psk|mdp|csrf|cf_clearance|code_verifier|client_assertion|aspnetcore\.[a-z]{1,20}"
)
# Other languages'. RE2 knows no border of a word beyond ASCII, so these may stand anywhere.
_ABROAD = (
    r"mot de passe|code secret|phrase secrète|contraseñ[ao]|contrasenya|clave secreta|clave de acceso|palabra de paso|"
    r"senha|palavra-passe|"
    r"palavra passe|chave secreta|parola d['\x{2019}]ordine|parola d['\x{2019}]accesso|parola chiave|parolă|hasł[oa]|"
    r"wachtwoord|toegangscode|"
    r"paswoord|kata laluan|şifrem|비번|bestätigungscode|sicherheitscode|verifizierungscode|code de (?:vérification|sécurité)|"
    r"código de (?:verificación|verificação|seguridad|segurança)|codice di (?:verifica|sicurezza)|verificatiecode|"
    r"kod weryfikacyjny|код подтверждения|認証コード|确认码|验证码|驗證碼|인증번호|doğrulama kodu|رمز التحقق|קוד אימות|"
    r"mã xác (?:nhận|minh)|"
    r"wlan-?schlüssel|"
    r"lösenord|adgangskode|kodeord|passord|salasana|heslo|jelszó|lozinka|zaporka|geslo|slaptažodis|parool|salasõna|şifre|"
    r"sifre|parolası|"
    r"κωδικός(?: πρόσβασης)?|συνθηματικό|парол[ьяі]?|паролата|лозинка|кодовое слово|סיסמה|סיסמא|كلمة (?:ال)?(?:مرور|سر)|"
    r"الرقم السري|رمز عبور|گذرواژه|"
    r"パスワード|暗証番号|パスフレーズ|合言葉|密码|密碼|口令|비밀번호|암호|पासवर्ड|कूटशब्द|पिन कोड|पिन नंबर|পাসওয়ার্ড|"
    r"கடவுச்சொல்|รหัสผ่าน|mật khẩu|kata sandi|"
    r"código de acceso|código secreto|código pin|codice segreto|codice pin|geheimcode|geheimnummer|geheime code|"
    r"zugangscode|zugangsdaten|schlüsselwort|pin-?code|pincode|pin number|pin-nummer|pin ist|pin is|"
    r"einmal-?(?:code|passwort|kennwort|pin)|code à usage unique|código de un solo uso|одноразовый (?:код|пароль)|"
    r"jednorazow[aey] (?:kod|hasło)|"
    r"lykilorð|\bparol|fjalëkalim[a-z]{0,2}|nenosiri|wagwoord|contrasinal|pasahitz[a-z]{1,2}|cyfrinair|focal faire|pasfhocal|"
    r"passwuert|pasvorto|лозинк[еу]|құпия ?сөз|сырсөз|нууц үг|գաղտնաբառ|პაროლი|የይለፍ ቃል|"
    r"ਪਾਸਵਰਡ|પાસવર્ડ|పాస్‌?వర్డ్|ಪಾಸ್‌?ವರ್ಡ್|പാസ്‌?വേഡ്|පාස්‌?වර්ඩ්|गुप्त ?कोड|गोप्य ?शब्द|চাবিশব্দ|"
    r"စကားဝှက်|ពាក្យសម្ងាត់|ລະຫັດຜ່ານ|پاس ?ورڈ|security answer|secret answer|sicherheitsantwort|réponse secrète|respuesta secreta"
)
_UNSPACED = "認証コード|验证码|驗證碼|인증번호|パスワード|暗証番号|パスフレーズ|密码|密碼|口令|비밀번호|암호"
_IS = r"[ \t]+(?:is|ist|lautet|est|es|è|é|to|jest|är|er|on|je|là|adalah|war|was)[ \t]|は|が|है|는|은|是"
_QUOTED = r"\"[^\"\n\\]+\"|'[^'\n\\]+'"
_BARE = r"[\"']?[^\s\"',;<>\\]+"  # a quote that nothing closes too: the text was cut off
_ENDS = r"(?:[\s.,;!?\"'<>&\\)]|$)"  # behind words, so that none of them is the next name
_VALUE = rf"(?:{_QUOTED}|{_BARE})"
_ASSIGNS = r"[\"'\x{201D}]?\]?[ \t]*(?:[:?]{0,3}=|=>|:)[ \t]*"

# Words that announce a secret and are none: states, types, and how a sentence begins, in the languages of `_ABROAD`.
_NO_VALUE_WORDS = (
    "required optional none null nil undefined true false yes no on off enabled disabled string str bytes text number "
    "integer int bool "
    "boolean object any password passwd secret token hidden masked redacted omitted changed reset expired invalid "
    "incorrect wrong missing "
    "unknown empty forgotten forgot lost unset set default example placeholder please enter your the an must may should "
    "can cannot is are "
    "was were will not and or with for from to of in see here below above this that it its we you they each every all "
    "never always when "
    "if only use used using how what where why protected manager policy strength field input confirm confirmation repeat "
    "again new old "
    "current write read include omit same-origin case-sensitive same auth basic digest mandatory needed valid ok failed passed "
    "success too weak strong short long letters characters "
    "vergessen erforderlich falsch ungültig ungueltig abgelaufen pflicht pflichtfeld geändert bitte eingeben ihr das der "
    "die ein eine nicht "
    "notwendig oublié oubliée requis requise obligatoire incorrect invalide expiré expirée votre le la les un une "
    "veuillez olvidada olvidado "
    "requerida requerido obligatorio obligatoria incorrecta incorrecto inválida inválido caducada su el los dimenticata "
    "richiesta richiesto "
    "obbligatoria obbligatorio errata errato scaduta esquecida obrigatória obrigatório incorreta inválido expirada sua "
    "seu zapomniane "
    "wymagane nieprawidłowe wygasło twoje vergeten vereist verplicht onjuist verlopen uw het een de krävs glömt glemt påkrævet"
)
_NO_VALUES = frozenset(_NO_VALUE_WORDS.split())
_REFERENCE = re.compile(
    r":(?:[a-z_]+$|[A-Za-z_]+[(.:])|[$#]\{|\$|\{\{|<|\*{3}|%\(|%s|\.\.\.|…|•|x{4,}$|(?:self|this|os|process|settings|config|env|args|request|data|user|"
    r"params|secrets|var|local)[.\[]|"
    r"/(?:run|etc|home|root|usr|var|tmp|opt|mnt|app|users|workspace|secrets)/|[A-Za-z_][\w.]*[(\[]|(?:async|await|"
    r"new|lambda|function)$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[A-Za-z]+[.,:!?]?$")
_OWN_NAME = re.compile(
    rf"(?:.* )?(?:{_STRONG.replace('[ _.-]', '[ ]')}|{_ABROAD.replace(chr(92) + 'x{2019}', chr(0x2019))}|token|secret|"
    rf"pass|pw|pin|otp|totp|cvv2?|"
    r"cvc2?|session id|phpsessid|jsessionid|sid|authorization|cookie|set cookie|passkey)",
    re.IGNORECASE,
)
_NUMBERS_TOO = re.compile(r"(?:.* )?(?:pass(?:word|code|wd)|pwd|pin|otp|totp|cvv2?|cvc2?|.* code)", re.IGNORECASE)


@lru_cache(1024)
def is_own_name(label: str) -> bool:
    """Return whether a key is a secret's: `named` is true of no other."""
    return _OWN_NAME.fullmatch(label) is not None


def named(label: str, value: str, *, number: bool) -> bool:
    """Return whether ``value`` under the key ``label`` of a JSON document is a secret; if so, all of it is.

    ``label`` has blanks where the key has joints. Numbers are PINs and the like; a count of tokens is none.
    """
    if len(value) < 3 or not is_own_name(label):
        return False
    if number:
        return bool(_NUMBERS_TOO.fullmatch(label))
    return _is_value(value.strip()) and not (label.lower() == "token" and len(value) < 8)


_JOINT = re.compile(
    r"[\"'\u201d]?\]?(?:[ \t]*(?:=>|[:?]{0,3}=|(?P<spaced>::?[ \t]+)|:)|(?P<is>[ \t]+\w+[ \t])|(?P<particle>[はが是]|है|는|"
    r"은))[ \t]*[\u300c\u300e\u201e\u201c\xab]*"
)
_OPENED = "\u300c\u300e\u201e\u201c\xab"
_OWN_WORD = re.compile(r"[\"']|[!-~]{4}")


def _is_value(word: str) -> bool:
    return bool(word) and word.lower().rstrip(".:!?") not in _NO_VALUES and not _REFERENCE.match(word)


_NEXT_PARAMETER = re.compile(r"&(?:[A-Za-z_][\w.\[\]-]*=|$|&)")


def _inner(candidate: str) -> Span:
    """A value without its quotes, or without the brackets that end what it stands in."""
    start = int(candidate[0] in "\"'")
    quoted = start and len(candidate) > 1 and candidate[-1] == candidate[0]
    if quoted:
        return start, len(candidate[:-1].rstrip())  # a blank there may stand for a sign that escapes the quote
    following = _NEXT_PARAMETER.search(candidate, start)
    value = candidate[: following.start()] if following else candidate
    return start, len(value.rstrip(")]}\"'"))


def assigned(candidate: str) -> Iterator[Span]:
    """The value of a name that means a secret and nothing else."""
    start, end = _inner(candidate)
    if end - start >= 3 and _is_value(candidate[start:end]):
        yield start, end


def assigned_to_weak(candidate: str) -> Iterator[Span]:
    """The value of a name with other senses: four characters at least, and not the first word of a sentence."""
    word, _, rest = candidate.partition(" ")
    if candidate[:1] in "\"'" or not (rest and _SENTENCE.fullmatch(word)):
        value = candidate if candidate[:1] in "\"'" else word
        start, end = _inner(value)
        if end - start >= 4 and _is_value(value[start:end]):
            yield start, end


_APP_PASSWORD = re.compile(r"[a-z]{4}(?: [a-z]{4}){3}")  # Google's, for programs


def named_in_text(candidate: str) -> Iterator[Span]:
    """The text between a name that means a secret and its value, and the value."""
    joint = _JOINT.match(candidate)
    at = joint.end() if joint else 0
    value = candidate[at:]
    word = value if value[:1] in "\"'" else value.partition(" ")[0]
    if joint and joint["particle"] and joint[0][-1] not in _OPENED and not _OWN_WORD.match(value):
        return  # a sentence about passwords: theirs have no blanks, and a keyboard for passwords writes English letters
    if joint and joint["is"] and value[:1] not in "\"'":
        found = spoken(word)
    elif joint and value[:1] not in "\"'" and (joint["spaced"] or _APP_PASSWORD.fullmatch(value)):
        found = phrase(value)
    else:
        found = assigned(word)
    for start, end in found:
        yield at + start, at + end


def phrase(candidate: str) -> Iterator[Span]:
    """The text after ``password: `` on the line: one word, or several small ones that make a phrase."""
    words = candidate.split(" ")
    if not _is_value(words[0]) or len(words[0].rstrip(")]}")) < 3:
        return
    small = len(words) >= 3 and all(w.isalpha() and w.islower() and w not in _NO_VALUES for w in words)
    yield 0, len(candidate) if small else len(words[0].rstrip(")]}"))


def spoken(candidate: str) -> Iterator[Span]:
    """After "my password is": no word of a sentence, so a digit, a sign, a capital within or a length that few words have."""
    start, end = _inner(candidate)
    end = start + len(candidate[start:end].rstrip(".,:"))
    word = candidate[start:end]
    if len(word) >= 4 and _is_value(word) and (not word.isalpha() or not word.islower() or len(word) >= 14):
        yield start, end


def spoken_with_digits(candidate: str) -> Iterator[Span]:
    """After "my PIN is": four characters at least with a digit among them, as all else may be a sentence."""
    for start, end in spoken(candidate):
        if any(c.isdigit() for c in candidate[start:end]):
            yield start, end


_SCHEMES = (
    "basic bearer token apikey api-key ssws digest ntlm negotiate oauth hawk key bot splunk flyv1 geniekey sso-key mac "
    "jwt dpop "
    "sharedaccesssignature sharedkey aws4-hmac-sha256 googlelogin klaviyo-api-key private-token discogs vapid signature"
)
_KNOWN_SCHEMES = frozenset(_SCHEMES.split())


def authorization(candidate: str) -> Iterator[Span]:
    """The value of an Authorization header after its scheme, for any scheme."""
    scheme, _, value = candidate.partition(" ")
    if not value:
        scheme, value = "", candidate
    known = scheme.lower() in _KNOWN_SCHEMES
    if not known and len(scheme) >= 16 and any(map(str.isdigit, scheme)) and _is_value(scheme):  # a token, and then the sentence
        yield 0, len(scheme)
        return
    start = len(candidate) - len(value.lstrip())
    value = candidate[start:].rstrip(" .")
    if value.lower() in _KNOWN_SCHEMES:  # and what follows is redacted already
        return
    if len(value) >= 6 and _is_value(value) and (known or not value.isalpha() or not value.islower()):
        yield start, start + len(value)


def bearer(candidate: str) -> bool:
    """A token, and not the next word of a sentence about bearers: "basic requirements", "Basic Authentication"."""
    return not candidate.isalpha() or (not candidate.islower() and not candidate.istitle() and not candidate.isupper())


def user_and_password(candidate: str) -> Iterator[Span]:
    """``ann:…`` behind ``-u``; ``1000:1000`` is a user's and a group's number."""
    user, _, password = candidate.partition(":")
    if len(candidate) >= 6 and not (user.isdigit() and password.isdigit()) and not _REFERENCE.match(password):
        yield 0, len(candidate)


def random(candidate: str) -> bool:
    """Capitals, small letters and digits in turn, as a key has them: a name of a test, a host or a file has words."""
    kinds = ["A" if c.isupper() else "a" if c.islower() else "1" for c in candidate if c.isalnum()]
    turns = sum(one != other for one, other in pairwise(kinds))
    return kinds.count("A") >= 3 and kinds.count("a") >= 3 and kinds.count("1") >= 2 and turns >= 0.4 * len(kinds)


_KEY_BEGINS = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
# Known by their own shape, and by what stands before them.
TOKENS: tuple[Kind, ...] = (
    Kind(
        "private-key",
        # Its lines may be quoted in a mail, or be strings that a program joins: then signs stand between them.
        rf"{_KEY_BEGINS}(?:[A-Za-z0-9+/=:,.()\s-]|[\"'>|#*;+\s]{{1,40}}[A-Za-z0-9+/=]{{16,}})*?"
        r"(?:[\"'>|#*;+\s]{1,40}[A-Za-z0-9+/=]{1,64})?[\"'>|#*;+\s]*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
    ),
    Kind(  # cut off
        "private-key", rf"{_KEY_BEGINS}[A-Za-z0-9+/=\s]*(?:[\"'>|#*;+\s]{{1,40}}[A-Za-z0-9+/=]{{32,}}[ \t\r]*)*"
    ),
    # The same in base64, as Kubernetes and CI hold it. Certificates begin otherwise.
    Kind(
        "private-key",
        r"\bLS0tLS1CRUdJTiB(?:QUklWQVRF|SU0Eg|FQyBQ|PUEVOU1NI|FTkNSWVBU|EU0Eg|QR1AgUFJJVkFURS)[A-Za-z0-9+/]{20,}={0,2}",
    ),
    # Signed tokens have three parts, encrypted ones five; a header may begin with blanks.
    Kind(
        "jwt",
        r"\b(?:eyJ|eyAi|ewog|ew0K)[A-Za-z0-9_-]{8,}\.(?:[A-Za-z0-9_-]{8,})?\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+){0,2}|"
        r"\bZXlK[A-Za-z0-9+/]{60,}={0,2}",
    ),
    # One row for each: joined, they make an automaton that RE2 cannot keep in memory, and searching is a hundred times as slow.
    *(Kind("credential", rf"\b(?:{shape})") for row in SHAPES for shape in alternatives(row)),
    Kind("credential", rf"\b(?:{SHORT_PREFIXES})", only_if(random), not_after="-_/."),
)
CREDENTIALS: tuple[Kind, ...] = (
    Kind(
        "credential",
        r"(?i)\b(?:proxy-)?authorization[\"']?[ \t]*[:=][ \t]*[\"']?"
        r"([^\s\"',;<>\\]+(?:[ \t]+[^\s\"',;<>\\]+)?(?:,?[ ]*[a-z_-]+=\"?[^\s\",;<>\\]+\"?)*)",
        authorization,
    ),
    Kind("credential", r"(?i)\b(?:bearer|basic|ssws)[ \t]+([A-Za-z0-9._~+/=-]{16,})", only_if(bearer)),
    Kind("credential", r"(?i)\bset-cookie2?[\"']?[ \t]*:[ \t]*[\"']?[A-Z0-9!#$%&*+.^_|~-]+=([^\s;\"'<>\\]+)", whole),
    Kind(
        "credential",
        r"(?i)(?:^|[^-])\bcookie[\"']?[ \t]*:[ \t]*[\"']?([A-Z0-9!#$%&*+.^_|"
        r"~-]+=[^\s;\"'<>\\]+(?:;[ ]?[^\s=;\"'<>\\]+=[^\s;\"'<>\\]*)*)",
    ),
    Kind(
        "credential", rf"(?:{_UNSPACED})(?:は|が|是|为|為|는|은)?[ ]?[\x{{300C}}\x{{300E}}\x{{201C}}\"]?([!-~]{{4,}})", assigned
    ),
    Kind(
        "credential",
        rf"(?i)(?:{_STRONG}|{_ABROAD})([\"'\x{{201D}}]?\]?(?:[ \t]*(?:[:?]{{0,3}}=|=>|::[ ]|:)|"
        rf"{_IS})[ \t]*[\x{{300C}}\x{{300E}}\x{{201E}}\x{{201C}}\x{{AB}}]*"
        rf"(?:{_QUOTED}|{_BARE}(?: [a-z]+){{0,8}})){_ENDS}",
        named_in_text,
        unless=r"\$(?:OLD)?PWD$",  # a shell's directory: -v "$PWD:/work"
        resume=True,
    ),
    Kind(
        "credential", rf"(?i)(?:\b|_)(?:{_WEAK}){_ASSIGNS}({_QUOTED}|{_BARE}(?: [a-z]+)?){_ENDS}", assigned_to_weak, resume=True
    ),
    Kind("credential", rf"[a-z0-9](?:Token|TOKEN|Secret|SECRET|Pass|Pwd|Pw|Pin|Otp){_ASSIGNS}({_VALUE})", assigned_to_weak),
    Kind(
        "credential", rf"(?i)[\"'][a-z0-9_.-]*(?:passw(?:or)?d|pwd|secret|token|api[_-]?key)[\"'],[ ]?b?({_QUOTED})", spoken
    ),  # a default beside a name, a header as servers hold it
    Kind("credential", r"\bBUNDLE_[A-Z0-9_]+__(?:COM|IO|ORG|NET)[\"']?[ \t]*[:=][ \t]*[\"']?([^\s\"':]+:[^\s\"';&]+)", whole),
    Kind(
        "credential",
        r"(?i)\b(?:pin|otp|token|secret|clave|tan)(?: code| number)?[ ](?:is|ist|est|es|è|é|to|lautet)[ ]"
        r"([^\s\"',;<>\\]*[0-9][^\s\"',;<>\\]*)",
        spoken_with_digits,
    ),
    # Command lines, SQL, XML
    Kind(
        "credential",
        rf"(?i)\b(?:set|add|env|arg|setx)[ ]+[\"']?[a-z0-9_.:-]*(?:_key|token|secret|password|_pass|_pwd)[\"']?[ ]+({_VALUE})",
        spoken_with_digits,
    ),
    Kind(
        "credential",
        rf"(?i)(?:^|[\s\"'])--?(?:[a-z0-9]+-)*(?:pass(?:word|wd|phrase|code)?|pw|pwd|token|secret|(?:api|access|secret|"
        rf"auth)-?key)"
        rf"[ \t]+({_QUOTED}|[^\s\"'\\-][^\s\"'\\]*)",
        assigned,
    ),
    Kind(
        "credential",
        r"(?:^|[\s\"'])(?:-u|--user|--proxy-user|-U)[ =]{0,3}[\"']?([^\s\"'\\:]{0,64}[\"']?:[\"'\\]{0,2}[^\s\"'\\]*)",
        user_and_password,
    ),
    Kind("credential", rf"\b(?:sshpass[ \t]+-p[ \t]*|redis-cli[^\n|;]*? -a[ \t]+)({_VALUE})", assigned),
    Kind("credential", rf"\b(?:mysql|mysqldump|mariadb|mongo|mongosh)\b[^\n|;]*? -p[ \t]?({_VALUE})", assigned),
    Kind(
        "credential",
        r"(?i)\b(?:identified(?: with [a-z0-9_]+)? by|password(?: for [^\s=]{1,40})?)(?:[ \t]*=[ \t(]*|[ \t(]+)N?"
        r"(?:'([^'\n]{3,})')",
        whole,
    ),
    Kind(
        "credential",
        rf"(?i)<(?:[a-z0-9]+:)?(?:[a-z0-9_.-]*(?:passw(?:or)?d|passwort|pwd|secret|token|key|passphrase)|"
        rf"{_WEAK})(?: [^<>\n]*)?>([^<>\n]{{3,}})</",
        assigned,
    ),
    Kind(
        "credential",
        rf"(?i)\b(?:key|name|id)=[\"'][a-z0-9_.:-]*(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|"
        rf"passphrase)[\"'][ \t]+value=({_QUOTED})",
        assigned,
    ),
    Kind("url-credentials", r"(?i)\b[a-z][a-z0-9+.-]{1,30}://([^\s/?#\"'<>\\:]*:[^\s/?#\"'<>\\]+)@"),
    Kind("url-credentials", r"(?i)\bhttps?://([0-9a-f]{32})@[a-z0-9.-]+/[0-9]+"),  # where errors are sent
    Kind(
        "url-credentials",
        r"(?i)[?&](?:sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|sv?key|apikey|"
        r"token|ticket|jwt|auth)=([A-Za-z0-9%._~+/=-]{8,})",
    ),
    Kind("url-credentials", r"(?i)[?&](?:key|code)=([A-Za-z0-9%._~+/=-]{16,})"),
)
