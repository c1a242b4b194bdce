"""The settings of paging, as ``OCTANT_PAGING__…``; `app.settings` reads them with all others."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from app.domain.setting_types import Seconds, SecondsOrNone, WebAddress
from app.oncall.paging.message import Name
from app.security.keys.provider_keys import KeyPlace

KEYS = (
    "alertmanager_token",
    "pagerduty_routing_key",
    "pagerduty_webhook_secret",
    "incident_io_token",
    "apprise_urls",
    "heartbeat_url",
)


class PagingSettings(BaseModel):
    """Where pages come from and go to. See `docs/paging.md`. Keys may be files, as providers' keys are."""

    receivers: tuple[Name, ...] = Field(
        default=(), description="Receivers of every page: pagerduty, incident_io, webhook, apprise. Empty turns paging off."
    )
    fallback_receivers: tuple[Name, ...] = Field(
        default=(), description="Receivers of a page that one of the others refuses or does not take."
    )
    fallback_after: Seconds = Field(default=60.0, description="Seconds that a receiver has to take a page until then.")
    alertmanager_token: SecretStr = Field(default=SecretStr(""), description="What Alertmanager must send as its bearer token.")
    pagerduty_url: WebAddress = Field(default="https://events.pagerduty.com/v2/enqueue", description="PagerDuty's Events API v2.")
    pagerduty_routing_key: SecretStr = Field(default=SecretStr(""), description="Integration key of a service there.")
    pagerduty_webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="Signing secret of a V3 webhook subscription there: its acknowledgements count here."
    )
    incident_io_url: WebAddress = Field(
        default="", description="An HTTP alert source: https://api.incident.io/v2/alert_events/http/ and its id."
    )
    incident_io_token: SecretStr = Field(default=SecretStr(""), description="Its token.")
    webhook_url: WebAddress = Field(default="", description="Where pages are posted, signed.")
    apprise_urls: SecretStr = Field(default=SecretStr(""), description="Addresses of apprise, comma-separated. Needs its extra.")
    ack_expires: Seconds = Field(default=1800.0, description="Seconds after which an acknowledged page goes out again.")
    reopen_within: SecondsOrNone = Field(
        default=300.0, description="Seconds after its end in which an alert that fires again reopens its page."
    )
    incident_window: SecondsOrNone = Field(
        default=3600.0, description="Seconds after an incident's newest page in which a page can join it; 0: none joins."
    )
    maintenance_longest: Seconds = Field(default=28_800.0, description="Seconds that a maintenance window may last.")
    watchdog_after: SecondsOrNone = Field(
        default=600.0, description="Seconds without the watchdog alert after which a page is opened; 0 opens none."
    )
    heartbeat_url: SecretStr = Field(
        default=SecretStr(""), description="An outside checker, requested while pages get out; empty for none."
    )
    heartbeat_method: Literal["GET", "POST"] = Field(default="GET", description="The method of these requests.")
    heartbeat_every: Seconds = Field(default=60.0, description="Seconds from one of them to the next.")

    def key_places(self, secrets_dir: Path | None) -> dict[str, KeyPlace]:
        """The source of each key by its name: our own variable, else a secret file."""
        places: dict[str, KeyPlace] = {}
        for name in KEYS:
            setting, value = f"OCTANT_PAGING__{name.upper()}", getattr(self, name).get_secret_value()
            file = secrets_dir / setting.lower() if secrets_dir and not value else None
            places[name] = KeyPlace(setting, value, file)
        return places
