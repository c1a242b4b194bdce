"""Points the model calls of a demo or an eval run at the vendors or at the simulator (G6)."""

from collections.abc import Mapping, Sequence

from app.gateway.providers.adapters import ADAPTERS
from app.settings import Settings

VENDORS = tuple(ADAPTERS)
SIMULATED_PATHS = {kind: row.simulated_path for kind, row in ADAPTERS.items() if row.simulated_path is not None}
CONTROL = "control"


def simulated(settings: Settings) -> list[str]:
    """The vendors that the simulator replaces: those without a key and an address of their own."""

    def is_simulated(vendor: str) -> bool:
        return not settings.provider_key(vendor) and settings.vendor(vendor).base_url == ADAPTERS[vendor].base_url

    return [vendor for vendor in SIMULATED_PATHS if is_simulated(vendor)]


def label_of(stood_in_for: Sequence[str]) -> str:
    """The label for answers: the simulator, real models, or a mix."""
    if not stood_in_for:
        return "real models"
    return "simulator" if len(stood_in_for) == len(SIMULATED_PATHS) else f"simulator for {', '.join(stood_in_for)}"


def simulator_urls(ports: Mapping[str, int | str]) -> dict[str, str]:
    """The base URL of each vendor that the simulator can replace, from the ports of the simulator's listeners."""
    return {vendor: f"http://127.0.0.1:{ports[vendor]}{path}" for vendor, path in SIMULATED_PATHS.items()}


def simulator_environment(ports: Mapping[str, int | str], stood_in_for: Sequence[str]) -> dict[str, str]:
    """The variables that point these vendors at the simulator."""
    urls = simulator_urls(ports)
    addresses = {f"OCTANT_{vendor.upper()}__BASE_URL": urls[vendor] for vendor in stood_in_for}
    return addresses | {f"OCTANT_{vendor.upper()}__API_KEY": "simulator" for vendor in stood_in_for}
