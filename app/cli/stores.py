"""The stores of an operator's command: those that the settings name, else those of the demo that runs here."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings
    from app.stack.running import Demo


def settings_with_stores() -> "Settings":
    """Load the settings with both stores set. Raises Misconfigured, with what to do, where none are set and no demo runs.

    In development a command without stores uses the demo that runs in the state folder here or above, and says so in one line on
    standard error. Stores that are set are never replaced, and staging and production never look for a demo.
    """
    from app.domain.errors import Misconfigured
    from app.settings import load

    settings = load()
    if settings.environment != "development" or settings.database_url or settings.valkey_url:
        settings.require_stores()
        return settings
    demo = running_demo(settings)
    if not demo.same_secret(settings):
        raise Misconfigured(f"The demo in {demo.folder} runs with another OCTANT_SECRET_KEY: set the same one here.")
    demo.hand_over_settings()
    print(f"octant: using the demo at {demo.url} ({demo.folder})", file=sys.stderr)
    return load()


def running_demo(settings: "Settings") -> "Demo":
    """Find the demo that runs here. Raises Misconfigured with what to do where none does."""
    from app.domain.errors import Misconfigured
    from app.stack.running import find, places

    demo = find(settings.state_dir)
    if demo is None:
        left = next(iter(places(settings.state_dir)), None)
        where = (
            f"{left.resolve()} has no demo that runs" if left else f"there is no {settings.state_dir} here or in a folder above"
        )
        raise Misconfigured(
            f"No stores: OCTANT_DATABASE_URL and OCTANT_VALKEY_URL are not set, and {where}.\n"
            "  Start a demo with `make demo` in another terminal and run this again in the same folder,\n"
            "  or set the two variables to the stores of your service."
        )
    return demo
