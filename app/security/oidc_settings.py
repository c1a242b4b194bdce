"""The settings of the login by OpenID Connect, as ``OCTANT_CONSOLE_OIDC__…``; `app.settings` reads them with all others."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from yarl import URL

from app.domain.hosts import is_loopback
from app.security.keys.provider_keys import KeyPlace

SECRET = "OCTANT_CONSOLE_OIDC__CLIENT_SECRET"  # noqa: S105 - the name of a variable
Seconds = Annotated[float, Field(gt=0, le=30)]


class OidcSettings(BaseModel):
    """A provider of identities, and which of its people may look or act. See `docs/console.md`."""

    issuer: str = Field(default="", description="The provider's issuer, as its discovery document names it; empty for none.")
    client_id: str = Field(default="", description="Octant's client there.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret; may be a file. Empty: PKCE alone.")
    url: str = Field(default="", description="Address of the console's listener in a browser: https://octant.example.")
    name: str = Field(default="single sign-on", description="The provider's name on the button.")
    scopes: frozenset[str] = Field(default=frozenset({"openid", "profile", "email"}), description="Scopes to request.")
    claim: str = Field(default="groups", description="Claim that holds a person's groups; a dot goes into an object.")
    operators: frozenset[str] = Field(default=frozenset(), description="Values of the claim that may act.")
    viewers: frozenset[str] = Field(default=frozenset(), description="Values that may look only.")
    patience: Seconds = Field(default=10.0, description="Seconds that the provider may take for each answer.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """A login that is half set up must not look like one."""
        if not self.issuer:
            return self
        missing = [name for name in ("client_id", "url") if not getattr(self, name)]
        if missing:
            raise ValueError(f"{' and '.join(missing)} must be set with the issuer")
        if not self.operators | self.viewers:
            raise ValueError("operators or viewers must name a group, or no person has a role")
        for name in ("issuer", "url"):
            if not is_safe(getattr(self, name)):
                raise ValueError(f"{name} must begin with https://; http is for this machine alone")
        if URL(self.url).path not in ("", "/"):
            raise ValueError("url must be an address without a path, such as https://octant.example")
        return self

    def secret_place(self, secrets_dir: Path | None) -> KeyPlace:
        """The source of the client's secret: our own variable, else a secret file."""
        value = self.client_secret.get_secret_value()
        return KeyPlace(SECRET, value, secrets_dir / SECRET.lower() if secrets_dir and not value else None)


def is_safe(address: str, *, here: bool = True) -> bool:
    """Whether an address is https, or ``here`` http on this machine; without a user or fragment."""
    try:
        url = URL(address)
    except ValueError:
        return False
    if not url.absolute or not url.host or url.user or url.password or url.fragment:
        return False
    return url.scheme == "https" or (here and url.scheme == "http" and is_loopback(url.host))
