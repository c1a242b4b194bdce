"""Secrets by the place where they stand, and newer issuers' shapes; every value is made up, from parts (S5).

The forms come from documents of issuers, rules of gitleaks, betterleaks and TruffleHog, and manuals of tools.
"""

import json
import re

import pytest

from app.security.redaction.issuers import SHAPES, alternatives
from app.security.redaction.redactor import Redactor
from app.security.redaction.streams import StreamRedactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
REDACTOR = Redactor(b"a key for the tests of places")
MIXED = "aB3dE5gH7jK9mN2pQ4rS6tU8vW"


def run(length: int, alphabet: str = MIXED) -> str:
    return (alphabet * length)[:length]


UUID = "-".join(run(n, "0a1b2c3d4e5f6789") for n in (8, 4, 4, 4, 12))
MADE = {
    "k": run(40),
    "h": run(32, "0a1b2c3d4e5f6789"),
    "u": UUID,
    "p": "Kx7" + "mQ2vLp",
    "b": run(20) + "/" + run(22) + "=",
    "t": run(32, "A2B3C4D5"),
}
GOES = [
    # Arguments of calls
    'co = cohere.ClientV2("«{k}»")',
    "client = Client('«AC{h}»', '«{h}»')",
    "requests.get(u, auth=('ann', '«{p}»'))",
    'auth=HTTPBasicAuth("ann", "«{p}»")',
    'new NetworkCredential("ann", "«{p}»")',
    '<property name="hibernate.connection.password">«{p}»</property>',
    # Command lines
    "wandb login «{h}»",
    "civo apikey save shop «{k}»",
    "dotnet nuget push x.nupkg -k «{k}» -s https://x",
    "gem push --key ann --otp «482913»",
    'echo "«{k}»" | docker login ghcr.io -u ann --password-stdin',
    "cqlsh -u ann -p «{p}» host",
    "sqlcmd -S db -U sa -P «{p}»",
    "bcp shop.dbo.t out f -S db -U sa -P «{p}»",
    "user default on >«{p}» ~* +@all",
    "ldapsearch -D cn=admin -w «{p}» -b dc=x",
    "7z x a.7z -p«{p}»",
    "unzip -P «{p}» a.zip",
    "net user ann «{p}!» /add",
    "psexec -u ann -p «{p}» cmd",
    "mc alias set s https://s3.shop.example «{t} {k}»",
    "bundle config gems.shop.example ann:«{k}»",
    "AUTH PLAIN «AGFubgA0STdLTHEzMUJRSFU=»",
    # Settings, tables, prose
    "hibernate.connection.password «{p}»",
    "db_password          «{p}»",
    "DB_PASSWORD\t«{p}»",
    "SetEnv DB_PASS «{p}»",
    "bindpw «{p}»",
    "aeg-sas-key: «{b}»",
    "B2_APPLICATION_KEY=«K005{b}»",
    'clarifai_pat = "«{h}»"',
    "password: |\n  «{p}»",
    '"password":\n   "«{p}»"',
    "spring.mail.password=«abcd efgh ijkl mnop»",
    "SES SMTP user password «{b}»",
    "TOTP seed: «{t}»",
    "Unseal Key 1: «{b}»",
    "wifi: SSID shop, WPA2 key «{p}»",
    "WIFI:T:WPA;S:shop;P:«{p}»;;",
    "mot de passe wifi : «{p}»",
    "login: ann / «{p}!»",
    "ssh ann@host, pw «{p}!»",
    "user/pass is ann/«{p}#»",
    "creds are ann:«{p}»",
    "my exa.ai key is «{u}», can you check?",
    "loops.so key «{h}»",
    "X-Webex token «{k}_PF84_{u}»",
    '{"kty": "oct", "k": "«{k}xY»", "alg": "HS256"}',
    "the staging db pass is «{p}»",
    "La contraseña del wifi es «{p}»",
    # Paths and queries
    "«root:{p}»@tcp(db:3306)/x",
    "https://objectstorage.us-ashburn-1.oraclecloud.com/p/«{k}»/n/ns/b/bkt/o/file",
    "https://chat.shop.example/hooks/«{t}/{k}»",
    "q-sign-algorithm=sha1&q-signature=«{h}0a1b2c3d»",
    # Codes for one use
    "رمز التحقق هو «482913»",
    "kode OTP Anda «482913»",
    "Mã OTP của bạn là «482913»",
    "Ваш код: «482913». Никому не сообщайте",
    "Ваш код подтверждения для Shop: «4829», твой код - «482913»",
    "Use «482913» to sign in to Shop",
    "Kodu: «482913»",
    "Your Uber code is «4829».",
    "smtp.login('ann', '«{p}»')",
    "รหัสผ่านคือ «{p}»",
    # Issuers
    "with «luma-{u}-{u}» on staging",
    "appwrite «standard_{h}{h}{h}{h}» expires never",
    "buildkite: «bkua_{k}» is mine",
    "checkout: «sk_sbox_{h}»",
    "checkout.com: «sk_{u}»",
    "XENDIT: «xnd_production_{k}»",
    "midtrans «Mid-server-{k}»",
    "omise «skey_{h}» live",
    "intercom «dG9rOm{k}=»",
    "klaviyo «pk_{h}0a»",
    "checkly «cu_{h}»",
    "unleash *:«development.{h}{h}»",
    "bitrise «bitpat_{k}»",
    "ebay «PRD-0a1b2c3d4e5f-0a1b-2c3d-4e5f-6789»",
    "«v2.public.{k}{k}» signs",
    "«MDAxY2xvY2F0aW9u{k}» is a macaroon",
    "riot games: «RGAPI-{u}»",
    "scale ai «live_{h}» and «test_auth_{h}»",
    "new relic, europe: «eu01xx0a1b2c3d4e5f67890a1b2c3d4e5f67NRAL»",
    "posthog «phx_{k}_xY-z9»",
    "pixie deploys with «px-dep-{u}»",
    "fleetbase «flb_live_{k}»",
    "kaggle: «KGAT_{h}»",
    "voiceflow «VF.WS.0a1b2c3d4e5f67890a1b2c3d.aB3dE5gH7jK9mN2p»",
    "cache of azure «aB3dE5gH7jK9mN2pQ4rS6tU8vWaB3dE5gAzCaBcD2fG=»",
    "blobs of azure «aB3dE5gH7jK9mN2pQ4rS6tU8vWaB3dE5gH7jK9mN2pQ4rS6tU8vWaB3dE5gH7jK9mN2pQ4rS6tU8+AStBcD2fG==»",
    "node https://eth-mainnet.g.«alchemy.com/v2/{k}»",
    "rpc https://mainnet.«infura.io/v3/{h}»",
    "https://quiet-old-lake.solana-mainnet.«quiknode.pro/{h}0a1b2c3d»/",
    "https://shop.«tines.com/webhook/{h}/{h}»",
    # A private key in a mail that quotes it, in strings that a program joins, and in a numbered listing
    "> «-----BEGIN PRIVATE KEY-----\n> MIIEvQIBADANBgkqhkiG9w0BAQ\n> aB3=\n> -----END PRIVATE KEY-----»\n> Ann",
    '"«-----BEGIN RSA PRIVATE KEY-----\\n" +\n    "MIIEvQIBADANBgkqhkiG9w0BAQ\\n" +\n    "-----END RSA PRIVATE KEY-----»";',
    "// «-----BEGIN PRIVATE KEY-----\n// MIIEvQIBADANBgkqhkiG9w0BAQ\n// -----END PRIVATE KEY-----»\nnext",
    "> «-----BEGIN PRIVATE KEY-----\n> {k}{k}\n> {k}{k}»\n",
    # Forms, cookies and headers as browsers, pages, files and servers hold them
    'Content-Disposition: form-data; name="password"\r\n\r\n«{p}»\r\n--x',
    '<input type="password" id="pw" value="«{p}»">',
    "res.cookie('sid', '«{k}»', {})",
    "shop.example\tTRUE\t/\tTRUE\t0\tsessionid\t«{k}»",
    "[(b'x-api-key', b'«{k}»'), (b'accept', b'*/*')]",
    "Sec-WebSocket-Protocol: realtime, openai-«insecure-api-key.{k}»",
    "SAMLResponse=«PHNhbWxwOlJlc3BvbnNlIHhtbG5z»&RelayState=x",
    # Programs, settings and command lines with a blank or a double colon between name and value
    '#define API_KEY "«{p}»"',
    '(setq smtp-password "«{p}»")',
    '%any : PSK "«{p}»"',
    "define('AUTH_KEY', '«{k}»');",
    'password:: "«{p}»",',
    'password: "«{p}»", port: 1',
    "userPassword:: «{b}»",
    "db.shop.example:5432:orders:ann:«{p}»",
    "gh auth login --with-token <<< «{k}»",
    'dotnet user-secrets set "Smtp:Password" "«{p}»"',
    ".dockerconfigjson: «eyJhdXRocyI6eyJyZWdpc3RyeS5leGFtcGxlIjp7fX19»",
    # A vendor's name with a word in capitals behind it
    "gtmetrixTOKEN=«{h}»",
    "zerobounceSECRET: «{h}»",
    'coinlayerKEY = "«{h}»"',
]
STAYS = [
    "auth=('basic', 'digest')",
    "requests.get(u, auth=auth, timeout=12)",
    "Client('orders', 'v2')",
    "7z a archive.7z -mx9",
    "unzip -P is insecure",
    "ldapsearch -x -w is needed",
    "mysql -P 3306",
    'sqlcmd -S db -E -Q "select 1"',
    "cp -p src dst; mkdir -p build; ssh -p 2222 host; scp -P 2222 a b",
    "user default on",
    "user root on the host 12 >/dev/null and user ann on server 3 >notes.txt",
    "boto3.client('s3', 'us-east-1') and HttpClient('GET', '/v1/items')",
    "ftp -p somefile",
    "the token estimated_prompt_tokens_2026_count, Tokenizer('cl100k_base_for_everything')",
    "password hash_algorithm_argon2id_version_19; Press the key CTRL_ALT_SHIFT_F12_AND_SOMETHING1",
    "Ваш код ошибки: 5001, твой код падает на строке 1234; your python code is 1000 lines long",
    "Pass Uint8Array or Float32Array; the pass argument is Base64String, of a Python3Version",
    "Your error code is 50012, your ZIP code is 94107 and your discount code is 2026",
    "use 4096 for your code, and use 1000 to log more lines",
    "sort 10-20, sort: 100-200, clearing 2024",
    "login: ann / role: admin",
    "login page / dashboard2",
    "A user/pass pair is needed",
    "user,password_changed,role\nann,2026-11-30,admin",
    "name: DB\nport: 5432",
    "password: |\n  must have twelve characters",
    "primary key is " + UUID,
    "idempotency key " + UUID,
    "sort key " + run(30),
    "WIFI: 2.4 and 5 GHz",
    "Unseal the box 12 times",
    "hooks/pre-commit/v4.6.0 and /hooks/useState/index.js",
    "/p/tent-green-4p/n/2 and webhooks/2026/11/30",
    "OTP supervision tree of 2026",
    "use 482913 rows to test",
    "error code: 80070005",
    "код 404",
    '{"k": "label", "d": "2.5", "p": "0.05"}',
    "key=order_id and key_performance_indicators_2026_q4_final",
    "standard_deviation_of_sample_2026",
    "v2.public.release.notes",
    "secret_admin_panel_redesign",
    "cu_12345 and tk_widget_label_configuration_for_2026",
    "DL40 key 12345",
    "hasło to słowo; the pass to the summit is open",
    "The pass code of conduct has 12 rules.",
    'connect("password=#{password}, domain=#{domain}")',
    "Password::verify($typed), api_key::Config.new and a field password: :string",
    'if "-----END PRIVATE KEY-----" not in text: the key is cut',
    'form-data; name="note"\n\nhello world',
    "res.cookie('theme', 'dark'); <input type=\"password\" value=\"\">",
    "sample.py:5432:12:E501:line too long",
    "PSK is short for pre-shared key; #define MAX_KEYS 12",
    "live_stream_of_the_1984_concert and test_auth_middleware_2026",
    "docs.alchemy.com/v2/reference and infura.io/v3/pricing",
    "monKEY=business, hotKEY: ctrl+shift+f12, whisKEY = single_malt_12_years_old",
]


def taken(line: str) -> tuple[str, str]:
    for name, value in MADE.items():
        line = line.replace("{" + name + "}", value)
    return line.replace("«", "").replace("»", ""), re.sub("«[^»]*»", "<>", line)


@pytest.mark.parametrize("line", GOES)
def test_a_secret_goes_by_the_place_where_it_stands(line: str) -> None:
    text, expected = taken(line)
    assert TOKEN.sub("<>", REDACTOR.redact(text, tenant="acme")) == expected


@pytest.mark.parametrize("line", STAYS)
def test_a_harmless_word_in_such_a_place_stays(line: str) -> None:
    assert REDACTOR.redact(line, tenant="acme") == line


@pytest.mark.parametrize("line", [*GOES, 'from "ann lee"@example.com'])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["close", "spaced"])
def test_a_finding_in_json_eats_no_sign_of_it(line: str, separators: tuple[str, str]) -> None:
    """Arguments of a tool are a text: it must still parse, with its other members."""
    text = json.dumps({"cmd": taken(line)[0], "next": "kept"}, separators=separators)
    assert json.loads(REDACTOR.redact_text(text, tenant="acme"))["next"] == "kept"


@pytest.mark.parametrize("size", [1, 5, 20])
@pytest.mark.parametrize("form", ["password: |\n  VALUE\nport: 1\n", 'x: 1\n"password":\n   "VALUE"\nport: 1\n'])
def test_a_value_under_a_block_scalars_name_goes_from_a_stream(size: int, form: str) -> None:
    text = form.replace("VALUE", MADE["p"])
    stream = StreamRedactor(REDACTOR, tenant="acme")
    redacted = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.close()
    assert redacted == REDACTOR.redact(text, tenant="acme")
    assert MADE["p"] not in redacted
    assert "port: 1" in redacted


def test_a_row_of_shapes_is_taken_apart_at_its_own_bars_alone() -> None:
    assert list(alternatives(r"a(?:b|c)\|[|()]d|e|(f|(g|h))")) == [r"a(?:b|c)\|[|()]d", "e", "(f|(g|h))"]
    assert all(re.compile(shape) for row in SHAPES for shape in alternatives(row))
