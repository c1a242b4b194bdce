"""Who answers the model calls of a demo or an eval run: the vendors, or the simulator in their place (G6)."""

from collections.abc import Sequence

from app.settings import Settings

VENDORS = ("openai", "anthropic")


def simulated(settings: Settings) -> list[str]:
    """The vendors whom the simulator stands in for: nobody gave a key, nor another address."""

    def is_simulated(vendor: str) -> bool:
        chosen = getattr(settings, vendor)
        return not chosen.api_key.get_secret_value() and chosen.base_url == type(chosen).model_fields["base_url"].default

    return [vendor for vendor in VENDORS if is_simulated(vendor)]


def label_of(stood_in_for: Sequence[str]) -> str:
    """What answers: the simulator, or real models; a mix is named as one."""
    return {0: "real models", len(VENDORS): "simulator"}.get(len(stood_in_for), f"simulator for {', '.join(stood_in_for)}")
