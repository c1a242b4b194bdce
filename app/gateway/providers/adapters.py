"""The table of adapters: one row for each wire that the service speaks to model vendors.

A new vendor with a wire of its own is a row here and its adapter's file. Settings, wiring, the demo, the preflight checks and the
commands iterate over the table. An adapter's module is imported at first use, because it imports aiohttp
and most commands call no model.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from app.gateway.providers.base import KeyedProvider


def _bearer(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One wire, and the vendor whose wire it is.

    ``kind`` names both, in settings (``OCTANT_<KIND>__BASE_URL``, ``OCTANT_PROVIDERS__<NAME>__KIND``) and in manifests.
    ``provider`` is ``module:Class``; the class takes a name, ``base_url``, ``api_key`` and the settings named in ``options``.
    ``simulated_path`` ends the base URL of the simulator's listener of that kind; None: the simulator does not speak it.
    ``models_path`` lists the vendor's models, with the headers that ``key_headers`` makes of a key; None: no key can be checked.
    ``embeds``: the wire has embeddings. ``account_variables``: the vendor's own variables that name the account to bill, with
    the header of each.
    """

    kind: str
    provider: str
    base_url: str
    key_variable: str
    simulated_path: str | None = None
    options: tuple[str, ...] = ()
    models_path: str | None = None
    key_headers: Callable[[str], Mapping[str, str]] = _bearer
    embeds: bool = False
    account_variables: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Callable[..., KeyedProvider]:
        """Import the adapter's class."""
        module, _, name = self.provider.partition(":")
        return cast("Callable[..., KeyedProvider]", getattr(importlib.import_module(module), name))

    def build(self, name: str, *, base_url: str, api_key: str, **options: Any) -> KeyedProvider:  # noqa: ANN401 - settings' values
        """Build a provider that speaks this wire. Of ``options`` the adapter gets those that it takes."""
        return self.load()(name, base_url=base_url, api_key=api_key, **{key: options[key] for key in self.options})


_ROWS = (
    Adapter(
        kind="openai",
        provider="app.gateway.providers.openai:OpenAIProvider",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        simulated_path="/v1",
        options=("legacy_max_tokens", "headers"),
        models_path="/models",
        embeds=True,
        account_variables={"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"},
    ),
    Adapter(
        kind="anthropic",
        provider="app.gateway.providers.anthropic:AnthropicProvider",
        base_url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        simulated_path="",
        options=("headers",),
        models_path="/v1/models",
        key_headers=lambda key: {**_bearer(key), "anthropic-version": "2026-10-21"},
    ),
)

ADAPTERS: Mapping[str, Adapter] = {row.kind: row for row in _ROWS}


def preload() -> None:
    """Import every adapter, so that processes forked from this one share it."""
    for row in ADAPTERS.values():
        row.load()
