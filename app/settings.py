"""Every setting of the service, typed and read once, from the environment (prefix ``OCTANT_``) or secret files.

Nothing else in the service reads the environment. Nested settings use a double underscore: ``OCTANT_OPENAI__BASE_URL``.
A secret may come from a file instead: with ``OCTANT_SECRETS_DIR=/run/secrets`` the file ``octant_secret_key`` in it is read, and
providers' keys from ``octant_openai__api_key`` and so on, these also when they change (`app.security.keys.provider_keys`).
`.env.example` lists every setting; a test holds the two together.
"""

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, ValidationError, create_model, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.errors import InvalidRequest, Misconfigured
from app.domain.json_text import DEEPEST
from app.domain.money import from_dollars
from app.domain.origins import origins_of
from app.gateway.providers.adapters import ADAPTERS, Adapter
from app.oncall.paging.settings import PagingSettings
from app.oncall.scopes import parse as parse_stops
from app.security.keys.provider_keys import KeyPlace
from app.security.oidc_settings import OidcSettings

DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 - refused outside development, see `Settings._complete`
PACKAGE = Path(__file__).resolve().parent

Environment = Literal["development", "staging", "production"]
Seconds = Annotated[float, Field(gt=0)]


class ProviderSettings(BaseModel):
    """One endpoint that answers model calls. ``kind`` is the wire it speaks; any OpenAI-compatible server is ``openai``."""

    kind: str = "openai"
    base_url: str
    api_key: SecretStr = SecretStr("")
    legacy_max_tokens: bool = Field(
        default=False, description="Send max_tokens instead of max_completion_tokens (vLLM, llama.cpp, Ollama)."
    )
    headers: dict[str, SecretStr] = Field(default={}, description="Further headers of every request, as JSON.")

    @field_validator("kind")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in ADAPTERS:
            raise ValueError(f"must be one of: {', '.join(ADAPTERS)}")
        return value


class VendorSettings(BaseModel):
    """A vendor's address and key. Empty key: the vendor's own variable is read."""

    base_url: str
    api_key: SecretStr = SecretStr("")
    legacy_max_tokens: bool = False
    headers: dict[str, SecretStr] = {}


class RecoverySettings(BaseModel):
    """Retries of providers, and the rest of their circuits. See `app/gateway/recovery/policy.py`."""

    retry_budget_ratio: float = Field(default=0.1, ge=0, le=1, description="Retries as a share of first attempts.")
    retry_budget_burst: float = Field(default=10.0, ge=0, description="Retries that can be saved up, per provider and worker.")
    breaker_failures: int = Field(default=5, ge=1, description="Failures within the window that open a circuit.")
    breaker_ratio: float = Field(default=0.5, gt=0, le=1, description="And their least share of all outcomes.")
    breaker_window: Seconds = Field(default=10.0, description="Seconds looked back on.")
    breaker_rest: Seconds = Field(default=5.0, description="Seconds of the first rest; doubled by each failed probe.")
    breaker_longest_rest: Seconds = Field(default=60.0, description="Seconds of the longest rest.")


class BudgetSettings(BaseModel):
    """The cap over everything, the allowance while Valkey is away, and alerts before caps are used up."""

    global_daily_cap: str = Field(default="1000.00", description="Dollars a UTC day over all tenants.")
    outage_allowance: str = Field(
        default="0", description="Dollars each worker process may spend, until it restarts, while Valkey is away; 0 refuses."
    )
    alert_shares: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(50, 80, 95), description="Percentages of a cap at which an alert is sent."
    )
    alert_webhook_url: str = Field(default="", description="Where budget alerts are posted, signed; empty posts none.")
    alertmanager_url: str = Field(default="", description="Alertmanager's address, as http://host:9093; empty sends none.")

    @field_validator("global_daily_cap", "outage_allowance")
    @classmethod
    def _is_dollars(cls, value: str) -> str:
        from_dollars(value)
        return value

    @field_validator("alert_shares")
    @classmethod
    def _rises(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))


class HttpSettings(BaseModel):
    """Time limits of connections and size limits of requests. See `docs/decisions/0021`."""

    max_url_bytes: int = Field(default=8192, ge=256, description="Bytes of path and query.")
    max_headers: int = Field(default=100, ge=10, description="Headers of a request.")
    max_header_bytes: int = Field(default=32_768, ge=1024, description="Bytes of all headers.")
    max_json_depth: int = Field(default=64, ge=8, le=DEEPEST, description="Arrays and objects within each other.")
    header_timeout: Seconds = Field(default=10.0, description="Seconds for a request's headers to come.")
    body_timeout: Seconds = Field(default=60.0, description="Seconds for its body.")
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses and networks whose X-Forwarded-For is believed, comma-separated; * for every peer.",
    )
    bad_keys_per_minute: int = Field(
        default=20, ge=1, description="Wrong API keys, from one address and per worker, before it must wait."
    )

    keep_alive: float = Field(
        default=5.0, ge=0, description="Seconds without an event after which a stream sends a sign of life; 0 sends none."
    )
    first_byte: float = Field(
        default=10.0,
        ge=0,
        description="Seconds without a first chunk after which a stream's headers leave; 0 waits for the chunk.",
    )
    cors_origins: str = Field(
        default="",
        description="Web origins whose pages may call the API from a browser, comma-separated; * for every page, empty for none.",
    )

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        origins_of(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for name in value.split(",") if value.strip() != "*" else []:
            if name.strip():
                ipaddress.ip_network(name.strip(), strict=False)
        return value


class EvalsSettings(BaseModel):
    """The share of production that `python -m evals online` scores. See `docs/evals.md`."""

    interval: Seconds = Field(default=60.0, description="Seconds from one round to the next.")
    late: float = Field(
        default=120.0, ge=0, description="Seconds that a call's record may take; younger calls wait for a later round."
    )
    sample: int = Field(default=20, ge=1, le=10_000, description="Calls scored in a round, of each feature and release.")
    seconds: Seconds = Field(default=10.0, description="Seconds of scoring in a round; what is left then is counted.")
    candidates: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Candidates that a round takes from low scores, from what stands out, and from feedback, each.",
    )
    metrics_port: int = Field(default=9466, ge=0, le=65535, description="Port of /metrics of `python -m evals online`.")


class DeploySettings(BaseModel):
    """How code is deployed here, for `octant rollback --code`. See `runbook/rollback.md`."""

    target: Literal["", "compose", "kubernetes", "process"] = Field(default="", description="What runs the code; empty: none.")
    code: str = Field(default="", description="This code as deployed: an image by digest. Empty: the git commit, or the version.")
    compose_file: Path = Field(default=Path("docker-compose.yml"), description="For compose: the file.")
    services: tuple[str, ...] = Field(default=("service", "worker", "evals"), description="For compose: services of our image.")
    namespace: str = Field(default="default", description="For kubernetes: the namespace.")
    deployments: tuple[str, ...] = Field(default=("octant",), description="For kubernetes: deployments of our image.")
    folder: Path = Field(default=Path(".octant/code"), description="For process: the folder with the link `current`.")
    patience: Seconds = Field(default=300.0, description="Seconds that a rollback of code may take.")


class _Settings(BaseSettings):
    """Every setting but the vendors', which the table of adapters adds below."""

    model_config = SettingsConfigDict(
        env_prefix="OCTANT_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    environment: Environment = Field(
        default="development", description="Staging and production refuse default secrets, production every example value."
    )
    host: str = Field(default="127.0.0.1", description="Address the public API listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port of the public API.")
    admin_host: str = Field(default="127.0.0.1", description="Address of the operators' own listener.")
    admin_port: int = Field(default=0, ge=0, le=65535, description="Its port; 0 serves operators on the public one.")
    metrics_port: int = Field(default=9464, ge=0, le=65535, description="Port of /metrics, on its own listener.")
    worker_metrics_port: int = Field(default=9465, ge=0, le=65535, description="Port of /metrics of `octant worker`.")
    workers: int = Field(default=2, ge=1, le=64, description="Worker processes.")
    graceful_timeout: Seconds = Field(
        default=65.0, description="Seconds that calls under way may take to end when a process stops."
    )

    database_url: str = Field(default="", description="PostgreSQL, as postgresql+psycopg://user:password@host/database.")
    valkey_url: str = Field(default="", description="Valkey or Redis, as redis://host:port/0.")
    secret_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_SECRET), description="Keys API-key hashes and redaction tokens. 32+ characters."
    )

    keys_remembered: Seconds = Field(
        default=900.0, description="Seconds that an API key stays good while Postgres is away, since Postgres last confirmed it."
    )
    secrets_dir: Path | None = Field(default=None, description="Folder of secret files, each named as its variable.")

    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict, description="Further providers by name, as OCTANT_PROVIDERS__GROQ__BASE_URL."
    )

    recovery: RecoverySettings = RecoverySettings()
    budget: BudgetSettings = BudgetSettings()
    http: HttpSettings = HttpSettings()
    evals: EvalsSettings = EvalsSettings()
    deploy: DeploySettings = DeploySettings()
    paging: PagingSettings = PagingSettings()
    console_oidc: OidcSettings = OidcSettings()

    state_dir: Path = Field(default=Path(".octant"), description="Where local state lives: indexes, logs, spill files.")
    releases_dir: Path = Field(default=Path("releases"), description="Release manifests and price tables.")
    prompts_dir: Path = Field(default=PACKAGE / "features", description="Root of <feature>/prompts/<name>/<version>.toml.")
    rotation_file: Path = Field(default=Path("runbook/oncall/rotation.yaml"), description="The on-call rotation.")
    rehearsals_file: Path = Field(default=Path("runbook/rehearsals.jsonl"), description="The log of rehearsals.")
    runbook_url: str = Field(
        default="https://example.invalid/octant/runbook/", description="Where the runbook is read; alerts link to its pages."
    )
    kill_file: Path = Field(default=Path("stop"), description="While this file exists, every call is refused.")
    stopped: str = Field(
        default="", description="Stops that hold whatever the stores say, comma-separated: all, or such as tenant:acme."
    )

    request_deadline: Seconds = Field(
        default=60.0, description="Seconds to a whole answer or a stream's start; callers may shorten it."
    )
    max_body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, le=32 * 1024 * 1024, description="Largest request body, as sent and decompressed."
    )
    idempotency_keep: Seconds = Field(default=86_400.0, description="Seconds an Idempotency-Key gives its answer again.")
    idempotency_lease: Seconds = Field(default=15.0, description="Seconds until a dead worker's Idempotency-Key is free.")
    idempotency_max_bytes: int = Field(default=8 * 1024 * 1024, ge=0, description="Largest answer kept under a key.")
    jobs_at_once: int = Field(default=8, ge=1, le=256, description="Jobs that one `octant worker` runs at a time.")
    jobs_attempts: int = Field(default=20, ge=1, le=1000, description="How often a job is tried whose answer says: try again.")
    jobs_losses: int = Field(default=3, ge=1, le=100, description="How often a job may lose its worker before it is failed.")
    jobs_stall: Seconds = Field(default=10.0, description="Seconds without progress after which a worker's process is ended.")
    jobs_lease: Seconds = Field(default=15.0, description="Seconds until a dead worker's job is run by another.")
    jobs_keep: Seconds = Field(default=604_800.0, description="Seconds that a job's answer is kept.")
    webhook_allowed_hosts: frozenset[str] = Field(
        default=frozenset(),
        description="Hosts that webhooks may go to although not public, over plain http, at any port, or through HTTPS_PROXY.",
    )
    demo_tenant: str = Field(default="acme", description="Tenant that `octant demo` sets up, with the products' sample data.")
    demo_daily_cap: str = Field(default="25.00", description="Dollars that it may spend a day.")
    default_user_daily_cap: str = Field(default="5.00", description="Dollars a user may spend a day, unless set otherwise.")
    allowed_link_hosts: frozenset[str] = Field(
        default=frozenset(), description="Hosts that links in answers may point to, besides those of the installed products."
    )

    records_keep: int = Field(default=30, ge=1, description="Days that records of calls are kept, besides today.")
    oncall_keep: int = Field(default=400, ge=1, description="Days that pages and incidents are kept after their end.")
    records_spill_max_bytes: int = Field(
        default=1 << 30, ge=0, description="Disk that records may take while Postgres is away; 0 keeps them in memory."
    )
    records_ner: bool = Field(
        default=False, description="Take names and addresses out of records too, by a slow model: needs the extra `ner`."
    )
    otlp_endpoint: str = Field(default="", description="OTLP over HTTP endpoint for traces; empty exports none.")
    otlp_sample: float = Field(default=1.0, ge=0, le=1, description="Share of traces exported; those with an error always are.")
    otlp_content: bool = Field(default=False, description="Put requests and replies on spans, redacted.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged.")

    @property
    def secret(self) -> bytes:
        """The secret key as every room takes it."""
        return self.secret_key.get_secret_value().encode()

    @property
    def kill_path(self) -> Path:
        """The kill file; one without a folder of its own lies in the state directory."""
        return self.state_dir / self.kill_file

    @property
    def index_dir(self) -> Path:
        """The folder of the retrieval indexes."""
        return self.state_dir / "indexes"

    def all_providers(self) -> dict[str, ProviderSettings]:
        """Every configured provider by name: the vendor of each adapter, then the others."""
        vendors = {kind: ProviderSettings(kind=kind, **self.vendor(kind).model_dump()) for kind in ADAPTERS}
        return {**vendors, **self.providers}

    def vendor(self, kind: str) -> VendorSettings:
        """The settings of an adapter's own vendor."""
        found: VendorSettings = getattr(self, kind)
        return found

    @field_validator("kill_file", mode="before")
    @classmethod
    def _empty_is_the_default(cls, value: object) -> object:
        """An empty name would be the state directory itself, which always exists."""
        return value or "stop"

    @field_validator("stopped")
    @classmethod
    def _are_stops(cls, value: str) -> str:
        """A typing error must not look like a stop."""
        try:
            parse_stops(value)
        except InvalidRequest as error:
            raise ValueError(error.message) from None
        return value

    @model_validator(mode="after")
    def _refuse_default_secrets(self) -> Self:
        if self.environment != "development":
            secret = self.secret_key.get_secret_value()
            if secret == DEVELOPMENT_SECRET or len(secret) < 32:
                raise ValueError("secret_key must be set to at least 32 characters outside development")
        return self

    @model_validator(mode="after")
    def _refuse_one_port_for_two(self) -> Self:
        if self.admin_port and self.admin_port in (self.port, self.metrics_port):
            raise ValueError("admin_port must be another port than port and metrics_port")
        return self

    _vendors_own: frozenset[str] = PrivateAttr(default=frozenset())

    def key_file(self, provider: str) -> Path | None:
        """The secret file that may hold a provider's key."""
        return self.secrets_dir / self._key_setting(provider).lower() if self.secrets_dir else None

    def key_places(self) -> dict[str, KeyPlace]:
        """The source of each provider's key: our own variable, else a secret file, else the vendor's own variable."""
        places: dict[str, KeyPlace] = {}
        for name, provider in self.all_providers().items():
            value, setting, file = provider.api_key.get_secret_value(), self._key_setting(name), self.key_file(name)
            if name in self._vendors_own:
                setting = ADAPTERS[name].key_variable
            elif value:
                file = None
            places[name] = KeyPlace(setting, value, file)
        return places

    def _key_setting(self, provider: str) -> str:
        group = "" if provider in ADAPTERS else "PROVIDERS__"
        return f"OCTANT_{group}{provider.upper()}__API_KEY"

    def require_stores(self) -> None:
        """Raise Misconfigured unless both stores are set."""
        missing = [n for n in ("database_url", "valkey_url") if not getattr(self, n)]
        if missing:
            names = " and ".join(f"OCTANT_{n.upper()}" for n in missing)
            raise Misconfigured(f"Set {names}, or run `make demo`, which brings its own Valkey and Postgres.")


def _vendor_field(adapter: Adapter) -> tuple[type[VendorSettings], VendorSettings]:
    """The field of an adapter's own vendor: its address is the vendor's, unless it is set."""
    model = create_model(f"{adapter.kind.title()}Settings", __base__=VendorSettings, base_url=(str, adapter.base_url))
    return model, model(base_url=adapter.base_url)


if TYPE_CHECKING:

    class Settings(_Settings):
        """The service's settings. Construct with `load()`, which turns a bad value into a sentence."""
else:
    # One field for the vendor of each adapter: `OCTANT_OPENAI__BASE_URL` and so on.
    Settings = create_model("Settings", __base__=_Settings, **{kind: _vendor_field(row) for kind, row in ADAPTERS.items()})


def load(**overrides: Any) -> Settings:  # noqa: ANN401 - field values of any type, validated by pydantic
    """Read the settings. Raises Misconfigured with one line per bad value, never showing a secret."""
    try:
        settings = Settings(_secrets_dir=os.environ.get("OCTANT_SECRETS_DIR"), **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [f"OCTANT_{'__'.join(str(p) for p in e['loc']).upper() or '*'}: {e['msg']}" for e in error.errors()]
        raise Misconfigured("Settings are not usable:\n  " + "\n  ".join(lines)) from None
    return _with_vendor_keys(settings)


def _with_vendor_keys(settings: Settings) -> Settings:
    """Let the vendors' own variables supply a key that ours leave empty, and the account."""
    updates: dict[str, VendorSettings] = {}
    keys = set()
    for name, adapter in ADAPTERS.items():
        vendor = settings.vendor(name)
        account = {header: SecretStr(os.environ.get(variable, "")) for variable, header in adapter.account_variables.items()}
        update: dict[str, object] = {"headers": {**{h: value for h, value in account.items() if value}, **vendor.headers}}
        key = os.environ.get(adapter.key_variable, "")
        if key and not vendor.api_key.get_secret_value():
            update["api_key"] = SecretStr(key)
            keys.add(name)
        updates[name] = vendor.model_copy(update=update)
    settings = settings.model_copy(update=updates)
    settings._vendors_own = frozenset(keys)  # noqa: SLF001 - only this module sets it, once
    return settings
