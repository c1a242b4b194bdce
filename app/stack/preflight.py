"""Finds settings that must not go live: example values, placeholders and missing keys, before the first request (P6).

`octant check --production` lists everything, and looks into the files of the repository and 90 days ahead. In production
`octant serve` and `octant worker` refuse to start for problems of the settings alone: a gap in next month's rotation must not
keep a service down tonight.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from app.domain.errors import Misconfigured
from app.domain.reserved import is_reserved
from app.features.installed import installed
from app.gateway.providers.adapters import ADAPTERS
from app.oncall.rota.problems import problems as problems_of
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.runbook import pages
from app.settings import DEVELOPMENT_SECRET, PACKAGE, BudgetSettings, Settings

SIMULATOR = "simulator"  # its host in compose, and the key that it is called with
WITH_ADDRESSES = ("deploy/alertmanager/alertmanager.yml", "deploy/slo/slos.toml")
_ADDRESS = re.compile(r"https?://[^\s\"']+")


def problems(settings: Settings, now: datetime, *, production: bool) -> list[str]:
    """Return a sentence for each problem. ``production``: judge as production does."""
    from app.migrations import irreversible

    found = [*(_blockers(settings) if production else ()), *irreversible.problems()]
    try:
        rotation = load_rotation(settings.rotation_file)
    except Misconfigured as error:
        return found if production else [*found, str(error)]  # a blocker already
    found += [f"{settings.rotation_file}: {problem}" for problem in problems_of(rotation, now, production=False)]
    if not production:
        return found
    return [*found, *_silent_pages(settings), *_example_products(), *_example_addresses(PACKAGE.parent), *_runbook(now)]


def refuse_example_values(settings: Settings) -> None:
    """Raise Misconfigured in production with every setting that must not go live. Elsewhere nothing is refused."""
    found = list(_blockers(settings)) if settings.environment == "production" else []
    if found:
        raise Misconfigured("Not fit for production (`octant check --production`):\n  " + "\n  ".join(found))


def _blockers(settings: Settings) -> Iterator[str]:
    """Problems that the settings, and the files they name, decide by themselves."""
    secret = settings.secret_key.get_secret_value()
    if secret == DEVELOPMENT_SECRET or len(secret) < 32:
        yield "OCTANT_SECRET_KEY: set at least 32 characters of your own."
    try:
        rotation = load_rotation(settings.rotation_file)
    except Misconfigured as error:
        yield f"OCTANT_ROTATION_FILE: {error}"
    else:
        yield from _placeholders(settings.rotation_file, rotation)
    if is_reserved(_host(settings.runbook_url)):
        yield f"OCTANT_RUNBOOK_URL: {settings.runbook_url} is an example; set the address where people read the runbook."
    for host in sorted(filter(is_reserved, settings.allowed_link_hosts)):
        yield f"OCTANT_ALLOWED_LINK_HOSTS: {host} is an example; list the hosts that answers may link to, or none: []."
    yield from _missing_keys(settings)
    folder = settings.kill_path.parent
    if folder != settings.state_dir and not folder.is_dir():  # the state folder is made at start
        yield f"OCTANT_KILL_FILE: the folder {folder} does not exist, so the file cannot be created."
    yield from _silent_alerts(settings.budget)


def _silent_alerts(budget: BudgetSettings) -> Iterator[str]:
    if not (budget.alert_webhook_url or budget.alertmanager_url):
        yield "OCTANT_BUDGET__ALERT_WEBHOOK_URL, OCTANT_BUDGET__ALERTMANAGER_URL: set one, or no alert is sent before a cap."
    for name in ("alert_webhook_url", "alertmanager_url"):
        if is_reserved(_host(getattr(budget, name))):
            yield f"OCTANT_BUDGET__{name.upper()}: the address is an example."


def _silent_pages(settings: Settings) -> Iterator[str]:
    if not settings.paging.receivers:
        yield "OCTANT_PAGING__RECEIVERS: empty, so no person is paged (docs/paging.md)."
        return
    place = settings.paging.key_places(settings.secrets_dir)["heartbeat_url"]
    if not place.value and not (place.file and place.file.is_file()):
        yield "OCTANT_PAGING__HEARTBEAT_URL: set an outside checker, or no person learns that paging is down."


def _placeholders(file: Path, rotation: Rotation) -> Iterator[str]:
    for key, person in rotation.people.items():
        if person.is_placeholder:
            yield f"{file}: {key} is a placeholder; put a real person in."


def _missing_keys(settings: Settings) -> Iterator[str]:
    """Providers that the newest release routes calls to and that cannot answer them, or are the simulator."""
    places = settings.key_places()
    vendors_own = {kind: _host(row.base_url) for kind, row in ADAPTERS.items()}
    for name, provider in settings.all_providers().items():
        if name not in _routed(settings.releases_dir):
            continue
        host, key, place = _host(provider.base_url), settings.provider_key(name), places[name]
        if SIMULATOR in (host, key) or is_reserved(host):
            yield f"Provider {name}: calls go to {host} with an example key or address; set its real address and key."
        elif host == vendors_own.get(name) and not key:
            yield f"Provider {name}: no key; set {place.setting}, or put it into the folder that OCTANT_SECRETS_DIR names."


def _routed(releases: Path) -> frozenset[str]:
    """The providers of the newest manifest. A manifest that cannot be read is refused when it is activated, not here."""
    newest = max(releases.glob("*.toml"), default=None)
    try:
        manifest = tomllib.loads(newest.read_text(encoding="utf-8")) if newest else {}
        routes = (*manifest["routes"].values(), *manifest.get("embeddings", {}).values())
        return frozenset(target["provider"] for route in routes for target in route["targets"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        return frozenset()


def _example_products() -> Iterator[str]:
    for feature in installed():
        for host in sorted(filter(is_reserved, feature.link_hosts)):
            yield f"app/features/{feature.name}: its answers may link to {host}, an example; put your host in, or take it off."


def _example_addresses(root: Path) -> Iterator[str]:
    """Addresses of the example in the files that alerts are made and sent with. The image does not hold these files."""
    for name in WITH_ADDRESSES:
        path = root / name
        found = set(_ADDRESS.findall(path.read_text(encoding="utf-8"))) if path.is_file() else set()
        for address in sorted(a for a in found if is_reserved(_host(a))):
            yield f"{name}: {address} is an example; put your own in."


def _runbook(now: datetime) -> Iterator[str]:
    """Placeholders in the runbook, and pages that no person has reviewed for too long."""
    runbook = pages.read()
    yield from pages.placeholders(runbook)
    yield from pages.overdue(runbook, now.date())


def _host(address: str) -> str:
    """The host of an address; of one that is none, a name that no host has."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return "not-a-host.invalid"
