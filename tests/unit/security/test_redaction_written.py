"""Secrets and numbers as manuals, scanners' rules and public test data write them; every value is made up, from parts (S5).

The forms come from rules of gitleaks, secretlint and detect-secrets, tests of Presidio's recognizers, and manuals of tools.
"""

import base64
import re

import pytest

from app.security.redaction.redactor import Redactor
from app.security.redaction.streams import StreamRedactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
REDACTOR = Redactor(b"a key for the tests of written secrets")
MIXED = "aB3dE5gH7jK9mN2pQ4rS6tU8vW"
HEX = "0a1b2c3d4e5f6789"


def run(length: int, alphabet: str = MIXED) -> str:
    return (alphabet * length)[:length]


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def opened(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


UUID = "-".join(run(n, HEX) for n in (8, 4, 4, 4, 12))
PRIVATE = " PRIVATE" + " KEY-----\n"
SHAPES = {
    "cloudflare": "cfut_" + run(48),
    "vercel": "vcp_" + run(56),
    "github app": "ghs_" + "12345_eyJ" + run(30) + ".eyJ" + run(40) + "." + run(43),
    "gitlab, routable": "glpat-" + run(27) + ".01." + run(9, HEX),
    "bedrock": "bedrock-api-key-" + run(60),
    "1password": "ops_eyJ" + "aB+/" * 40 + "=",
    "clickhouse": "4b1d" + run(38),
    "together": "tgp_v1_" + run(43),
    "supabase": "sbp_v0_" + run(40, HEX),
    "databricks": "dose" + run(32, HEX),
    "shopify": "shpss_" + run(32),
    "slack cookie": "xoxd-" + run(30) + "%2B" + run(20),
    "stripe org": "sk_org_live_" + run(24),
    "azure ai": run(52) + "JQQJ9" + "9" + run(24),
    "apify": "apify_api_" + run(36),
    "docker swarm": "SWMTKN-1-" + run(50, HEX) + "-" + run(25, HEX),
    "paseto": "v4.local." + run(80),
    "ory": "ory_at_" + run(43),
    "authress": "authress_" + run(6, HEX) + ".a1b2c.acc_" + run(12, HEX) + "." + run(40),
    "feishu": "open.feishu.cn/open-apis/bot/v2/hook/" + UUID,
    "pagerduty": "events.pagerduty.com/integration/" + run(32, HEX),
    "telegram in a path": "bot" + "1234567890" + ":AA" + run(33),
    "bip32": "xprv" + run(107),
    "logfire": "pylf_v1_us_" + run(44),
    "weights and biases": "wandb_v1_" + run(22) + "_" + run(50),
    "llamacloud": "llx-" + run(48),
    "cartesia": "sk_car_" + run(22),
    "cursor": "crsr_" + run(64, HEX),
    "gemini, since 2025": "AQ.Ab8" + "RN6" + run(44),
    "browserbase": "bb_live_" + run(9) + "-" + run(17),
    "voyage": "pa-" + run(20) + "-" + run(22),
    "modal": "ak-" + run(22),
    "coze": "pat_" + run(64),
    "jsr": "jsrp_" + run(40),
    "sanctum": "1|" + run(48),
    "cockroach": "CCDB1_" + run(22) + "_" + run(40),
    "aiven": "AVNS_" + run(20),
    "axiom": "xaat-" + UUID,
    "tinybird": "p.eyJ" + run(80) + "." + run(43),
    "socket": "sktsec_" + run(44) + "_api",
    "snyk": "snyk_uat." + run(8, HEX) + "." + run(40),
    "packagist": "packagist_uut_" + run(68, HEX),
    "depot": "depot_org_" + run(56, HEX),
    "infisical": "st." + run(24, HEX) + "." + run(32, HEX) + "." + run(32, HEX),
    "convex": "prod:happy-animal-123|" + run(64, HEX),
    "polar": "polar_oat_" + run(43),
    "paddle": "pdl_live_apikey_" + run(26, "abcdefgh") + "_" + run(22) + "_" + run(3),
    "onesignal": "os_v2_app_" + run(103, "abcdefgh234567"),
    "clickup": "pk_12345678_" + run(32, "A1B2C3D4"),
    "salesforce": "00D" + run(12) + "!" + run(80),
    "secret-token": "secret-token:" + run(20) + "%20x",
    "nostr": "nsec1" + run(58, "acdefghjklmn0234"),
    "hash of kerberos": "$krb5asrep$23$ann@shop.example:" + run(32, HEX) + "$" + run(80, HEX),
    "hash of crypt": "$6$" + run(8) + "$" + run(86),
    "hash of bcrypt": "$2y$10$" + run(53),
    "hash of argon2": "$argon2id$v=19$m=65536,t=3,p=4$" + run(22) + "$" + run(43),
    "hash of ldap": "{SSHA}" + run(32),
    "encrypted jwt": opened('{"alg":"dir","enc":"A256GCM"}') + ".." + run(16) + "." + run(40) + "." + run(22),
    "jwt of five parts": opened('{"alg":"RSA-OAEP"}') + "." + ".".join(run(n) for n in (60, 16, 40, 22)),
    "jwt with blanks": opened('{ "alg": "HS256"}') + "." + opened('{ "sub": "1"}') + "." + run(43),
    "jwt in base64": coded(opened('{"alg":"HS256"}') + "." + opened('{"sub":"1234"}') + "." + run(43)),
    **{
        f"{kind} in base64": coded(f"-----BEGIN{kind}{PRIVATE}{run(90)}")
        for kind in ("", " RSA", " EC", " OPENSSH", " ENCRYPTED")
    },
}
WRITTEN = [
    "OPENAI_KEY=«{k}»",
    'AZURE_OPENAI_KEY="«{k}»"',
    "algolia_key: «{h}»",
    'twilioKey = "«{k}»"',
    "PAYMENTS_KEY=«{k}»",
    "telnyx_key = «{k}»",
    'pixabayKey: "«{h}»"',
    "invalid token «{k}» for tenant",
    "using access key «{h}»",
    "InstrumentationKey=«{u}»;IngestionEndpoint=x",
    "define('SECURE_AUTH_SALT', '«{k}»');",
    "'password' => '«{p}»',",
    'let password: String = "«{p}»".into();',
    'var password string = "«{p}»"',
    "ENV POSTGRES_PASSWORD «{p}»",
    "setx API_KEY «{k}»",
    "requirepass «{p}»",
    "machine github.com login ann password «{p}»",
    "snmp-server community «{p}» RO",
    "username ann password 7 «{h}»",
    "ConvertTo-SecureString '«{p}»' -AsPlainText -Force",
    "keytool -storepass «{p}» -keypass «{p}»",
    "openssl rsa -passin pass:«{p}»",
    "openssl enc -aes-256-cbc -k «{p}»",
    "docker login -u ann -p «{p}»",
    "smbclient //srv/x -U ann%«{p}»",
    "net use Z: //srv/share /user:ann «{p}»",
    "kubectl create secret generic s --from-literal=foo=«{p}»",
    "http -a ann:«{p}» GET shop.example",
    'IDENTIFIED BY "«{p}»"',
    "CREATE LOGIN ann WITH PASSWORD = N'«{p}»'",
    "Authorization: «{k}» was refused",
    "**Password:** «{p}»",
    "| password | «{p}» |",
    "<td>Password</td><td>«{p}»</td>",
    "password – «{p}»",
    "password (temporary): «{p}»",
    "temporary password for ann: «{p}»",
    "Password:\n«{p}»",
    "пароль «{p}»",
    "mdp: «{p}»",
    "Ihr Bestätigungscode lautet «482913»",
    "G-«482913» is your verification code",
    "CVC: «123»",
    "Einmalcode: «482913»",
    "Tu código es «482913»",
    "lykilorð: «{p}»",
    "fjalëkalimi: «{p}»",
    "nenosiri: «{p}»",
    "wagwoord: «{p}»",
    "cyfrinair: «{p}»",
    "pasahitza: «{p}»",
    "құпия сөз: «{p}»",
    "нууц үг: «{p}»",
    "პაროლი: «{p}»",
    "የይለፍ ቃል: «{p}»",
    "પાસવર્ડ: «{p}»",
    "ਪਾਸਵਰਡ: «{p}»",
    "ពាក្យសម្ងាត់: «{p}»",
    "စကားဝှက်: «{p}»",
    "API密钥是«{k}»",
    "ключ API: «{k}»",
    "секретный ключ — «{k}»",
    "APIキーは«{k}»です",
    "API 키: «{k}»",
    "مفتاح API: «{k}»",
    "пароль от почты: «{p}»",
    "비번 «{p}»",
    "मेरा पासवर्ड «{p}» है",
    "รหัสผ่านของฉันคือ«{p}»",
    "mật khẩu của tôi là «{p}»",
    "הסיסמה שלי היא «{p}»",
    "رمز عبور من «{p}» است",
    "κωδικός μου είναι «{p}»",
    "parola mea este «{p}»",
    "паролата ми е «{p}»",
    "salasanani on «{p}»",
    "確認コード «482913»",
    "код підтвердження: «482913».",
    "Mã xác nhận của bạn là «482913»",
    "รหัสยืนยัน «482913»",
    "ओटीपी: «4829»",
    "mật khẩu là «{p}»",
    "security answer: «Rover»",
    "private key «0x{h}{h}»",
    '- name: DB_PASSWORD\n  value: "«{p}»"',
    "- name: API_TOKEN\n  value: «{p}»\n- name: PORT",
    'variable "api_key" {{\n  default = "«{p}»"',
    "recovery phrase: «" + "legal winner thank year wave sausage " * 1 + "worth useful legal winner thank yellow»",
]
PERSONAL = [
    ("driver-license", "Führerscheinnummer: «BO12345678A»"),
    ("driver-license", "permis de conduire n° «13AA00002»"),
    ("driver-license", "licencia de conducir «G3050123»"),
    ("driver-license", "водительское удостоверение «77 16 123456»"),
    ("driver-license", "운전면허번호: «11-22-123456-12»"),
    ("passport", "Pass-Nr.: «F12345671»"),
    ("passport", "«AAA123456» es mi número de pasaporte"),
    ("passport", "旅券番号「«TK1234567»」"),
    ("passport", "паспорт серия «4508 номер 123456»"),
    ("card", "card=«4111+1111+1111+1111»&x=1"),
    ("card", "n=«3782+822463+10005»&x=1"),
    ("iban", "iban=«GB82+WEST+1234+5698+7654+32»&x=1"),
    ("phone", "phone=«%2B81+90-1234-5678»&x=1"),
    ("phone", "tel=«0171+1234567»&x=1"),
    ("phone", "phone=«(202)+555-0123»"),
    ("national-id", "KVNR: «A123456780»"),
    ("national-id", "Steuerliche Identifikationsnummer: «36 574 261 809»"),
    ("national-id", "Unique Taxpayer Reference: «1955839661»"),
    ("national-id", "Permanent Account Number: «ACUPA7085R»"),
    ("national-id", "Nomor Induk Kependudukan: «3171011708450001»"),
    ("national-id", "Osobni identifikacijski broj: «33392005961»"),
    ("national-id", "Número de Identificación Tributaria: «576937-K»"),
    ("national-id", "Numéro d'Immatriculation Fiscale: «3023217600053»"),
    ("national-id", "Numri personal: «I05101999I»"),
    ("national-id", "indangamuntu: «1198780012345678»"),
    ("national-id", "ЛНЧ: «7111 042 925»"),
    ("national-id", "年金番号は«1234-567890»"),
    ("national-id", "台胞证: «12345678»"),
    ("national-id", "पैन नंबर «ACUPA7085R»"),
    ("national-id", "জন্ম নিবন্ধন নম্বর «19901234567890123»"),
    ("national-id", "رقم التعريف الوطني: «109870123456789012»"),
    ("national-id", "mon NAS: «258 933 688»"),
    ("national-id", "My Thai ID is «1234567890121»"),
    ("national-id", "MBI «1EG4-TE5-MK73»"),
    ("national-id", "GSTIN: «27ABCDE1234F1Z5»"),
    ("national-id", "RRN: «960121-1234567»"),
    ("national-id", "«19910924-2397» är mitt personnummer"),
    ("national-id", "«131052Y308T» and later"),
    ("plate", "Kennzeichen: «HH-AB 1234»"),
    ("plate", "plaka «34 ABC 1234»"),
    ("plate", "VIN «1HGCM82633A004352»"),
    ("bank-account", "routing number «121000358»"),
    ("bank-account", "Kontonummer: «1234567890»"),
    ("bank-account", "расчётный счёт «40817810099910004312»"),
    ("phone", "«8 (495) 123-45-67»"),
    ("phone", "мой номер телефона «8 (063) 544-30-37», почта"),
    ("phone", "«0 532 123 45 67»"),
    ("phone", "https://wa.me/«12025550123»"),
    ("phone", "Ph: «9876543210»"),
    ("birth-date", "«12 марта 1980» года рождения"),
    ("birth-date", "birth_date: «19800312»"),
    ("birth-date", "生年月日「«1980/3/12»」"),
    ("card", "«5019717010103742»"),
    ("card", "«6759649826438453»"),
]
STAYS = [
    'docker run -v "$PWD:/pwd" image',
    "PWD=/home/ci/project",
    "id-token: write",
    "primary_key=order_id",
    "credentials: include",
    "the password is case-sensitive",
    "password hash – argon2id",
    "password - at least 12 characters",
    "apt install passwd libpam-0g",
    "CACHE_KEY=" + run(26),
    "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: db",
    "- name: SECRET_NAME\n  value: ${NAME}",
    "- name: PORT\n  value: 8080",
    'variable "password" {\n  default = null',
    "your discount code 2024 and code 200 of HTTP",
    "parole: je pense, donc je suis",
    "cache_key=" + run(26),
    "sortKey: " + run(26),
    "content_hash_key = " + run(40, HEX),
    "translation_key = checkout.payment.method.card.title.v2",
    "token 0x" + run(40, HEX),
    "test_parse2JsonObjects3AndReturnList4 passed",
    "app-7d9f8b6c5d-x2x4zq9k1m2n3 is ready",
    "up_to_date_as_of_2026_Nov_23_for_All_Regions",
    "as-you-like-it-Act-2-Scene-7-All-The-Worlds-A-Stage",
    "pi_3MtwBwLkdIwHu7ix28a3tqPa and chatcmpl-9XKZ1aB2cD3eF4gH5iJ6kL7mN8oP",
    "REDIS_KEY=shop:prod:user:limits:2024",
    "stripe_key_name=live",
    "search_keyword: tent2024green",
    "docker run -p 8080:80 image",
    "curl -k https://shop.example",
    "sk-learn 1.5.2 and hf_hub_download",
    "vcr_cassette_library_dir and nfc_reader_enabled",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    coded("-----BEGIN CERTIFICATE-----\n" + run(90)),
    "123456 is your order number",
    "the cvc connector 12345",
    "PIN code 560001",
    "driver license renewal in 2024",
    "driver version 535.183.01",
    "targa florio 1973",
    "routing number of hops",
    "github_actions_cache_key: linux-node-20-lockfile",
    "session key: order",
    "(11) 2024-2025",
    "TIN can 12345678",
    "passport size photo 35x45",
    "$100$ bill and 2 for 1$",
]


def taken(line: str) -> tuple[str, str]:
    text = line.format(k=run(32), h=run(32, HEX), u=UUID, p="Kx7" + "mQ2vLp") if "{" in line and "}" in line else line
    return text.replace("«", "").replace("»", ""), re.sub("«[^»]*»", "<>", text)


@pytest.mark.parametrize("issuer", SHAPES)
def test_a_secret_in_its_issuers_shape_goes_whole(issuer: str) -> None:
    redacted = TOKEN.sub("<>", REDACTOR.redact(f"value {SHAPES[issuer]} seen", tenant="acme"))
    assert redacted == "value <> seen"


@pytest.mark.parametrize("line", WRITTEN)
def test_a_secret_goes_however_its_name_is_written(line: str) -> None:
    text, expected = taken(line)
    assert TOKEN.sub("<>", REDACTOR.redact(text, tenant="acme")) == expected


@pytest.mark.parametrize(("kind", "line"), PERSONAL)
def test_a_persons_number_goes_behind_its_name_in_many_languages(kind: str, line: str) -> None:
    text, expected = taken(line)
    assert TOKEN.sub(r"<\1>", REDACTOR.redact(text, tenant="acme")) == expected.replace("<>", f"<{kind}>")


@pytest.mark.parametrize("line", STAYS)
def test_what_only_resembles_a_secret_or_a_number_stays(line: str) -> None:
    assert REDACTOR.redact(line, tenant="acme") == line


@pytest.mark.parametrize("size", [1, 5, 20])
def test_a_value_under_its_name_goes_from_a_stream_too(size: int) -> None:
    text = 'env:\n- name: DB_PASSWORD\n  value: "Kx7mQ2vLp"\n- name: PORT\n  value: 8080\n'
    text += 'variable "api_key" {\n  default = "Kx7mQ2vLp"\n}\n'
    stream = StreamRedactor(REDACTOR, tenant="acme")
    redacted = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.close()
    assert redacted == REDACTOR.redact(text, tenant="acme")
    assert "Kx7mQ2vLp" not in redacted
    assert "8080" in redacted
