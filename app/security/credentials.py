"""Secrets by the shapes that their issuers document, and by the words before them."""

from app.security.finders import Kind, bearer, only_if, secret_value

_ISSUED = (
    r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic and others that copied the shape
    r"(?:xai|pplx|csk)-[A-Za-z0-9_-]{20,}|(?:hf|gsk|r8)_[A-Za-z0-9]{30,}",  # other model vendors
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=_-]{16,}",  # Stripe; webhook secrets, ours too
    r"oct_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{16,}",  # our own API keys
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|dt|rt|cbt|ptt|agent|soat)-[A-Za-z0-9_-]{20,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}",
    r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}",  # Google
    r"npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,}|dckr_pat_[A-Za-z0-9_-]{20,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|key-[0-9a-f]{32}\b|(?:AC|SK)[0-9a-f]{32}\b",  # SendGrid, Mailgun, Twilio
    r"do[opr]_v1_[0-9a-f]{40,}|dapi[0-9a-f]{32}\b|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b|sq0(?:atp|csp)-[A-Za-z0-9_-]{20,}",
    r"lin_api_[A-Za-z0-9]{30,}|ntn_[A-Za-z0-9]{30,}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}|PMAK-[0-9a-f-]{50,}|hv[sb]\.[A-Za-z0-9_-]{20,}",
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|AGE-SECRET-KEY-1[A-Z0-9]{50,}",  # Telegram, age
)

_NAMED = (
    r"password|passwd|pwd|passphrase|passcode|passwort|contraseña|mot de passe|pin code|"
    r"api[ _-]?key|secret|secret[ _-]?(?:access[ _-]?)?key|access[ _-]?key(?:[ _-]?id)?|account[ _-]?key|private[ _-]?key|"
    r"client[ _-]?secret|shared[ _-]?access[ _-]?key|(?:auth|access|refresh|session|id|csrf|bot|bearer)[ _-]?token|"
    r"connection[ _-]?string|authorization[ _-]?code|otp"
)

CREDENTIALS: tuple[Kind, ...] = (
    Kind(
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=:,.()\s-]*?"
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
    ),
    Kind("private-key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s]*"),  # cut off
    Kind("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Kind("credential", rf"\b(?:{'|'.join(_ISSUED)})"),
    Kind("credential", r"(?i)\b(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/=-]{16,})", only_if(bearer)),
    Kind(
        "credential",
        rf"(?i)(?:{_NAMED})\b[\"']?[ \t]*(?:[:=]|is[ \t]|=>)[ \t]*[\"']?([^\s\"',;<>&\\]{{6,}})",
        only_if(secret_value),
    ),
    Kind("url-credentials", r"(?i)\b[a-z][a-z0-9+.-]{1,30}://([^\s/?#\"'<>\\:]*:[^\s/?#\"'<>\\]+)@"),
    Kind(
        "url-credentials",
        r"(?i)[?&](?:sig|signature|x-amz-signature|x-amz-credential|sv?key|apikey|token)=([A-Za-z0-9%._~+/=-]{8,})",
    ),
)
