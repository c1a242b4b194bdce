"""Groups of settings, as ``OCTANT_BUDGET__…`` and so on; `app.settings` reads them with all others."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from app.domain.json_text import DEEPEST
from app.domain.origins import origins_of
from app.domain.setting_types import Dollars, Headers, Seconds, SecondsOrNone, WebAddress
from app.gateway.providers.adapters import ADAPTERS


class ProviderSettings(BaseModel):
    """One endpoint that answers model calls. ``kind`` is the wire it speaks; any OpenAI-compatible server is ``openai``."""

    kind: str = "openai"
    base_url: WebAddress
    api_key: SecretStr = SecretStr("")
    legacy_max_tokens: bool = Field(
        default=False, description="Send max_tokens instead of max_completion_tokens (vLLM, llama.cpp, Ollama)."
    )
    headers: Headers = Field(default={}, description="Further headers of every request, as JSON.")

    @field_validator("kind")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in ADAPTERS:
            raise ValueError(f"must be one of: {', '.join(ADAPTERS)}")
        return value


class VendorSettings(BaseModel):
    """A vendor's address and key. Empty key: the vendor's own variable is read."""

    base_url: WebAddress
    api_key: SecretStr = SecretStr("")
    legacy_max_tokens: bool = False
    headers: Headers = {}


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

    global_daily_cap: Dollars = Field(default="1000.00", description="Dollars a UTC day over all tenants.")
    outage_allowance: Dollars = Field(
        default="0", description="Dollars each worker process may spend, until it restarts, while Valkey is away; 0 refuses."
    )
    alert_shares: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(50, 80, 95), description="Percentages of a cap at which an alert is sent."
    )
    alert_webhook_url: WebAddress = Field(default="", description="Where budget alerts are posted, signed; empty posts none.")
    alertmanager_url: WebAddress = Field(default="", description="Alertmanager's address, as http://host:9093; empty sends none.")

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
    answer_timeout: Seconds = Field(default=60.0, description="Seconds in which a client must take some of an answer.")
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses and networks whose X-Forwarded-For is believed, comma-separated; * for every peer.",
    )
    bad_keys_per_minute: int = Field(
        default=20, ge=1, description="Wrong API keys, from one address and per worker, before it must wait."
    )

    keep_alive: SecondsOrNone = Field(
        default=5.0, description="Seconds without an event after which a stream sends a sign of life; 0 sends none."
    )
    first_byte: SecondsOrNone = Field(
        default=10.0,
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
    late: SecondsOrNone = Field(
        default=120.0, description="Seconds that a call's record may take; younger calls wait for a later round."
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
