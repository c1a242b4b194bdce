"""Made-up secrets: in the shapes that issuers document, and of letters alone under names such as `password`.

A shape such as ``glsa_{w32}_{h8}`` has runs of random characters: w letters and digits, h hexadecimal, u capitals and digits,
d digits, l small letters, x letters, digits, ``-`` and ``_``. Labels are ours; nothing here was ever issued.
"""

import random
import re
import string
from collections.abc import Iterator

Line = dict[str, object]

_CLASSES = {
    "w": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "u": string.ascii_uppercase + string.digits,
    "d": string.digits,
    "l": string.ascii_lowercase,
    "m": string.ascii_letters,
    "x": string.ascii_letters + string.digits + "-_",
}
_UUID = "{h8}-{h4}-{h4}-{h4}-{h12}"
ISSUED = {
    "openai": "sk-proj-{x48}",
    "anthropic": "sk-ant-api03-{x60}",
    "aws": "AKIA{u16}",
    "aws-bedrock": "ABSK{w110}",
    "github": "ghp_{w36}",
    "github-fine": "github_pat_{w22}_{w59}",
    "gitlab": "glpat-{x20}",
    "gitlab-feed": "glft-{x20}",
    "slack": "xoxb-{d12}-{d12}-{w24}",
    "slack-hook": "https://hooks.slack.com/services/T{u8}/B{u8}/{w24}",
    "discord-hook": "https://discord.com/api/webhooks/{d18}/{x68}",
    "teams-hook": f"https://acme.webhook.office.com/webhookb2/{_UUID}@{_UUID}/IncomingWebhook/{{h32}}/{_UUID}",
    "google": "AIza{x35}",
    "stripe": "sk_live_{w24}",
    "sendgrid": "SG.{x22}.{x43}",
    "mailchimp": "{h32}-us12",
    "twilio": "SK{h32}",
    "npm": "npm_{w36}",
    "pypi": "pypi-AgEIcHlwaS5vcmc{x70}",
    "rubygems": "rubygems_{h48}",
    "nuget": "oy2{l43}",
    "docker": "dckr_pat_{x27}",
    "atlassian": "ATATT3xFfGF0{x60}={u8}",
    "bitbucket": "ATBB{w32}",
    "grafana": "glsa_{w32}_{h8}",
    "grafana-cloud": "glc_{w60}",
    "newrelic": "NRAK-{u27}",
    "newrelic-license": "{h36}NRAL",
    "sentry": "sntrys_eyJ{w60}={w43}",
    "sentry-user": "sntryu_{h64}",
    "supabase": "sbp_{h40}",
    "fly": "fo1_{x43}",
    "fly-2": "fm2_lJPE{w60}",
    "azure-secret": "{w3}8Q~{x34}",
    "azure-storage": "AccountKey={w86}==",
    "facebook": "EAACEdEose0cBA{w60}",
    "sourcegraph": "sgp_{h16}_{h40}",
    "doppler": "dp.pt.{w43}",
    "dynatrace": "dt0c01.{u24}.{u64}",
    "databricks": "dapi{h32}",
    "digitalocean": "dop_v1_{h64}",
    "heroku": "HRKU-" + _UUID,
    "hubspot": "pat-na1-" + _UUID,
    "linear": "lin_api_{w40}",
    "notion": "ntn_{w46}",
    "figma": "figd_{x40}",
    "netlify": "nfp_{w40}",
    "vault": "hvs.{x90}",
    "terraform": "{w14}.atlasv1.{w67}",
    "pulumi": "pul-{h40}",
    "planetscale": "pscale_tkn_{x43}",
    "postman": "PMAK-{h24}-{h34}",
    "posthog": "phx_{w43}",
    "shopify": "shpat_{h32}",
    "square": "sq0csp-{x43}",
    "tailscale": "tskey-auth-{w12}CNTRL-{w32}",
    "telegram": "{d9}:AA{x33}",
    "discord-bot": "MT{w24}.G{x5}.{x38}",
    "huggingface": "hf_{m34}",
    "replicate": "r8_{w37}",
    "groq": "gsk_{w52}",
    "nvidia": "nvapi-{x64}",
    "pinecone": "pcsk_{w6}_{w60}",
    "langsmith": "lsv2_pt_{h32}_{h10}",
    "circleci": "CCIPAT_{w22}_{h40}",
    "buildkite": "bkua_{h40}",
    "age": "AGE-SECRET-KEY-1{u58}",
    "asana": "1/{d16}:{h32}",
    "airtable": "pat{w14}.{h64}",
    "contentful": "CFPAT-{x43}",
    "mapbox": "sk.eyJ{w60}.{x22}",
    "plaid": "access-sandbox-" + _UUID,
    "razorpay": "rzp_live_{w14}",
    "resend": "re_{w8}_{w24}",
    "sonar": "squ_{h40}",
    "brevo": "xkeysib-{h64}-{w16}",
    "typeform": "tfp_{x59}",
    "alibaba": "LTAI{w20}",
    "yandex": "AQVN{x36}",
    "onepassword": "ops_eyJ{w120}",
    "openshift": "sha256~{x43}",
    "octopus": "API-{u26}",
    "artifactory": "AKCp{w69}",
    "easypost": "EZAK{w54}",
    "prefect": "pnu_{w36}",
    "zapier-hook": "https://hooks.zapier.com/hooks/catch/{d7}/{l7}",
    "okta": "Authorization: SSWS 00{x40}",
}
FRAMES = (
    "{}",
    "token {} was refused",
    'level=error msg="refused" value={}',
    'credential: "{}"',
    "export VALUE={}",
    "see {}, please",
)

# Text before and behind a named secret. ``{}`` is the secret, the rest stays.
NAMED = (
    '{{"password":"{}"}}',
    '{{"user": "ann", "token": "{}"}}',
    "password: {}",
    "api_token: {}",
    "DB_PASSWORD={}",
    "export CLOUDFLARE_API_TOKEN={}",
    "password = {}",
    'passwd = "{}"',
    "pw={}",
    "pass: {}",
    "Server=db;User Id=sa;Password={};Encrypt=yes",
    "host=db user=octant password={} dbname=x",
    "GET /cb?access_token={}&page=2",
    "GET /cb?user=ann&password={}",
    "Cookie: session={}",
    "Cookie: theme=dark; sid={}; lang=en",
    "Set-Cookie: sid={}; Path=/; HttpOnly",
    "X-Api-Key: {}",
    "X-Auth-Token: {}",
    "Authorization: Token {}",
    "Authorization: SSWS {}",
    "authorization: ApiKey {}",
    "curl -u ann:{} https://shop.example/x",
    "mysql -h db --password={} shop",
    "deploy --token {} --yes",
    "sshpass -p {} ssh host",
    "PGPASSWORD={} psql shop",
    "CREATE USER ann WITH PASSWORD '{}';",
    "CREATE USER ann IDENTIFIED BY '{}';",
    "<password>{}</password>",
    '<add key="Password" value="{}"/>',
    'config["client_secret"] = "{}"',
    "passphrase: {}",
    "token={}",
    "Passwort: {}",
    "mot de passe : {}",
    "contraseña: {}",
    "senha: {}",
    "hasło: {}",
    "wachtwoord: {}",
    "parola d'ordine: {}",
    "パスワード: {}",
    "パスワードは{}です",
    "पासवर्ड: {}",
    "lösenord: {}",
    "пароль: {}",
    "密码：{}",
    "비밀번호: {}",
    "şifre: {}",
)


def secret_lines(seed: int, each: int) -> Iterator[Line]:
    """``each`` of every issuer and of every name, with the secret's place."""
    dice = random.Random(seed)  # noqa: S311 - texts for a benchmark
    for issuer, shape in ISSUED.items():
        for _ in range(each):
            yield _line("issuers", issuer, dice.choice(FRAMES), _filled(shape, dice))
    for frame in NAMED:
        for length in (dice.randint(7, 14) for _ in range(each)):
            secret = _filled(f"{{{dice.choice('ml')}{length}}}", dice)
            yield _line("named secrets", frame, frame, secret)
    for _ in range(each):
        for scheme in ("Basic", "basic", "BASIC", "Bearer", "bearer", "Digest"):
            yield _line("named secrets", scheme, f"Authorization: {scheme} {{}}", _filled("{w24}", dice))


def _line(name: str, template: str, frame: str, secret: str) -> Line:
    before, _, after = frame.replace("{{", "\0").replace("}}", "\1").partition("{}")
    before, after = (part.replace("\0", "{").replace("\1", "}") for part in (before, after))
    shown = secret.rpartition("SSWS ")[2].rpartition("AccountKey=")[2]
    if "://" in shown:  # of a webhook's address, what lies behind the host
        shown = shown.split("/", 5 if "discord" in shown or "zapier" in shown else 4)[-1]
    start = len(before) + len(secret) - len(shown)
    return {"set": name, "text": before + secret + after, "template": template, "spans": [(start, start + len(shown), "SECRET")]}


def _filled(shape: str, dice: random.Random) -> str:
    return re.sub(
        r"\{([a-z])(\d+)\}", lambda m: "".join(dice.choice(_CLASSES[m.group(1)]) for _ in range(int(m.group(2)))), shape
    )
