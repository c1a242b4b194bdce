"""Every setting of the service, typed and read once, from the environment (prefix ``OCTANT_``) or secret files.

Nothing else in the service reads the environment. Nested settings use a double underscore: ``OCTANT_OPENAI__BASE_URL``.
A secret may come from a file instead: with ``OCTANT_SECRETS_DIR=/run/secrets`` the file ``octant_secret_key`` in it is read, and
providers' keys from ``octant_openai__api_key`` and so on, these also when they change (`app.security.keys.provider_keys`); users
and passwords of the stores are read at each new connection (`app.store_credentials`).
`.env.example` lists every setting; a test holds the two together.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, create_model, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from app.domain.addresses import postgres_address, valkey_address
from app.domain.errors import InvalidRequest, Misconfigured
from app.domain.setting_types import DEVELOPMENT_SECRET, Dollars, PostgresAddress, Seconds, ValkeyAddress, WebAddress, sendable
from app.gateway.providers.adapters import ADAPTERS, Adapter
from app.oncall.paging.settings import PagingSettings
from app.oncall.scopes import parse as parse_stops
from app.security.keys.provider_keys import KeyPlace
from app.security.oidc_settings import OidcSettings
from app.setting_groups import (
    BudgetSettings,
    DeploySettings,
    EvalsSettings,
    HttpSettings,
    ProviderSettings,
    RecoverySettings,
    VendorSettings,
)
from app.setting_sources import PREFIX, DotEnv, Environment, is_linked, known_names

__all__ = [
    "DEVELOPMENT_SECRET",
    "PACKAGE",
    "BudgetSettings",
    "DeploySettings",
    "EvalsSettings",
    "HttpSettings",
    "ProviderSettings",
    "RecoverySettings",
    "Settings",
    "VendorSettings",
    "load",
    "unknown_variables",
]

PACKAGE = Path(__file__).resolve().parent

Stage = Literal["development", "staging", "production"]
MOST_DAYS = 36_500
ADDRESSES = {"database_url": postgres_address, "valkey_url": valkey_address}
AS_JSON = {"tuple_type", "frozen_set_type", "dict_type", "model_type", "model_attributes_type"}
NOT_OURS = {"octant_image", "octant_runner", "octant_evals_database_url", "octant_evals_api_key"}  # of compose and commands


class _Settings(BaseSettings):
    """Every setting but the vendors', which the table of adapters adds below."""

    model_config = SettingsConfigDict(
        env_prefix="OCTANT_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    environment: Stage = Field(
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

    database_url: PostgresAddress = Field(
        default="", description="PostgreSQL, as postgresql+psycopg://user:password@host/database."
    )
    valkey_url: ValkeyAddress = Field(default="", description="Valkey or Redis, as redis://host:port/0.")
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
    runbook_url: WebAddress = Field(
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
    demo_daily_cap: Dollars = Field(default="25.00", description="Dollars that it may spend a day.")
    default_user_daily_cap: Dollars = Field(default="5.00", description="Dollars a user may spend a day, unless set otherwise.")
    allowed_link_hosts: frozenset[str] = Field(
        default=frozenset(), description="Hosts that links in answers may point to, besides those of the installed products."
    )

    records_keep: int = Field(default=30, ge=1, le=MOST_DAYS, description="Days that records of calls are kept, besides today.")
    oncall_keep: int = Field(
        default=400, ge=1, le=MOST_DAYS, description="Days that pages and incidents are kept after their end."
    )
    records_spill_max_bytes: int = Field(
        default=1 << 30, ge=0, description="Disk that records may take while Postgres is away; 0 keeps them in memory."
    )
    records_ner: bool = Field(
        default=False, description="Take names and addresses out of records too, by a slow model: needs the extra `ner`."
    )
    otlp_endpoint: WebAddress = Field(default="", description="OTLP over HTTP endpoint for traces; empty exports none.")
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The library's sources in its order; those of variables tidied."""
        file = dotenv_settings.env_file if isinstance(dotenv_settings, DotEnvSettingsSource) else None
        return init_settings, Environment(settings_cls), DotEnv(settings_cls, env_file=file), file_secret_settings

    @field_validator("kill_file", mode="after")
    @classmethod
    def _is_a_file(cls, value: Path) -> Path:
        """Without a name it would be the state directory itself, which always exists."""
        return value if value.name else Path("stop")

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
    _address_files: dict[str, Path] = PrivateAttr(default_factory=dict)
    _addresses: dict[str, str] = PrivateAttr(default_factory=dict)

    def address_now(self, store: Literal["database_url", "valkey_url"]) -> str:
        """A store's address as its secret file has it at this moment, or had it last; without a file that of the start."""
        if (file := self._address_files.get(store)) and (found := _address_in(file, store)):
            self._addresses[store] = found
        return self._addresses.get(store) or str(getattr(self, store))

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

    def provider_key(self, provider: str) -> str:
        """A provider's key as its place has it at this moment; empty where there is none."""
        place = self.key_places()[provider]
        try:
            return (place.file.read_text(encoding="utf-8").strip() if place.file else "") or place.value
        except (OSError, UnicodeDecodeError):
            return place.value

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
    model = create_model(f"{adapter.kind.title()}Settings", __base__=VendorSettings, base_url=(WebAddress, adapter.base_url))
    return model, model(base_url=adapter.base_url)


if TYPE_CHECKING:

    class Settings(_Settings):
        """The service's settings. Construct with `load()`, which turns a bad value into a sentence."""
else:
    # One field for the vendor of each adapter: `OCTANT_OPENAI__BASE_URL` and so on.
    Settings = create_model("Settings", __base__=_Settings, **{kind: _vendor_field(row) for kind, row in ADAPTERS.items()})


def _address_in(file: Path, store: str) -> str:
    """The address in a secret file; empty where there is none that can be used."""
    try:
        return ADDRESSES[store](file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return ""


def load(**overrides: Any) -> Settings:  # noqa: ANN401 - field values of any type, validated by pydantic
    """Read the settings. Raises Misconfigured with one line per bad value, never showing a secret."""
    folder = os.environ.get("OCTANT_SECRETS_DIR") or None
    if folder and not Path(folder).is_dir():
        raise Misconfigured(f"OCTANT_SECRETS_DIR: there is no folder {folder}.")
    try:
        settings = Settings(_secrets_dir=folder, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [f"OCTANT_{'__'.join(str(p) for p in e['loc']).upper() or '*'}: {_complaint(e)}" for e in error.errors()]
        raise Misconfigured("Settings are not usable:\n  " + "\n  ".join(lines)) from None
    except SettingsError as error:
        raise Misconfigured(f"Settings are not usable: {error}.") from None
    except UnicodeDecodeError:
        raise Misconfigured("Settings are not usable: the file .env is not written in UTF-8.") from None
    files = {store: Path(folder) / f"{PREFIX}{store}" for store in ADDRESSES} if folder else {}
    settings = _with_vendor_keys(settings)
    settings._address_files = {  # noqa: SLF001 - a variable goes before a file
        store: file
        for store, file in files.items()
        if getattr(settings, store) and _address_in(file, store) == getattr(settings, store)
    }
    return settings


def _complaint(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return f'{message}, written as JSON: ["one", "two"] or {{"name": "value"}}' if error["type"] in AS_JSON else message


def unknown_variables() -> list[str]:
    """Variables of the environment and of .env that look like settings and are none: a typing error changes nothing, silently."""
    names = {*os.environ, *(name.upper() for name in DotEnv(Settings).env_vars)}
    ours = {name for name in names if name.upper().startswith(PREFIX.upper()) and not is_linked(name)}
    known, groups = known_names(Settings) | NOT_OURS, f"{PREFIX}providers__"
    return sorted(name for name in ours if name.lower() not in known and not name.lower().startswith(groups))


def _account(adapter: Adapter) -> dict[str, SecretStr]:
    """The headers that name the account to bill. Raises Misconfigured for a variable that no header can hold."""
    found = {}
    for variable, header in adapter.account_variables.items():
        if value := os.environ.get(variable, "").strip():
            found[header] = SecretStr(value)
            try:
                sendable(found)
            except ValueError as error:
                raise Misconfigured(f"{variable}: {error}.") from None
    return found


def _with_vendor_keys(settings: Settings) -> Settings:
    """Let the vendors' own variables supply a key that ours leave empty, and the account."""
    updates: dict[str, VendorSettings] = {}
    keys = set()
    for name, adapter in ADAPTERS.items():
        vendor = settings.vendor(name)
        update: dict[str, object] = {"headers": {**_account(adapter), **vendor.headers}}
        key = os.environ.get(adapter.key_variable, "")
        if key and not vendor.api_key.get_secret_value():
            update["api_key"] = SecretStr(key)
            keys.add(name)
        updates[name] = vendor.model_copy(update=update)
    settings = settings.model_copy(update=updates)
    settings._vendors_own = frozenset(keys)  # noqa: SLF001 - only this module sets it, once
    return settings
