"""The stores of an operator's command: those that the settings name, else those of the demo that runs here."""

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings
    from app.stack.running import Demo

changed_demos: ContextVar["list[Demo] | None"] = ContextVar("changed_demos", default=None)
"""The demos whose stores a command with `@changes` uses; None while the command only reads."""


def settings_with_stores(*, one_is_enough: bool = False) -> "Settings":
    """Load the settings with both stores set. Raises Misconfigured, with what to do, where none are set and no demo runs.

    ``one_is_enough``: either store will do, as for the kill switch.
    In development a command without stores uses the demo that runs in the state folder here, and says so in one line on standard
    error. A command that only reads also looks in the folders above. Stores that are set are never replaced, and staging and
    production never look for a demo.
    """
    from app.domain.errors import Misconfigured
    from app.settings import load

    settings = load()
    some = bool(settings.database_url or settings.valkey_url)
    if settings.environment != "development" or some:
        if not (one_is_enough and some):
            settings.require_stores()
        return settings
    changed = changed_demos.get()
    demo = running_demo(settings, above=changed is None)
    if not demo.same_secret(settings):
        raise Misconfigured(f"The demo in {demo.folder} runs with another OCTANT_SECRET_KEY: set the same one here.")
    demo.hand_over_settings()
    print(f"octant: using the demo at {demo.url} ({demo.folder})", file=sys.stderr)
    if changed is not None:
        changed.append(demo)
    settings = load()
    settings.require_stores()
    return settings


def running_demo(settings: "Settings", *, above: bool = True) -> "Demo":
    """Find the demo that runs here or, if wanted, ``above``. Raises Misconfigured with what to do where none does."""
    from app.domain.errors import Misconfigured
    from app.stack.running import find, places

    demo = find(settings.state_dir, above=above)
    if demo is None and not above and (higher := find(settings.state_dir)):
        raise Misconfigured(
            f"The demo at {higher.url} runs in a folder above ({higher.folder}).\n"
            "  A command that changes something uses only a demo of its own folder: run it where the demo was started, or set\n"
            "  OCTANT_DATABASE_URL and OCTANT_VALKEY_URL to the stores of your service."
        )
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
