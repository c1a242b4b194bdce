"""Names of providers in manifests, and in the variables that configure them."""

import re


def advice(provider: str) -> str:
    """How a provider that a manifest names is configured, or why a name cannot be."""
    setting = f"OCTANT_PROVIDERS__{provider.upper()}__BASE_URL"
    if provider != provider.lower():
        return f"Settings know names in small letters alone: write {provider.lower()!r} here and in the price table."
    return (
        f"Set {setting}."
        if re.fullmatch("[A-Z0-9_]+", setting)
        else f"No shell exports {setting}: name it in letters, digits and '_'."
    )
